//! Packs a directory and pushes it: the layer while it is being compressed, the manifest last.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use refs_estargz::{
    Built, Error as PackError, Kind, NewEntry, PathFault, TAIL_ANNOTATION, TOC_DIGEST_ANNOTATION,
    UNCOMPRESSED_SIZE_ANNOTATION, WriteOptions, Writer,
};
use refs_registry::{Descriptor, ErrorKind, Manifest, MediaType, Payload, Sent, Sink, Upload, spec::ImageManifest};
use refs_url::Tag;
use tokio::sync::mpsc;

use crate::{
    Error, Limits, MANIFEST_FILE, Meter, Result,
    config::image_config,
    error::SourceFault,
    layer,
    pack::{Mtime, Plan},
    thread,
};

/// A layer up to this size is kept in memory, so that a registry which has it is sent nothing, and a failed upload is
/// simply sent again. A larger one is uploaded while it is compressed.
const SMALL_LAYER_BYTES: usize = 4 << 20;
const PIECE_BYTES: usize = 256 << 10;
const PIECES_IN_FLIGHT: usize = 8;

/// How to push a directory.
#[derive(Debug, Clone)]
pub struct PushOptions {
    /// Further tags for the same artifact.
    pub tags: Vec<Tag>,
    /// Annotations of the image manifest.
    pub annotations: BTreeMap<String, String>,
    /// What to leave out, in gitignore's grammar; `.git/`, `.DS_Store` and `node_modules/` are left out anyway.
    pub exclude: Vec<String>,
    /// What kind of artifact it is; a plain image when `None`.
    pub artifact_type: Option<MediaType>,
    /// The media type of the layer.
    pub layer_type: MediaType,
    /// The media type of the config.
    pub config_type: MediaType,
    /// Whether a directory without a manifest file is refused.
    pub require_manifest: bool,
    /// Which modification times to keep.
    pub mtime: Mtime,
    /// How hard to compress, from 0 to 9.
    pub level: u32,
    /// Above these figures a pull will refuse by default; a push warns.
    pub limits: Limits,
    /// How often a large layer is packed and sent in all when its upload breaks: it is sent while it is packed, so that
    /// nothing is kept that could be sent again.
    pub stream_attempts: u32,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self {
            tags: Vec::new(),
            annotations: BTreeMap::new(),
            exclude: Vec::new(),
            artifact_type: None,
            layer_type: MediaType::OCI_LAYER_GZIP,
            config_type: MediaType::OCI_CONFIG,
            require_manifest: false,
            mtime: Mtime::Keep,
            level: 6,
            limits: Limits::default(),
            stream_attempts: 3,
        }
    }
}

/// What a push made.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    /// The manifest: what to pull it by.
    pub descriptor: Descriptor,
    /// The layer.
    pub layer: Descriptor,
    /// Files, directories and links.
    pub entries: u64,
    /// The bytes of the files together.
    pub file_bytes: u64,
    /// Whether the layer's bytes had to be sent.
    pub layer_sent: Sent,
}

/// Packs `directory` and pushes it to `sink` under `tag`.
///
/// # Errors
/// `Source` and `Io` for what can't be packed, `ManifestNotFound` when one is required, else the sink's own. After an
/// error no tag has moved; blobs may have been left behind, which the registry will collect.
pub(crate) async fn push(
    sink: &dyn Sink,
    directory: &Path,
    tag: &Tag,
    meter: &Arc<Meter>,
    options: &PushOptions,
) -> Result<Pushed> {
    let plan = Arc::new(plan(directory, options).await?);
    let (built, layer_sent) = send_layer(sink, &plan, meter, options).await?;
    let layer = layer_descriptor(&built, options);
    let config = image_config(built.diff_id.clone());
    let config = Bytes::from(serde_json::to_vec(&config).map_err(|_infallible| Error::Worker)?);
    let config_descriptor = Descriptor::of(options.config_type.clone(), &config);
    sink.put_blob(&config_descriptor, Payload::from(config)).await?;
    let manifest = Manifest::image(&ImageManifest {
        schema_version: 2,
        media_type: Some(MediaType::OCI_MANIFEST),
        artifact_type: options.artifact_type.clone(),
        config: config_descriptor,
        layers: vec![layer.clone()],
        subject: None,
        annotations: options.annotations.clone(),
        extra: BTreeMap::new(),
    })?;
    let tags: Vec<Tag> = std::iter::once(tag).chain(&options.tags).cloned().collect();
    sink.put_manifest(&manifest, &tags).await?;
    let descriptor = manifest.descriptor;
    Ok(Pushed { descriptor, layer, entries: built.entries, file_bytes: plan.bytes(), layer_sent })
}

