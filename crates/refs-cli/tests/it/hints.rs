//! Hints that depend on who failed, and on the places that the command names.

use std::{fs, path::Path};

use refs_registry::Platform;
use refs_testkit::{FakeRegistry, Fault, Image, On, Tree, image};

use crate::support::{Machine, noise, now, pushed, registry, small};

#[test]
fn a_token_service_that_gives_no_token_has_a_hint_of_its_own() {
    let machine = Machine::new();
    let registry = FakeRegistry::builder().token_auth("user", "secret").start_blocking();
    for status in [404, 405, 410] {
        registry.fault(On::get("/token"), Fault::Status { status, headers: Vec::new() });
        let words =
            [&*format!("/token` was answered with {status}"), "hint: the registry's token service gives no token: "];
        machine.fails(&format!("ls {}/o/r:v1", registry.host()), 1, &words);
    }
}

#[test]
fn a_proxy_that_does_not_work_is_named() {
    let machine = Machine::new();
    machine.configure("[hosts.\"r.test\"]\nproxy = \"http://user:hunter2@127.0.0.1:1\"\n");
    let words = ["through the proxy http://***@127.0.0.1:1", "hint: look at the proxy, "];
    machine.fails("ls r.test/o/r:v1", 7, &words);
}

#[test]
fn a_directory_that_was_taken_for_a_name_of_docker_is_told_by_every_command() {
    let machine = Machine::new();
    machine.write("p1", &small());
    machine.configure("[hosts.\"docker.io\"]\nproxy = \"http://127.0.0.1:1\"\n");
    for (line, layout) in [
        ("ls docker://p1", "ocidir://p1"),
        ("pull docker://p1:v2 here", "ocidir://p1:v2"),
        ("resolve docker://p1:v2", "ocidir://p1:v2"),
        ("tags docker://p1", "ocidir://p1"),
        ("cp docker://p1 ocidir://lay:v1", "ocidir://p1"),
    ] {
        let hint = format!("hint: if the directory `p1` is meant, an image layout on the disk is `{layout}`\n");
        machine.fails(line, 7, &[&hint]);
    }
}

