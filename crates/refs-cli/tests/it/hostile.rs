//! What comes over the wire damaged, or was made to do harm: nothing of it is left behind.

use std::{fs, path::Path};

use refs_registry::MediaType;
use refs_testkit::{
    Close, FakeRegistry, Fault, Image, On,
    image::gzip,
    raw::{RawPeer, Speech},
};

use crate::support::{Machine, noise, pushed, put, registry, small};

/// A registry with an artifact of several chunks, whose first file is `a.bin`.
fn artifact(machine: &Machine) -> (FakeRegistry, String) {
    let registry = registry();
    pushed(machine, &registry, &small().file("a.bin", noise(200_000)));
    let at = format!("{}/o/r:v1", registry.host());
    (registry, at)
}

/// A registry with an artifact that is one tar, compressed as a whole.
fn plain(_: &Machine) -> (FakeRegistry, String) {
    let registry = registry();
    put(&registry, &Image::new().tree(&small().file("a.bin", noise(200_000))));
    let at = format!("{}/o/r:v1", registry.host());
    (registry, at)
}

fn readers(at: &str) -> [String; 3] {
    ["cat AT a.bin", "pull AT here", "pull AT here --path *.bin"]
        .map(|line| line.replace("AT", &format!("--no-cache {at}")))
}

/// The readers of both kinds of artifact fail with `code` when each answer with a blob, after `skip` of them, has `fault`.
#[track_caller]
fn check(skip: u32, fault: &Fault, code: i32, words: &[&str]) {
    let machine = Machine::new();
    for kind in [artifact, plain] {
        let (registry, at) = kind(&machine);
        for line in readers(&at) {
            registry.fault(On::get("/blobs/").skip(skip).always(), fault.clone());
            machine.fails(&line, code, words);
            registry.clear_faults();
        }
    }
}

#[test]
fn a_blob_that_is_always_cut_is_unreachable() {
    for close in [Close::Fin, Close::Reset] {
        check(0, &Fault::Cut { after: 100, close }, 7, &["/blobs/"]);
    }
    check(0, &Fault::Drop(Close::Fin), 7, &["127.0.0.1"]);
}

#[test]
fn a_blob_that_is_cut_once_is_read_on() {
    let machine = Machine::new();
    let (registry, at) = artifact(&machine);
    registry.fault(On::get("/blobs/").skip(1), Fault::Cut { after: 1000, close: Close::Fin });
    assert_eq!(machine.run(&format!("cat {at} a.bin --retries 1")).stdout, noise(200_000));
}

#[test]
fn a_flipped_bit_is_an_error_of_integrity() {
    let machine = Machine::new();
    let (registry, at) = artifact(&machine);
    // All of it comes with the first request; a part comes with the second, after the table of contents.
    for (line, skip) in readers(&at).iter().zip([1, 0, 1]) {
        registry.fault(On::get("/blobs/").skip(skip).always(), Fault::Flip { at: 5000 });
        machine.fails(line, 8, &["sha256:", "\nhint: "]);
        registry.clear_faults();
    }
    let (registry, at) = plain(&machine);
    for line in readers(&at) {
        registry.fault(On::get("/blobs/").always(), Fault::Flip { at: 5000 });
        machine.fails(&line, 8, &["sha256:"]);
        registry.clear_faults();
    }
}

#[test]
fn m104_a_flipped_bit_of_the_table_of_contents_is_an_error_of_integrity() {
    let machine = Machine::new();
    let (registry, at) = artifact(&machine);
    machine.prints(&format!("ls {at} --no-cache"));
    let tail = registry.requests().last().unwrap().sent;
    registry.fault(On::get("/blobs/").always(), Fault::Flip { at: tail - 200 });
    machine.fails(&format!("ls {at}"), 8, &["cannot be read", "\nhint: the layer is not what its manifest says"]);
}

#[test]
fn a_footer_that_is_not_where_the_manifest_says_is_an_error_of_integrity() {
    let machine = Machine::new();
    let (registry, at) = artifact(&machine);
    machine.prints(&format!("ls {at} --no-cache"));
    let tail = registry.requests().last().unwrap().sent;
    // The letters at the end of the footer's extra field, by which it is known.
    registry.fault(On::get("/blobs/").always(), Fault::Flip { at: tail - 15 });
    let words = ["does not end in an estargz footer", "\nhint: the layer is not what its manifest says"];
    for line in ["ls AT", "cat AT a.bin", "pull AT here --path *.bin"] {
        machine.fails(&line.replace("AT", &at), 8, &words);
    }
}

