//! `refs cp`

use std::process::Stdio;

use refs_registry::{MediaType, Platform};
use refs_testkit::{FakeRegistry, Fault, Image, On, image};
use refs_url::Digest;

use crate::{
    credentials::run,
    support::{Machine, ended, noise, now, put, registry, small, wait_until},
};

/// An index of two platforms as `o/r:v1`, with a note about it.
fn index(registry: &FakeRegistry) -> String {
    let sink = registry.repository("o/r");
    let images = ["linux/amd64", "linux/arm64"]
        .map(|name| (Platform::parse(name).unwrap(), Image::new().file("name", name.to_owned())));
    let index = now(image::push_index(&*sink, &images, &["v1"])).unwrap();
    now(Image::new().artifact_type("text/x-note").file("n", "note").subject(&index.descriptor).push(&*sink, &[]))
        .unwrap();
    index.descriptor.digest.to_string()
}

fn tagged(registry: &FakeRegistry, name: &str, tag: &str) -> Option<String> {
    let found = now(registry.repository(name).resolve(&tag.parse().unwrap()));
    found.ok().map(|found| found.digest.to_string())
}

/// What a copy says beside what it prints.
#[track_caller]
fn says(machine: &Machine, line: &str) -> String {
    let run = machine.run(line);
    assert_eq!(run.code, 0, "{}", run.stderr);
    run.stderr
}

/// That a copy prints what it goes by, and nothing else, and says `words` beside it.
#[track_caller]
fn check(machine: &Machine, line: &str, reference: &str, words: &str) {
    let run = machine.run(line);
    assert_eq!((run.code, run.text(), run.stderr), (0, format!("{reference}\n"), format!("{words}\n")));
}

#[test]
fn a_copy_prints_what_it_goes_by_and_says_what_it_moved() {
    let (machine, from, to) = (Machine::new(), registry(), registry());
    let digest = index(&from);
    let (source, target) = (format!("{}/o/r:v1", from.host()), format!("{}/o/to:v2", to.host()));
    let (line, at) = (format!("cp {source} {target}"), format!("{target}@{digest}"));
    check(&machine, &line, &at, "4 manifests, 4 blobs copied (28 B), with 1 referrer");
    assert_eq!(tagged(&to, "o/to", "v2"), Some(digest.clone()));
    check(&machine, &line, &at, "all of it was there, with 1 referrer");
    check(&machine, &format!("cp {target} {target}"), &at, "it is its own copy, nothing was done");
    let beside = format!("{}/o/beside", to.host());
    let words = "4 manifests, 0 blobs copied (0 B), 4 blobs mounted (28 B), with 1 referrer";
    check(&machine, &format!("cp {target} {beside}"), &format!("{beside}@{digest}"), words);
    assert_eq!(machine.prints(&format!("{line} -q")), format!("{at}\n"));
}

#[test]
fn a_tag_that_is_all_there_was_to_write_is_told_of() {
    let (machine, from, to) = (Machine::new(), registry(), registry());
    let digest = index(&from);
    let (source, there) = (format!("{}/o/r", from.host()), format!("{}/o/to", to.host()));
    let planned = machine.prints(&format!("cp {source}:v1 {source}:v2 --dry-run"));
    assert_eq!(planned, format!("{source}:v2@{digest}: would set the tag `v2`, all else is there\n"));
    let retag = format!("cp {source}:v1 {source}:v2");
    check(&machine, &retag, &format!("{source}:v2@{digest}"), "the tag `v2` set, all else was there");
    check(&machine, &retag, &format!("{source}:v2@{digest}"), "it is its own copy, nothing was done");
    says(&machine, &format!("cp {source}:v1 {there}:v1"));
    let words = "the tag `v2` set, all else was there, with 1 referrer";
    check(&machine, &format!("cp {source}:v1 {there}:v2"), &format!("{there}:v2@{digest}"), words);
}

