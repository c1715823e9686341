//! Tables of contents that lie. The number in a test's name says which kind of lie it is:
//!
//! 1 the footer's offset, 2 the size of the table, 3 another table than the manifest's, 4 ambiguous JSON, 5 places of
//! members, 6 lists of chunks, 7 sizes, 8 members that inflate to something else, 9 missing digests, 10 digests that
//! contradict each other, 11 changed content, 13 paths, 14 duplicates, 15 symbolic links, 16 hard links, 17 odd fields,
//! 18 depth, 19 the format's own files.

use bytes::Bytes;
use refs_estargz::{
    Archive, ChunkFault, Error, Expected, FieldFault, Kind, Limits, LinkFault, MemberFault, OpenOptions, PathFault,
    Toc, TocPart, TocTarFault, path_order,
};
use refs_url::Digest;

use crate::support::{PAYLOAD_BYTES, blob, gzip, layer_error, parse, parse_within, table, toc_tar, wait};

const DIR: &str = r#"{"name":"d/","type":"dir"}"#;

macro_rules! rejected {
    ($parsed:expr, $error:pat) => {
        match $parsed {
            Err($error) => {}
            other => panic!("expected {}, got {other:?}", stringify!($error)),
        }
    };
}

mod names;
mod odd;

fn digest(content: &[u8]) -> Digest {
    Digest::sha256(content)
}

