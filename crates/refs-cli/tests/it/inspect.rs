//! `refs inspect`

use refs_registry::{MediaType, Platform};
use refs_testkit::{
    Image, Tree,
    image::{index, push_index},
};
use refs_url::Digest;

use crate::support::{MANIFEST, Machine, now, pushed, put, registry, small};

#[test]
fn an_artifact_is_told_in_three_requests_and_ten_kilobytes() {
    let (machine, registry) = (Machine::new(), registry());
    let printed = pushed(&machine, &registry, &small());
    let digest = printed.split_once('@').unwrap().1;
    let told = machine.prints(&format!("inspect {}/o/r:v1", registry.host()));
    let requests = registry.requests();
    assert_eq!(requests.len(), 3, "{requests:?}");
    let bytes: u64 = requests.iter().map(|seen| seen.sent).sum();
    assert!(bytes < 10_000, "{bytes} bytes");

    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], format!("reference      {}/o/r:v1", registry.host()));
    assert_eq!(lines[1], format!("digest         {digest}"));
    for line in [
        "media type     application/vnd.oci.image.manifest.v1+json",
        "annotation     com.sow.ref.tags=small",
        "platform       linux/amd64",
        "files          5, 238 B together",
        "title          Small guide",
        "link           small-guide",
        "description    How the house works, in two short guides and one program to run.",
        "types          guidelines",
        "tags           small",
    ] {
        assert!(lines.contains(&line), "{line} is not in\n{told}");
    }
    let config = lines.iter().find(|line| line.starts_with("config")).unwrap();
    assert!(config.ends_with(" application/vnd.oci.image.config.v1+json 163 B"), "{config}");
    let layer = lines.iter().find(|line| line.starts_with("layer")).unwrap();
    assert!(
        layer.starts_with("layer          estargz sha256:")
            && layer.contains(" application/vnd.oci.image.layer.v1.tar+gzip ")
            && layer.ends_with(" unpacked, 5 files"),
        "{layer}"
    );
}

#[test]
fn json_tells_the_same_to_programs() {
    let machine = Machine::new();
    machine.write("source", &small());
    let pushed = machine.json("push source ocidir://layout:v1 --artifact-type application/vnd.a.v1");
    let told = machine.json("inspect ocidir://layout:v1");
    assert_eq!((&told["digest"], &told["artifactType"]), (&pushed["digest"], &"application/vnd.a.v1".into()));
    let image = &told["image"];
    assert_eq!(image["imageConfig"]["os"], "linux");
    let layer = &image["layers"][0];
    assert_eq!((&layer["digest"], &layer["size"]), (&pushed["layer"]["digest"], &pushed["layer"]["size"]));
    assert_eq!((&layer["kind"], &layer["files"], &layer["fileBytes"]), (&"estargz".into(), &5.into(), &238.into()));
    assert!(layer["uncompressedBytes"].as_u64().unwrap() > 238, "{layer}");
    assert_eq!(image["layerBytes"], pushed["layer"]["size"]);
    assert_eq!(image["manifestFile"]["title"], "Small guide");
    assert_eq!(image["manifestFile"]["tags"], serde_json::json!(["small"]));
}

#[test]
fn an_index_without_this_platform_lists_those_there_are() {
    let (machine, registry) = (Machine::new(), registry());
    let image =
        |name: &str| (Platform::parse(name).unwrap(), Image::new().tree(&Tree::new().file("a", name.to_owned())));
    let images = [image("windows/amd64"), image("plan9/arm/v7")];
    now(push_index(&*registry.repository("o/r"), &images, &["v1"])).unwrap();
    let at = format!("{}/o/r:v1", registry.host());
    let told = machine.prints(&format!("inspect {at}"));
    assert!(told.contains("\nmanifest       windows/amd64 sha256:"), "{told}");
    assert!(told.contains("\nmanifest       plan9/arm/v7 sha256:") && !told.contains("layer"), "{told}");
    let told = machine.json(&format!("inspect {at} --platform plan9/arm"));
    assert_eq!(told["manifests"][0]["platform"], "windows/amd64");
    assert_eq!(told["image"]["digest"], told["manifests"][1]["digest"]);
    assert_eq!(told["image"]["layers"][0]["kind"], "tar+gzip");
    machine.fails(&format!("inspect {at} --platform linux/amd64"), 3, &["no image for platform linux/amd64"]);
}

