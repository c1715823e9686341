//! `refs push`

use std::{fs, os::unix::fs::symlink};

use refs_testkit::{FakeRegistry, Fault, On, Tree};
use refs_url::{Tag, Target};
use serde_json::Value;

use crate::support::{MANIFEST, Machine, ended, now, registry, small};

/// The manifest under `tag` in the repository `o/r`.
fn manifest(registry: &FakeRegistry, tag: &str) -> Value {
    let target = Target::Tag(Tag::parse(tag).unwrap());
    serde_json::from_slice(&now(registry.repository("o/r").manifest(&target)).unwrap().raw).unwrap()
}

#[test]
fn a_second_push_of_the_same_tree_uploads_no_blob() {
    let (machine, registry) = (Machine::new(), registry());
    machine.write("source", &small());
    let at = format!("{}/o/r:v1", registry.host());
    let first = machine.prints(&format!("push source {at}"));
    registry.take_requests();
    assert_eq!(machine.prints(&format!("push source {at}")), first);
    let requests = registry.requests();
    let written: Vec<_> = requests.iter().filter(|seen| seen.received > 0).map(ToString::to_string).collect();
    assert_eq!(written, ["PUT /v2/o/r/manifests/v1"]);
    assert!(requests.iter().all(|seen| seen.path.contains("/manifests/") || seen.method == "HEAD"), "{requests:?}");
}

#[test]
fn times_are_of_the_digest_unless_it_is_to_be_reproducible() {
    let (machine, registry) = (Machine::new(), registry());
    let host = registry.host();
    machine.write("old", &Tree::parse("644 a \"x\" @1000"));
    machine.write("new", &Tree::parse("644 a \"x\" @2000"));
    let push = |source: &str, flags: &str| {
        let printed = machine.prints(&format!("push {source} {host}/o/r:v1 {flags}"));
        printed.trim_end().split_once('@').unwrap().1.to_owned()
    };
    assert_ne!(push("old", ""), push("new", ""));
    assert_eq!(push("old", "--reproducible"), push("new", "--reproducible"));
    let entry = machine.json(&format!("ls {host}/o/r:v1"))["files"][0].clone();
    assert_eq!((&entry["path"], &entry["mtime"]), (&"a".into(), &0.into()));
}

#[test]
fn source_date_epoch_is_the_time_of_all_files() {
    let (machine, registry) = (Machine::new(), registry());
    let at = format!("{}/o/r:v1", registry.host());
    machine.write("source", &Tree::parse("644 a \"x\" @1000"));
    let with = |epoch| ended(machine.command(&format!("push source {at}")).env("SOURCE_DATE_EPOCH", epoch));
    with("1700000000").printed();
    assert_eq!(machine.json(&format!("ls {at}"))["files"][0]["mtime"], 1_700_000_000);
    with("yesterday").failed(2, &["SOURCE_DATE_EPOCH is `yesterday`"]);
}

#[test]
fn what_refers_to_an_artifact_names_its_digest() {
    let (machine, registry) = (Machine::new(), registry());
    machine.write("source", &small());
    let host = registry.host();
    let subject = machine.prints(&format!("push source {host}/o/r:v1"));
    machine.prints(&format!("push source {host}/o/r:about --subject {host}/o/r:v1 --artifact-type application/vnd.x"));
    let digest = subject.trim_end().split_once('@').unwrap().1;
    assert_eq!(manifest(&registry, "about")["subject"]["digest"], digest);
    machine.fails(&format!("push source {host}/o/r:about --subject {host}/o/other:v1"), 2, &["another repository"]);
    machine.fails(&format!("push source {host}/o/r:about --subject {host}/o/r:absent"), 3, &["`absent`", "not found"]);
}

#[test]
fn further_tags_name_the_same_artifact() {
    let (machine, registry) = (Machine::new(), registry());
    machine.write("source", &small());
    let at = format!("{}/o/r", registry.host());
    let pushed = machine.json(&format!("push source {at}:v1 --tag latest --tag v1.0"));
    assert_eq!(machine.prints(&format!("tags {at}")), "latest\nv1\nv1.0\n");
    for tag in ["latest", "v1", "v1.0"] {
        assert_eq!(machine.json(&format!("resolve {at}:{tag}"))["digest"], pushed["digest"]);
    }
}

