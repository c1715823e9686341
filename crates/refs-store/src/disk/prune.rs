//! Removes what nobody wants from a store on disk.

use std::{collections::BTreeSet, path::Path, time::SystemTime};

use refs_registry::Result;

use super::{
    QUARANTINE_FOLDER, debris, home,
    images::ListedImage,
    notes::{is_marked, unmark},
    origins::{Recorded, records},
    removal::remove_all,
    store::DiskStore,
    survey::{Held, Kind, kind},
};
use crate::{
    evict::{
        Kept, all_at, all_kept, blob, exclusively, forget_gone, is_pinned, names, reclaim_temporary,
        reclaimable_temporary, remove_oldest,
    },
    file::blocking,
    ingest::Ingest,
    layout::{BLOBS_FOLDER, Folder},
    record::TagRecord,
    usage::Looking,
};

/// What to remove from a [`DiskStore`], beside what is of no use to anybody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PruneOptions {
    /// How many bytes may stay: what was not read for the longest time goes until it is no more. Any, when not set.
    pub max_bytes: Option<u64>,
    /// What was not read since goes.
    pub unread_since: Option<SystemTime>,
}

/// What a [`prune`](DiskStore::prune) removed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pruned {
    /// Blobs, manifests, parts, beginnings, and what was in quarantine.
    pub removed: Held,
    /// What stays.
    pub kept: Held,
    /// The images that are not whole any more, and not listed.
    pub unlisted: Vec<ListedImage>,
    /// The files that processes that died have left of writing, and of their locks.
    pub temporary: Held,
}

impl DiskStore {
    /// Removes what is in quarantine or in the place of something else, what processes that died have left, and what `options`
    /// say. What is pinned stays, and what somebody fills at this moment; whoever reads something at this moment reads on. What
    /// tags led to is forgotten with it when nothing may stay, or when nobody has asked for it since.
    ///
    /// # Errors
    /// `Busy` when another process prunes for more than 30 s; `Io`. What was removed by then is gone.
    pub async fn prune(&self, options: &PruneOptions) -> Result<Pruned> {
        if !self.is_made() {
            return Ok(Pruned::default());
        }
        let (options, path) = (*options, self.path().to_owned());
        self.clear().await?;
        // Before the layout is opened, which removes them without a word.
        let reclaim = move || reclaim_temporary(&path, SystemTime::now());
        let temporary = blocking(self.path(), reclaim).await?;
        self.write(move |folder| prune(folder, options, temporary)).await
    }

    /// What a [`prune`](DiskStore::prune) with these `options` would remove at this moment. Nothing is changed.
    ///
    /// # Errors
    /// `Io`.
    pub async fn foresee_prune(&self, options: &PruneOptions) -> Result<Pruned> {
        if !self.is_made() {
            return Ok(Pruned::default());
        }
        let (options, path) = (*options, self.path().to_owned());
        blocking(self.path(), move || {
            home::check(&path)?;
            foresee(&Folder::at(path), options)
        })
        .await
    }
}

fn prune(folder: &Folder, options: PruneOptions, temporary: Held) -> Result<Pruned> {
    let root = folder.root();
    let _alone = exclusively(root)?;
    let listed = folder.images()?;
    let mut removed = Held::default();
    let Unwanted { at_once, rest } = Unwanted::of(folder, options)?;
    let mut remove = |kept: Vec<Kept>, excess: u64| {
        removed += remove_oldest(root, kept, excess)?;
        Ok(())
    };
    remove(at_once, u64::MAX)?;
    if let Some(max_bytes) = options.max_bytes {
        remove(rest, excess(&all_kept(root)?, max_bytes))?;
    }
    // Folders, which hold nothing any more.
    names(&root.join(QUARANTINE_FOLDER))?.iter().try_for_each(|path| remove_all(path))?;
    forget_gone(root)?;
    forget_tags(root, options)?;
    let looking = Looking::begin(root)?;
    let kept = held(&all_kept(root)?);
    looking.end(kept.bytes)?;
    let unlisted = folder.gone_since(&listed)?.iter().map(ListedImage::of).collect();
    Ok(Pruned { removed, kept, unlisted, temporary })
}