#[test]
fn a_copy_has_its_figures_in_json() {
    let (machine, from) = (Machine::new(), registry());
    let digest = index(&from);
    let source = format!("{}/o/r:v1", from.host());
    let planned = machine.json(&format!("cp {source} ocidir://layout:v1 --dry-run"));
    assert_eq!((&planned["outcome"], &planned["referrers"]), (&"planned".into(), &1.into()));
    assert_eq!(planned["copied"], serde_json::json!({ "blobs": 4, "bytes": 28 }));
    assert_eq!(planned["blobs"].as_array().unwrap().len(), 4);
    assert_eq!(planned["blobs"][0]["fate"], "copy");
    assert_eq!(machine.names(), [""; 0]);
    let copied = machine.json(&format!("cp {source} ocidir://layout:v1"));
    assert_eq!((&copied["outcome"], &copied["copied"]), (&"copied".into(), &planned["copied"]));
    assert_eq!((&copied["digest"], &copied["tag"]), (&digest.clone().into(), &"v1".into()));
    assert_eq!(copied["reference"], format!("ocidir://layout:v1@{digest}"));
    assert_eq!((&copied["manifests"]["written"], &copied["blobs"]), (&4.into(), &serde_json::Value::Null));
    assert_eq!(machine.json("resolve ocidir://layout:v1")["digest"], digest);
}

#[test]
fn a_dry_run_into_a_folder_of_other_things_is_refused_as_the_copy_is() {
    let (machine, from) = (Machine::new(), registry());
    index(&from);
    machine.write("taken", &small());
    for flag in ["--dry-run", ""] {
        let line = format!("cp {}/o/r:v1 ocidir://taken:v1 {flag}", from.host());
        machine.fails(&line, 11, &["hint: it is no image layout: name one, or a directory that is new or empty"]);
    }
}

#[test]
fn what_was_copied_for_some_platforms_says_how_it_is_copied_on() {
    let (machine, from) = (Machine::new(), registry());
    let sink = from.repository("o/r");
    let images = ["linux/amd64", "linux/arm64", "linux/s390x"]
        .map(|name| (Platform::parse(name).unwrap(), Image::new().file("name", name.to_owned())));
    now(image::push_index(&*sink, &images, &["v1"])).unwrap();
    let two = "--platform linux/amd64 --platform linux/arm64";
    says(&machine, &format!("cp {}/o/r:v1 ocidir://layout:v1 {two}", from.host()));
    machine.run("cp ocidir://layout:v1 ocidir://other:v1").failed(3, &["hint: an index lists it", "`--platform`"]);
    says(&machine, &format!("cp ocidir://layout:v1 ocidir://other:v1 {two}"));
    says(&machine, "cp ocidir://layout:v1 ocidir://layout:again");
}

#[test]
fn a_dry_run_has_a_line_for_each_blob() {
    let (machine, from) = (Machine::new(), registry());
    put(&from, &Image::new().file("a", "a"));
    let target = format!("{}/o/to:v1", from.host());
    let printed = machine.prints(&format!("cp {}/o/r:v1 {target} --dry-run", from.host()));
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("mount   sha256:") && lines[0].ends_with(" 2 B"), "{printed}");
    assert!(lines[2].ends_with(": would write 1 manifest, 0 blobs copied (0 B), 2 blobs mounted (3 B)"), "{printed}");
    assert_eq!(tagged(&from, "o/to", "v1"), None);
}

