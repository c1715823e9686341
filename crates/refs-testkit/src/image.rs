//! Images, indexes and artifacts, built in a line and pushed anywhere.

use std::{collections::BTreeMap, io::Write as _};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use refs_registry::{
    Descriptor, Manifest, MediaType, Platform, Result, Sink,
    spec::{ImageConfig, ImageManifest, Index, RootFs},
};
use refs_url::{Digest, Tag};

use crate::Tree;

/// An image or an artifact with all its content.
///
/// Without layers of file trees its config is the empty object, as artifacts have it; with them it is a real one.
#[derive(Debug, Clone, Default)]
pub struct Image {
    layers: Vec<(Descriptor, Bytes)>,
    diff_ids: Vec<Digest>,
    container: serde_json::Map<String, serde_json::Value>,
    artifact_type: Option<MediaType>,
    subject: Option<Descriptor>,
    annotations: BTreeMap<String, String>,
}

impl Image {
    /// An artifact without content.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more layer: `bytes` as they are.
    #[must_use]
    pub fn layer(mut self, media_type: MediaType, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        self.layers.push((Descriptor::of(media_type, &bytes), bytes));
        self
    }

    /// One more layer: the files of `tree`, as a gzipped tar. The image's config then lists it.
    #[must_use]
    pub fn tree(mut self, tree: &Tree) -> Self {
        let tar = tree.tar();
        self.diff_ids.push(Digest::sha256(&tar));
        self.layer(MediaType::OCI_LAYER_GZIP, gzip(&tar))
    }

    /// The digest of one more archive for the image's config to list, whichever layer it is of.
    #[must_use]
    pub fn diff_id(mut self, diff_id: Digest) -> Self {
        self.diff_ids.push(diff_id);
        self
    }

    /// One more layer: one file under its name, as oras pushes it.
    #[must_use]
    pub fn file(mut self, title: &str, bytes: impl Into<Bytes>) -> Self {
        self = self.layer(MediaType::OCI_LAYER, bytes);
        self.annotate_last("org.opencontainers.image.title", title)
    }

    /// One more layer: a folder under its name, packed into a gzipped tar, as oras pushes it.
    #[must_use]
    pub fn folder(mut self, title: &str, tree: &Tree) -> Self {
        self = self.layer(MediaType::OCI_LAYER_GZIP, gzip(&tree.tar()));
        self.annotate_last("org.opencontainers.image.title", title).annotate_last("io.deis.oras.content.unpack", "true")
    }

    /// An annotation on the layer that was added last; nothing when there is none.
    #[must_use]
    pub fn annotate_last(mut self, key: &str, value: &str) -> Self {
        if let Some((descriptor, _)) = self.layers.last_mut() {
            descriptor.annotations.insert(key.to_owned(), value.to_owned());
        }
        self
    }

    /// What the config says of how a container runs, if there are layers of file trees.
    #[must_use]
    pub fn container(self, container: serde_json::Map<String, serde_json::Value>) -> Self {
        Self { container, ..self }
    }

    /// An annotation on the manifest.
    #[must_use]
    pub fn annotate(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// What kind of artifact it is.
    #[must_use]
    pub fn artifact_type(self, artifact_type: &str) -> Self {
        Self { artifact_type: Some(MediaType::new(artifact_type)), ..self }
    }

    /// The manifest that it refers to.
    #[must_use]
    pub fn subject(self, subject: &Descriptor) -> Self {
        Self { subject: Some(subject.clone()), ..self }
    }

    /// The manifest, its config and its layers beside it.
    ///
    /// # Errors
    /// None that content made here can cause.
    pub fn manifest(&self) -> Result<Manifest> {
        Manifest::image(&ImageManifest {
            schema_version: 2,
            media_type: Some(MediaType::OCI_MANIFEST),
            artifact_type: self.artifact_type.clone(),
            config: self.config().0,
            layers: self.layers.iter().map(|(descriptor, _)| descriptor.clone()).collect(),
            subject: self.subject.clone(),
            annotations: self.annotations.clone(),
            extra: BTreeMap::new(),
        })
    }

    /// Stores blobs and manifest, under each of `tags`.
    ///
    /// # Errors
    /// Those of the sink.
    ///
    /// # Panics
    /// When a tag is none.
    pub async fn push(&self, sink: &dyn Sink, tags: &[&str]) -> Result<Manifest> {
        let config = self.config();
        for (descriptor, bytes) in self.layers.iter().chain([&config]) {
            sink.put_blob(descriptor, bytes.clone().into()).await?;
        }
        let manifest = self.manifest()?;
        sink.put_manifest(&manifest, &parse(tags)).await?;
        Ok(manifest)
    }

    fn config(&self) -> (Descriptor, Bytes) {
        let (media_type, json) = if self.diff_ids.is_empty() {
            (MediaType::OCI_EMPTY, serde_json::json!({}))
        } else {
            let config = ImageConfig {
                architecture: "amd64".to_owned(),
                os: "linux".to_owned(),
                config: self.container.clone(),
                rootfs: RootFs::layers(self.diff_ids.clone()),
                extra: BTreeMap::new(),
            };
            (MediaType::OCI_CONFIG, serde_json::to_value(config).unwrap_or_default())
        };
        let bytes = Bytes::from(json.to_string());
        (Descriptor::of(media_type, &bytes), bytes)
    }
}

/// Stores `images`, each for its platform, and the index of them, under each of `tags`.
///
/// # Errors
/// Those of the sink.
///
/// # Panics
/// When a tag is none.
pub async fn push_index(sink: &dyn Sink, images: &[(Platform, Image)], tags: &[&str]) -> Result<Manifest> {
    let mut manifests = Vec::new();
    for (platform, image) in images {
        let mut descriptor = image.push(sink, &[]).await?.descriptor;
        descriptor.platform = Some(platform.clone());
        manifests.push(descriptor);
    }
    let index = index(manifests)?;
    sink.put_manifest(&index, &parse(tags)).await?;
    Ok(index)
}

/// An index of `manifests`.
///
/// # Errors
/// None that content made here can cause.
pub fn index(manifests: Vec<Descriptor>) -> Result<Manifest> {
    Manifest::index(&Index {
        schema_version: 2,
        media_type: Some(MediaType::OCI_INDEX),
        artifact_type: None,
        manifests,
        subject: None,
        annotations: BTreeMap::new(),
        extra: BTreeMap::new(),
    })
}

/// `bytes`, gzipped.
#[must_use]
#[expect(clippy::expect_used, reason = "writing to memory does not fail")]
pub fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes all bytes").into()
}

/// A frame of zstd in which `bytes` stand as they are.
pub fn zstd(bytes: &[u8]) -> Bytes {
    const BLOCK_BYTES: usize = 64 << 10;
    // Neither size nor checksum, and a window of a mebibyte.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 10 << 3];
    for block in bytes.chunks(BLOCK_BYTES) {
        frame.extend_from_slice(&(block.len() << 3).to_le_bytes()[..3]);
        frame.extend_from_slice(block);
    }
    // The last block is empty.
    frame.extend_from_slice(&[1, 0, 0]);
    frame.into()
}

#[expect(clippy::expect_used, reason = "a wrong literal in a test")]
fn parse(tags: &[&str]) -> Vec<Tag> {
    tags.iter().map(|tag| Tag::parse(tag).expect("a tag")).collect()
}