fn container(json: &serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
    json.as_object().unwrap().clone()
}

/// An image of two layers, and how it runs.
fn server() -> Image {
    let json = serde_json::json!({
        "Entrypoint": ["/bin/server", "--port"], "Cmd": ["80"], "Env": ["PATH=/bin", "A=1", "A=b=c", "NOTHING"],
        "WorkingDir": "/srv", "User": "1000:50", "Labels": {"vendor": "us"}, "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/data": {}}, "StopSignal": "SIGQUIT", "Healthcheck": {"Test": ["NONE"]},
    });
    let tree = |text: &str| Tree::new().file("a", text.to_owned());
    Image::new().tree(&tree("low")).tree(&tree("high")).container(container(&json))
}

#[test]
fn image_is_told_with_its_container_and_both_digests() {
    let (machine, registry) = (Machine::new(), registry());
    let images = [(Platform::parse("linux/amd64").unwrap(), server())];
    let index = now(push_index(&*registry.repository("o/r"), &images, &["v1"])).unwrap().descriptor.digest;
    let manifest = server().manifest().unwrap().descriptor.digest;
    let told = machine.prints(&format!("inspect {}/o/r:v1 --platform linux/amd64", registry.host()));
    let diff_id = |text: &str| Digest::sha256(&Tree::new().file("a", text.to_owned()).tar());
    for line in [
        format!("digest         {index}"),
        format!("image          {manifest}"),
        "platform       linux/amd64".to_owned(),
        r#"entrypoint     ["/bin/server","--port"]"#.to_owned(),
        r#"cmd            ["80"]"#.to_owned(),
        "workdir        /srv".to_owned(),
        "user           1000:50".to_owned(),
        "stop signal    SIGQUIT".to_owned(),
        "env            A=b=c".to_owned(),
        "env            PATH=/bin".to_owned(),
        "label          vendor=us".to_owned(),
        "port           80/tcp".to_owned(),
        "volume         /data".to_owned(),
        r#"healthcheck    {"Test":["NONE"]}"#.to_owned(),
        format!("diff id        {}", diff_id("low")),
        format!("diff id        {}", diff_id("high")),
    ] {
        assert!(told.lines().any(|told| told == line), "{line} is not in\n{told}");
    }
    let told = machine.json(&format!("inspect {}/o/r:v1 --platform linux/amd64", registry.host()));
    let image = &told["image"];
    assert_eq!((&told["digest"], &image["digest"]), (&index.to_string().into(), &manifest.to_string().into()));
    assert_eq!(image["platform"], "linux/amd64");
    let container = &image["container"];
    assert_eq!(container["entrypoint"], serde_json::json!(["/bin/server", "--port"]));
    assert_eq!(container["env"], serde_json::json!({"PATH": "/bin", "A": "b=c"}));
    assert_eq!((&container["workingDir"], &container["labels"]["vendor"]), (&"/srv".into(), &"us".into()));
    assert_eq!(image["imageConfig"]["config"]["Env"][3], "NOTHING", "as it is written");
    let layers = [&image["layers"][0], &image["layers"][1]].map(|layer| layer["diffId"].as_str().unwrap().to_owned());
    assert_eq!(layers, ["low", "high"].map(|text| diff_id(text).to_string()));
}

#[test]
fn what_a_config_says_wrongly_does_not_hide_the_rest() {
    let (machine, registry) = (Machine::new(), registry());
    let json = serde_json::json!({"Env": {"A": "1"}, "Cmd": ["sh"], "User": 5});
    put(&registry, &Image::new().tree(&small()).container(container(&json)));
    let told = machine.prints(&format!("inspect {}/o/r:v1", registry.host()));
    for line in [
        r#"cmd            ["sh"]"#,
        "config fault   `config.Env` is an object, and must be a list of texts",
        "config fault   `config.User` is a number, and must be a text",
    ] {
        assert!(told.lines().any(|told| told == line), "{line} is not in\n{told}");
    }
}

