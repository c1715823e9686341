//! What differs between the files of two artifacts.

mod compare;
mod early;
mod hash;

use std::{collections::BTreeSet, sync::Arc};

use futures_util::{FutureExt, future::try_join};
use refs_estargz::Entry;
use refs_registry::{Descriptor, Source};
use refs_url::Target;

use self::compare::Pair;
pub use self::compare::{Aspect, Change, Times};
use crate::{
    Access, Client, Error, Location, Meter, ReadOptions, Result,
    artifact::Artifact,
    client::open,
    healed::healed_of,
    layer::{Contents, Listed},
    select::Selection,
    thread,
};

/// How to compare.
#[derive(Debug, Clone, Default)]
pub struct DiffOptions {
    /// What to read of both, and how.
    pub read: ReadOptions,
    /// Whether other modification times are a difference.
    pub times: Times,
}

/// What differs between the files of two artifacts. Owners and extended attributes are not compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Diff {
    /// The one that was compared with.
    pub old: DiffSide,
    /// The one that was compared.
    pub new: DiffSide,
    /// The differences, in the order of a walk through both trees; none when they are the same.
    pub changes: Vec<Change>,
}

/// One of two artifacts that were compared.
#[derive(Debug, Clone, PartialEq)]
pub struct DiffSide {
    /// The index that the image was found through, the outermost; `None` when there is none.
    pub index: Option<Descriptor>,
    /// The image's manifest.
    pub descriptor: Descriptor,
    /// What it took: [`Access::Stream`] when whole layers had to be fetched, to list files or to hash them.
    pub access: Access,
}

impl Client {
    /// What differs between the files of the artifacts `old` and `new`, of images between what their layers show together.
    ///
    /// Where layers have tables of contents nothing else is fetched of them: files are told apart by their digests. Files of
    /// other layers are hashed, and their layers fetched for it, where a file of the same size is in the other artifact.
    /// Artifacts of the same layers are the same, and need no more than their manifests.
    ///
    /// What is hashed passes: of each artifact at most 32 MiB wait in memory for bytes that belong before them. Threads that
    /// inflate what was compressed a thousandfold get further ahead of each other: that waits in a file without a name, in
    /// the system's folder for temporary files, which takes no more room than the files do when they are pulled.
    ///
    /// # Errors
    /// `NoMatch` when patterns were given and nothing in either matches; else as [`list_files`](Client::list_files).
    pub async fn diff(&self, old: &Location, new: &Location, options: &DiffOptions) -> Result<Diff> {
        let selection = &Selection::new(&options.read.patterns)?;
        let (left, right) = Box::pin(try_join(self.place(old), self.place(new))).await?;
        let (left, right) = (&left, &right);
        healed_of([&left.source, &right.source], || self.compared(left, right, selection, options).boxed()).await
    }

    async fn compared(
        &self,
        old: &Place<'_>,
        new: &Place<'_>,
        selection: &Selection,
        options: &DiffOptions,
    ) -> Result<Diff> {
        let (old, new) = try_join(self.side(old, &options.read).boxed(), self.side(new, &options.read).boxed()).await?;
        if options.read.patterns.is_empty() && old.artifact.has_files_of(&new.artifact) {
            let (old, new) = (old.compared(Access::Index), new.compared(Access::Index));
            return Ok(Diff { old, new, changes: Vec::new() });
        }
        let (left, right) = try_join(old.list(selection).boxed(), new.list(selection).boxed()).await?;
        if left.len() == 0 && right.len() == 0 && !options.read.patterns.is_empty() {
            let (at, patterns) = (new.artifact.at.clone(), options.read.patterns.clone());
            return Err(Error::NoMatch { at, patterns });
        }
        let times = options.times;
        let pairs = thread::run(move || Ok(compare::pairs(&left, &right, times))).await?;
        decided(&old, &new, selection, pairs).await
    }

    async fn place<'a>(&self, at: &'a Location) -> Result<Place<'a>> {
        let meter = Arc::new(Meter::part_of(self.meter()));
        let (source, target) = self.find(at, &meter).await?;
        Ok(Place { at, source, target })
    }

    /// Finds the artifact at a place. Layers of it that are read twice are kept meanwhile.
    async fn side(&self, Place { at, source, target }: &Place<'_>, options: &ReadOptions) -> Result<Side> {
        let (artifact, contents) = open(Arc::clone(source), at, target, options).await?;
        let contents = contents.with_streams(self.kept(at, Arc::clone(source), &std::env::temp_dir()));
        Ok(Side { artifact, contents })
    }
}

/// Where one of two artifacts is.
struct Place<'a> {
    at: &'a Location,
    source: Arc<dyn Source>,
    target: Target,
}

/// One of two artifacts.
struct Side {
    artifact: Artifact,
    contents: Contents,
}

impl Side {
    async fn list(&self, selection: &Selection) -> Result<Listed> {
        self.contents.list(selection).await
    }

    fn compared(&self, access: Access) -> DiffSide {
        let Artifact { index, manifest, .. } = &self.artifact;
        DiffSide { index: index.clone(), descriptor: manifest.descriptor.clone(), access }
    }

    /// As it was compared once files of it were hashed, so many.
    fn hashed(&self, files: usize) -> DiffSide {
        self.compared(if files > 0 { Access::Stream } else { self.contents.access() })
    }
}

/// What of `pairs` differs, once the files that no table tells the digests of are hashed.
async fn decided(old: &Side, new: &Side, selection: &Selection, pairs: Vec<Pair>) -> Result<Diff> {
    let lacking = |side: fn(&Pair) -> Option<&Entry>| {
        let entries = pairs.iter().filter_map(side).filter(|entry| compare::sha256_of(entry).is_none());
        entries.map(|entry| entry.path.clone()).collect::<BTreeSet<String>>()
    };
    let (left, right) = (lacking(Pair::undecided_old), lacking(Pair::undecided_new));
    let (left, right) = try_join(
        hash::hashes(&old.contents, selection, left).boxed(),
        hash::hashes(&new.contents, selection, right).boxed(),
    )
    .await?;
    let changes = pairs.into_iter().map(|pair| pair.decided(&left, &right));
    let changes = changes.filter_map(Result::transpose).collect::<Result<_>>()?;
    Ok(Diff { old: old.hashed(left.len()), new: new.hashed(right.len()), changes })
}
