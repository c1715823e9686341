//! Files on the disk that are named as layers and are none.

use std::fs;

use crate::support::{Machine, ended, small};

#[test]
fn a_file_that_is_no_archive_is_named_with_what_it_is() {
    let machine = Machine::new();
    machine.write("d", &small());
    for (name, bytes, found) in [
        ("notar.txt", &b"some text"[..], "something else"),
        ("a.zip", b"PK\x03\x04rest", "a zip archive"),
        ("a.tar.xz", b"\xfd7zXZ\0rest", "compressed with xz"),
        ("a.tar.bz2", b"BZh91AY", "compressed with bzip2"),
        ("a.7z", b"7z\xbc\xaf\x27\x1crest", "a 7z archive"),
        ("empty", b"", "empty"),
        ("a.gz", TEXT_GZIP, "something else, compressed"),
    ] {
        fs::write(machine.path(name), bytes).unwrap();
        let words =
            [&format!("error: `{name}` is not a tar archive: it is {found}\n"), "\nhint: a layer is a tar archive"];
        for line in ["ls FILE", "cat FILE a", "pull FILE out", "inspect FILE"] {
            machine.fails(&line.replace("FILE", &format!("file://{name}")), 10, &words.map(|word: &str| word));
        }
    }
    let words = ["`file://d` is a directory", "\nhint: `refs pack DIR FILE` makes a file of it"];
    machine.fails("ls file://d", 2, &words);
}

/// `printf text | gzip -n`
const TEXT_GZIP: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x2b\x49\xad\x28\x01\x00\xc7\xa7\x8b\x3b\x04\x00\x00\x00";

#[test]
fn a_file_that_is_not_there_is_no_matter_of_a_login() {
    let run = Machine::new().fails("ls file://nope.tgz", 3, &["file not found in nope.tgz", "\nhint: check the path"]);
    assert!(!run.stderr.contains("private"), "{}", run.stderr);
}

#[test]
fn a_file_has_no_tags() {
    let machine = Machine::new();
    machine.write("d", &small());
    machine.prints("pack d docs.tgz");
    for line in ["tags file://docs.tgz", "tags file://nope", "resolve file://docs.tgz"] {
        machine.fails(line, 2, &["is a layer in a file, which has no tags\n"]);
    }
    let words = ["is a layer in a file, which nothing can be pushed to", "\nhint: `refs pack DIR FILE` writes"];
    machine.fails("push d file://docs.tgz", 2, &words);
}

#[test]
fn a_pack_is_not_written_to_stdout() {
    let machine = Machine::new();
    machine.write("d", &small());
    machine.fails("pack d -", 2, &["not to stdout", "\nhint: name a file; one that is called `-` is `./-`"]);
    machine.prints("pack d ./-");
    assert_eq!(machine.names(), ["-", "d"]);
}

#[test]
fn a_full_stdout_is_not_called_by_the_name_of_a_file() {
    let machine = Machine::new();
    machine.write("d", &small().file("z", crate::support::noise(200_000)));
    machine.prints("pack d docs.tgz");
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let run = ended(machine.command("cat file://docs.tgz z").stdout(full));
    let told =
        "error: cannot write to stdout: No space left on device (os error 28)\n\nhint: make space and run it again\n";
    assert_eq!(run.stderr, told);
}

#[test]
fn the_root_of_a_server_is_a_directory() {
    let machine = Machine::new();
    fs::write(machine.path("file"), "").unwrap();
    machine.fails("serve --listen 127.0.0.1:0 --root file", 1, &["\nhint: `--root` is a directory"]);
}
