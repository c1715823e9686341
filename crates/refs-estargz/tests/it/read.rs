use std::{io, ops::Range, sync::Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use proptest::prelude::*;
use refs_estargz::{
    Archive, Error, Expected, Kind, OpenOptions, PlanOptions, RangeRead, ReadError, Span, SpanDecoder, WriteOptions,
    path_order,
};
use refs_url::Digest;

use crate::support::{
    Item, blob, build, build_hot, chunked, dir, file, gzip, hardlink, layer_error, open, table, wait,
};

/// A blob that remembers what was read of it.
#[derive(Debug)]
struct Recorded {
    blob: Bytes,
    reads: Mutex<Vec<Range<u64>>>,
}

impl Recorded {
    fn new(blob: &Bytes) -> Self {
        Self { blob: blob.clone(), reads: Mutex::default() }
    }

    fn take(&self) -> Vec<Range<u64>> {
        std::mem::take(&mut self.reads.lock().unwrap())
    }
}

#[async_trait]
impl RangeRead for Recorded {
    type Error = io::Error;

    fn blob_bytes(&self) -> u64 {
        self.blob.len() as u64
    }

    async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.reads.lock().unwrap().push(range.clone());
        self.blob.read(range).await
    }
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 7u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn small_blob_is_one_read_for_everything() {
    let (blob, built) = build(&[dir("d"), file("d/f", "content")], &WriteOptions::default()).unwrap();
    let source = Recorded::new(&blob);
    let archive = wait(Archive::open(&source, Expected::Digest(&built.toc_digest), &OpenOptions::default())).unwrap();
    assert_eq!(wait(archive.read_file("d/f")).unwrap(), b"content");
    assert_eq!(source.take(), [0..built.size]);
}

#[test]
fn tail_hint_is_one_read_for_table_and_hot_files() {
    let (blob, built) =
        build_hot(&[file("big", noise(3 << 20))], &[file("z", "hot")], &WriteOptions::default()).unwrap();
    let source = Recorded::new(&blob);
    let options = OpenOptions { tail_bytes: Some(built.tail_bytes), ..OpenOptions::default() };
    let archive = wait(Archive::open(&source, Expected::Digest(&built.toc_digest), &options)).unwrap();
    assert_eq!(wait(archive.read_file("z")).unwrap(), b"hot");
    assert_eq!(source.take(), [built.size - built.tail_bytes..built.size]);
    assert_eq!(wait(archive.read_file("big")).unwrap(), noise(3 << 20));
    assert_eq!(source.take().len(), 1);
}

#[test]
fn without_a_hint_the_tail_is_guessed() {
    let (blob, built) = build(&[file("big", noise(3 << 20))], &WriteOptions::default()).unwrap();
    let source = Recorded::new(&blob);
    wait(Archive::open(&source, Expected::Unverified, &OpenOptions::default())).unwrap();
    assert_eq!(source.take(), [built.size - (64 << 10)..built.size]);
}

#[test]
fn hint_that_is_wrong_costs_one_read_more() {
    let (blob, built) = build(&[file("big", noise(2 << 20))], &WriteOptions::default()).unwrap();
    for (hint, reads) in [(0, 2), (51, 2), (60, 2), (built.tail_bytes - 1, 2), (built.tail_bytes, 1), (u64::MAX, 1)] {
        let source = Recorded::new(&blob);
        let options = OpenOptions { tail_bytes: Some(hint), ..OpenOptions::default() };
        let archive = wait(Archive::open(&source, Expected::Unverified, &options)).unwrap();
        assert_eq!(archive.toc().len(), 1);
        let read = source.take();
        assert_eq!(read.len(), reads, "{hint}: {read:?}");
        let bytes: u64 = read.iter().map(|range| range.end - range.start).sum();
        assert!(bytes == built.tail_bytes.max(hint.min(built.size)), "{hint}: no byte is read twice");
    }
}

#[test]
fn other_blobs_are_not_opened() {
    let opened =
        |blob: &[u8]| wait(Archive::open(Bytes::copy_from_slice(blob), Expected::Unverified, &OpenOptions::default()));
    for blob in [&b""[..], b"short", &gzip(b"a plain archive"), &[0; 100]] {
        assert!(matches!(layer_error(opened(blob)), Error::NotEstargz));
    }
    let external = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x15\0SG\x11\0STARGZEXTERNALTOC\x01\0\0\xff\xff\0\0\0\0\0\0\0\0";
    assert!(matches!(layer_error(opened(external)), Error::ExternalToc));
}

#[test]
fn source_that_gives_other_lengths_is_an_error() {
    struct Short(Bytes);
    #[async_trait]
    impl RangeRead for Short {
        type Error = io::Error;
        fn blob_bytes(&self) -> u64 {
            self.0.len() as u64 + 1
        }
        async fn read(&self, _: Range<u64>) -> io::Result<Bytes> {
            Ok(self.0.clone())
        }
    }
    let opened = wait(Archive::open(Short(Bytes::from_static(b"abc")), Expected::Unverified, &OpenOptions::default()));
    assert!(matches!(opened.err(), Some(ReadError::Length { actual: 3, .. })));
}

#[test]
fn ranges_of_a_file_are_read_at_any_place() {
    let content = b"0123456789abcdefghijklm";
    let (blob, built) = build(&[file("f", content)], &chunked(4)).unwrap();
    let archive = open(&blob, &built).unwrap();
    for start in 0..=content.len() {
        for end in start..=content.len() {
            let read = wait(archive.read_range("f", start as u64..end as u64)).unwrap();
            assert_eq!(read, &content[start..end]);
        }
        assert_eq!(wait(archive.read_range("f", start as u64..u64::MAX)).unwrap(), &content[start..]);
    }
    assert!(wait(archive.read_range("f", 50..60)).unwrap().is_empty());
    let backwards = Range { start: 3, end: 1 };
    assert!(wait(archive.read_range("f", backwards)).unwrap().is_empty());
}

#[test]
fn only_files_have_content() {
    let (blob, built) = build(&[dir("d"), file("e", "")], &WriteOptions::default()).unwrap();
    let archive = open(&blob, &built).unwrap();
    assert!(matches!(layer_error(wait(archive.read_file("d"))), Error::NotFile { .. }));
    assert!(matches!(layer_error(wait(archive.read_file("x"))), Error::NotFound { .. }));
    assert!(wait(archive.read_file("e")).unwrap().is_empty());
}

/// The reference implementation can put several small files in one member.
#[test]
fn files_that_share_a_member_are_read() {
    let inner = [b"first".as_slice(), &[0; 507], b"second", &[0; 506], b"third"].concat();
    let (one, two) = (gzip(&inner), gzip(b"fourth, and what follows"));
    let reg = |name: &str, offset: usize, inner: usize, content: &str| {
        let (digest, size) = (Digest::sha256(content.as_bytes()), content.len());
        format!(
            r#"{{"name":"{name}","type":"reg","size":{size},"offset":{offset},"innerOffset":{inner},"digest":"{digest}","chunkDigest":"{digest}"}}"#
        )
    };
    let elements = [
        reg("a", 0, 0, "first"),
        reg("b", 0, 512, "second"),
        reg("c", 0, 1024, "third"),
        reg("d", one.len(), 0, "fourth"),
    ];
    let json = table(&elements.each_ref().map(String::as_str));
    let archive =
        wait(Archive::open(blob(&[one, two].concat(), &json), Expected::Unverified, &OpenOptions::default())).unwrap();
    for (path, content) in [("a", "first"), ("b", "second"), ("c", "third"), ("d", "fourth")] {
        assert_eq!(wait(archive.read_file(path)).unwrap(), content.as_bytes(), "{path}");
    }
    let plan = archive.toc().plan([0, 2, 3], &PlanOptions::default());
    assert_eq!(plan.spans.len(), 1);
    let read = decode(&archive, plan.spans[0].clone(), 5);
    assert_eq!(read, [(0, b"first".to_vec()), (2, b"third".to_vec()), (3, b"fourth".to_vec())]);
}

/// Members with all the optional fields that a gzip header can have.
#[test]
fn gzip_headers_of_others_are_read_over() {
    for flags in 0..32u8 {
        let mut member = vec![0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 2, 3];
        if flags & 4 != 0 {
            member.extend_from_slice(b"\x03\0abc");
        }
        if flags & 8 != 0 {
            member.extend_from_slice(b"name\0");
        }
        if flags & 16 != 0 {
            member.extend_from_slice(b"comment\0");
        }
        if flags & 2 != 0 {
            member.extend_from_slice(b"\x12\x34");
        }
        member.extend_from_slice(&gzip(b"abcd")[10..]);
        let digest = Digest::sha256(b"abcd");
        let json = table(&[&format!(r#"{{"name":"f","type":"reg","size":4,"chunkDigest":"{digest}"}}"#)]);
        let archive = wait(Archive::open(blob(&member, &json), Expected::Unverified, &OpenOptions::default())).unwrap();
        let plan = archive.toc().plan([0], &PlanOptions::default());
        assert_eq!(decode(&archive, plan.spans[0].clone(), 1), [(0, b"abcd".to_vec())], "{flags}");
    }
}

/// Decodes a span from portions of `portion` bytes: entries and their content, in order.
fn decode(archive: &Archive<Bytes>, span: Span, portion: usize) -> Vec<(usize, Vec<u8>)> {
    let encoded = wait(archive.read_span(&span)).unwrap();
    let mut decoder = SpanDecoder::new(span);
    let mut files: Vec<(usize, Vec<u8>)> = Vec::new();
    for portion in encoded.chunks(portion) {
        decoder.push(Bytes::copy_from_slice(portion));
        while let Some(piece) = decoder.next() {
            let piece = piece.unwrap();
            if piece.offset == 0 {
                files.push((piece.entry, Vec::new()));
            }
            let (entry, content) = files.last_mut().unwrap();
            assert_eq!((*entry, content.len() as u64), (piece.entry, piece.offset));
            content.extend_from_slice(piece.bytes);
        }
    }
    decoder.finish().unwrap();
    files
}

#[test]
fn span_that_ends_early_is_an_error() {
    let (blob, built) = build(&[file("f", "0123456789")], &chunked(4)).unwrap();
    let archive = open(&blob, &built).unwrap();
    let span = archive.toc().plan([0], &PlanOptions::default()).spans.remove(0);
    let encoded = wait(archive.read_span(&span)).unwrap();
    let mut decoder = SpanDecoder::new(span);
    decoder.push(encoded.slice(..encoded.len() / 2));
    while let Some(piece) = decoder.next() {
        piece.unwrap();
    }
    assert!(matches!(decoder.finish(), Err(Error::SpanCut { .. })));
}

#[test]
fn error_of_a_decoder_stays() {
    let (blob, built) = build(&[file("f", "0123456789"), file("g", "more")], &chunked(4)).unwrap();
    let archive = open(&blob, &built).unwrap();
    let span = archive.toc().plan([0, 1], &PlanOptions::default()).spans.remove(0);
    let bytes = Bytes::from(vec![0; span.bytes() as usize]);
    let mut decoder = SpanDecoder::new(span.clone());
    decoder.push(bytes.clone());
    assert!(matches!(decoder.next(), Some(Err(Error::Member { .. }))));
    decoder.push(bytes);
    assert!(matches!(decoder.next(), Some(Err(Error::Member { .. }))));
    assert!(matches!(decoder.finish(), Err(Error::Member { .. })));
    decoder.start(span.clone());
    decoder.push(wait(archive.read_span(&span)).unwrap());
    assert_eq!(decoder.next().unwrap().unwrap().bytes, b"0123");
}

fn tree() -> impl Strategy<Value = Vec<Item>> {
    let content = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        (any::<u8>(), 0..5000usize).prop_map(|(byte, len)| vec![byte; len]),
    ];
    let paths = prop::collection::btree_map("[a-c]{1,2}(/[a-cé]{1,3}){0,2}", content, 0..12);
    paths.prop_map(|files| {
        let is_parent = |path: &str| files.keys().any(|other| other.starts_with(&format!("{path}/")));
        let mut items: Vec<Item> =
            files.iter().map(|(path, content)| if is_parent(path) { dir(path) } else { file(path, content) }).collect();
        items.sort_by(|(left, _), (right, _)| path_order(&left.path, &right.path));
        if let Some((target, _)) = items.iter().find(|(new, _)| matches!(new.kind, Kind::File { .. })).cloned() {
            items.push(hardlink("link", &target.path));
        }
        items
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(items in tree(), chunk_bytes in 1..700usize, portion in 1..300usize, level in 0..10u32) {
        let (blob, built) = build(&items, &WriteOptions { level, ..chunked(chunk_bytes) }).unwrap();
        let archive = open(&blob, &built).unwrap();
        let toc = archive.toc();
        prop_assert_eq!(toc.len(), items.len());
        let content_of = |path: &str| items.iter().find(|(new, _)| new.path == path).map(|(_, content)| content.as_slice());
        for (new, _) in &items {
            prop_assert_eq!(&toc.entry(&new.path).unwrap().kind, &new.kind);
        }
        let plan = toc.plan(0..items.len(), &PlanOptions { span_bytes: 500, ..PlanOptions::default() });
        let mut read: Vec<(usize, Vec<u8>)> = plan.spans.into_iter().flat_map(|span| decode(&archive, span, portion)).collect();
        read.sort();
        let expected = items.iter().filter(|(_, content)| !content.is_empty()).count();
        prop_assert_eq!(read.len(), expected);
        for (index, content) in read {
            prop_assert_eq!(Some(content.as_slice()), content_of(toc.path_at(index)));
        }
    }

    #[test]
    fn changed_payload_never_passes(at: prop::sample::Index, bit in 0..8u8) {
        let content = b"some words, some more words, and the same words again".repeat(3);
        let (blob, built) = build(&[file("f", &content)], &chunked(64)).unwrap();
        let mut changed = blob.to_vec();
        changed[at.index(blob.len())] ^= 1 << bit;
        if let Ok(archive) = open(&changed.into(), &built)
            && let Ok(read) = wait(archive.read_file("f"))
        {
            prop_assert_eq!(read, content);
        }
    }
}
