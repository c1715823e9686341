//! What the program keeps of what it fetched.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use refs_testkit::{FakeRegistry, Image, Tree};

use crate::support::{Machine, Run, ended, finished, noise, pushed, put, registry, small};

const HEAD_TAG: &str = "HEAD /v2/o/r/manifests/v1";
const GET_TAG: &str = "GET /v2/o/r/manifests/v1";

/// A machine, and a registry that has `tree` as `o/r:v1`.
fn place(tree: &Tree) -> (Machine, FakeRegistry, String) {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, tree);
    let at = format!("{}/o/r:v1", registry.host());
    (machine, registry, at)
}

/// The requests since the last time, each without the digest that it may end with.
fn asked(registry: &FakeRegistry) -> Vec<String> {
    let requests = registry.take_requests();
    requests.iter().map(|request| request.to_string().split("sha256:").next().unwrap().to_owned()).collect()
}

const GET_BLOB: &str = "GET /v2/o/r/blobs/";

#[test]
fn a_second_pull_is_one_request_and_says_that_it_fetched_nothing() {
    let (machine, registry, at) = place(&small());
    machine.prints(&format!("pull {at} one"));
    assert_eq!(asked(&registry), [GET_TAG, GET_BLOB]);
    let second = machine.json(&format!("pull {at} two"));
    assert_eq!(second["fetchedBytes"], 0, "{second}");
    assert_eq!(asked(&registry), [HEAD_TAG]);
    assert_eq!(machine.read("one"), machine.read("two"));

    let digest = second["digest"].as_str().unwrap().to_owned();
    machine.prints(&format!("pull {}/o/r@{digest} three", registry.host()));
    assert_eq!(asked(&registry), [""; 0]);
    assert_eq!(machine.read("one"), machine.read("three"));
}

#[test]
fn a_second_list_is_one_request_and_so_is_a_file_at_the_end_of_the_layer() {
    let (machine, registry, at) = place(&small());
    let first = machine.prints(&format!("ls {at}"));
    assert_eq!(asked(&registry), [GET_TAG, GET_BLOB]);
    assert_eq!(machine.prints(&format!("ls {at}")), first);
    assert_eq!(asked(&registry), [HEAD_TAG]);
    machine.prints(&format!("cat {at} .sow-ref.yaml"));
    assert_eq!(asked(&registry), [HEAD_TAG]);
}

#[test]
fn without_the_cache_nothing_of_it_is_read_or_written() {
    let (machine, registry, at) = place(&small());
    for destination in ["one", "two"] {
        machine.prints(&format!("pull {at} {destination} --no-cache"));
        assert_eq!(asked(&registry), [GET_TAG, GET_BLOB]);
        machine.prints(&format!("ls {at} --no-cache"));
        assert_eq!(asked(&registry), [GET_TAG, GET_BLOB]);
    }
    assert!(!machine.cache().exists());
    machine.prints(&format!("pull {at} three"));
    machine.prints(&format!("pull {at} four --no-cache"));
    assert_eq!(asked(&registry), [GET_TAG, GET_BLOB, GET_TAG, GET_BLOB]);
}

#[test]
fn what_needs_no_cache_makes_none() {
    let (machine, _registry, at) = place(&small());
    machine.write("source", &small());
    machine.prints("push source ocidir://layout:v1");
    machine.prints("pull ocidir://layout:v1 here");
    for line in ["--help", "--version", "completions bash", "demo", &format!("tags {at}")] {
        machine.run(line);
    }
    machine.prints(&format!("push source {at}"));
    assert!(!machine.cache().exists());
}

#[test]
fn the_cache_is_where_it_is_said_to_be_and_its_owners_alone() {
    let (machine, _registry, at) = place(&small());
    let home = machine.path("..").join("home");
    for (name, value, expected) in [
        ("REFS_CACHE_DIR", "../said", "said"),
        ("XDG_CACHE_HOME", home.to_str().unwrap(), "home/refs"),
        ("REFS_CACHE_DIR", "", "home/.cache/refs"),
    ] {
        let mut command = machine.command(&format!("ls {at}"));
        command.env_remove("REFS_CACHE_DIR").env(name, value);
        assert!(command.output().unwrap().status.success());
        let cache = machine.path("..").join(expected);
        assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700, "{expected}");
        assert!(cache.join("oci-layout").exists());
    }
    assert!(!machine.cache().exists());
}

