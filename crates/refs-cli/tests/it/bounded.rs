//! What has no end, or takes its time, from a server that knows no shame: an error of its kind, in little memory.

use std::process::Command;

use refs_registry::MediaType;
use refs_testkit::{
    Image, Tree,
    image::gzip,
    raw::{RawPeer, Speech},
};
use refs_url::Digest;

use crate::{
    hostile::{tar_entry, tar_header},
    support::{Machine, Run, ended, noise, put, registry},
};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(byte: u8) -> Vec<u8> {
    [&b"10000\r\n"[..], &vec![byte; 0x10000], b"\r\n"].concat()
}

/// Runs the program, whose data may take 100 MiB in all: the system gives it no more, and without it dies.
fn in_little_memory(machine: &Machine, line: &str) -> Run {
    let program = machine.command(line);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "ulimit -d 102400 && exec \"$0\" \"$@\""]).arg(program.get_program()).args(program.get_args());
    shell.current_dir(program.get_current_dir().unwrap()).env_clear();
    shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    // As many threads as here, whatever the machine has: each takes two for its stack.
    ended(shell.env("TOKIO_WORKER_THREADS", "4"))
}

/// Each of `lines`, where `HOST` is a peer that answers so, fails with `code` and an error that has each of `words`.
#[track_caller]
fn check(lines: &[&str], code: i32, words: &[&str], answer: impl FnMut(&str) -> Speech + Clone + Send + 'static) {
    for line in lines {
        let (machine, peer) = (Machine::new(), RawPeer::start(answer.clone()));
        let line = line.replace("HOST", peer.host().as_str());
        in_little_memory(&machine, &line).failed(code, words);
        assert_eq!(machine.names(), [] as [&str; 0], "{line}");
    }
}

const READERS: [&str; 4] = ["ls HOST/a/b:v1", "pull HOST/a/b:v1 here", "inspect HOST/a/b:v1", "cat HOST/a/b:v1 x"];

#[test]
fn a_copy_takes_little_memory_however_large_the_layers_are() {
    let (machine, from, to) = (Machine::new(), registry(), registry());
    let layers = (0..4).map(|more| noise((28 << 20) + more));
    put(&from, &layers.fold(Image::new(), |image, layer| image.layer(MediaType::OCI_LAYER, layer)));
    let run = in_little_memory(&machine, &format!("cp {}/o/r:v1 {}/o/r:v1", from.host(), to.host()));
    assert_eq!((run.code, run.stderr.contains("5 blobs copied")), (0, true), "{}", run.stderr);
}

#[test]
fn m058_a_manifest_without_end_takes_little_memory() {
    check(&READERS, 9, &["4194304"], |_| Speech::endless(CHUNKED, chunk(b' ')));
}