#[test]
fn platforms_and_referrers_are_chosen() {
    let (machine, from, to) = (Machine::new(), registry(), registry());
    let digest = index(&from);
    let source = format!("{}/o/r:v1", from.host());
    let copy = |name: &str, flags: &str| machine.json(&format!("cp {source} {}/{name}:v1 {flags}", to.host()));
    let one = copy("one", "--platform linux/arm64");
    assert_eq!((&one["manifests"]["written"], &one["referrers"]), (&1.into(), &0.into()));
    assert_ne!(one["digest"], digest);
    let new = copy("new", "--platform linux/arm64 --rewrite-index");
    assert!(new["mediaType"].as_str().unwrap().contains("index"));
    assert_eq!(new["manifests"]["written"], 2);
    assert_ne!(new["digest"], digest);
    let both = copy("both", "--platform linux/arm64 --platform linux/amd64");
    assert_eq!((&both["digest"], &both["manifests"]["written"]), (&digest.into(), &4.into()));
    let twice = copy("twice", "--platform linux/arm64 --platform arm64");
    assert_eq!((&twice["digest"], &twice["manifests"]["written"]), (&one["digest"], &1.into()));
    let bare = copy("bare", "--no-referrers -j 1");
    assert_eq!((&bare["manifests"]["written"], &bare["referrers"]), (&3.into(), &0.into()));
    let noted = copy("noted", "--referrers-type text/x-note");
    assert_eq!((&noted["manifests"]["written"], &noted["referrers"]), (&4.into(), &1.into()));
    machine.run(&format!("cp {source} {}/x:v1 --no-referrers --referrers-type a/b", to.host())).failed(2, &["cannot"]);
    machine.fails(&format!("cp {source} {}/x:v1 --platform plan9/mips", to.host()), 3, &["plan9/mips", "--platform"]);
    machine.run(&format!("cp {source} {}/x:v1 --rewrite-index", to.host())).failed(2, &["--platform"]);
}

#[test]
fn lone_image_for_another_platform_is_not_copied() {
    let (machine, from, to) = (Machine::new(), registry(), registry());
    put(&from, &Image::new().tree(&small()));
    let line = |flags: &str| format!("cp {}/o/r:v1 {}/o/to:v1 {flags}", from.host(), to.host());
    let words = ["no image for platform linux/arm64 in ", "it has linux/amd64", "hint: "];
    for flags in ["--platform arm64", "--platform arm64 --platform windows/amd64", "--platform arm64 --rewrite-index"] {
        machine.fails(&line(flags), 3, &words);
    }
    machine.fails(&line("--platform linux/amd46"), 3, &["no image for platform linux/amd46", "it has linux/amd64"]);
    assert_eq!(tagged(&to, "o/to", "v1"), None);
    says(&machine, &line("--platform linux/amd64"));
    // What runs nowhere is for all.
    put(&from, &Image::new().file("a", "a"));
    says(&machine, &line("--platform plan9/mips"));
}

#[test]
fn type_that_nothing_has_is_told_beside_the_copy() {
    let (machine, from) = (Machine::new(), registry());
    index(&from);
    let source = format!("{}/o/r:v1", from.host());
    let copy = |kind: &str| machine.run(&format!("cp {source} ocidir://layout:v1 --referrers-type {kind}"));
    let none = copy("text/x-nite");
    let told = format!("of the artifact type `text/x-nite` refers to what is copied; `refs referrers {source}` lists");
    assert!(none.stderr.contains(&told), "{}", none.stderr);
    assert!(none.stderr.ends_with("\n3 manifests, 3 blobs copied (24 B)\n"), "{}", none.stderr);
    assert!(copy("text/x-note").stderr.ends_with(", with 1 referrer\n"));
}

#[test]
fn referrers_of_an_index_that_stays_are_told_of_beside_the_image_for_a_platform() {
    let (machine, from) = (Machine::new(), registry());
    let digest = index(&from);
    let source = format!("{}/o/r:v1", from.host());
    let line = |flags: &str| format!("cp {source} ocidir://layout:v1 --platform arm64 {flags}");
    let told = format!("warning: 1 referrer of the index {digest} left behind, as the index itself is not copied\n");
    for flags in ["", "--dry-run", "--referrers-type text/x-note", "--rewrite-index"] {
        let run = machine.run(&line(flags));
        assert_eq!((run.code, run.stderr.matches(&told).count()), (0, 1), "{}", run.stderr);
    }
    let copied = machine.json(&line(""));
    assert_eq!(copied["leftBehind"], serde_json::json!({ "index": digest, "referrers": 1 }));
    assert_eq!(says(&machine, &line("--no-referrers")), "all of it was there\n");
    machine.prints(&line("-q"));
    let none = machine.run(&line("--referrers-type text/x-nite")).stderr;
    let at = format!("`refs referrers {}/o/r@{}` lists", from.host(), copied["digest"].as_str().unwrap());
    assert!(none.contains(&at), "{none}");
}