#[test]
fn a_tag_that_moved_and_a_blob_that_is_damaged_give_the_right_files() {
    let (machine, registry, at) = place(&small());
    machine.prints(&format!("pull {at} old"));
    let other = small().file("other.bin", noise(100_000));
    pushed(&machine, &registry, &other);
    machine.prints(&format!("pull {at} new"));
    assert_eq!(fs::read(machine.path("new/other.bin")).unwrap(), noise(100_000));

    for blob in fs::read_dir(machine.cache().join("blobs/sha256")).unwrap() {
        let path = blob.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    machine.prints(&format!("pull {at} again"));
    assert_eq!(machine.read("again"), machine.read("new"));
    registry.take_requests();
    machine.prints(&format!("pull {at} healed"));
    assert_eq!(asked(&registry), [HEAD_TAG]);
}

#[test]
fn a_cache_that_cannot_be_used_is_one_warning() {
    let (machine, _registry, at) = place(&small());
    fs::write(machine.cache(), "in the way").unwrap();
    let run = machine.run(&format!("pull {at} here"));
    assert_eq!(run.code, 0);
    assert!(run.stderr.starts_with("warning: the cache is left alone: "), "{}", run.stderr);
    let folder = machine.cache().display().to_string();
    let words = format!(
        "\nhint: move away what is at `{folder}` and is no folder, `REFS_CACHE_DIR` names another folder, `--no-cache` does without\n"
    );
    assert!(run.stderr.ends_with(&words), "{}", run.stderr);
    assert!(machine.path("here/README.md").exists());
    // What excludes `--offline` is no way out beside it.
    let alone = machine.run(&format!("ls {at} --offline"));
    assert!(alone.stderr.contains(", `REFS_CACHE_DIR` names another folder\nerror: "), "{}", alone.stderr);
    assert_eq!((alone.code, alone.stderr.matches("REFS_CACHE_DIR").count()), (1, 1), "{}", alone.stderr);
    for line in ["cache info", "cache verify", "cache prune", "cache prune --dry-run"] {
        let words = format!(
            "\nhint: move away what is at `{folder}` and is no folder, `REFS_CACHE_DIR` names another folder\n"
        );
        machine.fails(line, 1, &[&words]);
    }
    assert_eq!(run.stderr.matches("warning").count(), 1, "{}", run.stderr);
    assert!(machine.path("here/README.md").exists());
}

/// Runs `line` where no file may have more than `bytes` bytes: as on a disk that is full, writing fails in the middle.
fn run_short_of_room(machine: &Machine, line: &str, bytes: u64) -> Run {
    let program = machine.command(line);
    let mut command = Command::new("/usr/bin/env");
    command.args(["--default-signal=XFSZ", "/usr/bin/prlimit", &format!("--fsize={bytes}")]);
    command.arg(program.get_program()).args(program.get_args());
    command.env_clear().envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    ended(command.current_dir(program.get_current_dir().unwrap()))
}

#[test]
fn m143_what_cannot_be_written_to_its_end_does_not_show() {
    let files = ["one.bin", "two.bin", "three.bin"];
    let (machine, _registry, at) = place(&files.iter().fold(small(), |tree, name| tree.file(name, noise(1 << 20))));
    let run = run_short_of_room(&machine, &format!("pull {at} here"), 2 << 20);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stderr.starts_with("warning: the cache is read, but nothing more is kept in it: cannot write "),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("\nhint: allow larger files with `ulimit -f unlimited`, "), "{}", run.stderr);
    assert_eq!(run.stderr.matches("warning:").count(), 1, "{}", run.stderr);
    assert_eq!(fs::read(machine.path("here/two.bin")).unwrap(), noise(1 << 20));
    let left = |folder: &str| fs::read_dir(machine.cache().join(folder)).unwrap().count();
    assert_eq!((left("blobs/sha256"), left("ingest")), (1, 0), "the manifest alone");
    machine.prints("cache verify");

    let run =
        run_short_of_room(&machine, &format!("pull {at} there --no-cache"), 512 << 10).failed(1, &["cannot write "]);
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
    assert_eq!(machine.names(), ["here"]);
}

#[test]
fn what_is_in_the_way_in_the_cache_is_one_warning_until_it_is_verified() {
    let (machine, registry, at) = place(&small());
    machine.prints(&format!("ls {at}"));
    for name in ["index.json", "oci-layout"] {
        fs::remove_file(machine.cache().join(name)).unwrap();
        fs::create_dir(machine.cache().join(name)).unwrap();
    }
    let run = machine.run(&format!("pull {at} here"));
    let path = machine.cache().join("index.json").display().to_string();
    assert!(run.code == 0 && run.stderr.contains(&path), "{}", run.stderr);
    assert!(run.stderr.contains("hint: `refs cache verify`"), "{}", run.stderr);
    assert_eq!(run.stderr.matches("warning:").count(), 1, "{}", run.stderr);
    assert!(machine.prints("cache info").contains(&format!("not what belongs there, see `refs cache verify`: {path}")));
    let verified = machine.run("cache verify");
    assert!(verified.code == 8 && verified.text().contains(&path));

    machine.prints(&format!("pull {at} there"));
    registry.take_requests();
    assert_eq!(machine.run(&format!("pull {at} again")).stderr, "");
    assert_eq!(asked(&registry), [HEAD_TAG]);
}