async fn plan(directory: &Path, options: &PushOptions) -> Result<Plan> {
    let (root, exclude, mtime) = (directory.to_owned(), options.exclude.clone(), options.mtime);
    let plan = thread::run(move || Plan::walk(&root, &exclude, mtime)).await?;
    if options.require_manifest && !plan.entries().any(|entry| entry.path == MANIFEST_FILE) {
        let at = directory.display().to_string();
        return Err(Error::ManifestNotFound { at, name: MANIFEST_FILE.to_owned() });
    }
    warn_of_limits(&plan, &options.limits);
    Ok(plan)
}

fn warn_of_limits(plan: &Plan, limits: &Limits) {
    let exceeds = |figure: u64, limit: u64| limit != 0 && figure > limit;
    let entries = plan.entries().count() as u64;
    if exceeds(entries, limits.entries) {
        tracing::warn!(entries, limit = limits.entries, "more entries than a pull takes by default");
    }
    if exceeds(plan.bytes(), limits.total_bytes) {
        tracing::warn!(bytes = plan.bytes(), limit = limits.total_bytes, "more bytes than a pull takes by default");
    }
    for entry in plan.entries() {
        if let Kind::File { size } = entry.kind
            && exceeds(size, limits.file_bytes)
        {
            tracing::warn!(path = %entry.path, size, limit = limits.file_bytes, "a file larger than a pull takes by default");
        }
    }
}

fn layer_descriptor(built: &Built, options: &PushOptions) -> Descriptor {
    let annotations = [
        (TOC_DIGEST_ANNOTATION, built.toc_digest.to_string()),
        (UNCOMPRESSED_SIZE_ANNOTATION, built.uncompressed_size.to_string()),
        (TAIL_ANNOTATION, built.tail_bytes.to_string()),
        // With these two, `oras pull` unpacks the layer where it is called; without, it would skip it.
        (layer::TITLE, ".".to_owned()),
        (layer::UNPACK, "true".to_owned()),
    ];
    Descriptor {
        annotations: annotations.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        ..Descriptor::new(options.layer_type.clone(), built.digest.clone(), built.size)
    }
}

async fn send_layer(
    sink: &dyn Sink,
    plan: &Arc<Plan>,
    meter: &Arc<Meter>,
    options: &PushOptions,
) -> Result<(Built, Sent)> {
    let mut attempt = 1;
    loop {
        meter.expect(plan.bytes());
        let packing = Packing::start(Arc::clone(plan), Arc::clone(meter), options.level);
        match packing.send(sink, options).await {
            Ok(sent) => return Ok(sent),
            Err(Unsent::Broken(error)) if attempt < options.stream_attempts && is_passing(error.kind()) => {
                tracing::warn!(attempt, %error, "the upload broke; packing and sending again");
                attempt += 1;
            }
            Err(Unsent::Broken(error)) => return Err(error.into()),
            Err(Unsent::Failed(error)) => return Err(error),
        }
    }
}

/// Why a layer was not sent.
enum Unsent {
    /// The stream of its bytes broke, and can't go on from the middle.
    Broken(refs_registry::Error),
    /// Anything else. The registry's own requests have been repeated by then.
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Unsent {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

fn is_passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unreachable | ErrorKind::Timeout)
}

/// A layer being packed on a thread of its own, piece by piece.
struct Packing {
    pieces: mpsc::Receiver<Bytes>,
    done: tokio::task::JoinHandle<Result<Built>>,
}

impl Packing {
    fn start(plan: Arc<Plan>, meter: Arc<Meter>, level: u32) -> Self {
        let (sender, pieces) = mpsc::channel(PIECES_IN_FLIGHT);
        let out = PieceWriter { sender, piece: BytesMut::with_capacity(PIECE_BYTES) };
        let done = tokio::task::spawn_blocking(move || write_layer(&plan, out, &meter, level));
        Self { pieces, done }
    }

    async fn send(mut self, sink: &dyn Sink, options: &PushOptions) -> Result<(Built, Sent), Unsent> {
        let mut head = BytesMut::new();
        while let Some(piece) = self.pieces.recv().await {
            head.extend_from_slice(&piece);
            if head.len() > SMALL_LAYER_BYTES {
                return self.stream(sink, head.freeze()).await;
            }
        }
        let built = self.built().await?;
        let descriptor = Descriptor::new(options.layer_type.clone(), built.digest.clone(), built.size);
        let sent = sink.put_blob(&descriptor, Payload::from(head.freeze())).await?;
        Ok((built, sent))
    }

