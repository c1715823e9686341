//! Unpacks the root file system of a container image.

use std::{fs::File, path::Path, sync::Arc};

use futures_util::FutureExt;
use refs_estargz::Entry;
use refs_registry::{
    Descriptor, Platform, Source,
    spec::{ImageConfig, ImageManifest},
};
use refs_url::Target;

use crate::{
    Client, Error, Existing, Limits, Location, Meter, Result,
    artifact::Artifact,
    config,
    healed::healed,
    layer::ImageLayers,
    receive::Hand,
    thread,
    unpack::{Budget, FileWriter, Rootfs, Staging, Written},
};

/// How to unpack a container image.
#[derive(Debug, Clone)]
pub struct UnpackOptions {
    /// Which image of an index; linux on this machine's processor unless set. When it is set, an image that is in
    /// no index must be for it, as [`ReadOptions::platform`](crate::ReadOptions::platform) says.
    pub platform: Option<Platform>,
    /// How much may be written: 64 GiB in 1,000,000 files, directories and links of any size, unless set. What a layer above
    /// replaces or deletes counts, too.
    pub limits: Limits,
    /// What to do with a destination that is there already.
    pub existing: Existing,
}

impl Default for UnpackOptions {
    fn default() -> Self {
        let limits = Limits { file_bytes: 0, total_bytes: 64 << 30, entries: 1_000_000 };
        Self { platform: None, limits, existing: Existing::default() }
    }
}

/// What an unpack wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Unpacked {
    /// The index that the image was chosen from, if it was.
    pub index: Option<Descriptor>,
    /// The image's manifest.
    pub manifest: Descriptor,
    /// The image's config: how a container of it is to run.
    pub config: ImageConfig,
    /// Files, named pipes and placeholders not included.
    pub files: u64,
    /// Directories, those included that no entry names, but for the root.
    pub directories: u64,
    /// Symbolic links, and further names of what has one.
    pub links: u64,
    /// Named pipes.
    pub pipes: u64,
    /// Empty files in the place of devices.
    pub placeholders: u64,
    /// Extended attributes that this user, or the file system, could not set.
    pub unset_xattrs: u64,
    /// The bytes of the files together.
    pub written_bytes: u64,
    /// The bytes of manifests and blobs that were fetched for it. What is read again, of a layout or of what was kept, counts
    /// once.
    pub fetched_bytes: u64,
}

impl Client {
    /// Unpacks the root file system of a container image into `destination`, which is complete or absent at every moment:
    /// what all layers show together, whoever the user is. All of it belongs to that user; the owner that a file has in the
    /// image is written down in the attribute `user.rootlesscontainers`, modes and times are the image's, devices become
    /// empty files. A rootless container runtime makes of that what the image means.
    ///
    /// The destination itself gets the mode that the image has for its root. Where the image has none, a new directory gets
    /// 755, and an empty one that was there keeps its own, as with umoci.
    ///
    /// The config is checked first, then each layer and what it unpacks to; only then is anything written.
    ///
    /// # Errors
    /// `Config`, `DiffId`; `UnsupportedLayer` for an artifact that is no container image, and for layers that are encrypted
    /// or kept elsewhere; a limit; unsafe paths and hard links; else as [`pull`](Client::pull). After an error the
    /// destination is as it was.
    ///
    /// # Security
    /// Setuid and setgid stay, as with umoci, on files that are the caller's: where others can run them, they run as the
    /// caller, and as root when root unpacks.
    pub async fn unpack(&self, at: &Location, destination: &Path, options: &UnpackOptions) -> Result<Unpacked> {
        if !matches!(at, Location::File(_)) {
            at.needs_target()?;
        }
        self.keep_apart(at, destination).await?;
        let mut staging = Some(prepare(destination, options.existing).await?);
        let meter = &Arc::new(Meter::part_of(self.meter()));
        let (source, target) = &self.find(at, meter).await?;
        let unpack = |source: Arc<dyn Source>, prepared: Option<Staging>| async move {
            let staging = match prepared {
                Some(staging) => staging,
                None => prepare(destination, options.existing).await?,
            };
            self.unpack_once(at, (&source, target), staging, options, meter).await
        };
        let unpacked = healed(source, |source| unpack(source, staging.take()).boxed()).await?;
        Ok(Unpacked { fetched_bytes: meter.fetched(), ..unpacked })
    }