#[test]
fn annotations_and_types_are_in_the_manifest() {
    let (machine, registry) = (Machine::new(), registry());
    machine.write("source", &Tree::parse("644 README.md \"read me\\n\""));
    let types = "--artifact-type application/vnd.a.v1 --config-type application/vnd.c.v1+json \
                 --layer-type application/vnd.l.v1.tar+gzip";
    let line = format!("push source {}/o/r:v1 --annotation k=v=w --annotation empty= {types}", registry.host());
    machine.prints(&line);
    let manifest = manifest(&registry, "v1");
    assert_eq!(manifest["annotations"], serde_json::json!({ "k": "v=w", "empty": "" }));
    assert_eq!(manifest["artifactType"], "application/vnd.a.v1");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.c.v1+json");
    assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.l.v1.tar+gzip");
    assert_eq!(machine.prints(&format!("cat {}/o/r:v1 README.md", registry.host())), "read me\n");
}

#[test]
fn what_is_excluded_is_not_pushed_and_the_manifest_file_always_is() {
    let machine = Machine::new();
    machine.write("source", &small().file(".git/HEAD", "ref").file("node_modules/x/y.js", "y"));
    machine.prints("push source ocidir://layout:v1 --exclude *.md --exclude /bin --exclude .sow-ref.yaml");
    assert_eq!(machine.prints("ls ocidir://layout:v1"), ".sow-ref.yaml\nguide/\n");
}

#[test]
fn a_required_manifest_file_has_to_be_there() {
    let (machine, registry) = (Machine::new(), registry());
    machine.write("with", &small());
    machine.write("without", &Tree::parse("644 a \"x\""));
    let at = format!("{}/o/r:v1", registry.host());
    machine.fails(
        &format!("push without {at} --require-manifest"),
        3,
        &["no manifest file `.sow-ref.yaml` in without"],
    );
    assert_eq!(registry.requests(), [""; 0]);
    machine.prints(&format!("push with {at} --require-manifest"));
}

