//! Container images, made entry by entry, and the root file systems they unpack to.

mod hostile;
mod trees;

use std::{collections::BTreeMap, path::Path};

use refs_client::{Client, Error, Existing, UnpackOptions, Unpacked};
use refs_registry::{
    Descriptor, Manifest, MediaType, Sink,
    spec::{ImageConfig, ImageManifest, RootFs},
};
use refs_store::Memories;
use refs_testkit::{
    FakeRegistry, Tree,
    image::{gzip, zstd},
};
use refs_url::{Digest, Tag};

use crate::setup::{IN_MEMORY, at, guarded, memory, names};

/// An archive, entry by entry.
#[derive(Clone, Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn new() -> Self {
        Self::default()
    }

    /// An entry of any type, whatever its name is.
    fn entry(self, kind: u8, name: &str, content: &[u8]) -> Self {
        self.made(kind, name, content, |_| {})
    }

    fn made(mut self, kind: u8, name: &str, content: &[u8], change: impl FnOnce(&mut tar::Header)) -> Self {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkflag = [kind];
        header.set_mode(if kind == b'5' { 0o755 } else { 0o644 });
        header.set_size(content.len() as u64);
        header.set_mtime(1_600_000_000);
        change(&mut header);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn link(self, kind: u8, name: &str, target: &str) -> Self {
        self.made(kind, name, b"", |header| {
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        })
    }

    /// Records about the entry that follows.
    fn pax(self, records: &[(&str, &str)]) -> Self {
        let record = |(key, value): &(&str, &str)| {
            let rest = key.len() + value.len() + 3;
            let length = (rest..).find(|length| length.to_string().len() + rest == *length).unwrap();
            format!("{length} {key}={value}\n")
        };
        let records: String = records.iter().map(record).collect();
        self.entry(b'x', "PaxHeaders/x", records.as_bytes())
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.entry(b'0', name, content.as_bytes())
    }

    fn directory(self, name: &str) -> Self {
        self.entry(b'5', name, b"")
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.link(b'2', name, target)
    }

    fn hardlink(self, name: &str, target: &str) -> Self {
        self.link(b'1', name, target)
    }

    fn tar(&self) -> Vec<u8> {
        [&self.0[..], &[0; 1024]].concat()
    }
}

/// A container image.
struct Image {
    layers: Vec<(MediaType, Vec<u8>)>,
    manifest_type: MediaType,
    config_type: MediaType,
    rootfs: RootFs,
}

impl Image {
    fn new() -> Self {
        Self {
            layers: Vec::new(),
            manifest_type: MediaType::OCI_MANIFEST,
            config_type: MediaType::OCI_CONFIG,
            rootfs: RootFs::layers(Vec::new()),
        }
    }

    /// An image of gzipped layers.
    fn of(archives: &[Archive]) -> Self {
        archives.iter().fold(Self::new(), |image, archive| image.layer(MediaType::OCI_LAYER_GZIP, &archive.tar()))
    }

    /// One more layer, compressed as its type says.
    fn layer(self, media_type: MediaType, tar: &[u8]) -> Self {
        let name = media_type.as_str();
        let blob = match name {
            _ if name.contains("gzip") => gzip(tar).to_vec(),
            _ if name.contains("zstd") => zstd(tar).to_vec(),
            _ => tar.to_vec(),
        };
        self.blob(media_type, blob, Digest::sha256(tar))
    }

    fn blob(mut self, media_type: MediaType, blob: Vec<u8>, diff_id: Digest) -> Self {
        self.layers.push((media_type, blob));
        self.rootfs.diff_ids.push(diff_id);
        self
    }

    async fn push(&self, sink: &dyn Sink) -> Manifest {
        let config = ImageConfig {
            architecture: "amd64".to_owned(),
            os: "linux".to_owned(),
            config: serde_json::Map::new(),
            rootfs: self.rootfs.clone(),
            extra: BTreeMap::new(),
        };
        let config = serde_json::to_vec(&config).unwrap();
        let mut blobs = vec![(self.config_type.clone(), config)];
        blobs.extend(self.layers.clone());
        let mut descriptors = Vec::new();
        for (media_type, bytes) in blobs {
            let descriptor = Descriptor::of(media_type, &bytes);
            sink.put_blob(&descriptor, bytes::Bytes::from(bytes).into()).await.unwrap();
            descriptors.push(descriptor);
        }
        let manifest = Manifest::image(&ImageManifest {
            schema_version: 2,
            media_type: Some(self.manifest_type.clone()),
            artifact_type: None,
            config: descriptors.remove(0),
            layers: descriptors,
            subject: None,
            annotations: BTreeMap::new(),
            extra: BTreeMap::new(),
        });
        let manifest = manifest.unwrap();
        sink.put_manifest(&manifest, &[Tag::parse("v1").unwrap()]).await.unwrap();
        manifest
    }

    async fn stored(&self) -> (Memories, Client, Manifest) {
        let (memories, client) = memory();
        let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
        let manifest = self.push(&repository).await;
        (memories, client, manifest)
    }

    /// The same image on a registry that counts requests.
    async fn served(&self) -> FakeRegistry {
        guarded(&self.stored().await.0).start().await
    }
}

/// What an image unpacks to; when it fails, that nothing is left and that a destination stays as it was.
async fn unpack(image: &Image) -> Result<(Tree, Unpacked), Error> {
    unpack_with(image, &UnpackOptions::default()).await
}

async fn unpack_with(image: &Image, options: &UnpackOptions) -> Result<(Tree, Unpacked), Error> {
    let (_, client, _) = image.stored().await;
    let ground = tempfile::tempdir().unwrap();
    let destination = ground.path().join("rootfs");
    let result = client.unpack(&at(IN_MEMORY), &destination, options).await;
    match result {
        Ok(unpacked) => {
            assert_eq!(names(ground.path()), ["rootfs"]);
            Ok((Tree::read(&destination).unwrap(), unpacked))
        }
        Err(error) => {
            assert_eq!(names(ground.path()), [] as [&str; 0], "left behind after {error:?}");
            keeps_what_is_there(&client, ground.path(), options).await;
            Err(error)
        }
    }
}

/// A failure that was to replace a tree leaves the old one.
async fn keeps_what_is_there(client: &Client, ground: &Path, options: &UnpackOptions) {
    let old = Tree::parse("644 old/file \"kept\" @1000000000\n");
    old.write(ground).unwrap();
    let before = Tree::read_with_times(ground).unwrap();
    let force = UnpackOptions { existing: Existing::Replace, ..options.clone() };
    client.unpack(&at(IN_MEMORY), &ground.join("old"), &force).await.unwrap_err();
    assert_eq!(Tree::read_with_times(ground).unwrap(), before);
}
