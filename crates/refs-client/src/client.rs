//! The facade: opens a place, calls the verb.

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::FutureExt;
use refs_registry::{Platform, Sink, Source, Writable};
use refs_store::{Cached, CachedOptions, Fetches, Freshness, MemoryStore, Origin, Store};
use refs_url::{Host, Reference, RepoName, Tag, Target};

use crate::{
    ByteRange, Error, Existing, Inspection, Listing, Location, ManifestFile, Meter, PackOptions, Packed, PullOptions,
    Pulled, PushOptions, Pushed, ReadOptions, Result, Trust,
    artifact::Artifact,
    error::LocationFault,
    healed::healed,
    inspect,
    layer::{self, Contents},
    list,
    meter::Metered,
    named, pack,
    pull::{self, Pull},
    push,
    reach::{Reach, Unreached},
    resumed::Resumed,
    select::Selection,
    upload::JournalAt,
};

/// Files in OCI registries and layouts. Cheap to clone; clones share connections, tokens and the [`Meter`].
#[derive(Debug, Clone)]
pub struct Client {
    registries: Arc<dyn Writable>,
    pub(crate) store: Option<Arc<dyn Store>>,
    /// The folder of a store that others use.
    pub(crate) spared: Option<Arc<Path>>,
    reach: Reach,
    /// What clones of this client fetch at a time.
    fetches: Fetches,
    meter: Arc<Meter>,
}

impl Client {
    /// A client that finds repositories through `registries`: `refs_registry::Registries` for the network,
    /// `refs_store::Memories` for a test.
    #[must_use]
    pub fn new(registries: Arc<dyn Writable>) -> Self {
        let (reach, fetches, meter) = (Reach::default(), Fetches::default(), Arc::default());
        Self { registries, store: None, spared: None, reach, fetches, meter }
    }

    /// The same client, which reads repositories of registries through `store`: what it has by digest is not fetched, and
    /// a tag that has not moved costs one request without a body. Layouts and files on disk are read as they are. A push of
    /// a large layer, and a copy of a large blob, write down there how far they have come, so that one that broke off can go
    /// on. Without a store, nothing is kept.
    #[must_use]
    pub fn with_store(self, store: Arc<dyn Store>) -> Self {
        Self { store: Some(store), ..self }
    }

    /// The same client, whose store is believed as far as `freshness` says. It makes no difference to a client without one,
    /// or to one that is offline.
    #[must_use]
    pub fn with_freshness(self, freshness: Freshness) -> Self {
        let reach = match self.reach {
            Reach::Registries(_) => Reach::Registries(freshness),
            Reach::Store => Reach::Store,
        };
        Self { reach, ..self }
    }

    /// The same client, which reads of registries only what its store has: it opens no socket, and does not write to them.
    /// Tags lead to what they led to when this client, or another over the same store, last asked. What is missing is a
    /// `Registry` with the kind `NotCached`, which names it. Layouts and files on disk are read as before.
    #[must_use]
    pub fn offline(self) -> Self {
        let store = Some(self.store.unwrap_or_else(|| Arc::new(MemoryStore::new())));
        Self { registries: Arc::new(Unreached::beyond(self.registries)), store, reach: Reach::Store, ..self }
    }

    pub(crate) const fn is_offline(&self) -> bool {
        matches!(self.reach, Reach::Store)
    }

    /// The running figures of all verbs of this client.
    #[must_use]
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// The repository at `at`, to read it by its own methods.
    ///
    /// # Errors
    /// `Registry` when there is no layout at the path, or no such kind of host.
    pub async fn source(&self, at: &Location) -> Result<Arc<dyn Source>> {
        self.metered(at, &self.meter).await
    }

    /// The repository at `at`, to write. A layout that is not there is made. What passes is not metered.
    ///
    /// # Errors
    /// `Registry` when a layout can't be made, or there is no such kind of host; `Destination` for the folder of the store.
    pub async fn sink(&self, at: &Location) -> Result<Arc<dyn Sink>> {
        match at {
            Location::Registry(reference) => Ok(self.registries.sink(reference.host(), reference.repository())?),
            Location::Layout { path, .. } => {
                self.keep_out(at).await?;
                let layout = named::create(path).await?;
                // A process that was killed leaves what it was uploading; nobody has come back for it since yesterday.
                let reclaimed = layout.reclaim(SystemTime::now() - Duration::from_secs(24 * 60 * 60)).await;
                reclaimed.map(drop).or_else(unless_forbidden)?;
                Ok(Arc::new(layout))
            }
            Location::File(_) => Err(at.fault(LocationFault::File)),
        }
    }

