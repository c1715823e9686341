//! A table of contents, as any of the forms it comes in.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use refs_url::Digest;

use super::zstd;
use crate::{Entry, Error, Expected, Kind, Limits, Result, Toc, normal_path, path_order};

/// So long is the payload that the members of every table must lie in.
const PAYLOAD_BYTES: u64 = 1 << 20;
/// An error says no more of any table, however long that is, than this and twice a path and a target.
const ERROR_BYTES: usize = 16 << 10;

/// Which form, by the first byte, and the table: its JSON, or that in tar, or as it is compressed.
pub fn toc(data: &[u8]) {
    let Some((form, table)) = data.split_first() else { return };
    let limits = Limits::default();
    let parsed = match form % 5 {
        0 => json(table, &limits),
        1 => gzip(table, Expected::Unverified, &limits),
        2 => Toc::parse_zstd(table, Expected::Unverified, PAYLOAD_BYTES, &limits),
        3 => gzip(&gzipped(table), Expected::Unverified, &limits),
        _ => bounded(table),
    };
    match parsed {
        Ok(toc) => agrees_with_itself(&toc, &limits),
        Err(error) => is_brief(&error),
    }
}

/// The JSON is the same table in every packing, and another digest is another table.
fn json(json: &[u8], limits: &Limits) -> Result<Toc> {
    let (digest, other) = (Digest::sha256(json), Digest::sha256(&[json, b"\n"].concat()));
    let parse = |digest| Toc::parse_json(json.to_vec(), digest, PAYLOAD_BYTES, limits);
    let parsed = parse(&digest);
    assert!(matches!(parse(&other), Err(Error::TocDigest { .. })));
    let (tar, frame) = (gzipped(&tar(json)), zstd::stored(json));
    assert!(matches!(gzip(&tar, Expected::Digest(&other), limits), Err(Error::TocDigest { .. })));
    let in_zstd = |expected| Toc::parse_zstd(&frame, expected, PAYLOAD_BYTES, limits);
    let compressed = Digest::sha256(&frame);
    assert!(matches!(in_zstd(Expected::Compressed(&digest)), Err(Error::TocDigest { .. })) || digest == compressed);
    let others = [
        gzip(&tar, Expected::Unverified, limits),
        gzip(&tar, Expected::Digest(&digest), limits),
        in_zstd(Expected::Unverified),
        in_zstd(Expected::Digest(&digest)),
        in_zstd(Expected::Compressed(&compressed)),
    ];
    for other in others {
        match (&parsed, &other) {
            (Ok(toc), Ok(other)) => assert!(toc.entries().eq(other.entries()) && other.toc_digest() == &digest),
            (Err(error), Err(other)) => assert_eq!(error.to_string(), other.to_string()),
            _ => panic!("{parsed:?} is {other:?} in another packing"),
        }
    }
    parsed
}

/// Of JSON, no more is accepted than small limits allow.
fn bounded(json: &[u8]) -> Result<Toc> {
    let limits = Limits {
        toc_inflated: 2000,
        entries: 8,
        path: 20,
        component: 8,
        depth: 3,
        link: 10,
        xattrs: 16,
        chunk: 100,
        inner_offset: 50,
        ..Limits::default()
    };
    let parsed = Toc::parse_json(json.to_vec(), &Digest::sha256(json), PAYLOAD_BYTES, &limits)?;
    assert!(json.len() as u64 <= limits.toc_inflated && parsed.len() <= limits.entries);
    agrees_with_itself(&parsed, &limits);
    Ok(parsed)
}

fn gzip(toc_tar_gz: &[u8], expected: Expected<'_>, limits: &Limits) -> Result<Toc> {
    Toc::parse(toc_tar_gz, expected, PAYLOAD_BYTES, limits)
}

/// What a table says in one way, it says in all.
fn agrees_with_itself(toc: &Toc, limits: &Limits) {
    let entries: Vec<Entry> = toc.entries().collect();
    assert_eq!((entries.len(), entries.is_empty()), (toc.len(), toc.is_empty()));
    assert!(entries.windows(2).all(|pair| path_order(&pair[0].path, &pair[1].path).is_lt()));
    for (index, entry) in entries.iter().enumerate() {
        let path = entry.path.as_str();
        assert_eq!((toc.path_at(index), toc.index_of(path)), (path, Some(index)));
        assert_eq!((toc.entry_at(index), toc.entry(path).as_ref()), (entry.clone(), Some(entry)));
        is_within(entry, limits);
        let is_below = |other: &Entry| other.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        let below: Vec<usize> = (0..entries.len()).filter(|&other| is_below(&entries[other])).collect();
        assert!(toc.below(path).eq(below.iter().copied()));
        assert!(below.is_empty() || entry.is_directory(), "something is below {path}, which is no directory");
        let file = match &entry.kind {
            Kind::File { .. } => Some(index),
            Kind::Hardlink { target } => toc.index_of(target),
            _ => None,
        };
        assert_eq!(toc.file_of(index), file);
        assert!(file.is_none_or(|file| entries[file].is_file()), "{path} leads to no file");
        assert_eq!(file.is_some(), matches!(entry.kind, Kind::File { .. } | Kind::Hardlink { .. }));
    }
    assert_eq!((toc.file_of(toc.len()), toc.entry("")), (None, None));
}

fn is_within(entry: &Entry, limits: &Limits) {
    let Entry { path, mode, xattrs, .. } = entry;
    assert!(!path.is_empty() && path.len() <= limits.path && path.split('/').count() <= limits.depth);
    assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..") && part.len() <= limits.component));
    assert_eq!(normal_path(path, limits).ok().as_ref(), Some(path));
    assert!(!path.contains('\0') && *mode <= 0o7777);
    assert!(xattrs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= limits.xattrs);
    if let Kind::Symlink { target } = &entry.kind {
        assert!(!target.is_empty() && target.len() <= limits.link && !target.contains('\0'));
    }
}

/// What is said of a table has an end.
fn is_brief(error: &Error) {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let said: usize = causes.map(|error| error.to_string().len()).sum();
    assert!(said <= ERROR_BYTES, "{said} bytes: {error}");
}

pub(super) fn gzipped(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    match encoder.write_all(content).and_then(|()| encoder.finish()) {
        Ok(member) => member,
        Err(error) => panic!("memory can't be written: {error}"),
    }
}

/// The tar archive that a table is in.
fn tar(json: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..17].copy_from_slice(b"stargz.index.json");
    header.set_size(json.len() as u64);
    header.set_cksum();
    let mut tar = [header.as_bytes(), json].concat();
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}