#[test]
fn a_damaged_layout_is_told_by_its_file_whoever_reads_it() {
    let machine = Machine::new();
    machine.write("source", &small().file("large", noise(300 << 10)));
    let digest = machine.prints("push source ocidir://layout:v1").trim_end().rsplit_once(':').unwrap().1.to_owned();
    let folder = "layout/blobs/sha256";
    let blobs = || fs::read_dir(machine.path(folder)).unwrap().map(|blob| blob.unwrap().path());
    let layer = blobs().max_by_key(|blob| blob.metadata().unwrap().len()).unwrap();
    let put = |path: &Path, bytes: &[u8]| {
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let file = format!("`{folder}/{}`", layer.file_name().unwrap().display());
    let again = "copy the artifact to ocidir://layout:v1 again, from where it came";
    let (mut bytes, whole) = (fs::read(&layer).unwrap(), fs::read(&layer).unwrap());
    bytes[100_000..100_004].copy_from_slice(b"harm");
    put(&layer, &bytes);
    for line in ["pull ocidir://layout:v1 here", "cp ocidir://layout:v1 ocidir://other:v1"] {
        machine.run(line).failed(8, &[&format!("hint: {file} is damaged: remove it, and {again}")]);
    }
    machine.fails("cat ocidir://layout:v1 large", 8, &[&format!("; if {file} is damaged, remove it, and {again}")]);
    put(&layer, &whole[..1000]);
    for line in ["ls ocidir://layout:v1", "cat ocidir://layout:v1 large", "cp ocidir://layout:v1 ocidir://other:v1"] {
        machine.run(line).failed(8, &[&format!("hint: the layout is damaged: {again}")]);
    }
    put(&layer, &whole);
    let manifest = machine.path(folder).join(&digest);
    let mut bytes = fs::read(&manifest).unwrap();
    bytes[100] ^= 1;
    put(&manifest, &bytes);
    for line in ["ls ocidir://layout:v1", "pull ocidir://layout:v1 here"] {
        machine.fails(line, 8, &[&format!("hint: `{folder}/{digest}` is damaged: remove it, and {again}")]);
    }
}

#[test]
fn a_manifest_that_a_layout_lists_and_has_lost_is_not_looked_for_among_its_tags() {
    let (machine, registry) = (Machine::new(), registry());
    let digest = pushed(&machine, &registry, &small()).trim_end().rsplit_once(':').unwrap().1.to_owned();
    for at in ["ocidir://layout:v1", "ocidir://layout:ghcr.io/o/r:v1"] {
        let copy = format!("cp -q {}/o/r:v1 {at}", registry.host());
        machine.prints(&copy);
        fs::remove_file(machine.path("layout/blobs/sha256").join(&digest)).unwrap();
        let hint = format!("hint: the layout has lost it: copy the artifact to {at} again, from where it came\n");
        for line in ["cp AT ocidir://other:v1", "ls AT", "resolve AT", "diff AT AT", "manifest AT"] {
            machine.run(&line.replace("AT", at)).failed(3, &["manifest `v1` not found", &hint]);
        }
        machine.prints(&copy);
        machine.prints(&format!("ls {at}"));
    }
    machine.fails("ls ocidir://layout:v9", 3, &["hint: `refs tags ocidir://layout` lists what is there"]);
}

#[test]
fn a_file_where_a_layout_is_to_be_is_told() {
    let machine = Machine::new();
    machine.write("source", &small());
    fs::write(machine.path("file"), "").unwrap();
    machine.prints("push source ocidir://layout:v1");
    for line in ["push source ocidir://file:v1", "cp ocidir://layout:v1 ocidir://file:v1"] {
        machine.fails(line, 1, &["hint: a file is there, and an image layout is a directory: name another place\n"]);
    }
}

#[test]
fn a_tag_that_a_layout_lists_by_a_longer_name_is_deleted_by_that() {
    let machine = Machine::new();
    machine.write("source", &small());
    machine.prints("push source ocidir://layout:ghcr.io/o/r:v1");
    let hint = "hint: it is listed with its repository before it: `refs tags ocidir://layout` tells how it is named\n";
    machine.fails("rm --yes ocidir://layout:v1", 3, &[hint]);
    machine.run("rm --yes ocidir://layout:ghcr.io/o/r:v1").printed();
    machine.fails("rm --yes ocidir://layout:v1", 3, &["hint: `refs tags ocidir://layout` lists what is there"]);
}

#[test]
fn an_index_without_the_image_for_this_machine_names_the_flag_that_chooses_another() {
    let (machine, registry) = (Machine::new(), registry());
    let images = ["linux/amd64", "linux/arm64", "linux/s390x", "linux/riscv64"].map(|name| {
        let image = Image::new().tree(&Tree::new().file("name", name.to_owned()));
        (Platform::parse(name).unwrap(), image)
    });
    now(image::push_index(&*registry.repository("o/r"), &images, &["v1"])).unwrap();
    let two = "--platform linux/s390x --platform linux/riscv64";
    machine.prints(&format!("cp -q {}/o/r:v1 ocidir://layout:v1 {two}", registry.host()));
    for line in ["ls AT", "cat AT name", "pull AT here", "unpack AT root", "diff AT AT", "ls AT --platform amd64"] {
        let words = ["hint: an index lists it, ", "name these with `--platform`; `refs tree` shows what is there\n"];
        machine.fails(&line.replace("AT", "ocidir://layout:v1"), 3, &words);
    }
    machine.prints("ls ocidir://layout:v1 --platform linux/s390x");
    let digest = format!("sha256:{}", "0".repeat(64));
    machine.fails(&format!("ls ocidir://layout@{digest}"), 3, &["hint: `refs tags ocidir://layout` lists"]);
}