#[test]
fn json_tells_what_was_pushed() {
    let machine = Machine::new();
    machine.write("source", &small());
    let pushed = machine.json("push source ocidir://layout:v1 --tag v2");
    assert_eq!((&pushed["reference"], &pushed["tags"][0]), (&"ocidir://layout:v1".into(), &"v2".into()));
    assert_eq!(pushed["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!((&pushed["entries"], &pushed["fileBytes"]), (&7.into(), &238.into()));
    assert_eq!(pushed["layer"]["uploaded"], true);
    assert!(pushed["layer"]["size"].as_u64().unwrap() > 238, "{pushed}");
}

/// A push of the directory `source` fails before anything is asked of the registry.
#[track_caller]
fn refused(machine: &Machine, code: i32, words: &[&str]) {
    let registry = registry();
    machine.fails(&format!("push source {}/o/r:v1", registry.host()), code, words);
    assert_eq!(registry.requests(), [""; 0]);
}

#[test]
fn a_source_that_is_no_directory_is_an_error_of_usage() {
    let machine = Machine::new();
    refused(&machine, 2, &["`source` cannot be packed: it does not exist"]);
    fs::write(machine.path("source"), "file").unwrap();
    refused(&machine, 2, &["`source` cannot be packed: it is not a directory"]);
}

#[test]
fn what_could_not_be_pulled_is_not_pushed() {
    let machine = Machine::new();
    machine.write("source", &small());
    symlink("../../etc/passwd", machine.path("source/bin/leak")).unwrap();
    refused(&machine, 9, &["`source/bin/leak` cannot be packed: it is a link to `../../etc/passwd`"]);
    fs::remove_file(machine.path("source/bin/leak")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, machine.path("source/pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    refused(&machine, 9, &["`source/pipe` cannot be packed: it is a named pipe"]);
}

#[test]
fn a_push_that_fails_moves_no_tag() {
    let (machine, registry) = (Machine::new(), registry());
    let at = format!("{}/o/r:v1", registry.host());
    machine.write("source", &small());
    let first = machine.prints(&format!("push source {at}"));
    fs::write(machine.path("source/more.txt"), "more").unwrap();
    for (path, status, code) in [("/blobs/uploads/", 503, 7), ("/manifests/", 500, 7), ("/manifests/", 403, 5)] {
        registry.fault(On::any(path).always(), Fault::Status { status, headers: Vec::new() });
        machine.fails(&format!("push source {at} --tag latest"), code, &[registry.host().as_str()]);
        registry.clear_faults();
        let digest = first.trim_end().split_once('@').unwrap().1;
        assert_eq!(machine.json(&format!("resolve {at}"))["digest"], digest);
        assert_eq!(machine.prints(&format!("tags {}/o/r", registry.host())), "v1\n");
    }
}

#[test]
fn a_layout_is_not_begun_over_other_files() {
    let machine = Machine::new();
    machine.write("source", &small());
    machine.fails("push source ocidir://source:v1", 11, &["`source`", "not empty"]);
}

#[test]
fn a_manifest_file_that_breaks_its_schema_is_an_error_of_usage_with_a_line_for_each_fault() {
    let machine = Machine::new();
    machine.write("source", &Tree::new().file(".sow-ref.yaml", MANIFEST.replace("guidelines", "howto\u{1b}[31m")));
    let words = ["error: `source/.sow-ref.yaml` is not a valid manifest file\nsource/.sow-ref.yaml:"];
    refused(&machine, 2, &words);
    let text = MANIFEST.replace("[small]", "5").replace("guidelines", "howto").replace("1.0.0", "3.0.0");
    machine.write("source", &Tree::new().file(".sow-ref.yaml", text));
    let words = [
        "\nsource/.sow-ref.yaml:1:17: schema_version: found `3.0.0`, allowed: a version `1.MINOR.PATCH`\n",
        "content.classifications[0].type: found `howto`, allowed: tutorial, ",
        "content.tags: found the number 5, allowed: a list of texts that are not empty\n",
    ];
    refused(&machine, 2, &words);
    let run = machine.run("push source localhost:1/o/r:v1 --format json");
    let told: Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!(told["error"]["exit"], 2);
    assert!(told["error"]["message"].as_str().unwrap().contains("; 3:132: content.tags: found the number 5"), "{told}");
}

#[test]
fn a_manifest_file_that_cannot_be_read_is_told_in_words() {
    let machine = Machine::new();
    for (bytes, words) in [
        (&b"a: \xff"[..], "\nsource/.sow-ref.yaml: it is not UTF-8\n"),
        (&[b'#'; (256 << 10) + 1], "\nsource/.sow-ref.yaml: it has more than 262144 bytes\n"),
        (b"a: 1\n---\nb: 2\n", "\nsource/.sow-ref.yaml:2:1: it has more than one document\n"),
        (
            b"packaging: {exclusions: [secret]}",
            "packaging.exclusions: found a field that is not known; did you mean `exclude`?",
        ),
        (b"ref: {}", "ref.title: nothing is given; it needs text that is not empty\n"),
    ] {
        machine.write("source", &Tree::new().file(".sow-ref.yaml", bytes));
        refused(&machine, 2, &[words]);
    }
}

#[test]
fn what_had_better_be_otherwise_in_a_manifest_file_is_a_warning() {
    let machine = Machine::new();
    machine.write("source", &Tree::new().file(".sow-ref.yaml", MANIFEST.replace("Small guide", "S")));
    let run = machine.run("push source ocidir://layout:v1");
    assert_eq!(run.code, 0);
    let warning =
        "warning: source/.sow-ref.yaml:2:14: ref.title: found 1 character, recommended: 5 to 100 characters\n";
    assert_eq!(run.stderr, warning);
}

#[test]
fn what_a_manifest_file_says_is_in_the_annotations() {
    let (machine, registry) = (Machine::new(), registry());
    machine.write("source", &small());
    machine.prints(&format!("push source {}/o/r:v1 --annotation com.sow.ref.link=mine", registry.host()));
    let annotations = &manifest(&registry, "v1")["annotations"];
    assert_eq!(annotations["org.opencontainers.image.title"], "Small guide");
    assert_eq!(annotations["com.sow.ref.tags"], "small");
    assert_eq!(annotations["com.sow.ref.link"], "mine");
}

#[test]
fn a_manifest_file_that_is_a_link_is_refused() {
    let machine = Machine::new();
    machine.write("source", &Tree::new().file("real.yaml", MANIFEST));
    symlink("real.yaml", machine.path("source/.sow-ref.yaml")).unwrap();
    refused(&machine, 2, &["`source/.sow-ref.yaml` cannot be packed: it should be the manifest file"]);
}