#[test]
fn a_length_that_lies_is_found_out() {
    check(0, &Fault::ShorterBy(1), 8, &["`sha256:", "\nhint: "]);
    let machine = Machine::new();
    for (make, by_ranges) in [(artifact as fn(&Machine) -> _, (7, "/blobs/")), (plain, (8, "`sha256:"))] {
        let (registry, at) = make(&machine);
        let [cat, pull, some] = readers(&at);
        registry.fault(On::get("/blobs/").always(), Fault::LongerBy(1));
        // The manifest says how long a whole blob is. An answer with a part is cut off, by what its own head says.
        for (line, (code, word)) in [(cat, by_ranges), (pull, (8, "`sha256:")), (some, by_ranges)] {
            machine.fails(&line, code, &[word]);
        }
    }
}

/// A layout whose largest blob has other bytes, as `harm` makes them, can't be copied from; what `mend` does with the path in
/// the hint, and the copy that the hint names, make it whole.
#[track_caller]
fn check_layout(harm: fn(Vec<u8>) -> Vec<u8>, words: &[&str], mend: fn(&Path)) {
    let machine = Machine::new();
    let (_registry, at) = artifact(&machine);
    machine.prints(&format!("cp -q {at} ocidir://layout:v1"));
    let blobs = fs::read_dir(machine.path("layout/blobs/sha256")).unwrap().map(|blob| blob.unwrap().path());
    let layer = blobs.max_by_key(|blob| blob.metadata().unwrap().len()).unwrap();
    let bytes = harm(fs::read(&layer).unwrap());
    fs::remove_file(&layer).unwrap();
    fs::write(&layer, bytes).unwrap();
    let file = format!("`layout/blobs/sha256/{}` is damaged", layer.file_name().unwrap().display());
    let words: Vec<_> = words.iter().map(|word| word.replace("FILE", &file)).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let copy = |to: &str| format!("cp ocidir://layout:v1 {to}");
    machine.run(&copy("ocidir://other:v1")).failed(8, &words);
    machine.fails(&copy(&at.replace("o/r", "o/other")), 8, &words);
    mend(&layer);
    machine.prints(&format!("cp -q {at} ocidir://layout:v1"));
    machine.prints(&copy("ocidir://other:v1 -q"));
}

#[test]
fn what_is_damaged_in_a_layout_that_is_copied_from_is_named_with_what_mends_it() {
    let flipped = |mut bytes: Vec<u8>| {
        bytes[1000] ^= 1;
        bytes
    };
    let again = "copy the artifact to ocidir://layout:v1 again";
    check_layout(flipped, &["\nhint: FILE", "remove it", again], |file| fs::remove_file(file).unwrap());
    check_layout(|bytes| bytes[..1000].to_vec(), &["\nhint: the layout is damaged", again], |_| ());
}

#[test]
fn a_manifest_that_is_not_what_its_digest_says_is_an_error_of_integrity() {
    let machine = Machine::new();
    let registry = registry();
    let printed = pushed(&machine, &registry, &small());
    registry.fault(On::get("/manifests/").always(), Fault::Flip { at: 20 });
    for line in ["ls AT", "cat AT README.md", "pull AT here"] {
        machine.fails(&line.replace("AT", &printed), 8, &["does not match its digest", "\nhint: "]);
    }
}

/// A layer that holds the entry `entry` after a harmless one can't be pulled: `code`, and an error with `words`.
#[track_caller]
fn refused(entry: Vec<u8>, code: i32, words: &[&str]) {
    let (machine, registry) = (Machine::new(), registry());
    let mut tar = tar_entry("good.txt", b'0', "", b"good");
    tar.extend(entry);
    tar.extend([0; 1024]);
    put(&registry, &Image::new().layer(MediaType::OCI_LAYER_GZIP, gzip(&tar)));
    machine.fails(&format!("pull {}/o/r:v1 here", registry.host()), code, words);
}

#[test]
fn m114_a_path_that_leads_out_is_refused() {
    for path in ["../evil.txt", "a/../../evil.txt"] {
        refused(tar_entry(path, b'0', "", b"evil"), 9, &[path, "is not safe"]);
    }
}

