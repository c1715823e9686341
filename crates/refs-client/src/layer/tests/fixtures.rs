//! A source that keeps count, layers to put into it, and a receiver that remembers.

use std::{
    collections::{BTreeMap, HashMap},
    io::Write,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use refs_estargz::{Entry, Kind, NewEntry, TOC_DIGEST_ANNOTATION, WriteOptions, Writer};
use refs_registry::{
    Blob, ByteStream, Descriptor, Error, Filter, Manifest, MediaType, Part, Result, Resume, Source, Verify,
    error::Wanted, spec::ImageManifest, verified,
};
use refs_url::{Digest, Tag, Target};

use crate::{
    artifact::Artifact,
    receive::{Hand, Receive},
};

/// Blobs in memory, and how often they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    blobs: HashMap<Digest, Bytes>,
    pub(crate) ranges: Ranged,
    pub(crate) wholes: AtomicU64,
    pub(crate) parts: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

/// Whether the source gives parts of blobs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ranged {
    #[default]
    Given,
    Refused,
}

impl Counted {
    /// Keeps `bytes` under the digest of `layer`, whether they are what it says or not.
    pub(crate) fn keep(&mut self, layer: &Descriptor, bytes: Vec<u8>) {
        self.blobs.insert(layer.digest.clone(), bytes.into());
    }

    pub(crate) fn kept(&self, layer: &Descriptor) -> Vec<u8> {
        self.blobs[&layer.digest].to_vec()
    }

    /// Requests for whole blobs, and for parts.
    pub(crate) fn requests(&self) -> (u64, u64) {
        (self.wholes.load(Ordering::Relaxed), self.parts.load(Ordering::Relaxed))
    }

    fn found(&self, digest: &Digest) -> Result<Bytes> {
        let missing = || Error::NotFound { wanted: Wanted::Blob(digest.clone()), at: "memory".into(), code: None };
        self.blobs.get(digest).cloned().ok_or_else(missing)
    }

    fn sent(&self, bytes: &Bytes) -> ByteStream {
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let chunks: Vec<Result<Bytes>> = bytes.chunks(10_000).map(|chunk| Ok(bytes.slice_ref(chunk))).collect();
        futures_util::stream::iter(chunks).boxed()
    }
}

#[async_trait]
impl Source for Counted {
    async fn resolve(&self, _: &Target) -> Result<Descriptor> {
        Err(Error::unsupported(Wanted::Tags, "memory"))
    }

    async fn manifest(&self, target: &Target) -> Result<Manifest> {
        Err(Error::NotFound { wanted: Wanted::Manifest(target.clone()), at: "memory".into(), code: None })
    }

    async fn blob(&self, digest: &Digest, from: Resume) -> Result<Blob> {
        self.wholes.fetch_add(1, Ordering::Relaxed);
        let bytes = self.found(digest)?;
        let size = bytes.len() as u64;
        let stream = verified(self.sent(&bytes), Verify::new(digest, size, from)?);
        Ok(Blob { size, stream })
    }

    async fn blob_part(&self, digest: &Digest, range: Range<u64>) -> Result<Part> {
        self.parts.fetch_add(1, Ordering::Relaxed);
        if self.ranges == Ranged::Refused {
            return Err(Error::unsupported(Wanted::BlobPart(digest.clone()), "memory"));
        }
        let bytes = self.found(digest)?;
        let part = bytes.slice(range.start as usize..range.end as usize);
        Ok(Part { range, total: bytes.len() as u64, stream: self.sent(&part) })
    }

    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        Ok(self.blobs.get(digest).map(|bytes| bytes.len() as u64))
    }

    fn tags(&self, _: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        futures_util::stream::empty().boxed()
    }

    fn referrers(&self, _: &Digest, _: Filter) -> BoxStream<'_, Result<Descriptor>> {
        futures_util::stream::empty().boxed()
    }
}

/// An artifact of `layers`; `config` is the media type of its config.
pub(crate) fn artifact(config: MediaType, layers: Vec<Descriptor>) -> Artifact {
    let image = ImageManifest {
        schema_version: 2,
        media_type: Some(MediaType::OCI_MANIFEST),
        artifact_type: None,
        config: Descriptor::of(config, b"{}"),
        layers,
        subject: None,
        annotations: BTreeMap::new(),
        extra: BTreeMap::new(),
    };
    let manifest = Manifest::image(&image).unwrap();
    Artifact { at: "memory".to_owned(), index: None, platform: None, manifest, image }
}

/// A layer of `bytes`, in the source.
pub(crate) fn layer(source: &mut Counted, media_type: MediaType, bytes: Vec<u8>) -> Descriptor {
    let layer = Descriptor::of(media_type, &bytes);
    source.keep(&layer, bytes);
    layer
}

