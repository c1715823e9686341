//! Whatever the blob, its index and a range: what comes out is what inflating all of it gives there.

use std::{
    collections::BTreeMap,
    io::{self, BufReader, Read, Write},
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use flate2::{Compression, GzBuilder, write::GzEncoder};
use proptest::prelude::*;
use refs_url::{Digest, Hasher};

use super::{Builder, Index, Located, Names, SeekFault};
use crate::{Entry, Error, Kind, Result};

/// How a member is made.
#[derive(Debug, Clone)]
struct Member {
    raw: Vec<u8>,
    level: u32,
    /// After so many bytes the encoder ends a block.
    flushed: usize,
    name: Option<String>,
}

impl Member {
    fn to_bytes(&self) -> Vec<u8> {
        let builder = self.name.iter().fold(GzBuilder::new(), |builder, name| builder.filename(name.as_str()));
        let mut encoder: GzEncoder<Vec<u8>> = builder.write(Vec::new(), Compression::new(self.level));
        for portion in self.raw.chunks(self.flushed) {
            encoder.write_all(portion).unwrap();
            encoder.flush().unwrap();
        }
        encoder.finish().unwrap()
    }
}

fn blob_of(members: &[Member]) -> (Bytes, Vec<u8>) {
    let blob: Vec<u8> = members.iter().flat_map(Member::to_bytes).collect();
    (blob.into(), members.iter().flat_map(|member| member.raw.clone()).collect())
}

/// One member, in which blocks end where the encoder likes.
fn simple(raw: &[u8]) -> Bytes {
    blob_of(&[Member { raw: raw.to_vec(), level: 6, flushed: usize::MAX, name: None }]).0
}

/// Bytes in which there is something to refer back to, and something to encode.
fn text(bytes: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let mut text = Vec::new();
    while text.len() < bytes {
        let (distance, length) = (next() as usize % 40_000 + 1, next() as usize % 200);
        match text.len().checked_sub(distance) {
            Some(start) if length > 20 => text.extend_from_within(start..(start + length).min(text.len())),
            _ => text.extend((0..30).map(|_| next() as u8 & 0x3f)),
        }
    }
    text.truncate(bytes);
    text
}

fn members() -> impl Strategy<Value = Vec<Member>> {
    let member = (0..60_000usize, any::<u32>(), 0..10u32, 100..20_000usize, prop::option::of("[a-z]{1,8}"));
    let member =
        member.prop_map(|(bytes, seed, level, flushed, name)| Member { raw: text(bytes, seed), level, flushed, name });
    prop::collection::vec(member, 1..5)
}

fn inflate(blob: &[u8], span_bytes: u64, portion: usize) -> io::Result<(Vec<u8>, Option<Index>)> {
    inflate_with(blob, span_bytes, portion, Vec::new())
}

fn inflate_with(
    blob: &[u8],
    span_bytes: u64,
    portion: usize,
    entries: Vec<Located>,
) -> io::Result<(Vec<u8>, Option<Index>)> {
    let mut builder = Builder::new(BufReader::with_capacity(portion, blob)).span_bytes(span_bytes);
    let mut raw = Vec::new();
    builder.read_to_end(&mut raw)?;
    Ok((raw, builder.finish(&Digest::sha256(blob), entries)))
}

fn index_of(blob: &[u8], span_bytes: u64) -> Index {
    inflate(blob, span_bytes, 4096).unwrap().1.unwrap()
}

fn extract(index: &Arc<Index>, blob: &Bytes, range: Range<u64>, portion: usize) -> Result<Vec<u8>> {
    let mut extraction = index.extraction(range);
    let compressed = extraction.compressed();
    let mut part = Vec::new();
    for portion in blob[compressed.start as usize..compressed.end as usize].chunks(portion) {
        extraction.push(Bytes::copy_from_slice(portion));
        while let Some(piece) = extraction.next() {
            part.extend_from_slice(piece?);
        }
    }
    extraction.finish().map(|()| part)
}

fn located(path: &str, kind: Kind, offset: u64) -> Located {
    let entry = Entry {
        path: path.to_owned(),
        kind,
        mode: 0o4755,
        mtime: -1,
        uid: 1000,
        gid: u32::MAX,
        xattrs: BTreeMap::from([("user.a".to_owned(), vec![0, 255]), ("user.b".to_owned(), Vec::new())]),
        digest: None,
    };
    Located { entry, nanos: 999_999_999, offset }
}

fn entries() -> Vec<Located> {
    let (path, target) = ("a/b".to_owned(), "../..".to_owned());
    let kinds = [
        Kind::Directory,
        Kind::File { size: 10 },
        Kind::Symlink { target },
        Kind::Hardlink { target: path.clone() },
        Kind::CharDevice { major: 1, minor: u32::MAX },
        Kind::BlockDevice { major: 0, minor: 2 },
        Kind::Fifo,
    ];
    let root = located("", Kind::Directory, 512);
    let others = kinds.into_iter().enumerate().map(|(at, kind)| located(&path, kind, 512 * at as u64));
    std::iter::once(root).chain(others).collect()
}

/// An index that is changed, with a checksum that holds.
fn resealed(bytes: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut body = bytes[..bytes.len() - 32].to_vec();
    change(&mut body);
    let checksum = Hasher::sha256_hash(&body);
    body.extend_from_slice(&checksum);
    body.into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_range_of_any_archive_is_what_inflating_all_gives(
        members in members(),
        span_bytes in 1..30_000u64,
        portions in (1..5000usize, 1..5000usize),
        wanted in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let (blob, raw) = blob_of(&members);
        let (inflated, index) = inflate(&blob, span_bytes, portions.0).unwrap();
        prop_assert_eq!(&inflated, &raw);
        let index = index.unwrap();
        let kept = Index::parse(&index.to_bytes().unwrap(), &Digest::sha256(&blob)).unwrap();
        prop_assert_eq!(&kept, &index);

        let (one, other) = (wanted.0.index(raw.len() + 1), wanted.1.index(raw.len() + 1));
        let range = one.min(other)..one.max(other);
        let part = extract(&Arc::new(kept), &blob, range.start as u64..range.end as u64, portions.1).unwrap();
        prop_assert_eq!(part, &raw[range]);
    }

    #[test]
    fn wrong_bytes_are_found_before_they_are_given(
        seed: u32, level in 0..10u32, at: prop::sample::Index, flip in 1..=255u8, portion in 1..5000usize,
    ) {
        let raw = text(100_000, seed);
        let (blob, _) = blob_of(&[Member { raw: raw.clone(), level, flushed: 7000, name: None }]);
        let index = Arc::new(index_of(&blob, 10_000));
        let mut wrong = blob.to_vec();
        wrong[at.index(blob.len())] ^= flip;
        let mut extraction = index.extraction(20_000..80_000);
        let compressed = extraction.compressed();
        let mut part = Vec::new();
        for portion in wrong[compressed.start as usize..compressed.end as usize].chunks(portion) {
            extraction.push(Bytes::copy_from_slice(portion));
            while let Some(Ok(piece)) = extraction.next() {
                part.extend_from_slice(piece);
            }
        }
        prop_assert!(raw[20_000..80_000].starts_with(&part));
    }

    #[test]
    fn no_bytes_make_a_builder_panic(
        raw in prop::collection::vec(any::<u8>(), 0..3000), portion in 1..100usize, level in 0..10u32,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let (blob, _) = blob_of(&[Member { raw: raw.clone(), level, flushed: 200, name: None }]);
        let mut blob = blob.to_vec();
        for (at, byte) in changes {
            let at = at.index(blob.len());
            blob[at] = byte;
        }
        let _ = inflate(&blob, 100, portion);
        let mut headed = crate::gzip::HEADER.to_vec();
        headed.extend_from_slice(&raw);
        let _ = inflate(&headed, 100, portion);
    }

    #[test]
    fn no_bytes_make_an_index_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut: Option<prop::sample::Index>,
    ) {
        let blob = simple(&text(30_000, 7));
        let (_, index) = inflate_with(&blob, 1000, 4096, entries()).unwrap();
        let kept = resealed(&index.unwrap().to_bytes().unwrap(), |body| {
            for (at, byte) in changes {
                let at = at.index(body.len());
                body[at] = byte;
            }
            if let Some(cut) = cut {
                body.truncate(cut.index(body.len()));
            }
        });
        if let Ok(index) = Index::parse(&kept, &Digest::sha256(&blob)) {
            let compressed = index.blob_bytes();
            if compressed == blob.len() as u64 {
                let _ = extract(&Arc::new(index), &blob, 100..20_000, 4096);
            }
        }
    }
}

