//! Constraints on versions.

use refs_registry::Platform;
use refs_testkit::{FakeRegistry, Image, image::push_index};

use crate::support::{Machine, ended, now, registry};

/// A registry with an image for each of some tags.
fn versions() -> FakeRegistry {
    let registry = registry();
    for tag in ["1.0.0", "1.10.0", "v1.2.0", "2.0.0", "3.0.0-rc.1", "latest", "20240101"] {
        now(Image::new().file("version", tag).push(&*registry.repository("o/r"), &[tag])).unwrap();
    }
    registry
}

#[test]
fn the_best_version_is_resolved() {
    let (machine, registry) = (Machine::new(), versions());
    let at = format!("{}/o/r", registry.host());
    let resolved = machine.json(&format!("resolve {at} --constraint ^1"));
    assert_eq!(resolved["tag"], "1.10.0");
    assert_eq!(registry.take_requests(), ["GET /v2/o/r/tags/list", "HEAD /v2/o/r/manifests/1.10.0"]);
    let digest = resolved["digest"].as_str().unwrap();
    assert_eq!(machine.prints(&format!("resolve {at} --constraint ^1")), format!("{at}:1.10.0@{digest}\n"));
    assert_eq!(resolved["reference"], format!("{at}:1.10.0@{digest}"));
    assert_eq!(machine.prints(&format!("resolve {at}:1.10.0 --constraint ~1.10")), format!("{at}@{digest}\n"));
    machine.fails(&format!("resolve {at}:1.10.0 --constraint ^2"), 2, &["does not satisfy `^2`", "hint: leave out"]);
    let words =
        ["does not satisfy `*`", "hint: `latest` is no version, which has three numbers, such as 1.2.3; leave out"];
    machine.fails(&format!("resolve {at}:latest --constraint *"), 2, &words);
    let alone = ["`--constraint` is about tags"];
    machine.fails(&format!("resolve {at}@{digest} --constraint ^2"), 2, &alone);
    machine.prints(&format!("resolve {at}:1.10.0@{digest} --constraint ^1"));
}

#[test]
fn tags_that_are_versions_are_listed_from_the_highest_down() {
    let (machine, registry) = (Machine::new(), versions());
    let at = format!("{}/o/r", registry.host());
    assert_eq!(machine.prints(&format!("tags {at} --semver")), "3.0.0-rc.1\n2.0.0\n1.10.0\nv1.2.0\n1.0.0\n");
    assert_eq!(machine.prints(&format!("tags {at} --constraint ^1 --limit 2")), "1.10.0\nv1.2.0\n");
    assert_eq!(machine.prints(&format!("tags {at} --semver --constraint ^4")), "");
    assert_eq!(machine.json_lines(&format!("tags {at} --semver --limit 1"))[0]["tag"], "3.0.0-rc.1");
}

#[test]
fn prereleases_that_a_constraint_leaves_out_are_told_of_with_what_takes_them() {
    let (machine, registry) = (Machine::new(), versions());
    let at = format!("{}/o/r", registry.host());
    let run = machine.run(&format!("tags {at} --constraint ^3"));
    assert_eq!((run.code, &*run.text(), &*run.stderr), (0, "", "hint: 1 prerelease matches `^3-0`\n"));
    machine.fails(
        &format!("resolve {at} --constraint ^3"),
        3,
        &["satisfies `^3`", "hint: 1 prerelease matches `^3-0`"],
    );
    assert_eq!(machine.prints(&format!("tags {at} --constraint ^3-0")), "3.0.0-rc.1\n");
    assert_eq!(machine.prints(&format!("tags {at} --constraint ^3 --quiet")), "");
}

#[test]
fn the_version_of_an_image_for_a_platform_is_told() {
    let (machine, registry) = (Machine::new(), registry());
    let [amd, arm] = ["linux/amd64", "linux/arm64"]
        .map(|name| (Platform::parse(name).unwrap(), Image::new().file("platform.txt", name)));
    let arm_digest = arm.1.manifest().unwrap().descriptor.digest;
    now(push_index(&*registry.repository("o/r"), &[amd, arm], &["1.0.0"])).unwrap();
    let at = format!("{}/o/r", registry.host());
    let run = machine.run(&format!("resolve {at} --constraint ^1 --platform linux/arm64"));
    assert_eq!((run.code, run.text()), (0, format!("{at}@{arm_digest}\n")));
    assert_eq!(run.stderr, "hint: the version is `1.0.0`, whose index has this image\n");
}