#[test]
fn layout_that_has_lost_a_blob_is_mended() {
    let (machine, from) = (Machine::new(), registry());
    put(&from, &Image::new().file("a", "a"));
    let line = format!("cp {}/o/r:v1 ocidir://layout:v1", from.host());
    says(&machine, &line);
    std::fs::remove_file(machine.path("layout/blobs/sha256").join(Digest::sha256(b"a").encoded())).unwrap();
    let planned = machine.prints(&format!("{line} --dry-run"));
    assert!(planned.contains("would write 0 manifests, 1 blob copied (1 B), 1 blob there already"), "{planned}");
    assert_eq!(says(&machine, &line), "0 manifests, 1 blob copied (1 B), 1 blob there already (2 B)\n");
    assert_eq!(says(&machine, &line), "all of it was there\n");
}

#[test]
fn layouts_have_hints_of_their_own() {
    let (machine, from) = (Machine::new(), registry());
    put(&from, &Image::new().file("a", "a"));
    let source = format!("{}/o/r:v1", from.host());
    says(&machine, &format!("cp {source} ocidir://layout:v1"));
    std::fs::remove_file(machine.path("layout/blobs/sha256").join(Digest::sha256(b"a").encoded())).unwrap();
    for line in ["cp ocidir://layout:v1 ocidir://other:v1", "cat ocidir://layout:v1 a"] {
        let run =
            machine.run(line).failed(3, &["not found", "hint: the layout has lost it: copy the artifact to ocidir://"]);
        assert!(!run.stderr.contains("private"), "{}", run.stderr);
    }
    let nowhere = ["hint: nothing can be made there: name another place"];
    machine.fails(&format!("cp {source} ocidir:///proc/refs/layout:v1"), 1, &nowhere);
    machine.fails(&format!("cp {source} ocidir://layout/oci-layout/in:v1"), 1, &["cannot copy to"]);
}

#[test]
fn the_side_that_fails_is_named_and_gives_the_exit_code() {
    let (machine, from, to) = (Machine::new(), registry(), registry());
    put(&from, &Image::new().file("a", "a"));
    let (source, target) = (format!("{}/o/r:v1", from.host()), format!("{}/o/to:v1", to.host()));
    machine.fails(
        &format!("cp {}/o/r:v9 {target}", from.host()),
        3,
        &["cannot copy from", "`v9` not found", "refs tags"],
    );
    let other = format!("{target}@sha256:{}", "0".repeat(64));
    machine.fails(&format!("cp {source} {other}"), 11, &["names another digest"]);
    machine.fails(&format!("cp {source} file://x.tar"), 2, &["nothing can be pushed to"]);
    machine.fails(&format!("cp {}/o/r {target}", from.host()), 2, &["names no tag"]);
    assert_eq!(to.requests(), [""; 0]);
    to.fault(On::put("/manifests/"), Fault::Status { status: 403, headers: Vec::new() });
    machine.fails(&format!("cp {source} {target}"), 5, &[&format!("cannot copy to {target}"), "denies"]);
    to.fault(On::any("/blobs/").always(), Fault::Status { status: 503, headers: Vec::new() });
    machine.fails(&format!("cp {source} {}/o/other:v1", to.host()), 7, &["cannot copy to"]);
}

