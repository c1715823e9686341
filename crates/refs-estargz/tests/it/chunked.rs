//! zstd:chunked layers that no writer makes, and how their spans are decoded. Those that writers make are in `reference.rs`.

use bytes::Bytes;
use proptest::prelude::*;
use refs_estargz::{
    Archive, Error, Expected, Footer, Limits, MemberFault, OpenOptions, PlanOptions, SpanDecoder, Toc, TocPart,
    TocPosition,
};
use refs_url::Digest;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::{
    reference,
    support::{PAYLOAD_BYTES, layer_error, table, wait},
};

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

fn skippable(bytes: &[u8]) -> Vec<u8> {
    [b"\x50\x2a\x4d\x18".as_slice(), &(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

fn footer(offset: u64, bytes: u64, toc_type: u64) -> [Vec<u8>; 2] {
    let fields = [offset, bytes, 1000, toc_type].map(u64::to_le_bytes).concat();
    let stargz = [&fields[..], b"GnUlInUx"].concat();
    let storage = [&fields[..], &[7; 24], b"GNUlInUx"].concat();
    [skippable(&stargz), skippable(&storage)]
}

/// A layer of `payload` in both dialects.
fn blobs(payload: &[u8], json: &str) -> [Bytes; 2] {
    let toc = zstd(json.as_bytes());
    footer(payload.len() as u64 + 8, toc.len() as u64, 1)
        .map(|footer| [payload, &skippable(&toc), &footer].concat().into())
}

fn file(offset: usize, size: u64, content: &[u8]) -> String {
    let digest = Digest::sha256(content);
    format!(r#"{{"name":"f","type":"reg","size":{size},"offset":{offset},"digest":"{digest}","endOffset":99}}"#)
}

/// Reads the file `f`.
fn read(blob: Bytes) -> Result<Vec<u8>, Error> {
    let opened = wait(Archive::open(blob, Expected::Unverified, &OpenOptions::default()));
    let archive = opened.map_err(|error| layer_error::<(), _>(Err(error)))?;
    wait(archive.read_file("f")).map_err(|error| layer_error::<(), _>(Err(error)))
}

#[track_caller]
fn check(payload: &[u8], element: &str, expected: Result<&[u8], MemberFault>) {
    for blob in blobs(payload, &table(&[element])) {
        match (read(blob), expected) {
            (Ok(content), Ok(expected)) => assert_eq!(content, expected),
            (Err(Error::Member { fault, .. }), Err(expected)) => assert_eq!(fault, expected),
            (other, _) => panic!("{other:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn content_is_what_its_frame_starts_with() {
    let (head, abcd) = (zstd(b"what comes before"), zstd(b"abcd"));
    let payload = [&head[..], &abcd, &zstd(b"what follows")].concat();
    check(&payload, &file(head.len(), 4, b"abcd"), Ok(b"abcd"));
    check(&payload, &file(head.len(), 2, b"ab"), Ok(b"ab"));
    check(&payload, &file(0, 4, b"what"), Ok(b"what"));
    let inner = file(0, 5, b"comes").replace("\"offset\"", "\"innerOffset\":5,\"offset\"");
    check(&payload, &inner, Ok(b"comes"));
    let long: Vec<u8> = (0..500_000u32).flat_map(|n| (n / 5).to_le_bytes()).collect();
    check(&zstd(&long), &file(0, long.len() as u64, &long), Ok(&long));
}

#[test]
fn lie_08_frame_that_gives_less() {
    check(&zstd(b"abc"), &file(0, 4, b"abcd"), Err(MemberFault::Short));
    check(&[zstd(b"ab"), zstd(b"cd")].concat(), &file(0, 4, b"abcd"), Err(MemberFault::Short));
    check(&zstd(b"abcd")[..9], &file(0, 4, b"abcd"), Err(MemberFault::Short));
    check(b"no zstd frame", &file(0, 4, b"abcd"), Err(MemberFault::Inflate));
}

#[test]
fn lie_11_changed_content() {
    check(&zstd(b"abcX"), &file(0, 4, b"abcd"), Err(MemberFault::Digest));
}

/// A window as large as the frame says is never taken beyond the limit.
#[test]
fn lie_07_window_beyond_everything() {
    check(b"\x28\xb5\x2f\xfd\0\xff\x21\0\0abcd", &file(0, 4, b"abcd"), Err(MemberFault::Inflate));
}

#[test]
fn lie_01_footer_that_leads_elsewhere() {
    let blob = 10_000;
    let parse = |offset, bytes, toc_type| footer(offset, bytes, toc_type).map(|footer| Footer::parse(&footer, blob));
    assert!(parse(100, 50, 1).iter().all(Result::is_ok));
    assert!(parse(8, 9_920, 1).iter().all(Result::is_ok));
    for (offset, bytes) in [(7, 50), (0, 50), (9_990, 1), (100, 9_853), (u64::MAX, 1), (100, u64::MAX), (100, 0)] {
        let wrong = |footer: &Result<Footer, Error>| matches!(footer, Err(Error::FooterOffset { .. }));
        assert!(parse(offset, bytes, 1).iter().all(wrong), "{offset} {bytes}");
    }
    assert!(parse(100, 50, 2).iter().all(|footer| matches!(footer, Err(Error::TocType { toc_type: 2 }))));
}

#[test]
fn every_footer_comes_back() {
    for offset in (8..=200_000).step_by(1023) {
        let [stargz, storage] = footer(offset, 5, 1).map(|footer| Footer::parse(&footer, 1 << 40).unwrap());
        assert_eq!(stargz, Footer::StargzZstd { toc_offset: offset, toc_bytes: 5 });
        assert_eq!(storage, Footer::StorageZstd { toc_offset: offset, toc_bytes: 5 });
        assert_eq!((stargz.bytes(), storage.bytes()), (48, 72));
    }
    for whole in footer(100, 5, 1) {
        for start in 1..whole.len() {
            assert!(matches!(Footer::parse(&whole[start..], 1 << 40), Err(Error::NotEstargz)), "from {start}");
        }
    }
}

#[test]
fn position_is_four_numbers() {
    assert_eq!(TocPosition::parse("12:34:56:1"), Some(TocPosition { offset: 12, bytes: 34 }));
    for text in
        ["", "1", "1:2:3", "1:2:3:2", "1:2:3:1:1", "a:2:3:1", "-1:2:3:1", "1:2::1", "18446744073709551616:2:3:1"]
    {
        assert_eq!(TocPosition::parse(text), None, "{text}");
    }
}

/// Where the manifest says that the table is, there may be anything.
#[test]
fn position_that_is_wrong_is_an_error() {
    let [_, blob] = blobs(&zstd(b"abcd"), &table(&[&file(0, 4, b"abcd")]));
    let open = |offset, bytes| {
        let toc_position = Some(TocPosition { offset, bytes });
        let options = OpenOptions { toc_position, ..OpenOptions::default() };
        layer_error(wait(Archive::open(blob.clone(), Expected::Unverified, &options)))
    };
    for (offset, bytes) in [(3, 9), (u64::MAX, 9), (9, u64::MAX), (blob.len() as u64, 1), (9, 0)] {
        assert!(matches!(open(offset, bytes), Error::FooterOffset { .. }), "{offset} {bytes}");
    }
    assert!(matches!(open(9, 20), Error::TocInflate { .. }));
}

#[test]
fn lie_02_table_larger_than_its_limits() {
    let toc = zstd(&vec![b' '; 8 << 20]);
    let parse = |limits: &Limits| Toc::parse_zstd(&toc, Expected::Unverified, PAYLOAD_BYTES, limits);
    let inflated = Limits { toc_inflated: 1 << 20, ..Limits::default() };
    assert!(matches!(parse(&inflated), Err(Error::TocLimit { part: TocPart::Inflated, .. })));
    let compressed = Limits { toc_compressed: 10, ..Limits::default() };
    assert!(matches!(parse(&compressed), Err(Error::TocLimit { part: TocPart::Compressed, limit: 10 })));
    assert!(matches!(parse(&Limits::default()), Err(Error::Json { .. })));
}

/// A table that is longer than what is held of it is decoded twice.
#[test]
fn long_table_is_read() {
    let entries: Vec<String> = (0..60_000)
        .map(|n| format!(r#"{{"name":"a-rather-long-name-that-takes-some-room-{n:060}","type":"reg"}}"#))
        .collect();
    let json = table(&entries.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(json.len() > 6 << 20);
    let toc = zstd(json.as_bytes());
    let digest = Digest::sha256(json.as_bytes());
    let parsed = Toc::parse_zstd(&toc, Expected::Digest(&digest), PAYLOAD_BYTES, &Limits::default()).unwrap();
    assert_eq!((parsed.len(), parsed.toc_digest()), (60_000, &digest));
}

#[test]
fn spans_may_come_in_any_portions() {
    let blob = reference::bytes("storage.tar.zst");
    let archive = wait(Archive::open(blob.clone(), Expected::Unverified, &OpenOptions::default())).unwrap();
    let read = |portion: usize, span_bytes: u64| {
        let mut pieces = Vec::new();
        let plan = archive.toc().plan(0..archive.toc().len(), &PlanOptions::default());
        for span in plan.spans.into_iter().flat_map(|span| span.split(span_bytes)) {
            let bytes = blob.slice(span.range.start as usize..span.range.end as usize);
            let mut decoder = SpanDecoder::new(span);
            for portion in bytes.chunks(portion) {
                decoder.push(bytes.slice_ref(portion));
                while let Some(piece) = decoder.next() {
                    let piece = piece.unwrap();
                    pieces.push((piece.entry, piece.offset, piece.bytes.to_vec()));
                }
            }
            decoder.finish().unwrap();
        }
        pieces
    };
    let whole = read(usize::MAX, u64::MAX);
    assert!(whole.len() > 10);
    for (portion, span_bytes) in [(1, u64::MAX), (7, 1), (1 << 20, 1), (3, 500)] {
        assert_eq!(read(portion, span_bytes), whole, "{portion} {span_bytes}");
    }
}

proptest! {
    #[test]
    fn any_payload_is_read_without_panic(payload in prop::collection::vec(any::<u8>(), 1..60)) {
        let framed = [b"\x28\xb5\x2f\xfd".as_slice(), &payload].concat();
        for payload in [payload, framed] {
            let [blob, _] = blobs(&payload, &table(&[&file(0, 4, b"abcd")]));
            let _ = read(blob);
        }
    }

    #[test]
    fn any_footer_is_parsed_without_panic(offset: u64, bytes: u64, toc_type in 0..3u64, blob_bytes: u64) {
        let _ = footer(offset, bytes, toc_type).map(|footer| Footer::parse(&footer, blob_bytes));
    }
}