    /// The files of an artifact, sorted by path. Of an eStargz artifact only the table of contents is fetched.
    ///
    /// # Errors
    /// `InvalidGlob`, before anything is requested; `NoMatch` when patterns were given and nothing matches; `Location`
    /// when `at` names no tag and no digest; `PlatformNotFound`, `PlatformUnknown`, `NoImage`, `IndexTooDeep` and
    /// `IndexTooWide` of an index; `Registry` with its kinds; `Estargz`, `Corrupt` and `UnsupportedLayer` of a layer.
    pub async fn list_files(&self, at: &Location, options: &ReadOptions) -> Result<Listing> {
        let selection = &Selection::new(&options.patterns)?;
        let (source, target) = &self.find(at, &self.meter).await?;
        let list = |source| async move {
            let (artifact, contents) = open(source, at, target, options).await?;
            list::list(&artifact, &contents.seeking(), selection, options).await
        };
        healed(source, |source| list(source).boxed()).await
    }

    /// What the artifact is: its manifest, config and layers, and its manifest file if that costs no whole layer. Of an
    /// index the platforms, and the image for the platform of `options`; when they name none and there is none for this
    /// machine, the platforms alone. Patterns do not count.
    ///
    /// A small artifact that [`push`](Client::push) made takes three requests: manifest, config, end of the layer.
    ///
    /// # Errors
    /// `PlatformNotFound`, `PlatformUnknown` and `NoImage` when a platform was asked for; `Location` when `at` names no tag
    /// and no digest; `Registry`; `Estargz` for a table of contents that does not hold.
    pub async fn inspect(&self, at: &Location, options: &ReadOptions) -> Result<Inspection> {
        let (source, target) = &self.find(at, &self.meter).await?;
        let (options, at) = (&ReadOptions { trust: trust_in(at, options), ..options.clone() }, &at.to_string());
        healed(source, |source| inspect::inspect(source, at, target, options).boxed()).await
    }