#[test]
fn referrer_that_is_missing_is_named_as_one_and_no_tag_is_set() {
    let (machine, from, to) = (Machine::new(), registry(), registry());
    let digest = index(&from);
    let path = format!("/blobs/{}", Digest::sha256(b"note"));
    from.fault(On::get(&path).always(), Fault::Status { status: 404, headers: Vec::new() });
    let (source, target) = (format!("{}/o/r:v1", from.host()), format!("{}/o/to:v1", to.host()));
    let told = format!("cannot copy what refers to it from {source}");
    machine.fails(&format!("cp {source} {target}"), 3, &[&told, "`--no-referrers` copies without it"]);
    assert_eq!(tagged(&to, "o/to", "v1"), None);
    says(&machine, &format!("cp {source} {target} --no-referrers"));
    assert_eq!(tagged(&to, "o/to", "v1"), Some(digest));
}

/// A registry that wants this name and password.
fn guarded(user: &str, password: &str) -> FakeRegistry {
    FakeRegistry::builder().basic_auth(user, password).start_blocking()
}

/// That `registry` was shown something, and nothing that it refuses.
#[track_caller]
fn check_shown(registry: &FakeRegistry) {
    let seen = registry.take_requests();
    let shown: Vec<_> = seen.iter().filter(|seen| seen.had_authorization).collect();
    assert!(!shown.is_empty() && shown.iter().all(|seen| seen.status != 401 && seen.status != 403), "{seen:?}");
}

#[test]
fn each_registry_is_shown_its_own_credentials_and_no_others() {
    let (machine, from, to) = (Machine::new(), guarded("reader", "one"), guarded("writer", "two"));
    index(&from);
    for (registry, user, password) in [(&from, "reader", "one"), (&to, "writer", "two")] {
        let login = format!("login {} --username {user} --password-stdin", registry.host());
        assert_eq!(run(&machine, &login, &[], password).code, 0);
        check_shown(registry);
    }
    let line = format!("cp {}/o/r:v1 {}/o/r:v1", from.host(), to.host());
    assert!(run(&machine, &line, &[], "").stderr.starts_with("4 manifests, 4 blobs copied"));
    check_shown(&from);
    check_shown(&to);
}

#[test]
fn credentials_on_the_command_line_are_not_for_two_registries() {
    let (machine, from, to) = (Machine::new(), guarded("reader", "one"), guarded("writer", "two"));
    let both = [format!("{}/o/r:v1", from.host()), format!("{}/o/r:v1", to.host())].join(" ");
    let asked = format!("this command asks {} and {}", from.host(), to.host());
    for command in ["cp", "diff"] {
        for (flags, variables) in [
            ("--username reader --password-stdin", &[][..]),
            ("--token-stdin", &[]),
            ("", &[("REFS_TOKEN", "one")]),
            ("", &[("REFS_USERNAME", "reader"), ("REFS_PASSWORD", "one")]),
        ] {
            let refused = run(&machine, &format!("{command} {both} {flags}"), variables, "one");
            refused.failed(2, &["credentials are for one registry", &asked, "refs login HOST"]);
        }
    }
    assert_eq!((from.requests(), to.requests()), (Vec::new(), Vec::new()));
}

#[test]
fn credentials_on_the_command_line_are_for_the_one_registry_of_a_copy() {
    let (machine, registry) = (Machine::new(), guarded("reader", "one"));
    index(&registry);
    let source = format!("{}/o/r:v1", registry.host());
    for target in ["ocidir://layout:v1".to_owned(), format!("{}/o/beside:v1", registry.host())] {
        let line = format!("cp {source} {target} --username reader --password-stdin");
        assert!(run(&machine, &line, &[], "one").stderr.starts_with("4 manifests"), "{target}");
        check_shown(&registry);
    }
}

