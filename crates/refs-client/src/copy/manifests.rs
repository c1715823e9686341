//! Manifests, each written after those that it lists.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use refs_registry::{Descriptor, Manifest};
use refs_url::{Digest, Tag};

use super::{
    copied::Tally,
    ends::Ends,
    graph::{Nodes, Standing, waves},
    options::Mode,
};
use crate::Result;

/// The blobs that `digests` lead to, as far as they are to be looked at, but for those in `done`, where they are then noted.
pub(super) fn unseen_blobs(nodes: &Nodes, digests: &[Digest], done: &mut HashSet<Digest>) -> Vec<Descriptor> {
    let blobs = digests.iter().filter_map(|digest| nodes.get(digest)).flat_map(|node| &node.blobs);
    blobs.filter(|blob| done.insert(blob.digest.clone())).cloned().collect()
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
