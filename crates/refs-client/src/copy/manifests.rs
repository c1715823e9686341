//! Manifests, each written after those that it lists.

use std::collections::{HashMap, hash_map::Entry};

use futures_util::{StreamExt, TryStreamExt, stream};
use refs_registry::{Descriptor, Manifest, error::Wanted};
use refs_url::{Digest, Tag};

use super::{
    copied::Tally,
    ends::Ends,
    graph::{Nodes, Standing, waves},
    options::Mode,
};
use crate::{Result, graph::two_sizes};

/// The blobs that `digests` lead to and that are not in `done`, which has the sizes of those that were met.
///
/// # Errors
/// `Sizes` when one blob is listed with two sizes: one of the manifests is wrong, and nobody could pull what it lists.
pub(super) fn unseen_blobs(
    nodes: &Nodes,
    digests: &[Digest],
    done: &mut HashMap<Digest, u64>,
) -> refs_registry::Result<Vec<Descriptor>> {
    let mut unseen = Vec::new();
    for blob in digests.iter().filter_map(|digest| nodes.get(digest)).flat_map(|node| &node.blobs) {
        match done.entry(blob.digest.clone()) {
            Entry::Vacant(place) => {
                place.insert(blob.size);
                unseen.push(blob.clone());
            }
            Entry::Occupied(place) if *place.get() == blob.size => {}
            Entry::Occupied(place) => {
                return Err(two_sizes(Wanted::Blob(blob.digest.clone()), *place.get(), blob.size));
            }
        }
    }
    Ok(unseen)
}

/// Writes those of `digests` that the destination does not have, each after what it lists, and so many at once; gives what
/// was written, or would be.
pub(super) async fn write_manifests(
    ends: &Ends,
    nodes: &Nodes,
    digests: &[Digest],
    mode: Mode,
    at_once: usize,
) -> Result<Tally> {
    let mut written = Tally::default();
    for wave in waves(nodes, digests) {
        let absent: Vec<&Manifest> = wave.iter().filter_map(|digest| absent(nodes, digest)).collect();
        absent.iter().for_each(|manifest| written.add(manifest.descriptor.size));
        if mode == Mode::DryRun {
            continue;
        }
        let writes = stream::iter(absent.into_iter().cloned()).map(|manifest| {
            let ends = ends.clone();
            async move { write(&ends, &manifest, &[]).await }
        });
        writes.buffer_unordered(at_once).try_collect::<()>().await?;
    }
    Ok(written)
}

/// Writes `manifest`, and lets `tags` lead to it.
pub(super) async fn write(ends: &Ends, manifest: &Manifest, tags: &[Tag]) -> Result<()> {
    ends.sink.put_manifest(manifest, tags).await.map(drop).map_err(|error| ends.unwritten(error))
}

fn absent<'a>(nodes: &'a Nodes, digest: &Digest) -> Option<&'a Manifest> {
    let node = nodes.get(digest).filter(|node| node.standing == Standing::Absent)?;
    node.manifest.as_ref()
}