#[test]
fn m066_a_manifest_that_is_short_and_takes_much_memory_is_not_read() {
    let body = format!(r#"{{"schemaVersion":2,"layers":[],"x":[{}0]}}"#, r#"{"a":0},"#.repeat(500_000));
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.oci.image.manifest.v1+json\r\n";
    let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    check(&READERS, 8, &["more values"], move |_| Speech::of([answer.clone()]));
}

#[test]
fn m100_a_page_without_end_takes_little_memory() {
    check(&["tags HOST/a/b"], 9, &["8388608"], |_| Speech::endless(CHUNKED, chunk(b' ')));
    let page = format!("{{\"tags\":[{}\"a\"]}}", "\"a\",".repeat(2_000_000));
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{page}", page.len());
    check(&["tags HOST/a/b"], 1, &["bounds"], move |_| Speech::of([answer.clone()]));
}

#[test]
fn an_error_or_a_head_without_end_takes_little_memory() {
    let lines =
        ["ls HOST/a/b:v1", "pull HOST/a/b:v1 here", "tags HOST/a/b", "resolve HOST/a/b:v1", "push . HOST/a/b:v1"];
    let refused = "HTTP/1.1 400 x\r\ntransfer-encoding: chunked\r\n\r\n";
    check(&lines, 1, &["400"], |_| Speech::endless(refused, chunk(b'e')));
    for piece in ["x: y\r\n".repeat(1000), "x".repeat(0x10000)] {
        check(&lines, 7, &["127.0.0.1"], move |_| Speech::endless("HTTP/1.1 200 OK\r\n", piece.clone()));
    }
}

#[test]
fn m031_redirects_and_tokens_without_end_take_little_memory() {
    let mut hops = 0;
    check(&READERS, 1, &["redirects"], move |_| {
        hops += 1;
        Speech::of([format!(
            "HTTP/1.1 307 x\r\nconnection: close\r\nlocation: /{hops}{}\r\ncontent-length: 0\r\n\r\n",
            "x".repeat(8000)
        )])
    });
    check(&READERS, 9, &["1048576"], |head| {
        if head.contains("/token") {
            return Speech::endless(CHUNKED, chunk(b' '));
        }
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let demand = format!("www-authenticate: Bearer realm=\"http://{host}/token\"");
        Speech::of([format!("HTTP/1.1 401 x\r\nconnection: close\r\n{demand}\r\ncontent-length: 0\r\n\r\n")])
    });
}

#[test]
fn m077_a_layer_without_end_takes_little_memory() {
    let digest = "a".repeat(64);
    let content = |kind, size| format!(r#"{{"mediaType":"{kind}","digest":"sha256:{digest}","size":{size}}}"#);
    let (config, layer) = (content("application/vnd.oci.empty.v1+json", 2), content("text/x.tar", 1_000_000));
    let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#);
    check(&["pull HOST/a/b:v1 here", "ls HOST/a/b:v1"], 8, &["sha256:aaaa"], move |head| {
        if head.starts_with("HEAD") && head.contains("/blobs/") {
            return Speech::of(["HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1000000\r\n\r\n".to_owned()]);
        }
        if head.contains("/blobs/") {
            return Speech::endless(CHUNKED, chunk(0));
        }
        let kind = "content-type: application/vnd.oci.image.manifest.v1+json";
        let body = if head.starts_with("HEAD") { "" } else { &manifest };
        Speech::of([format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\n{kind}\r\ncontent-length: {}\r\n\r\n{body}",
            manifest.len()
        )])
    });
}

#[test]
fn forty_thousand_files_in_several_layers_take_little_memory() {
    let (machine, registry) = (Machine::new(), registry());
    let layer = |at: usize| {
        (0..10_000).fold(Tree::new(), |tree, file| tree.file(&format!("some/directory/{}/{at}-{file}", file % 250), ""))
    };
    put(&registry, &(0..4).fold(Image::new(), |image, at| image.tree(&layer(at))));
    let at = format!("{}/o/r:v1", registry.host());
    let listed = in_little_memory(&machine, &format!("ls {at}")).printed();
    // With the directories, which no entry names.
    assert_eq!(listed.lines().count(), 40_000 + 252);
    in_little_memory(&machine, &format!("pull {at} here --path some/directory/7/**")).printed();
    assert_eq!(std::fs::read_dir(machine.path("here/some/directory/7")).unwrap().count(), 160);
}

/// Each of `lines`, where `AT` is an artifact of this layer, fails with `code` and an error that has each of `words`.
#[track_caller]
fn check_layer(layer: Vec<u8>, annotations: &[(&str, &str)], lines: &[&str], code: i32, words: &[&str]) {
    let (machine, registry) = (Machine::new(), registry());
    let image = Image::new().layer(MediaType::OCI_LAYER_GZIP, layer);
    put(&registry, &annotations.iter().fold(image, |image, (key, value)| image.annotate_last(key, value)));
    for line in lines {
        let line = line.replace("AT", &format!("{}/o/r:v1", registry.host()));
        in_little_memory(&machine, &line).failed(code, words);
        assert_eq!(machine.names(), [] as [&str; 0], "{line}");
    }
}

const ALL_OF_IT: [&str; 3] = ["pull AT here", "ls AT", "cat AT x"];
const TOC_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";

/// A layer whose table of contents has this JSON, with its digest.
fn indexed(json: &[u8]) -> (Vec<u8>, Digest) {
    let toc = gzip(&Tree::new().file("stargz.index.json", json.to_vec()).tar());
    let payload = gzip(b"");
    let offset = format!("{:016x}STARGZ", payload.len());
    let (start, end) = (b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x1a\0SG\x16\0", b"\x01\0\0\xff\xff\0\0\0\0\0\0\0\0");
    ([&payload[..], &toc, start, offset.as_bytes(), end].concat(), Digest::sha256(json))
}

#[test]
fn lie_02_a_table_of_contents_without_measure_takes_little_memory() {
    let space = vec![b' '; (64 << 20) + 1];
    let (blob, digest) = indexed(&space);
    check_layer(blob, &[(TOC_DIGEST, digest.as_str())], &ALL_OF_IT, 9, &["67108864"]);
}

#[test]
fn m165_a_table_of_many_entries_takes_little_memory() {
    let entries: String = (0..500_000).map(|_| r#"{"name":"d","type":"dir"},"#).collect();
    let (blob, digest) = indexed(format!(r#"{{"version":1,"entries":[{entries}{{}}]}}"#).as_bytes());
    check_layer(blob, &[(TOC_DIGEST, digest.as_str())], &["ls AT"], 8, &["cannot be read"]);
}

/// The header of an entry of 256 MiB, and a gzip member of a mebibyte of zeros, of which there are as many as it takes.
fn bomb(kind: u8) -> Vec<u8> {
    [gzip(&tar_header("x", kind, "", 256 << 20)).to_vec(), gzip(&vec![0; 1 << 20]).repeat(257)].concat()
}

#[test]
fn m165_archives_that_inflate_without_measure_take_little_memory() {
    check_layer(bomb(b'0'), &[], &["pull AT here"], 9, &["104857600"]);
    // The same with zstd: blocks of 128 KiB, each of them one byte and how often it comes.
    let header = tar_header("x", b'0', "", 256 << 20);
    let start = [&b"\x28\xb5\x2f\xfd\0\x50\0\x10\0"[..], &header].concat();
    let frame = [start, b"\x02\0\x10\0".repeat(2056), b"\x01\0\0".to_vec()].concat();
    check_layer(frame, &[], &["pull AT here"], 9, &["104857600"]);
    // And behind the end of the archive.
    check_layer(gzip(&vec![0; 1 << 20]).repeat(66), &[], &ALL_OF_IT, 9, &["67108864"]);
}

#[test]
fn m127_an_extended_header_without_measure_takes_little_memory() {
    check_layer(bomb(b'x'), &[], &ALL_OF_IT, 9, &["1048576"]);
}

/// A million directories in an archive, of which a pull takes ten thousand.
#[test]
fn m165_an_archive_of_a_million_entries_takes_little_memory() {
    let member: Vec<u8> = (0..1000).flat_map(|number| tar_entry(&format!("d{number}/"), b'5', "", b"")).collect();
    check_layer(gzip(&member).repeat(1000), &[], &["pull AT here"], 9, &["10000"]);
}
