//! A user whom the modes and owners of files keep from things, as they don't keep root.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    process::Command,
};

use refs_testkit::Tree;
use rustix::process::geteuid;

use crate::support::{Machine, Run, ended, pushed, registry, small};

/// A machine with `small` in a layout.
fn machine() -> Machine {
    let machine = Machine::new();
    machine.write("source", &small());
    machine.prints("push source ocidir://layout:v1");
    machine
}

/// Runs `line` without the privileges of root, if the tests have them: then as the owner of all that the tests have made.
fn run(machine: &Machine, line: &str) -> Run {
    let program = machine.command(line);
    if !geteuid().is_root() {
        return ended(&mut { program });
    }
    let mut command = Command::new("/usr/bin/setpriv");
    command.args(["--inh-caps=-all", "--bounding-set=-all"]).arg(program.get_program()).args(program.get_args());
    command.env_clear().envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    ended(command.current_dir(program.get_current_dir().unwrap()))
}

#[test]
fn m136_a_destination_of_any_mode_is_replaced_when_forced() {
    let machine = machine();
    for mode in [0o000, 0o100, 0o444, 0o555] {
        for old in ["", "644 old.txt \"old\""] {
            machine.write("here", &Tree::parse(old));
            fs::set_permissions(machine.path("here"), Permissions::from_mode(mode)).unwrap();
            for command in ["pull", "unpack"] {
                let run = run(&machine, &format!("{command} ocidir://layout:v1 here --force"));
                assert_eq!(run.code, 0, "{mode:o} {command}: {}", run.stderr);
                assert_eq!(machine.names(), ["here", "layout", "source"]);
                assert!(machine.path("here/README.md").is_file());
            }
            fs::remove_dir_all(machine.path("here")).unwrap();
        }
    }
}

#[test]
fn a_cache_that_may_not_be_written_to_is_a_warning_with_what_mends_it() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    let line = format!("ls {}/o/r:v1", registry.host());
    machine.prints(&line);
    fs::set_permissions(machine.cache(), Permissions::from_mode(0o000)).unwrap();
    let denied = run(&machine, &line);
    let hint = format!("\nhint: give yourself the right to read and write all in `{}`, ", machine.cache().display());
    assert!(denied.code == 0 && denied.stderr.contains(&hint), "{}", denied.stderr);
    assert!(!denied.stderr.contains("cache verify"), "{}", denied.stderr);
    run(&machine, "cache info").failed(1, &[&hint]);
    fs::set_permissions(machine.cache(), Permissions::from_mode(0o700)).unwrap();
}

/// Sets the mode of all folders in `folder`, and of itself.
fn set_modes(folder: &Path, mode: u32) {
    fs::set_permissions(folder, Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            set_modes(&path, mode);
        }
    }
    fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_cache_that_may_only_be_read_is_read_and_one_warning_says_that_nothing_is_kept() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    let at = format!("{}/o/r:v1", registry.host());
    machine.prints(&format!("pull {at} before"));
    // What a process that died has left, and can't be removed.
    fs::write(machine.cache().join("ingest/left"), "").unwrap();
    set_modes(&machine.cache(), 0o500);
    assert_eq!(run(&machine, &format!("pull {at} offline --offline -q")).printed().lines().count(), 1);
    registry.take_requests();
    let online = run(&machine, &format!("pull {at} online"));
    set_modes(&machine.cache(), 0o700);
    let words = "warning: the cache is read, but nothing more is kept in it: cannot ";
    assert!(online.code == 0 && online.stderr.starts_with(words), "{}", online.stderr);
    assert_eq!(online.stderr.matches("warning").count(), 1, "{}", online.stderr);
    assert_eq!(registry.take_requests(), ["HEAD /v2/o/r/manifests/v1"]);
    for place in ["offline", "online"] {
        assert_eq!(machine.read(place), machine.read("before"));
    }
}

/// Only root can make what belongs to another user.
#[test]
fn a_cache_of_somebody_else_is_not_believed_and_the_hint_names_how_to_read_it() {
    if !geteuid().is_root() {
        return;
    }
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    let line = format!("ls {}/o/r:v1", registry.host());
    machine.prints(&line);
    chown(machine.cache(), Some(65_534), Some(65_534)).unwrap();
    let cache = machine.cache().display().to_string();
    let why = format!("cannot read `{cache}`: it belongs to somebody else, who could make any tag lead anywhere");
    let hint = format!("\nhint: `refs tags ocidir://{cache}` lists the images in it, ");
    let run = machine.run(&line);
    assert!(run.stderr.starts_with(&format!("warning: the cache is left alone: {why}")), "{}", run.stderr);
    assert!(run.code == 0 && run.stderr.contains(&hint), "{}", run.stderr);
    machine.fails(&format!("{line} --offline -q"), 1, &[&why]);
}

