//! Layers from a few words, and tables of contents from JSON.

use std::io::Read;

use bytes::Bytes;
use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use futures_util::FutureExt;
use refs_estargz::{
    Archive, Built, Error, Expected, Footer, Kind, Limits, NewEntry, OpenOptions, ReadError, Result, Toc, WriteOptions,
    Writer,
};

/// An entry and its content.
pub(crate) type Item = (NewEntry, Vec<u8>);

pub(crate) fn file(path: &str, content: impl AsRef<[u8]>) -> Item {
    let content = content.as_ref().to_vec();
    (entry(path, Kind::File { size: content.len() as u64 }), content)
}

pub(crate) fn other(path: &str, kind: Kind) -> Item {
    (entry(path, kind), Vec::new())
}

pub(crate) fn dir(path: &str) -> Item {
    (NewEntry { mode: 0o755, ..entry(path, Kind::Directory) }, Vec::new())
}

pub(crate) fn symlink(path: &str, target: &str) -> Item {
    other(path, Kind::Symlink { target: target.to_owned() })
}

pub(crate) fn hardlink(path: &str, target: &str) -> Item {
    other(path, Kind::Hardlink { target: target.to_owned() })
}

pub(crate) fn entry(path: &str, kind: Kind) -> NewEntry {
    NewEntry { path: path.to_owned(), kind, mode: 0o644, mtime: 1_700_000_000 }
}

pub(crate) fn chunked(chunk_bytes: usize) -> WriteOptions {
    WriteOptions { chunk_bytes, ..WriteOptions::default() }
}

/// Writes `items` and gives the blob.
pub(crate) fn build(items: &[Item], options: &WriteOptions) -> Result<(Bytes, Built)> {
    build_hot(items, &[], options)
}

pub(crate) fn build_hot(items: &[Item], hot: &[Item], options: &WriteOptions) -> Result<(Bytes, Built)> {
    let mut blob = Vec::new();
    let mut writer = Writer::new(&mut blob, options)?;
    for (entry, content) in items {
        writer.append(entry, &mut content.as_slice())?;
    }
    writer.begin_hot();
    for (entry, content) in hot {
        writer.append(entry, &mut content.as_slice())?;
    }
    let built = writer.finish()?;
    Ok((blob.into(), built))
}

/// Opens a blob in memory, where nothing ever waits.
pub(crate) fn open(blob: &Bytes, built: &Built) -> Result<Archive<Bytes>, ReadError<std::io::Error>> {
    wait(Archive::open(blob.clone(), Expected::Digest(&built.toc_digest), &OpenOptions::default()))
}

/// The result of a future that is ready at once.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing waits on bytes in memory")
}

pub(crate) fn gunzip(blob: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    MultiGzDecoder::new(blob).read_to_end(&mut tar).unwrap();
    tar
}

/// Where the members of a blob start.
pub(crate) fn member_offsets(blob: &[u8]) -> Vec<usize> {
    let mut offsets = Vec::new();
    let mut rest = blob;
    while !rest.is_empty() {
        offsets.push(blob.len() - rest.len());
        let mut member = flate2::bufread::GzDecoder::new(rest);
        std::io::copy(&mut member, &mut std::io::sink()).unwrap();
        rest = member.into_inner();
    }
    offsets
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

/// The tar entry of a table of contents, with the end of the archive.
pub(crate) fn toc_tar(json: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_path("stargz.index.json").unwrap();
    header.set_size(json.len() as u64);
    header.set_cksum();
    let mut tar = header.as_bytes().to_vec();
    tar.extend_from_slice(json);
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}

/// The payload of every table that [`parse`] reads has so many bytes.
pub(crate) const PAYLOAD_BYTES: u64 = 1000;

/// Parses a table of contents from its JSON.
pub(crate) fn parse(json: &str) -> Result<Toc> {
    parse_within(json, &Limits::default())
}

pub(crate) fn parse_within(json: &str, limits: &Limits) -> Result<Toc> {
    Toc::parse(&gzip(&toc_tar(json.as_bytes())), Expected::Unverified, PAYLOAD_BYTES, limits)
}

/// A table with these elements.
pub(crate) fn table(elements: &[&str]) -> String {
    format!(r#"{{"version":1,"entries":[{}]}}"#, elements.join(","))
}

/// A blob of `payload` bytes with a table of contents and a footer.
pub(crate) fn blob(payload: &[u8], json: &str) -> Bytes {
    let mut blob = payload.to_vec();
    blob.extend(gzip(&toc_tar(json.as_bytes())));
    blob.extend(Footer::encode(payload.len() as u64));
    blob.into()
}

#[track_caller]
pub(crate) fn layer_error<T, E: std::error::Error>(result: Result<T, ReadError<E>>) -> Error {
    match result {
        Err(ReadError::Layer(error)) => error,
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("no error"),
    }
}