#[test]
fn a_version_in_a_layout_is_printed_so_that_it_can_be_read() {
    let (machine, registry) = (Machine::new(), versions());
    machine.prints(&format!("cp -q {}/o/r:1.10.0 ocidir://lay:ghcr.io/o/r:1.10.0", registry.host()));
    let printed = machine.prints("resolve ocidir://lay:ghcr.io/o/r --constraint ^1");
    assert!(printed.starts_with("ocidir://lay:ghcr.io/o/r:1.10.0@sha256:"), "{printed}");
    assert_eq!(machine.prints(&format!("cat {} version", printed.trim_end())), "1.10.0");
}

#[test]
fn what_none_satisfies_is_not_found_and_what_is_no_constraint_is_told_with_its_column() {
    let (machine, registry) = (Machine::new(), versions());
    let at = format!("{}/o/r", registry.host());
    let words: [&str; 3] =
        ["satisfies `^4`", "the highest are 3.0.0-rc.1, 2.0.0", &format!("hint: `refs tags {at} --semver`")];
    machine.fails(&format!("resolve {at} --constraint ^4"), 3, &words);
    registry.take_requests();
    let wrong = ended(machine.command(&format!("resolve {at}")).args(["--constraint", ">=1.0 <2.x.y"]));
    wrong.failed(2, &["--constraint", "at column 12"]);
    assert_eq!(registry.requests().len(), 0);
    now(Image::new().file("a", "b").push(&*registry.repository("o/plain"), &["latest"])).unwrap();
    machine.fails(
        &format!("resolve {}/o/plain --constraint ^4", registry.host()),
        3,
        &["none of the 1 tags", "`refs tags 127.0.0.1"],
    );
    now(Image::new().file("a", "b").push(&*registry.repository("o/empty"), &[])).unwrap();
    let empty = format!("{}/o/empty", registry.host());
    let words = [&*format!("{empty} has no tags\n"), &format!("`refs push DIR {empty}:1.0.0` pushes a first version")];
    machine.fails(&format!("resolve {empty} --constraint ^4"), 3, &words);
}

#[test]
fn of_a_cache_with_several_repositories_one_has_to_be_named() {
    let (machine, registry) = (Machine::new(), versions());
    let other = if cfg!(target_arch = "x86_64") { "linux/arm64" } else { "linux/amd64" };
    let images = ["linux", "other"].map(|says| Image::new().file("version", says));
    let platforms = [Platform::linux_here(), Platform::parse(other).unwrap()];
    let images: Vec<_> = platforms.into_iter().zip(images).collect();
    now(push_index(&*registry.repository("o/s"), &images, &["1.5.0"])).unwrap();
    let [one, two] = ["o/r", "o/s"].map(|name| format!("{}/{name}", registry.host()));
    machine.prints(&format!("cache fetch {one}:1.0.0"));
    machine.prints(&format!("cache fetch {two}:1.5.0"));
    machine.prints(&format!("cache fetch {two}:1.5.0 --platform {other}"));
    let cache = format!("ocidir://{}", machine.cache().display());
    let listed = format!("lists several repositories: {one}, {two}");
    let words = [&*listed, &format!("hint: name the one that is meant, as in `{cache}:{one}`")];
    for command in ["resolve", "tags"] {
        machine.fails(&format!("{command} {cache} --constraint ^1"), 2, &words);
    }
    machine.fails(&format!("tags {cache} --semver"), 2, &words);
    assert_eq!(machine.prints(&format!("tags {cache}:{two} --semver")), "1.5.0\n");
    assert_eq!(machine.prints(&format!("tags {cache}:{two} --constraint ^1-0")), "1.5.0\n");
    assert_eq!(machine.json(&format!("resolve {cache}:{one} --constraint ^1"))["tag"], "1.0.0");
}