#[test]
fn a_destination_that_may_not_be_listed_is_not_empty() {
    let machine = machine();
    machine.write("here", &small());
    fs::set_permissions(machine.path("here"), Permissions::from_mode(0o000)).unwrap();
    run(&machine, "pull ocidir://layout:v1 here").failed(11, &["the destination `here` is not empty", "--force"]);
}

/// Only root can make what belongs to another user.
#[test]
fn what_is_left_of_a_destination_is_named_with_what_removes_it() {
    if !geteuid().is_root() {
        return;
    }
    let machine = machine();
    machine.write("here", &Tree::parse("644 theirs/file \"theirs\""));
    chown(machine.path("here/theirs"), Some(65_534), Some(65_534)).unwrap();
    let run = run(&machine, "pull ocidir://layout:v1 here --force");
    assert_eq!(run.code, 0, "{}", run.stderr);
    let left = machine.names().into_iter().find(|name| name.starts_with(".here.refs-")).unwrap();
    let words =
        format!("warning: a directory is left behind, as not all that is in it can be removed (directory {left})");
    assert!(run.stderr.contains(&words), "{}", run.stderr);
    assert!(run.stderr.contains("hint: who owns what is in it, or root, removes it with `rm -r`"), "{}", run.stderr);
    assert!(machine.path(&left).join("tree/theirs/file").is_file());
    assert!(machine.path("here/README.md").is_file());
}

#[test]
fn a_layout_that_may_not_be_written_to_is_named_with_what_to_do() {
    let machine = machine();
    machine.prints("cp -q ocidir://layout:v1 ocidir://other:v1");
    let lock = machine.path("layout/lock");
    let lines = [
        "push source ocidir://layout:v2",
        "cp ocidir://other:v1 ocidir://layout:v3",
        "tag ocidir://layout:v1 v4",
        "rm ocidir://layout:v1 --yes",
        "blob put ocidir://layout source/README.md",
    ];
    for (mode, word) in [(0o444, "cannot lock `layout/lock`"), (0o644, "cannot create `layout/ingest")] {
        fs::set_permissions(&lock, Permissions::from_mode(mode)).unwrap();
        set_modes(&machine.path("layout"), 0o500);
        for line in lines {
            let hint =
                "hint: the layout `layout` can't be written to: get the right to write in it, or name another place";
            let run = run(&machine, line).failed(1, &[hint]);
            assert!(run.stderr.contains(word) || line.starts_with("blob"), "{line}: {}", run.stderr);
        }
        set_modes(&machine.path("layout"), 0o700);
    }
    assert_eq!(machine.prints("tags ocidir://layout"), "v1\n");
}

#[test]
fn an_empty_directory_that_may_not_be_written_to_is_no_place_for_a_layout() {
    let machine = machine();
    fs::create_dir(machine.path("empty")).unwrap();
    fs::set_permissions(machine.path("empty"), Permissions::from_mode(0o500)).unwrap();
    for line in ["push source AT", "cp ocidir://layout:v1 AT", "blob put ocidir://empty source/README.md"] {
        for at in ["ocidir://empty:v1", "ocidir://empty/lay:v1"] {
            let run = run(&machine, &line.replace("AT", at));
            run.failed(1, &["hint: nothing can be made there: name another place, or get the right to write"]);
        }
    }
    fs::set_permissions(machine.path("empty"), Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn what_others_have_left_in_a_layout_does_not_stop_who_may_write_there() {
    let machine = machine();
    let left = machine.path("layout/ingest/left");
    fs::create_dir_all(left.parent().unwrap()).unwrap();
    fs::write(&left, "").unwrap();
    fs::set_permissions(&left, Permissions::from_mode(0o000)).unwrap();
    run(&machine, "push source ocidir://layout:v2").printed();
    assert!(left.exists());
}

#[test]
fn a_cache_that_can_not_be_made_is_not_said_to_be_read() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    let above = machine.cache().parent().unwrap().to_owned();
    fs::remove_dir_all(machine.cache()).ok();
    fs::set_permissions(&above, Permissions::from_mode(0o500)).unwrap();
    let run = run(&machine, &format!("ls {}/o/r:v1", registry.host()));
    fs::set_permissions(&above, Permissions::from_mode(0o700)).unwrap();
    let warning = format!("warning: the cache is left alone: cannot create `{}`: ", machine.cache().display());
    assert!(run.code == 0 && run.stderr.starts_with(&warning), "{}", run.stderr);
    assert!(run.stderr.contains("\nhint: `REFS_CACHE_DIR` names another folder"), "{}", run.stderr);
    assert_eq!(run.stderr.matches("warning").count(), 1, "{}", run.stderr);
}
