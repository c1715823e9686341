//! The main job: push a directory, list it, read a file, pull all of it and a part. The same on every kind of place.

use refs_testkit::{FakeRegistry, Tree};

use crate::{
    serve::Served,
    support::{MANIFEST, Machine, noise, registry},
};

const LONG: &str =
    "long/a-name-of-fifty-bytes-that-goes-on-to-the-very-end/a-name-of-fifty-bytes-that-goes-on-to-the-very-end/x";

fn tree() -> Tree {
    let text = r##"
        755 bin/ @1700000002
        755 bin/run "#!/bin/sh\necho run\n" @1700000003
        755 empty/ @1700000004
        644 empty.txt "" @1700000005
        755 guide/ @1700000006
        644 guide/a\x20b\x20c.md "spaces\n" @1700000007
        777 guide/run -> ../bin/run
        755 guide/sub/ @1700000008
        644 guide/sub/deep.md "deep\n" @1700000009
        755 naïve/ @1700000010
        644 naïve/日本語.txt "konnichiwa\n" @1700000011
    "##;
    Tree::parse(&format!("{text}\n644 .sow-ref.yaml {MANIFEST:?} @1700000001\n644 {LONG} \"long\\n\" @1700000012"))
        .file("large.bin", noise(3 << 20))
}

fn listed() -> String {
    let (first, second) = (LONG.split('/').nth(1).unwrap(), LONG.split('/').nth(2).unwrap());
    format!(
        "\
.sow-ref.yaml
bin/
bin/run
empty/
empty.txt
guide/
guide/a b c.md
guide/run
guide/sub/
guide/sub/deep.md
large.bin
long/
long/{first}/
long/{first}/{second}/
{LONG}
naïve/
naïve/日本語.txt
"
    )
}

/// Does the main job in the repository `at`.
#[track_caller]
fn check(machine: &Machine, at: &str) {
    machine.write("source", &tree());
    let printed = machine.prints(&format!("push source {at}:v1"));
    let digest = printed.strip_prefix(&format!("{at}:v1@")).unwrap().trim_end().to_owned();
    assert!(digest.starts_with("sha256:") && digest.len() == 71, "{printed}");

    assert_eq!(machine.prints(&format!("ls {at}:v1")), listed());
    assert_eq!(machine.run(&format!("cat {at}:v1 large.bin")).stdout, noise(3 << 20));
    assert_eq!(machine.prints(&format!("cat {at}:v1 naïve/日本語.txt")), "konnichiwa\n");
    assert_eq!(machine.prints(&format!("cat {at}@{digest} guide/run")), "#!/bin/sh\necho run\n");
    assert_eq!(machine.prints(&format!("cat {at}:v1 empty.txt")), "");

    let said = machine.prints(&format!("pull {at}:v1 all"));
    assert!(said.starts_with("all: 8 files, 8 directories, 1 link, 3.00 MiB fetched, 3.00 MiB written"), "{said}");
    let [pulled, source] = ["all", "source"].map(|name| Tree::read_with_times(&machine.path(name)).unwrap());
    assert_eq!(pulled, source);

    let said = machine.prints(&format!("pull {at}:v1 part --path guide/*.md --path empty/"));
    assert!(said.starts_with("part: 2 files, "), "{said}");
    let part = Tree::parse(
        r##"
        755 empty/
        755 guide/
        644 guide/a\x20b\x20c.md "spaces\n"
        "##,
    )
    .file(".sow-ref.yaml", MANIFEST);
    assert_eq!(machine.read("part"), part);

    let again = machine.json(&format!("push source {at}:v1"));
    assert_eq!((&again["digest"], &again["layer"]["uploaded"]), (&digest.clone().into(), &false.into()));
    assert_eq!(machine.prints(&format!("resolve {at}:v1")), format!("{at}@{digest}\n"));
    assert_eq!(machine.prints(&format!("tags {at}")), "v1\n");
}

#[test]
fn the_main_job_is_done_on_a_registry() {
    let (machine, registry) = (Machine::new(), registry());
    check(&machine, &format!("{}/o/r", registry.host()));
}

#[test]
fn the_main_job_is_done_on_a_registry_that_demands_a_token() {
    let registry = FakeRegistry::builder().token_auth("user", "password").start_blocking();
    let machine = Machine::new();
    machine.login(&registry, "user", "password");
    check(&machine, &format!("{}/o/r", registry.host()));
}

#[test]
fn the_main_job_is_done_on_a_registry_that_demands_a_password_and_redirects() {
    let registry = FakeRegistry::builder().basic_auth("user", "password").redirect_blobs().start_blocking();
    let machine = Machine::new();
    machine.login(&registry, "user", "password");
    check(&machine, &format!("{}/o/r", registry.host()));
}

#[test]
fn the_main_job_is_done_in_a_layout_on_disk() {
    check(&Machine::new(), "ocidir://layout");
}

#[test]
fn the_main_job_is_done_on_a_server_of_refs() {
    let machine = Machine::new();
    let served = Served::start(&machine, "--root data");
    check(&machine, &format!("{}/o/r", served.host));
}
