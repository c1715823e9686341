//! `refs inspect`

use refs_registry::{MediaType, Platform};
use refs_testkit::{Image, Tree, image::push_index};

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