#[test]
fn lone_image_for_another_platform_is_not_found() {
    let (machine, registry) = (Machine::new(), registry());
    put(&registry, &server());
    let at = format!("{}/o/r:v1", registry.host());
    let words = ["no image for platform linux/arm64 in ", "it has linux/amd64", "hint: "];
    let asks = |platform| {
        ["inspect REF", "ls REF", "cat REF a", "pull REF out", "unpack REF out", "resolve REF", "manifest REF"]
            .map(|line| format!("{} --platform {platform} -q", line.replace("REF", &at)))
    };
    asks("linux/arm64").iter().for_each(|line| drop(machine.fails(line, 3, &words)));
    for (number, line) in asks("linux/x86_64/v3").iter().enumerate() {
        machine.run(&line.replace(" out ", &format!(" out{number} "))).printed();
    }
}

#[test]
fn index_that_names_no_platforms_is_not_guessed_at() {
    let (machine, registry) = (Machine::new(), registry());
    let manifests = ["a", "b"].map(|name| put(&registry, &Image::new().file(name, name)).descriptor);
    let index = index(manifests.to_vec()).unwrap();
    now(registry.repository("o/r").put_manifest(&index, &["v1".parse().unwrap()])).unwrap();
    let at = format!("{}/o/r:v1", registry.host());
    let words = ["none of the 2 manifests in", "names its platform", "hint: name one by its digest"];
    machine.fails(&format!("ls {at}"), 3, &words);
    machine.fails(&format!("inspect {at} --platform linux/amd64"), 3, &words);
    assert!(machine.prints(&format!("inspect {at}")).contains("\nmanifest       no platform sha256:"));
}

#[test]
fn layers_that_others_pushed_are_not_fetched() {
    let (machine, registry) = (Machine::new(), registry());
    let told = |image: &Image| {
        put(&registry, image);
        registry.take_requests();
        machine.json(&format!("inspect {}/o/r:v1", registry.host()))["image"].clone()
    };
    let image = told(&Image::new().tree(&small()));
    assert_eq!((&image["layers"][0]["kind"], &image["files"]), (&"tar+gzip".into(), &serde_json::Value::Null));
    assert_eq!(registry.requests().len(), 2, "{:?}", registry.requests());
    let image = told(&Image::new().file(".sow-ref.yaml", MANIFEST).file("a.txt", "a"));
    assert_eq!((&image["layers"][1]["kind"], &image["files"]), (&"file".into(), &2.into()));
    assert_eq!(image["manifestFile"]["link"], "small-guide");
    let image = told(&Image::new().layer(MediaType::OCI_LAYER_ZSTD, "no zstd"));
    assert_eq!(image["layers"][0]["kind"], "tar+zstd");
}

#[test]
fn files_are_told_by_their_titles_and_an_empty_config_has_no_platform() {
    let (machine, registry) = (Machine::new(), registry());
    put(&registry, &Image::new().file("a.txt", "a"));
    let told = machine.prints(&format!("inspect {}/o/r:v1", registry.host()));
    assert!(told.contains(", `a.txt`") && !told.contains("platform"), "{told}");
}

#[test]
fn what_a_server_says_is_not_obeyed_by_a_terminal() {
    let (machine, registry) = (Machine::new(), registry());
    let evil = MANIFEST.replace("Small guide", "\"a\\e[31mb\\nlayer\"");
    put(&registry, &Image::new().file(".sow-ref.yaml", evil).annotate("k", "v\u{1b}[2J\nlayer"));
    let told = machine.prints(&format!("inspect {}/o/r:v1", registry.host()));
    assert!(told.contains("annotation     k=v\\u{1b}[2J\\u{a}layer\n"), "{told}");
    assert!(told.contains("title          a\\u{1b}[31mb\\u{a}layer\n"), "{told}");
    put(&registry, &Image::new().file(".sow-ref.yaml", "ref: 5"));
    let told = machine.prints(&format!("inspect {}/o/r:v1", registry.host()));
    assert!(told.contains("manifest fault 1:6: ref: found the number 5, allowed: a mapping\n"), "{told}");
}
