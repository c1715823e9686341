//! What refers to the manifests of a copy, and what refers to that.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{StreamExt, TryStreamExt, stream};
use refs_registry::{Descriptor, ErrorKind, Filter};
use refs_url::Digest;

use super::{
    copied::LeftBehind,
    ends::{Ends, Relation},
    gather::{MAX_MANIFESTS, Top, too_large},
    graph::Standing,
    options::{CopyOptions, Referrers},
};
use crate::{
    Error, Result,
    error::{GraphLimit, Portion},
};

/// Referrers that may be above one another: a signature of a signature, and so on.
pub(super) const MAX_DEPTH: u32 = 8;
/// Of two referrers of one subject that are written at the same time, olareg may list but one.
pub(super) const WRITES_AT_ONCE: usize = 1;
/// Lists have a low rate limit of their own at some registries.
const LISTS_AT_ONCE: usize = 4;

/// What refers to any of `subjects` and is to be copied. What the destination does not list is to be written, even if it is
/// there: it may be that a copy was interrupted before it was listed. What it lists is looked for: a list under a tag is
/// what clients have written, and stays when somebody deletes what it lists.
pub(super) async fn referrers(ends: &Ends, subjects: &[Digest], options: &CopyOptions) -> Result<Vec<Top>> {
    let Some(filter) = wanted(ends, options) else { return Ok(Vec::new()) };
    let count = Arc::<AtomicUsize>::default();
    let lists = stream::iter(subjects.to_vec()).map(|subject| {
        let (ends, filter, count) = (ends.clone(), filter.clone(), Arc::clone(&count));
        async move { of_one(&ends, &subject, filter, &count).await }
    });
    let lists: Vec<Vec<Top>> = lists.buffered(LISTS_AT_ONCE).try_collect().await?;
    Ok(each_once(lists.into_iter().flatten()))
}

/// A referrer has one subject, but may be listed for others, too.
fn each_once(listed: impl Iterator<Item = Top>) -> Vec<Top> {
    let (mut tops, mut places) = (Vec::<Top>::new(), HashMap::new());
    for mut top in listed {
        match places.entry(top.descriptor.digest.clone()) {
            Entry::Vacant(place) => {
                place.insert(tops.len());
                tops.push(top);
            }
            Entry::Occupied(place) => {
                let first = &mut tops[*place.get()];
                first.about.append(&mut top.about);
                if top.standing.is_none() {
                    first.standing = None;
                }
            }
        }
    }
    tops
}

/// What of `index`, which stays where it is, would be copied if that were. Nothing depends on it: where the source does not
/// tell, nothing is said.
pub(super) async fn left_behind(ends: &Ends, index: Option<&Digest>, options: &CopyOptions) -> Option<LeftBehind> {
    let (index, filter) = (index?, wanted(ends, options)?);
    let listed = match listed(ends, index, filter, &AtomicUsize::default()).await.ok()? {
        Ok(listed) => listed.len() as u64,
        Err(error) => {
            tracing::debug!(%index, %error, "the source does not tell what refers to the index that is not copied");
            return None;
        }
    };
    (listed > 0).then(|| LeftBehind { index: index.clone(), referrers: listed })
}

/// Which referrers are to be copied, if any are.
fn wanted(ends: &Ends, options: &CopyOptions) -> Option<Filter> {
    match &options.referrers {
        Referrers::None => None,
        _ if ends.relation == Relation::Same => None,
        Referrers::All => Some(Filter::default()),
        Referrers::OfType(kind) => Some(Filter { artifact_type: Some(kind.clone()) }),
    }
}

/// `error`, which was met while that was copied which refers to the artifact.
pub(super) fn about_referrers(error: Error) -> Error {
    match error {
        Error::Copy { side, at, source, .. } => Error::Copy { side, what: Portion::Referrers, at, source },
        other => other,
    }
}

async fn of_one(ends: &Ends, subject: &Digest, filter: Filter, count: &AtomicUsize) -> Result<Vec<Top>> {
    let listed = match listed(ends, subject, filter.clone(), count).await? {
        Ok(listed) => listed,
        // Something else than a list has taken the tag that it would be under.
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::NotFound) => {
            tracing::debug!(%subject, %error, "the source does not tell what refers to it");
            return Ok(Vec::new());
        }
        Err(error) => return Err(ends.unread(error)),
    };
    if listed.is_empty() {
        return Ok(Vec::new());
    }
    let there = there(ends, subject, filter, &listed).await?;
    let top = |descriptor: Descriptor| {
        let standing = (!there.contains(&descriptor.digest)).then_some(Standing::Absent);
        Top { standing, about: vec![subject.clone()], ..Top::listed(descriptor) }
    };
    Ok(listed.into_iter().map(top).collect())
}

/// What the source lists, without what it says of it, so that a list without an end is not held: `count` is that of all
/// lists.
async fn listed(
    ends: &Ends,
    subject: &Digest,
    filter: Filter,
    count: &AtomicUsize,
) -> Result<refs_registry::Result<Vec<Descriptor>>> {
    let (mut listing, mut listed) = (ends.source.referrers(subject, filter), Vec::new());
    loop {
        let Descriptor { media_type, digest, size, .. } = match listing.try_next().await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Ok(listed)),
            Err(error) => return Ok(Err(error)),
        };
        if count.fetch_add(1, Ordering::Relaxed) >= MAX_MANIFESTS {
            return Err(too_large(ends, GraphLimit::Manifests(MAX_MANIFESTS)));
        }
        listed.push(Descriptor::new(media_type, digest, size));
    }
}

/// Those of `wanted` that the destination lists as what refers to `subject`.
async fn there(ends: &Ends, subject: &Digest, filter: Filter, wanted: &[Descriptor]) -> Result<HashSet<Digest>> {
    let wanted: HashSet<&Digest> = wanted.iter().map(|listed| &listed.digest).collect();
    let mut there = HashSet::new();
    let mut listed = ends.sink.referrers(subject, filter);
    loop {
        match listed.try_next().await {
            Ok(Some(found)) if wanted.contains(&found.digest) => drop(there.insert(found.digest)),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(there),
            // Nothing is lost by writing them again.
            Err(error) if ends.may_lack(error.kind()) => return Ok(there),
            Err(error) => return Err(ends.unwritten(error)),
        }
    }
}