#[test]
fn the_entries_come_back_with_the_index() -> Result<()> {
    let blob = simple(&text(30_000, 7));
    let (_, index) = inflate_with(&blob, 1000, 4096, entries()).unwrap();
    let kept = index.unwrap().to_bytes().unwrap();
    assert_eq!(Index::parse(&kept, &Digest::sha256(&blob))?.entries(), entries());
    Ok(())
}

#[test]
fn names_from_the_root_come_back_with_the_index() -> Result<()> {
    let blob = simple(&text(1000, 7));
    for names in [Names::Relative, Names::FromRoot] {
        let kept = index_of(&blob, 1000).with_names(names).to_bytes().unwrap();
        assert_eq!(Index::parse(&kept, &Digest::sha256(&blob))?.names(), names);
    }
    Ok(())
}

#[test]
fn an_index_beyond_the_archive_is_not_made() {
    let blob = simple(&text(1000, 7));
    for (offset, size) in [(991, 10), (0, 1001), (u64::MAX, 10)] {
        let entries = vec![located("a", Kind::File { size }, offset)];
        assert_eq!(inflate_with(&blob, 1000, 4096, entries).unwrap().1, None);
    }
    let mut half = Builder::new(&blob[..]);
    half.read_exact(&mut [0; 10]).unwrap();
    assert_eq!(half.finish(&Digest::sha256(&blob), Vec::new()), None);
}