#[test]
fn a_layout_that_is_named_as_the_cache_keeps_its_blobs() {
    let (machine, _registry, at) = place(&small());
    let layout = format!("ocidir://{}", machine.cache().display());
    machine.write("source", &small());
    machine.prints("push source ocidir://mine:mine");
    fs::rename(machine.path("mine"), machine.cache()).unwrap();
    let before = machine.prints(&format!("ls {layout}:mine"));
    let run = machine.run(&format!("pull {at} here"));
    assert_eq!(run.code, 0);
    assert!(run.stderr.starts_with("warning: the cache is left alone"), "{}", run.stderr);
    assert!(run.stderr.contains("it is not marked as a cache of refs by a CACHEDIR.TAG"), "{}", run.stderr);
    assert!(run.stderr.contains("\nhint: `REFS_CACHE_DIR` names another folder, `--no-cache` does"), "{}", run.stderr);
    assert_eq!(run.stderr.matches("warning:").count(), 1, "{}", run.stderr);
    assert_eq!(machine.prints(&format!("ls {layout}:mine")), before);
    assert!(!machine.cache().join("origins").exists());
}

#[test]
fn a_cache_that_others_may_write_to_is_a_warning_with_what_mends_it() {
    let (machine, _registry, at) = place(&small());
    machine.prints(&format!("ls {at}"));
    fs::set_permissions(machine.cache(), fs::Permissions::from_mode(0o777)).unwrap();
    let run = machine.run(&format!("ls {at}"));
    let words = format!("\nhint: keep others from writing there with `chmod go-w {}`, ", machine.cache().display());
    assert!(run.code == 0 && run.stderr.contains(&words), "{}", run.stderr);
}

#[test]
fn a_file_pushed_alone_is_copied_out_of_the_cache() {
    let (machine, registry) = (Machine::new(), registry());
    put(&registry, &Image::new().file("alone.bin", noise(300_000)));
    let at = format!("{}/o/r:v1", registry.host());
    for (destination, requests) in [("one", &[GET_TAG, GET_BLOB][..]), ("two", &[HEAD_TAG]), ("three", &[HEAD_TAG])] {
        machine.prints(&format!("pull {at} {destination}"));
        assert_eq!(asked(&registry), requests);
        let file = machine.path(destination).join("alone.bin");
        assert!(fs::read(&file).unwrap() == noise(300_000));
        fs::write(&file, "edited").unwrap();
    }
}

#[test]
fn two_processes_pull_the_same_at_once() {
    let large = small().file("large.bin", noise(6 << 20));
    let (machine, registry, at) = place(&large);
    let pull = |destination: &str| {
        let mut command = machine.command(&format!("pull {at} {destination}"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for child in ["one", "two"].map(pull) {
        finished(child).printed();
    }
    assert_eq!(machine.read("one"), machine.read("two"));
    assert!(fs::read(machine.path("one/large.bin")).unwrap() == noise(6 << 20));
    registry.take_requests();
    machine.prints(&format!("pull {at} three"));
    assert_eq!(asked(&registry), [HEAD_TAG]);
}

#[test]
fn the_cache_in_use_is_no_layout_to_write_to() {
    let machine = Machine::new();
    machine.write("source", &small());
    let cache = machine.cache().display().to_string();
    let words = ["is where the cache is", "hint: name another place: `refs cache fetch REF` is what keeps an image"];
    // That it is not to be used makes no layout of it.
    for with in ["", " --no-cache"] {
        machine.fails(&format!("push source ocidir://{cache}:v1{with}"), 11, &words);
        assert!(!machine.cache().exists(), "{with}");
    }
    let registry = registry();
    pushed(&machine, &registry, &small());
    let at = format!("{}/o/r:v1", registry.host());
    let fetched = machine.json(&format!("cache fetch {at}"));
    let kept = format!("ocidir://{cache}@{}", fetched["digest"].as_str().unwrap());
    for line in ["cp AT ocidir://CACHE:x", "cp AT ocidir://CACHE:x --dry-run", "tag KEPT x", "rm KEPT --yes"] {
        let line = line.replace("AT", &at).replace("KEPT", &kept).replace("CACHE", &cache);
        for with in ["", " --no-cache"] {
            machine.run(&format!("{line}{with}")).failed(11, &words);
        }
    }
    assert_eq!(machine.prints(&format!("tags ocidir://{cache}")).trim_end(), at);
    machine.prints(&format!("ls {kept}"));
    machine.prints(&format!("cp -q {kept} ocidir://beside:v1"));
}

#[test]
fn a_cache_whose_mark_is_damaged_is_a_warning_with_what_mends_it() {
    let (machine, _registry, at) = place(&small());
    machine.prints(&format!("ls {at}"));
    let mark = machine.cache().join("CACHEDIR.TAG");
    fs::write(&mark, "something else").unwrap();
    let run = machine.run(&format!("ls {at}"));
    let words = "hint: `refs cache verify` mends the mark, once what else may be in the folder was moved away, ";
    assert!(run.code == 0 && run.stderr.contains(words), "{}", run.stderr);
    // It doesn't where something else is there, and then says what to do about that.
    fs::write(machine.cache().join("mine.txt"), "mine").unwrap();
    machine.run("cache verify").failed(1, &["and has other things in it", words]);
    fs::remove_file(machine.cache().join("mine.txt")).unwrap();
    machine.run("cache verify");
    machine.prints(&format!("ls {at}"));
}