#[test]
fn a_copy_that_was_killed_is_taken_up_with_what_is_missing() {
    const STALL: u64 = 1 << 20;
    let (machine, from, to) = (Machine::new(), registry(), registry());
    let large = Digest::sha256(&noise(4 << 20));
    let image = Image::new().layer(MediaType::OCI_LAYER, noise(100_000));
    put(&from, &image.layer(MediaType::OCI_LAYER, noise(4 << 20)));
    let path = format!("/blobs/{large}");
    from.fault(On::get(&path).always(), Fault::Stall { after: STALL });
    // Nothing can be put where programs put what is temporary.
    let command = |machine: &Machine| {
        let mut command = machine.command(&format!("cp {}/o/r:v1 {}/o/r:v1", from.host(), to.host()));
        command.env("TMPDIR", machine.path("absent")).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut child = command(&machine).spawn().unwrap();
    wait_until(|| {
        let is_stalled = from.requests().iter().any(|seen| seen.path.ends_with(&path) && seen.sent >= STALL);
        let stored = to.requests().iter().filter(|seen| seen.method == "PUT" && seen.status == 201).count();
        is_stalled && stored == 2
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((machine.names(), tagged(&to, "o/r", "v1")), (Vec::new(), None));
    from.clear_faults();
    from.take_requests();
    assert_eq!(ended(&mut command(&machine)).code, 0);
    let read = from.take_requests().into_iter().filter(|seen| seen.path.contains("/blobs/"));
    let read: Vec<(String, u64)> = read.map(|seen| (seen.path, seen.sent)).collect();
    assert_eq!(read, [(format!("/v2/o/r{path}"), 4 << 20)]);
    assert!(tagged(&to, "o/r", "v1").is_some());
}

#[test]
fn a_copy_into_a_layout_that_was_killed_fetches_the_rest_of_a_layer() {
    const SIZE: usize = 4 << 20;
    let (machine, from) = (Machine::new(), registry());
    put(&from, &Image::new().layer(MediaType::OCI_LAYER, noise(SIZE)));
    let large = Digest::sha256(&noise(SIZE));
    from.fault(On::get(&format!("/blobs/{large}")).always(), Fault::Stall { after: 3 << 20 });
    let line = format!("cp {}/o/r:v1 ocidir://layout:v1", from.host());
    let begun = machine.path("layout/ingest").join(format!("sha256-{}", large.encoded()));
    let come = || std::fs::metadata(&begun).map_or(0, |file| file.len());
    let mut child = machine.command(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The config, too, which is written under another name at first.
    let stored = || std::fs::read_dir(machine.path("layout/blobs/sha256")).map_or(0, |stored| stored.count());
    wait_until(|| come() >= 1 << 20 && stored() == 1);
    child.kill().unwrap();
    child.wait().unwrap();
    let rest = SIZE as u64 - come();
    from.clear_faults();
    assert_eq!(machine.json(&format!("{line} --dry-run"))["copied"]["bytes"], rest);
    from.take_requests();
    assert_eq!(machine.json(&line)["copied"]["bytes"], rest);
    let read = from.take_requests().into_iter().filter(|seen| seen.path.ends_with(large.encoded()));
    assert_eq!(read.map(|seen| seen.sent).collect::<Vec<_>>(), [rest]);
    assert_eq!(std::fs::read_dir(machine.path("layout/ingest")).unwrap().count(), 0);
    assert_eq!(std::fs::read(machine.path("layout/blobs/sha256").join(large.encoded())).unwrap(), noise(SIZE));
}

#[test]
fn a_large_layer_is_read_once() {
    let (machine, from, to) = (Machine::new(), registry(), registry());
    let layer = noise(20 << 20);
    put(&from, &Image::new().layer(MediaType::OCI_LAYER, layer));
    says(&machine, &format!("cp {}/o/r:v1 {}/o/r:v1", from.host(), to.host()));
    let reads = from.requests().into_iter().filter(|seen| seen.path.contains("/blobs/") && seen.sent > 100);
    assert_eq!(reads.map(|seen| seen.sent).collect::<Vec<_>>(), [20 << 20]);
}