    /// Unpacks the image at `target` into `staging`, and gives it the destination's name.
    async fn unpack_once(
        &self,
        at: &Location,
        (source, target): (&Arc<dyn Source>, &Target),
        staging: Staging,
        options: &UnpackOptions,
        meter: &Arc<Meter>,
    ) -> Result<Unpacked> {
        let platform = options.platform.clone().unwrap_or_else(Platform::linux_here);
        let artifact = Artifact::find(source.as_ref(), &at.to_string(), target, &platform).await?;
        let config = config(source.as_ref(), &artifact.image).await?;
        if options.platform.is_some() {
            artifact.require_of(&config, &platform)?;
        }
        let source = self.kept(at, Arc::clone(source), &staging.aside());
        let layers = ImageLayers::of(source, &artifact.image, &config.rootfs.diff_ids)?;
        let written = write(&layers, staging, options.limits, meter).await?;
        self.list(at, &artifact.stored(target.clone())).await;
        Ok(Unpacked {
            index: artifact.index,
            manifest: artifact.manifest.descriptor,
            config,
            files: written.files,
            directories: written.directories,
            links: written.links,
            pipes: written.pipes,
            placeholders: written.placeholders,
            unset_xattrs: written.unset_xattrs,
            written_bytes: written.bytes,
            fetched_bytes: 0,
        })
    }
}

/// Makes room beside `destination`.
///
/// # Errors
/// `Destination`, `Io`.
async fn prepare(destination: &Path, existing: Existing) -> Result<Staging> {
    let destination = destination.to_owned();
    thread::run(move || Staging::beside(&destination, existing)).await
}

/// Writes what `layers` show together. Each thread that writes owns the staged tree with the others, so that the last to end
/// is the one that removes it when nobody waits for it any more.
async fn write(layers: &ImageLayers, staging: Staging, limits: Limits, meter: &Arc<Meter>) -> Result<Written> {
    let merge = layers.merged(&Arc::new(Budget::new(limits))).await?;
    let budget = Arc::new(Budget::metered(limits, meter));
    let (staging, rootfs, wanted, top) = thread::run(move || {
        let top = merge.root().map(|(top, nanos)| (top.clone(), nanos));
        let (rootfs, wanted) = Rootfs::start(staging.root(), &budget, merge.into_shown())?;
        Ok((Arc::new(staging), rootfs, wanted, top))
    })
    .await?;
    let hand = || OwningHand { writer: rootfs.hand(), _staging: Arc::clone(&staging) };
    let filled = layers.contents(wanted, hand).await;
    thread::run(move || {
        filled?;
        let mode = top.as_ref().map(|(top, _)| top.mode);
        let written = rootfs.finish(top)?;
        let staging = Arc::into_inner(staging).ok_or(Error::Worker)?;
        staging.with_mode(mode).publish()?;
        Ok(written)
    })
    .await
}

/// A hand that keeps the tree that it writes in.
struct OwningHand {
    writer: FileWriter,
    _staging: Arc<Staging>,
}

impl Hand for OwningHand {
    fn piece(&mut self, file: &Entry, offset: u64, bytes: &[u8]) -> Result<()> {
        self.writer.piece(file, offset, bytes)
    }

    fn copy(&mut self, file: &Entry, content: File) -> Result<()> {
        self.writer.copy(file, content)
    }
}

/// The config of `image`, checked before any layer is fetched.
///
/// # Errors
/// `Config`; `Registry` when it is too large.
async fn config(source: &dyn Source, image: &ImageManifest) -> Result<ImageConfig> {
    let config = config::read(source, &image.config).await?;
    config.check(image).map_err(|fault| Error::Config { config: image.config.digest.clone(), fault })?;
    Ok(config)
}