#[test]
fn m116_m121_a_link_that_leads_out_is_refused() {
    for target in ["../../etc/passwd", "/etc/passwd"] {
        let words = ["`link`", target, "is not safe", "\nhint: if it is a container image, `refs unpack` writes"];
        refused(tar_entry("link", b'2', target, b""), 9, &words);
    }
    refused(tar_entry("hard", b'1', "../../etc/passwd", b""), 9, &["../../etc/passwd", "is not safe"]);
}

#[test]
fn m125_what_is_no_file_is_refused() {
    refused(tar_entry("pipe", b'6', "", b""), 9, &["`pipe` in a layer is a"]);
    refused(tar_entry("tty", b'3', "", b""), 9, &["`tty` in a layer is a"]);
}

/// Whatever reads a manifest with this `json` fails with `code` and an error that has `words`.
#[track_caller]
fn misread(json: &str, code: i32, words: &[&str]) {
    let manifest = "application/vnd.oci.image.manifest.v1+json";
    let answer = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: {manifest}\r\ncontent-length: {}\r\n\r\n{json}",
        json.len()
    );
    let peer = RawPeer::start(move |_: &str| Speech::of([answer.clone()]));
    let machine = Machine::new();
    for line in ["ls AT", "cat AT x", "pull AT here", "unpack AT here", "inspect AT"] {
        machine.fails(&line.replace("AT", &format!("{}/a/b:v1", peer.host())), code, words);
    }
}

#[test]
fn m063_m064_a_manifest_that_is_none_is_an_error_of_integrity() {
    misread("no JSON", 8, &["is not valid"]);
    misread(r#"{"schemaVersion":2,"layers":7}"#, 8, &["is not valid"]);
    misread(r#"{"schemaVersion":2,"layers":[],"manifests":[]}"#, 8, &["of an image and of an index"]);
    let index = "application/vnd.oci.image.index.v1+json";
    misread(&format!(r#"{{"schemaVersion":2,"mediaType":"{index}","manifests":[]}}"#), 8, &["was announced"]);
}

#[test]
fn what_follows_a_compressed_layer_and_is_no_gzip_is_told() {
    let tar = [tar_entry("x", b'0', "", b"content"), vec![0; 1024]].concat();
    for behind in [&b"garbage that is longer than a header"[..], b"short"] {
        let (machine, registry) = (Machine::new(), registry());
        put(&registry, &Image::new().layer(MediaType::OCI_LAYER_GZIP, [&gzip(&tar)[..], behind].concat()));
        let words =
            [" is corrupt at byte 1024 of its archive: ", "(bytes that are no gzip follow", "\nhint: the layer is as"];
        for line in ["pull AT here", "ls AT"] {
            machine.fails(&line.replace("AT", &format!("{}/o/r:v1", registry.host())), 8, &words);
        }
    }
}

#[test]
fn a_compression_that_is_not_read_is_unsupported() {
    let (machine, registry) = (Machine::new(), registry());
    let media_type = MediaType::new("application/vnd.example.layer+xz");
    put(&registry, &Image::new().layer(media_type, b"\xfd7zXZ\0\0\x04".to_vec()));
    for line in ["ls AT", "cat AT README.md", "pull AT here"] {
        machine.fails(&line.replace("AT", &format!("{}/o/r:v1", registry.host())), 10, &["+xz"]);
    }
}

/// An entry of a tar archive, made by hand: no library would write these.
pub(crate) fn tar_entry(path: &str, kind: u8, link: &str, content: &[u8]) -> Vec<u8> {
    let mut entry = tar_header(path, kind, link, content.len());
    entry.extend(content);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

/// What stands before the content of an entry of so many bytes.
pub(crate) fn tar_header(path: &str, kind: u8, link: &str, bytes: usize) -> Vec<u8> {
    let mut header = vec![0; 512];
    let mut set = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    set(0, path.as_bytes());
    set(100, b"0000644\0");
    set(108, b"0000000\0");
    set(116, b"0000000\0");
    set(124, format!("{bytes:011o}\0").as_bytes());
    set(136, b"00000000000\0");
    set(148, b"        ");
    set(156, &[kind]);
    set(157, link.as_bytes());
    set(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}