/// Forgets what tags led to that is gone, and would not be asked for again: where nothing is to stay, and of what nobody has
/// looked at since. A bound on bytes leaves them: they cost none, and answer a `resolve`.
fn forget_tags(root: &Path, options: PruneOptions) -> Result<()> {
    let is_unwanted = |record: &TagRecord| {
        options.max_bytes == Some(0) || options.unread_since.is_some_and(|since| record.asked() < since)
    };
    for Recorded { path, record, .. } in records(root)? {
        let digest = &record.descriptor.digest;
        let manifest = root.join(BLOBS_FOLDER).join(digest.algorithm_str()).join(digest.encoded());
        if is_unwanted(&record) && !is_marked(&manifest)? && !is_pinned(root, &manifest)? {
            unmark(&path)?;
        }
    }
    Ok(())
}

fn foresee(folder: &Folder, options: PruneOptions) -> Result<Pruned> {
    let root = folder.root();
    let temporary = reclaimable_temporary(root, SystemTime::now())?;
    let Unwanted { at_once: mut going, mut rest } = Unwanted::of(folder, options)?;
    for path in debris::to_clear(root)?.iter().filter(|path| !debris::is_behind_link(root, path)) {
        let mut debris = all_at(path)?;
        debris.retain(|found| going.iter().all(|going| going.path != found.path));
        going.append(&mut debris);
    }
    let mut kept = all_kept(root)?;
    let keep = |kept: &mut Vec<Kept>, going: &[Kept]| {
        let paths: BTreeSet<&Path> = going.iter().map(|going| going.path.as_path()).collect();
        kept.retain(|kept| !paths.contains(kept.path.as_path()));
    };
    keep(&mut kept, &going);
    if let Some(max_bytes) = options.max_bytes {
        let (mut bytes, excess) = (0, excess(&kept, max_bytes));
        rest.sort_by_key(|kept| kept.read);
        going.extend(rest.into_iter().take_while(|kept| {
            let goes = bytes < excess;
            bytes += kept.bytes;
            goes
        }));
        keep(&mut kept, &going);
    }
    let blobs: BTreeSet<_> = going.iter().filter_map(|going| blob(root, &going.path)).collect();
    let unlisted = folder.images_with(&blobs)?.iter().map(ListedImage::of).collect();
    Ok(Pruned { removed: held(&going), kept: held(&kept), unlisted, temporary })
}

/// What is not pinned, and does not come in at this moment.
struct Unwanted {
    /// What goes whatever the bound is.
    at_once: Vec<Kept>,
    /// What goes for a bound, those first that were not read for the longest time.
    rest: Vec<Kept>,
}

impl Unwanted {
    fn of(folder: &Folder, options: PruneOptions) -> Result<Self> {
        let root = folder.root();
        let is_unread = |kept: &Kept| options.unread_since.is_some_and(|since| kept.read < since);
        let (at_once, mut rest): (Vec<_>, Vec<_>) = free(folder)?
            .into_iter()
            .partition(|kept| kind(root, &kept.path) == Some(Kind::Quarantined) || is_unread(kept));
        // Empty files go with all others only.
        if options.max_bytes != Some(0) {
            rest.retain(|kept| kept.bytes > 0);
        }
        Ok(Self { at_once, rest })
    }
}

/// By how many bytes `kept` is too much. Nothing is too little to go when nothing is to stay.
fn excess(kept: &[Kept], max_bytes: u64) -> u64 {
    if max_bytes == 0 { u64::MAX } else { held(kept).bytes.saturating_sub(max_bytes) }
}

fn held(kept: &[Kept]) -> Held {
    Held { files: kept.len() as u64, bytes: kept.iter().map(|kept| kept.bytes).sum() }
}

/// What counts against the bound, but for what is pinned, and the beginnings that somebody goes on with at this moment.
fn free(folder: &Folder) -> Result<Vec<Kept>> {
    let mut free = Vec::new();
    for kept in all_kept(folder.root())? {
        let is_free = match kind(folder.root(), &kept.path) {
            Some(Kind::Partial) if Ingest::claim_left(&kept.path)?.is_none() => false,
            _ => !is_pinned(folder.root(), &kept.path)?,
        };
        if is_free {
            free.push(kept);
        }
    }
    Ok(free)
}