pub(crate) fn annotated(mut layer: Descriptor, annotations: &[(&str, &str)]) -> Descriptor {
    layer.annotations.extend(annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    layer
}

/// An eStargz layer of `files`, of which those behind `hot` lie beside the table of contents.
pub(crate) fn estargz(source: &mut Counted, files: &[(&str, Vec<u8>)], hot: &[(&str, Vec<u8>)]) -> Descriptor {
    let mut blob = Vec::new();
    let mut writer = Writer::new(&mut blob, &WriteOptions::default()).unwrap();
    let new = |path: &str, content: &[u8]| NewEntry {
        path: path.to_owned(),
        kind: if path.ends_with('/') { Kind::Directory } else { Kind::File { size: content.len() as u64 } },
        mode: 0o644,
        mtime: 0,
    };
    for (path, content) in files {
        let mut entry = new(path, content);
        entry.path = path.trim_end_matches('/').to_owned();
        if let Some((path, target)) = path.split_once("->") {
            (entry.path, entry.kind) = (path.to_owned(), Kind::Symlink { target: target.to_owned() });
        }
        if let Some((path, target)) = path.split_once("=>") {
            (entry.path, entry.kind) = (path.to_owned(), Kind::Hardlink { target: target.to_owned() });
        }
        writer.append(&entry, &mut &content[..]).unwrap();
    }
    writer.begin_hot();
    for (path, content) in hot {
        writer.append(&new(path, content), &mut &content[..]).unwrap();
    }
    let built = writer.finish().unwrap();
    let layer = layer(source, MediaType::OCI_LAYER_GZIP, blob);
    let tail = built.tail_bytes.to_string();
    let toc = built.toc_digest.to_string();
    annotated(layer, &[(TOC_DIGEST_ANNOTATION, &toc), (refs_estargz::TAIL_ANNOTATION, &tail)])
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar archive made by the tar crate.
pub(crate) fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_mtime(0);
        let links = [("->", tar::EntryType::Symlink), ("=>", tar::EntryType::Link)];
        let link = links.iter().find_map(|(arrow, kind)| path.split_once(arrow).map(|halves| (halves, *kind)));
        if let Some(((path, target), kind)) = link {
            header.set_entry_type(kind);
            header.set_size(0);
            builder.append_link(&mut header, path, target).unwrap();
            continue;
        }
        let kind = if path.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular };
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Bytes that gzip can't make smaller.
pub(crate) fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..bytes).map(|_| step()).collect()
}

/// An entry in one line: type, mode, path, and content or target.
pub(crate) fn shown((entry, content): &(Entry, Vec<u8>)) -> String {
    let Entry { path, mode, .. } = entry;
    match &entry.kind {
        Kind::Directory => format!("d {mode:o} {path}"),
        Kind::File { .. } => format!("f {mode:o} {path} {}", String::from_utf8_lossy(content)),
        Kind::Symlink { target } => format!("l {mode:o} {path} -> {target}"),
        Kind::Hardlink { target } => format!("h {mode:o} {path} -> {target}"),
        Kind::CharDevice { major, minor } => format!("c {mode:o} {path} {major},{minor}"),
        Kind::BlockDevice { major, minor } => format!("b {mode:o} {path} {major},{minor}"),
        Kind::Fifo => format!("p {mode:o} {path}"),
    }
}

/// Entries and contents, in order.
type Received = Vec<(Entry, Vec<u8>)>;

/// Remembers what it received.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    received: Arc<Mutex<Received>>,
    /// What was received so far, to be seen from outside when the recorder does not come back.
    pub(crate) content_bytes: Arc<AtomicU64>,
}

/// Adds content to what a recorder remembers.
#[derive(Debug)]
pub(crate) struct RecorderHand {
    received: Arc<Mutex<Received>>,
    content_bytes: Arc<AtomicU64>,
}

impl Recorder {
    /// Entries and contents of what came, in order.
    pub(crate) fn received(&self) -> Received {
        let received = self.received.lock().unwrap().clone();
        for (entry, content) in &received {
            assert_eq!(entry.size(), content.len() as u64, "{}", entry.path);
        }
        received
    }

    /// Paths and contents of what came, in order.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.received().iter().map(shown).collect()
    }
}

impl Receive for Recorder {
    type Hand = RecorderHand;

    fn entry(&mut self, entry: &Entry) -> crate::Result<()> {
        self.received.lock().unwrap().push((entry.clone(), Vec::new()));
        Ok(())
    }

    fn hand(&self) -> RecorderHand {
        RecorderHand { received: Arc::clone(&self.received), content_bytes: Arc::clone(&self.content_bytes) }
    }
}

impl Hand for RecorderHand {
    fn piece(&mut self, file: &Entry, offset: u64, bytes: &[u8]) -> crate::Result<()> {
        self.content_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let mut received = self.received.lock().unwrap();
        let (_, content) = received.iter_mut().find(|(entry, _)| entry.path == file.path).unwrap();
        let end = offset as usize + bytes.len();
        content.resize(content.len().max(end), 0);
        content[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn copy(&mut self, file: &Entry, content: std::fs::File) -> crate::Result<()> {
        self.piece(file, 0, &std::io::read_to_string(content).unwrap().into_bytes())
    }
}