#[test]
fn little_is_read_for_little() {
    let raw = text(4 << 20, 7);
    let blob = simple(&raw);
    let index = Arc::new(index_of(&blob, 256 << 10));
    let compressed = index.extraction(2_000_000..2_000_100).compressed();
    assert!(compressed.end - compressed.start < blob.len() as u64 / 5, "{compressed:?} of {}", blob.len());
    assert_eq!(extract(&index, &blob, 2_000_000..2_000_100, 1000).unwrap(), raw[2_000_000..2_000_100]);
    assert_eq!(index.extraction(5..5).compressed(), 0..0);
    assert!(extract(&index, &blob, u64::MAX - 1..u64::MAX, 1000).unwrap().is_empty());
}

/// A member of one block: a zero, and references of 258 bytes to the one before.
fn zeros_in_one_block(references: u64) -> Bytes {
    let (mut bits, mut count, mut deflated) = (0_u32, 0, Vec::new());
    let mut put = |value: u32, length: u32| {
        bits |= value << count;
        count += length;
        while count >= 8 {
            deflated.push(bits as u8);
            bits >>= 8;
            count -= 8;
        }
    };
    // The last block, with fixed codes; the literal 0; references; the end of the block.
    put(0b011, 3);
    put(0b0000_1100, 8);
    (0..references).for_each(|_| put(0b1010_0011, 13));
    put(0, 7 + 7);
    let mut checksum = flate2::Crc::new();
    (0..references).for_each(|_| checksum.update(&[0; 258]));
    checksum.update(&[0]);
    let trailer = [checksum.sum().to_le_bytes(), checksum.amount().to_le_bytes()].concat();
    [&crate::gzip::HEADER[..], &deflated, &trailer].concat().into()
}

#[test]
fn an_archive_without_a_place_to_stop_at_for_64_mib_has_no_index() {
    for (references, expected) in [(1000, true), ((64 << 20) / 258 + 1, false)] {
        let blob = zeros_in_one_block(references);
        let mut builder = Builder::new(&blob[..]);
        assert_eq!(io::copy(&mut builder, &mut io::sink()).unwrap(), references * 258 + 1);
        assert_eq!(builder.finish(&Digest::sha256(&blob), Vec::new()).is_some(), expected);
    }
}

#[track_caller]
fn check_refused(kept: &Bytes, blob: &[u8], expected: SeekFault) {
    match Index::parse(kept, &Digest::sha256(blob)) {
        Err(Error::Seek { fault }) => assert_eq!(fault, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn other_bytes_are_no_index() {
    let blob = simple(&text(30_000, 7));
    let kept = index_of(&blob, 1000).to_bytes().unwrap();
    check_refused(&Bytes::new(), &blob, SeekFault::NotIndex);
    check_refused(&kept.slice(..20), &blob, SeekFault::NotIndex);
    check_refused(&kept.slice(1..), &blob, SeekFault::NotIndex);
    check_refused(&kept.slice(..kept.len() - 1), &blob, SeekFault::Checksum);
    check_refused(&kept, b"another", SeekFault::OtherBlob);
    check_refused(&resealed(&kept, |body| body[8] = 1), &blob, SeekFault::Version { version: 1 });
    check_refused(&resealed(&kept, |body| body.push(0)), &blob, SeekFault::Field("end"));
    check_refused(&resealed(&kept, |body| body.truncate(9)), &blob, SeekFault::Field("blob"));
}

#[test]
fn broken_gzip_is_refused() {
    let blob = simple(&text(1000, 7));
    let refused = |blob: &[u8]| inflate(blob, 100, 10).unwrap_err().to_string();
    let changed = |at: usize| {
        let mut blob = blob.to_vec();
        blob[at] ^= 1;
        blob
    };
    assert_eq!(refused(&changed(0)), "there is no gzip header where a member should start");
    assert_eq!(refused(&changed(blob.len() - 1)), "the checksum of a member does not hold");
    assert_eq!(refused(&changed(blob.len() - 8)), "the checksum of a member does not hold");
    assert_eq!(refused(&[&blob[..], b"more"].concat()), "bytes that are no gzip follow the last member");
    assert_eq!(inflate(&blob[..blob.len() - 1], 100, 10).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(inflate(b"", 100, 10).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn nothing_in_a_member_refers_to_the_one_before() {
    // A block of one match, of length 3 and distance 1, right at the start.
    let far = [&crate::gzip::HEADER[..], &[0x03, 0x02, 0x00], &[0; 8]].concat();
    let blob = [&simple(&text(1000, 7))[..], &far].concat();
    assert_eq!(inflate(&blob, 100, 10).unwrap_err().to_string(), "a deflate stream is broken");
}