    async fn stream(mut self, sink: &dyn Sink, head: Bytes) -> Result<(Built, Sent), Unsent> {
        let mut upload = sink.upload(None).await?;
        if let Err(error) = self.feed(upload.as_mut(), head).await {
            return abandon(upload, Unsent::Broken(error)).await;
        }
        let built = match self.built().await {
            Ok(built) => built,
            Err(error) => return abandon(upload, error.into()).await,
        };
        let present = match sink.stat_blob(&built.digest).await {
            Ok(size) => size == Some(built.size),
            Err(error) => return abandon(upload, error.into()).await,
        };
        if present {
            // The session holds bytes that the registry has anyway; if it can't be told, it will forget them.
            drop(upload.abort().await);
            return Ok((built, Sent::Present));
        }
        upload.commit(&built.digest).await.map_err(Unsent::Broken)?;
        Ok((built, Sent::Uploaded))
    }

    async fn feed(&mut self, upload: &mut dyn Upload, head: Bytes) -> refs_registry::Result<()> {
        upload.write(head).await?;
        while let Some(piece) = self.pieces.recv().await {
            upload.write(piece).await?;
        }
        Ok(())
    }

    async fn built(self) -> Result<Built> {
        self.done.await.map_err(|_panicked| Error::Worker)?
    }
}

async fn abandon<T>(upload: Box<dyn Upload>, error: Unsent) -> Result<T, Unsent> {
    // The first failure is the one to report.
    drop(upload.abort().await);
    Err(error)
}

fn write_layer(plan: &Plan, out: PieceWriter, meter: &Meter, level: u32) -> Result<Built> {
    let mut writer = Writer::new(out, &WriteOptions { level, ..WriteOptions::default() }).map_err(pack_error(plan))?;
    for entry in &plan.cold {
        append(&mut writer, plan, entry, meter)?;
    }
    writer.begin_hot();
    for entry in &plan.hot {
        append(&mut writer, plan, entry, meter)?;
    }
    writer.finish().map_err(pack_error(plan))
}

fn append(writer: &mut Writer<PieceWriter>, plan: &Plan, entry: &NewEntry, meter: &Meter) -> Result<()> {
    if matches!(entry.kind, Kind::File { .. }) {
        let mut content = Counted { file: plan.open(entry)?, meter };
        writer.append(entry, &mut content)
    } else {
        writer.append(entry, &mut io::empty())
    }
    .map_err(pack_error(plan))
}

fn pack_error(plan: &Plan) -> impl FnOnce(PackError) -> Error + use<'_> {
    |source| match source {
        PackError::SizeChanged { path, .. } => plan.fault(&path, SourceFault::Changed),
        PackError::Path { path, fault: PathFault::Reserved } => plan.fault(&path, SourceFault::ReservedName),
        source => Error::Pack { path: plan.root.clone(), source },
    }
}

/// Counts what is read of a file.
struct Counted<'a> {
    file: File,
    meter: &'a Meter,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.meter.add_packed(read as u64);
        Ok(read)
    }
}

/// Hands over what is written in pieces, waiting while too many are on their way.
struct PieceWriter {
    sender: mpsc::Sender<Bytes>,
    piece: BytesMut,
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE_BYTES {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, BytesMut::with_capacity(PIECE_BYTES)).freeze();
        // The other end is gone when the upload broke; its error is the one that is told.
        self.sender.blocking_send(piece).map_err(|_gone| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_have_one_size_but_for_the_last() {
        let (sender, mut pieces) = mpsc::channel(PIECES_IN_FLIGHT);
        let written: Vec<u8> = (0..2 * PIECE_BYTES + 10).map(|i| i as u8).collect();
        let expected = written.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let mut writer = PieceWriter { sender, piece: BytesMut::new() };
            writer.write_all(&written[..100]).and_then(|()| writer.write_all(&written[100..])).unwrap();
            writer.flush().unwrap();
            writer.flush().unwrap();
        });
        let mut sizes = Vec::new();
        let mut received = Vec::new();
        while let Some(piece) = pieces.recv().await {
            sizes.push(piece.len());
            received.extend_from_slice(&piece);
        }
        writing.await.unwrap();
        assert_eq!(sizes, [PIECE_BYTES, PIECE_BYTES, 10]);
        assert!(received == expected);
    }

    #[tokio::test]
    async fn packing_ends_when_nobody_takes_the_pieces() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("zeroes"), vec![0; 1 << 20]).unwrap();
        let plan = Arc::new(Plan::walk(root.path(), &[], Mtime::Keep).unwrap());
        let Packing { pieces, done } = Packing::start(plan, Arc::default(), 0);
        drop(pieces);
        let error = done.await.unwrap().unwrap_err();
        let Error::Pack { source: PackError::Write { source }, .. } = error else { panic!("{error:?}") };
        assert_eq!(source.kind(), io::ErrorKind::BrokenPipe);
    }
}