    /// Writes the bytes of one file to `output`, which is called from a thread that may block, and gets verified bytes
    /// only. The file's own chunks are all that is fetched, where the layer allows it. A hard link gives its file; so does
    /// a symbolic link that stays inside the artifact.
    ///
    /// # Errors
    /// `FileNotFound`, with the path that looks most like it; `NotFile`; `Output` when `output` fails, which may have been
    /// given a part; `Io` for a temporary file; else as [`list_files`](Client::list_files).
    pub async fn read_file<W: Write + Send + 'static>(
        &self,
        at: &Location,
        path: &str,
        options: &ReadOptions,
        output: W,
    ) -> Result<W> {
        self.read_range(at, path, ByteRange::ALL, options, output).await
    }

    /// Writes some bytes of one file to `output`, as [`read_file`](Client::read_file) does all of them. The chunks that
    /// hold them are all that is fetched, where the layer allows it; each is checked as a whole.
    ///
    /// # Errors
    /// `RangeOutside` when the file ends before the range begins; else as [`read_file`](Client::read_file).
    pub async fn read_range<W: Write + Send + 'static>(
        &self,
        at: &Location,
        path: &str,
        range: ByteRange,
        options: &ReadOptions,
        output: W,
    ) -> Result<W> {
        let (source, target) = &self.find(at, &self.meter).await?;
        let output = Resumed::new(output);
        let read = |source: Arc<dyn Source>, output| async move {
            let (_, contents) = open(Arc::clone(&source), at, target, options).await?;
            contents.index_all().await?;
            let contents = self.kept_meanwhile(at, contents.seeking(), source).await?;
            contents.read_file(path, range, u64::MAX, output).await.map(drop)
        };
        healed(source, |source| read(source, output.reading()).boxed()).await?;
        output.into_inner().ok_or(Error::Worker)
    }

    /// The artifact's manifest file as it is; [`ManifestFile::parse`](crate::ManifestFile::parse) reads it. Its patterns
    /// aside, all of `options` counts.
    ///
    /// # Errors
    /// `ManifestNotFound`; `FileTooLarge` above [`ManifestFile::MAX_BYTES`](crate::ManifestFile::MAX_BYTES); else as
    /// [`read_file`](Client::read_file).
    pub async fn get_manifest(&self, at: &Location, options: &ReadOptions) -> Result<Bytes> {
        let (source, target) = &self.find(at, &self.meter).await?;
        let read = |source: Arc<dyn Source>| async move {
            let (_, contents) = open(Arc::clone(&source), at, target, options).await?;
            let contents = self.kept_meanwhile(at, contents.seeking(), source).await?;
            let name = options.manifest_file.as_str();
            contents.read_file(name, ByteRange::ALL, ManifestFile::MAX_BYTES, Vec::new()).await
        };
        match healed(source, |source| read(source).boxed()).await {
            Ok(content) => Ok(content.into()),
            Err(Error::FileNotFound { at, path, .. }) => Err(Error::ManifestNotFound { at, name: path }),
            Err(error) => Err(error),
        }
    }

    /// Extracts an artifact, or the files of it that `options` choose, into `destination`, which is complete or absent
    /// at every moment. The client's store lists an artifact that it has all of by then. The config is not fetched for that,
    /// as a pull has no use for it: [`fetch`](Client::fetch) brings what is missing.
    ///
    /// # Errors
    /// `Destination` when something is in the way; a limit; an unsafe path or link; else as
    /// [`list_files`](Client::list_files). After an error the destination is as it was.
    pub async fn pull(&self, at: &Location, destination: &Path, options: &PullOptions) -> Result<Pulled> {
        if !matches!(at, Location::File(_)) {
            at.needs_target()?;
        }
        self.keep_apart(at, destination).await?;
        // The client's own meter counts what its clones fetch at the same time, too.
        let meter = &Arc::new(Meter::part_of(&self.meter));
        let prepare = || Pull::prepare(destination, options, meter);
        let mut prepared = Some(prepare().await?);
        let (source, target) = &self.find(at, meter).await?;
        let pull = |source: Arc<dyn Source>, prepared: Option<Pull>| async move {
            let mut prepared = match prepared {
                Some(prepared) => prepared,
                None => prepare().await?,
            };
            let (artifact, contents) = open(Arc::clone(&source), at, target, &options.read).await?;
            let streams = self.kept(at, source, &prepared.aside());
            let older = self.older(at, &artifact, prepared.take_old()).await;
            let contents = contents.metered(Arc::clone(meter)).with_streams(streams).beside(older);
            // What was kept aside is in open files, which outlast their folder.
            let pulled = pull::pull(&artifact, &contents, prepared, options, || prepare().boxed()).await?;
            self.list(at, &artifact.stored(target.clone())).await;
            Ok(pulled)
        };
        let pulled = healed(source, |source| pull(source, prepared.take()).boxed()).await?;
        Ok(Pulled { fetched_bytes: meter.fetched(), ..pulled })
    }

    /// Packs `directory` as an eStargz layer and pushes it to the tag that `at` names. The same tree, its
    /// modification times included unless `options` fix them, gives the same digest on every machine.
    ///
    /// # Errors
    /// `Location` when `at` names no tag, or the subject is in another repository; `Registry` with the kind `NotFound` when
    /// it is not there; `ManifestFile` when there is one that breaks its schema, `ManifestNotFound` when one is required and
    /// missing; `Source` and `Io` for what can't be packed; `Pack`; `Registry`. After an error no tag has moved; blobs may
    /// have been left behind, which the registry collects.
    pub async fn push(&self, directory: &Path, at: &Location, options: &PushOptions) -> Result<Pushed> {
        let tag = at.needs_tag()?;
        let subject = options.subject.as_ref().map(|subject| at.sibling(subject)).transpose()?;
        let sink = self.sink(at).await?;
        let subject = match subject {
            Some(target) => Some(sink.resolve(&target).await?),
            None => None,
        };
        let journal = self.journal(at, &tag, directory);
        // Boxed, as the future of a pull is.
        Box::pin(push::push(&sink, directory, &tag, subject, &self.meter, journal.as_ref(), options)).await
    }

    /// Packs `directory` as an eStargz layer, as [`push`](Client::push) does, into the file `to`: a tar.gz archive that any
    /// tool can read, and this library as [`Location::File`].
    ///
    /// # Errors
    /// `Destination` when something is in the way, a file that `existing` leaves alone among them, or `to` is in the folder of
    /// the store; `ManifestFile`, `ManifestNotFound`, `Source` and `Pack` as in a push; `Io`. After an error what is at `to` is what was there before.
    pub async fn pack(&self, directory: &Path, to: &Path, existing: Existing, options: &PackOptions) -> Result<Packed> {
        self.keep_file_out(to).await?;
        pack::pack(directory, to, existing, &self.meter, options).await
    }

    /// The repositories of a registry, page by page. Few registries for the public tell.
    ///
    /// # Errors
    /// The stream ends after its first error, of the kind `Unsupported`, `NotFound` or `Denied` where the registry does not
    /// tell.
    #[must_use]
    pub fn repositories(&self, host: &Host) -> BoxStream<'_, refs_registry::Result<RepoName>> {
        self.registries.repositories(host)
    }

    /// Asks the registry whether it is there and takes the credentials.
    ///
    /// # Errors
    /// `Registry` with the kind `Unreachable`, `Unauthorized` or `Denied`.
    pub async fn check_auth(&self, host: &Host) -> Result<()> {
        Ok(self.registries.check_auth(host).await?)
    }

    /// Where it is written down how far a push of `directory` has come; only registries lose what was sent to them.
    fn journal(&self, at: &Location, tag: &Tag, directory: &Path) -> Option<JournalAt> {
        let (Location::Registry(reference), Some(store)) = (at, &self.store) else { return None };
        Some(JournalAt::new(Arc::clone(store), self.origin(reference), tag, directory))
    }

    pub(crate) fn origin(&self, reference: &Reference) -> Origin {
        let (host, repository) = (reference.host().clone(), reference.repository().clone());
        Origin { wire: self.registries.wire(&host), host, repository }
    }

    /// The repository at `at`; what it has to fetch counts in `meter`.
    async fn metered(&self, at: &Location, meter: &Arc<Meter>) -> Result<Arc<dyn Source>> {
        let local = |source| Arc::new(Metered::local(source, Arc::clone(meter)));
        let reference = match at {
            Location::Registry(reference) => reference,
            Location::Layout { path, .. } => return Ok(local(Arc::new(named::open(path).await?))),
            Location::File(path) => return Ok(local(Arc::new(layer::open_file(path).await?))),
        };
        Ok(match &self.store {
            Some(store) => Arc::new(self.cached(reference, store, meter)?.0),
            None => {
                let source = self.registries.source(reference.host(), reference.repository())?;
                Arc::new(Metered::new(source, Arc::clone(meter)))
            }
        })
    }

    /// The repository of `reference`, read through `store`, and what it is called there.
    pub(crate) fn cached(
        &self,
        reference: &Reference,
        store: &Arc<dyn Store>,
        meter: &Arc<Meter>,
    ) -> Result<(Cached, Origin)> {
        let (origin, store) = (self.origin(reference), Arc::clone(store));
        let cached = match self.reach {
            Reach::Store => Cached::offline(origin.clone(), store),
            Reach::Registries(freshness) => {
                let source = self.registries.source(reference.host(), reference.repository())?;
                let options = CachedOptions { freshness, ..CachedOptions::default() };
                let source = Arc::new(Metered::new(source, Arc::clone(meter)));
                Cached::with_options(source, origin.clone(), store, &options).sharing(&self.fetches)
            }
        };
        Ok((cached, origin))
    }

    /// Where the artifact is, and what it is called there. What has to be fetched of it counts in `meter`.
    pub(crate) async fn find(&self, at: &Location, meter: &Arc<Meter>) -> Result<(Arc<dyn Source>, Target)> {
        let Location::File(path) = at else {
            let target = at.needs_target()?;
            return Ok((Box::pin(self.metered(at, meter)).await?, target));
        };
        let file = layer::open_file(path).await?;
        let target = file.target();
        Ok((Arc::new(Metered::local(Arc::new(file), Arc::clone(meter))), target))
    }
}

/// What others have left in a layout is theirs to remove. Whether it can be written to shows when it is.
fn unless_forbidden(error: refs_registry::Error) -> refs_registry::Result<()> {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    match &error {
        refs_registry::Error::Io { source, .. } if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem) => {
            tracing::debug!(%error, "what unfinished uploads have left stays");
            Ok(())
        }
        _ => Err(error),
    }
}

pub(crate) async fn open(
    source: Arc<dyn Source>,
    at: &Location,
    target: &Target,
    options: &ReadOptions,
) -> Result<(Artifact, Contents)> {
    let platform = options.platform.clone().unwrap_or_else(Platform::linux_here);
    let artifact = Artifact::find(source.as_ref(), &at.to_string(), target, &platform).await?;
    if options.platform.is_some() {
        Box::pin(artifact.require(source.as_ref(), &platform)).await?;
    }
    let contents = Contents::open(source, &artifact, trust_in(at, options))?;
    Ok((artifact, contents))
}

/// A file's table of contents is in the file itself, which its owner named: there is nothing else to vouch for it.
const fn trust_in(at: &Location, options: &ReadOptions) -> Trust {
    match at {
        Location::File(_) => Trust::Unverified,
        _ => options.trust,
    }
}
