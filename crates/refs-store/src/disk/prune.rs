//! Removes what nobody wants from a store on disk.

use std::time::SystemTime;

use refs_registry::Result;

use super::{
    QUARANTINE_FOLDER,
    images::ListedImage,
    removal::remove_all,
    store::DiskStore,
    survey::{Held, Kind, kind},
};
use crate::{
    evict::{Kept, all_kept, exclusively, forget_gone, names, reclaim_temporary, remove_oldest, write_usage},
    ingest::Ingest,
    layout::Folder,
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
    pub temporary: u64,
}

impl DiskStore {
    /// Removes what is in quarantine or in the place of something else, what processes that died have left, and what `options` say. What is pinned stays, and what
    /// somebody fills at this moment; whoever reads something at this moment reads on.
    ///
    /// # Errors
    /// `Busy` when another process prunes for more than 30 s; `Io`. What was removed by then is gone.
    pub async fn prune(&self, options: &PruneOptions) -> Result<Pruned> {
        if !self.is_made() {
            return Ok(Pruned::default());
        }
        let options = *options;
        self.clear().await?;
        self.run(move |folder| prune(folder, options)).await
    }
}

fn prune(folder: &Folder, options: PruneOptions) -> Result<Pruned> {
    let root = folder.root();
    let _alone = exclusively(root)?;
    let listed = folder.images()?;
    let temporary = reclaim_temporary(root, SystemTime::now())?;
    let mut removed = Held::default();
    let (unwanted, mut rest): (Vec<_>, Vec<_>) = free(folder)?.into_iter().partition(|kept| {
        kind(root, &kept.path) == Some(Kind::Quarantined) || options.unread_since.is_some_and(|since| kept.read < since)
    });
    let mut remove = |kept: Vec<Kept>, excess: u64| {
        let gone = remove_oldest(root, kept, excess)?;
        removed = Held { files: removed.files + gone.files, bytes: removed.bytes + gone.bytes };
        Ok(())
    };
    remove(unwanted, u64::MAX)?;
    if let Some(max_bytes) = options.max_bytes {
        let total = all_kept(root)?.iter().map(|kept| kept.bytes).sum::<u64>();
        match total.saturating_sub(max_bytes) {
            // Empty files go with all others only.
            _ if max_bytes == 0 => remove(rest, u64::MAX)?,
            excess => {
                rest.retain(|kept| kept.bytes > 0);
                remove(rest, excess)?;
            }
        }
    }
    // Folders, which hold nothing any more.
    names(&root.join(QUARANTINE_FOLDER))?.iter().try_for_each(|path| remove_all(path))?;
    forget_gone(root)?;
    let left = all_kept(root)?;
    let kept = Held { files: left.len() as u64, bytes: left.iter().map(|kept| kept.bytes).sum() };
    write_usage(root, kept.bytes)?;
    let unlisted = folder.gone_since(&listed)?.iter().map(ListedImage::of).collect();
    Ok(Pruned { removed, kept, unlisted, temporary })
}

/// What counts against the bound, but for the beginnings that somebody goes on with at this moment.
fn free(folder: &Folder) -> Result<Vec<Kept>> {
    let mut free = Vec::new();
    for kept in all_kept(folder.root())? {
        let is_free = match kind(folder.root(), &kept.path) {
            Some(Kind::Partial) => Ingest::claim_left(&kept.path)?.is_some(),
            _ => true,
        };
        if is_free {
            free.push(kept);
        }
    }
    Ok(free)
}
