//! Extracts an artifact, or a part of it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::{
    FutureExt, TryFutureExt,
    future::{BoxFuture, ready},
};
use refs_estargz::Entry;
use refs_registry::Descriptor;

use crate::{
    Error, Existing, Limits, Meter, ReadOptions, Result, Reused,
    artifact::Artifact,
    layer::Contents,
    receive::Receive,
    select::Selection,
    thread,
    unpack::{Budget, FileWriter, OldTree, Staging, Unpack},
};

/// How to pull.
///
/// Patterns are globs: `*` and `?` (one byte) stop at `/`, `**` does not, `{a,b}` and `[…]` choose. A trailing `/` means a
/// directory and all below, and so does a plain path that is a directory's; a leading `./` or `/` means nothing. The manifest
/// file always comes along.
#[derive(Debug, Clone, Default)]
pub struct PullOptions {
    /// What to read, and how.
    pub read: ReadOptions,
    /// How much may be written.
    pub limits: Limits,
    /// What to do with a destination that is there already.
    pub existing: Existing,
}

/// What a pull wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Pulled {
    /// The index that the image was found through, the outermost; `None` when there is none.
    pub index: Option<Descriptor>,
    /// The image's manifest.
    pub descriptor: Descriptor,
    /// Files.
    pub files: u64,
    /// Directories, those that were made on the way included.
    pub directories: u64,
    /// Symbolic and hard links.
    pub links: u64,
    /// The bytes of the files together.
    pub written_bytes: u64,
    /// The bytes of manifests and blobs that were fetched for it.
    pub fetched_bytes: u64,
    /// What was not fetched for it, as this machine had it.
    pub reused: Reused,
}

/// A destination that has been looked at, and what is to go there.
pub(crate) struct Pull {
    selection: Selection,
    staging: Staging,
    budget: Arc<Budget>,
}

impl Pull {
    /// Refuses what can be refused before anything is asked of a registry, and makes room beside `destination`.
    pub(crate) async fn prepare(destination: &Path, options: &PullOptions, meter: &Arc<Meter>) -> Result<Self> {
        let selection = Selection::new(&options.read.patterns)?.along_with(options.read.manifest_file.as_str());
        let budget = Arc::new(Budget::metered(options.limits, meter));
        let (destination, existing) = (destination.to_owned(), options.existing);
        let staging = thread::run(move || Staging::beside(&destination, existing)).await?;
        Ok(Self { selection, staging, budget })
    }

    /// The tree that is to be replaced.
    pub(crate) fn take_old(&mut self) -> Option<OldTree> {
        self.staging.take_old()
    }

    /// A folder for files that are of use only during the pull.
    pub(crate) fn aside(&self) -> PathBuf {
        self.staging.aside()
    }
}

/// Extracts what `first` chose of `contents`, and gives it the destination's name. `others` prepare the same once more, where
/// [`Contents::extract`] begins anew.
pub(crate) async fn pull<'p>(
    artifact: &Artifact,
    contents: &Contents,
    first: Pull,
    options: &PullOptions,
    mut others: impl FnMut() -> BoxFuture<'p, Result<Pull>>,
) -> Result<Pulled> {
    let selection = first.selection.clone();
    if let Some(listed) = contents.foreseen(&selection).await? {
        refuse_early(listed.entries(), options.limits)?;
    }
    let mut first = Some(first);
    let pulls = || match first.take() {
        Some(pull) => ready(Ok(Chosen::of(pull))).boxed(),
        None => others().map_ok(Chosen::of).boxed(),
    };
    let chosen = contents.extract(&selection, pulls).await?;
    if !chosen.found && !options.read.patterns.is_empty() {
        return Err(Error::NoMatch { at: artifact.at.clone(), patterns: options.read.patterns.clone() });
    }
    let unpacked = thread::run(move || {
        let unpacked = chosen.unpack.finish()?;
        chosen.staging.publish()?;
        Ok(unpacked)
    })
    .await?;
    Ok(Pulled {
        index: artifact.index.clone(),
        descriptor: artifact.manifest.descriptor.clone(),
        files: unpacked.files,
        directories: unpacked.directories,
        links: unpacked.links,
        written_bytes: unpacked.bytes,
        fetched_bytes: 0,
        reused: contents.reused(),
    })
}

/// Holds what entries declare against the limits, before any of it is fetched.
fn refuse_early(entries: impl Iterator<Item = Entry>, limits: Limits) -> Result<()> {
    let budget = Budget::new(limits);
    for entry in entries {
        budget.entry()?;
        budget.declared(&entry.path, entry.size())?;
    }
    Ok(())
}

/// Hands on what is chosen, and notes whether a pattern chose anything. It owns the staged tree, so that the thread that
/// writes is the one that removes it when nobody waits for it any more.
struct Chosen {
    unpack: Unpack,
    staging: Staging,
    selection: Selection,
    found: bool,
}

impl Chosen {
    fn of(Pull { selection, staging, budget }: Pull) -> Self {
        Self { unpack: Unpack::new(staging.root(), &budget), staging, selection, found: false }
    }
}

impl Receive for Chosen {
    type Hand = FileWriter;

    fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.found |= self.selection.names(entry);
        self.unpack.entry(entry)
    }

    fn hand(&self) -> FileWriter {
        self.unpack.hand()
    }
}