/// A file, with more keys in `rest`, which starts with a comma.
fn reg(name: &str, size: u64, rest: &str) -> String {
    format!(r#"{{"name":"{name}","type":"reg","size":{size}{rest}}}"#)
}

/// A file of "abcd" that is one chunk.
fn abcd(name: &str, offset: u64) -> String {
    reg(name, 4, &format!(r#","offset":{offset},"chunkDigest":"{}""#, digest(b"abcd")))
}

/// The first or a further chunk of a file, of which the digest is not looked at by the parser.
fn chunk_keys(offset: u64, chunk_offset: u64, chunk_size: u64) -> String {
    let digest = digest(b"?");
    format!(r#","offset":{offset},"chunkOffset":{chunk_offset},"chunkSize":{chunk_size},"chunkDigest":"{digest}""#)
}

fn chunk(offset: u64, chunk_offset: u64, chunk_size: u64) -> String {
    format!(r#"{{"name":"f","type":"chunk"{}}}"#, chunk_keys(offset, chunk_offset, chunk_size))
}

fn elements(elements: &[String]) -> String {
    table(&elements.iter().map(String::as_str).collect::<Vec<_>>())
}

fn named(name: &str) -> String {
    table(&[&format!(r#"{{"name":"{name}","type":"reg"}}"#)])
}

fn member(tar: &[u8]) -> Result<Toc, Error> {
    Toc::parse(&gzip(tar), Expected::Unverified, PAYLOAD_BYTES, &Limits::default())
}

#[test]
fn lie_02_table_larger_than_its_limits() {
    let json = table(&[DIR; 200]);
    let limits = Limits { toc_compressed: 10, ..Limits::default() };
    rejected!(parse_within(&json, &limits), Error::TocLimit { part: TocPart::Compressed, limit: 10 });
    for inflated in [100, json.len() as u64 - 1] {
        let limits = Limits { toc_inflated: inflated, ..Limits::default() };
        rejected!(parse_within(&json, &limits), Error::TocLimit { part: TocPart::Inflated, .. });
    }
    let limits = Limits { entries: 1, ..Limits::default() };
    rejected!(parse_within(&json, &limits), Error::TocLimit { part: TocPart::Entries, limit: 1 });
    let exact = Limits { toc_inflated: named("a").len() as u64, entries: 1, ..Limits::default() };
    assert!(parse_within(&named("a"), &exact).is_ok());
}

#[test]
fn lie_02_bomb_is_not_inflated() {
    let zeros = vec![b' '; 8 << 20];
    let limits = Limits { toc_inflated: 1 << 20, ..Limits::default() };
    let parsed = Toc::parse(&gzip(&toc_tar(&zeros)), Expected::Unverified, 0, &limits);
    rejected!(parsed, Error::TocLimit { part: TocPart::Inflated, .. });
}

#[test]
fn lie_02_tar_entry_that_is_not_the_table() {
    let json = named("a");
    let tar = toc_tar(json.as_bytes());
    let mut other_name = tar::Header::new_ustar();
    other_name.as_old_mut().name[..20].copy_from_slice(b"./stargz.index.json\0");
    other_name.set_size(json.len() as u64);
    other_name.set_cksum();
    let renamed = [other_name.as_bytes(), &tar[512..]].concat();
    rejected!(member(&renamed), Error::TocTar { fault: TocTarFault::Name });
    rejected!(member(&tar[..511]), Error::TocTar { fault: TocTarFault::Header });
    rejected!(member(&tar[..520]), Error::TocTar { fault: TocTarFault::Size });
    rejected!(member(&[&tar[..], &tar[..]].concat()), Error::TocTar { fault: TocTarFault::NotLast });
    let mut unsummed = tar.clone();
    unsummed[0] = b'S';
    rejected!(member(&unsummed), Error::TocTar { fault: TocTarFault::Header });
    let two_members = [gzip(&tar), gzip(b"")].concat();
    let parsed = Toc::parse(&two_members, Expected::Unverified, PAYLOAD_BYTES, &Limits::default());
    rejected!(parsed, Error::TocTar { fault: TocTarFault::TrailingBytes });
    let cut = &gzip(&tar)[..30];
    rejected!(Toc::parse(cut, Expected::Unverified, PAYLOAD_BYTES, &Limits::default()), Error::TocInflate { .. });
}

#[test]
fn lie_03_another_table_than_the_manifest_names() {
    let (mine, theirs) = (named("mine"), named("theirs"));
    let member = gzip(&toc_tar(theirs.as_bytes()));
    let check = |digest: &Digest| Toc::parse(&member, Expected::Digest(digest), PAYLOAD_BYTES, &Limits::default());
    rejected!(check(&digest(mine.as_bytes())), Error::TocDigest { .. });
    let trailing = [&theirs, "\n"].concat();
    rejected!(check(&digest(trailing.as_bytes())), Error::TocDigest { .. });
    assert_eq!(check(&digest(theirs.as_bytes())).unwrap().toc_digest(), &digest(theirs.as_bytes()));
    let unknown = Digest::parse("blake3:0000000000000000000000000000000000000000000000000000000000000000").unwrap();
    rejected!(check(&unknown), Error::DigestAlgorithm { .. });
}

#[test]
fn lie_03_digest_is_decided_before_the_json_is_parsed() {
    let member = gzip(&toc_tar(b"not json"));
    let parsed = Toc::parse(&member, Expected::Digest(&digest(b"other")), PAYLOAD_BYTES, &Limits::default());
    rejected!(parsed, Error::TocDigest { .. });
}

#[test]
fn lie_04_ambiguous_json() {
    for json in [
        "",
        "[]",
        r#"{"version":1}"#,
        r#"{"entries":[]}"#,
        r#"{"version":1,"version":1,"entries":[]}"#,
        r#"{"version":1,"entries":[],"entries":[]}"#,
        r#"{"version":1,"entries":[]} x"#,
        r#"{"version":1,"entries":[]}{"version":1,"entries":[]}"#,
        r#"{"version":1,"Entries":[]}"#,
        r#"{"version":1,"entries":[{"name":"a","name":"b","type":"reg"}]}"#,
        r#"{"version":1,"entries":[{"Name":"a","type":"reg"}]}"#,
        r#"{"version":1,"entries":[{"name":"a","type":"Reg"}]}"#,
        r#"{"version":1,"entries":[{"name":"a","type":"socket"}]}"#,
        r#"{"version":1,"entries":[{"name":"a","type":"reg","size":-1}]}"#,
        r#"{"version":1,"entries":[{"name":"a","type":"reg","size":18446744073709551616}]}"#,
        r#"{"version":1,"entries":[{"name":"\ud800","type":"reg"}]}"#,
    ] {
        rejected!(parse(json), Error::Json { .. });
    }
    let parsed = Toc::parse(
        &gzip(&toc_tar(b"{\"version\":1,\"\xff\":0,\"entries\":[]}")),
        Expected::Unverified,
        0,
        &Limits::default(),
    );
    rejected!(parsed, Error::Json { .. });
    rejected!(parse(r#"{"version":2,"entries":[]}"#), Error::Version { version: 2 });
}

#[test]
fn unknown_keys_and_an_absent_list_are_fine() {
    assert!(parse("{\"version\":1,\"entries\":null}\n").unwrap().is_empty());
    let json = r#"{"version":1,"x":{"y":[]},"entries":[{"name":"a/","type":"dir","NumLink":3,"mode":16877}]}"#;
    assert_eq!(parse(json).unwrap().entry("a").unwrap().mode, 0o755);
}

#[test]
fn lie_05_members_outside_the_payload_or_in_each_other() {
    for offset in [PAYLOAD_BYTES, PAYLOAD_BYTES + 1, u64::MAX] {
        rejected!(parse(&elements(&[abcd("f", offset)])), Error::Chunk { fault: ChunkFault::Offset, .. });
    }
    let twice = elements(&[abcd("f", 10), abcd("g", 10)]);
    rejected!(parse(&twice), Error::Chunk { fault: ChunkFault::Overlap, .. });
    let inner = |offset: u64| abcd("g", 10).replace("\"offset\"", &format!("\"innerOffset\":{offset},\"offset\""));
    rejected!(parse(&elements(&[abcd("f", 10), inner(3)])), Error::Chunk { fault: ChunkFault::Overlap, .. });
    assert!(parse(&elements(&[abcd("f", 10), inner(4)])).is_ok());
    assert!(parse(&elements(&[abcd("f", 20), abcd("g", 10)])).is_ok());
}

#[test]
fn lie_06_chunks_with_holes_and_strangers() {
    let first = |size, chunk_size| reg("f", size, &chunk_keys(10, 0, chunk_size));
    rejected!(parse(&elements(&[chunk(10, 0, 4)])), Error::Chunk { fault: ChunkFault::Orphan, .. });
    rejected!(parse(&elements(&[reg("f", 0, ""), chunk(10, 0, 4)])), Error::Chunk { fault: ChunkFault::Orphan, .. });
    rejected!(
        parse(&elements(&[first(8, 4), DIR.into(), chunk(20, 4, 4)])),
        Error::Chunk { fault: ChunkFault::Sum, .. }
    );
    rejected!(parse(&elements(&[reg("f", 8, &chunk_keys(10, 1, 4))])), Error::Chunk { fault: ChunkFault::Hole, .. });
    for (chunk_offset, fault) in [(3, ChunkFault::Hole), (5, ChunkFault::Hole)] {
        let parsed = parse(&elements(&[first(8, 4), chunk(20, chunk_offset, 4)]));
        assert!(matches!(parsed, Err(Error::Chunk { fault: found, .. }) if found == fault), "{parsed:?}");
    }
    rejected!(parse(&elements(&[first(8, 4)])), Error::Chunk { fault: ChunkFault::Sum, .. });
    rejected!(parse(&elements(&[first(8, 9)])), Error::Chunk { fault: ChunkFault::Sum, .. });
    rejected!(parse(&elements(&[first(8, 4), chunk(20, 4, 5)])), Error::Chunk { fault: ChunkFault::Sum, .. });
    rejected!(
        parse(&elements(&[first(8, 4), chunk(20, 4, 4), chunk(30, 8, 4)])),
        Error::Chunk { fault: ChunkFault::Sum, .. }
    );
    rejected!(parse(&elements(&[first(8, 4), chunk(5, 4, 4)])), Error::Chunk { fault: ChunkFault::Order, .. });
    let between = elements(&[first(8, 4), chunk(30, 4, 4), abcd("g", 20)]);
    rejected!(parse(&between), Error::Chunk { fault: ChunkFault::Order, .. });
}

#[test]
fn last_chunk_may_say_its_size_or_not() {
    let first = reg("f", 8, &chunk_keys(10, 0, 4));
    assert!(parse(&elements(&[first.clone(), chunk(20, 4, 4)])).is_ok());
    assert!(parse(&elements(&[first, chunk(20, 4, 0)])).is_ok());
}

#[test]
fn lie_07_sizes_beyond_everything() {
    let huge = |chunk_size| elements(&[reg("f", 1 << 62, &chunk_keys(10, 0, chunk_size))]);
    rejected!(parse(&huge(1)), Error::Chunk { fault: ChunkFault::Sum, .. });
    rejected!(parse(&huge(0)), Error::Chunk { fault: ChunkFault::Large, .. });
    rejected!(parse(&huge(u64::MAX)), Error::Chunk { fault: ChunkFault::Sum, .. });
    let limits = Limits { inner_offset: 5, ..Limits::default() };
    let inner = elements(&[abcd("f", 10).replace("\"offset\"", "\"innerOffset\":6,\"offset\"")]);
    rejected!(parse_within(&inner, &limits), Error::Chunk { fault: ChunkFault::Inner, .. });
    let far = elements(&[abcd("f", 10).replace("\"offset\"", "\"innerOffset\":18446744073709551615,\"offset\"")]);
    rejected!(parse(&far), Error::Chunk { fault: ChunkFault::Inner, .. });
}

/// Reads the file `f` of a blob.
fn read(blob: Bytes) -> Result<Vec<u8>, Error> {
    let archive = wait(Archive::open(blob, Expected::Unverified, &OpenOptions::default()))
        .map_err(|e| layer_error::<(), _>(Err(e)))?;
    wait(archive.read_file("f")).map_err(|e| layer_error::<(), _>(Err(e)))
}

fn one_file(payload: &[u8]) -> Bytes {
    blob(payload, &elements(&[abcd("f", 0)]))
}

#[test]
fn lie_08_member_that_inflates_to_less_or_more() {
    assert_eq!(read(one_file(&gzip(b"abcd"))).unwrap(), b"abcd");
    assert_eq!(read(one_file(&gzip(b"abcd and what follows in the archive"))).unwrap(), b"abcd");
    rejected!(read(one_file(&gzip(b"abc"))), Error::Member { fault: MemberFault::Short, offset: 0, .. });
    let cut = &gzip(&[b'x'; 40])[..12];
    rejected!(read(one_file(cut)), Error::Member { fault: MemberFault::Short, .. });
    rejected!(read(one_file(b"abcdefghijklmnopqrst")), Error::Member { fault: MemberFault::Header, .. });
    let mut broken = gzip(b"abcd");
    broken[10] = 0xff;
    rejected!(read(one_file(&broken)), Error::Member { fault: MemberFault::Inflate, .. });
}

#[test]
fn lie_08_member_that_goes_on_in_the_next() {
    let payload = gzip(b"abcd");
    let json = elements(&[abcd("f", 0), abcd("g", 12)]);
    rejected!(read(blob(&payload, &json)), Error::Member { fault: MemberFault::Short, .. });
}

#[test]
fn lie_09_missing_and_odd_digests() {
    rejected!(parse(&elements(&[reg("f", 4, "")])), Error::Chunk { fault: ChunkFault::NoDigest, .. });
    let in_two = reg("f", 8, &format!(r#","digest":"{}","offset":1,"chunkSize":4"#, digest(b"abcdefgh")));
    rejected!(parse(&elements(&[in_two])), Error::Chunk { fault: ChunkFault::NoDigest, .. });
    let legacy = reg("f", 4, &format!(r#","digest":"{}","offset":0"#, digest(b"abcd")));
    assert_eq!(read(blob(&gzip(b"abcd"), &elements(&[legacy]))).unwrap(), b"abcd");
    for odd in ["sha256:00", "md5:d41d8cd98f00b204e9800998ecf8427e", "none"] {
        let whole = reg("f", 4, &format!(r#","digest":"{odd}","offset":1"#));
        rejected!(parse(&elements(&[whole])), Error::Field { fault: FieldFault::Digest, .. });
        let chunk = reg("f", 4, &format!(r#","chunkDigest":"{odd}","offset":1"#));
        rejected!(parse(&elements(&[chunk])), Error::Chunk { fault: ChunkFault::NoDigest, .. });
    }
}

#[test]
fn lie_10_digests_that_contradict_each_other() {
    let empty = |digest: Digest| elements(&[reg("f", 0, &format!(r#","digest":"{digest}""#))]);
    assert!(parse(&empty(digest(b""))).is_ok());
    rejected!(parse(&empty(digest(b"x"))), Error::Chunk { fault: ChunkFault::Digest, .. });
    let one_chunk = abcd("f", 0).replace("\"offset\"", &format!(r#""digest":"{}","offset""#, digest(b"efgh")));
    rejected!(parse(&elements(&[one_chunk])), Error::Chunk { fault: ChunkFault::Digest, .. });
}

#[test]
fn lie_10_whole_digest_that_the_right_chunks_do_not_give() {
    let (first, second) = (gzip(b"abcd"), gzip(b"efgh"));
    let two_chunks = |whole: &[u8]| {
        let (abcd, efgh, whole) = (digest(b"abcd"), digest(b"efgh"), digest(whole));
        let offset = first.len();
        let json = elements(&[
            reg("f", 8, &format!(r#","digest":"{whole}","chunkSize":4,"chunkDigest":"{abcd}""#)),
            format!(r#"{{"name":"f","type":"chunk","offset":{offset},"chunkOffset":4,"chunkDigest":"{efgh}"}}"#),
        ]);
        blob(&[&first[..], &second[..]].concat(), &json)
    };
    assert_eq!(read(two_chunks(b"abcdefgh")).unwrap(), b"abcdefgh");
    rejected!(read(two_chunks(b"abcdabcd")), Error::ContentDigest { .. });
}

#[test]
fn lie_11_changed_content() {
    rejected!(read(one_file(&gzip(b"abcX"))), Error::Member { fault: MemberFault::Digest, .. });
}

#[test]
fn lie_17_fields_that_fit_nowhere() {
    for (key, fault) in [
        (r#""modtime":"yesterday""#, FieldFault::Mtime),
        (r#""uid":-1"#, FieldFault::Owner),
        (r#""gid":4294967296"#, FieldFault::Owner),
        (r#""xattrs":{"user.a":"*"}"#, FieldFault::Xattr),
    ] {
        let parsed = parse(&elements(&[reg("f", 0, &format!(",{key}"))]));
        assert!(matches!(&parsed, Err(Error::Field { fault: found, .. }) if *found == fault), "{key}: {parsed:?}");
    }
    let limits = Limits { xattrs: 8, ..Limits::default() };
    let xattrs = |value: &str| elements(&[reg("f", 0, &format!(r#","xattrs":{{"user.a":"{value}"}}"#))]);
    assert_eq!(
        parse_within(&xattrs("//79"), &Limits::default()).unwrap().entry_at(0).xattrs["user.a"],
        b"\xff\xfe\xfd"
    );
    rejected!(parse_within(&xattrs("//79"), &limits), Error::Field { fault: FieldFault::LargeXattrs, .. });
}

#[test]
fn lie_19_files_of_the_format_are_not_listed() {
    let json = elements(&[
        abcd(".no.prefetch.landmark", 10),
        abcd("a", 20),
        abcd(".prefetch.landmark", 30),
        abcd("./stargz.index.json", 40),
        abcd("b/.prefetch.landmark", 50),
    ]);
    let toc = parse(&json).unwrap();
    let paths: Vec<_> = toc.entries().map(|entry| entry.path).collect();
    assert_eq!(paths, ["a", "b/.prefetch.landmark"]);
    let plan = toc.plan([0], &Default::default());
    assert_eq!(plan.spans[0].range, 20..30, "a hidden file still ends the member before it");
}

/// A table of more text than is held in memory at once.
fn long_table(list: &[String]) -> String {
    let (long, list) = ("x".repeat(7 << 20), list.join(","));
    format!(r#"{{"{long}":null,"version":1,"entries":[{list}]}}"#)
}

#[test]
fn long_table_is_read_as_a_short_one() {
    let list: Vec<_> = (0..990).map(|n| abcd(&format!("d/{:03}", n * 7 % 990), n)).collect();
    let (short, long) = (parse(&elements(&list)).unwrap(), parse(&long_table(&list)).unwrap());
    assert_eq!(long.len(), 990);
    assert!(long.entries().eq(short.entries()));
    assert!(long.entries().map(|entry| entry.path).is_sorted_by(|left, right| path_order(left, right).is_lt()));
    let cut = long_table(&list);
    rejected!(parse(&cut[..cut.len() - 1]), Error::Json { .. });
    rejected!(parse(&long_table(&[&list[..2], &list[..1]].concat())), Error::Chunk { fault: ChunkFault::Overlap, .. });
    rejected!(parse(&long_table(&[&list[..1], &[reg("d/000", 0, "")]].concat())), Error::Duplicate { .. });
    let json = long_table(&list);
    let check = |digest: &Digest, limits: &Limits| {
        Toc::parse(&gzip(&toc_tar(json.as_bytes())), Expected::Digest(digest), PAYLOAD_BYTES, limits)
    };
    assert!(check(&digest(json.as_bytes()), &Limits::default()).is_ok());
    rejected!(check(&digest(b"other"), &Limits::default()), Error::TocDigest { .. });
    let limits = Limits { toc_inflated: json.len() as u64 - 1, ..Limits::default() };
    rejected!(check(&digest(json.as_bytes()), &limits), Error::TocLimit { part: TocPart::Inflated, .. });
}
