//! Finds the manifests of a copy, from the top down.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use refs_registry::{Descriptor, Manifest};
use refs_url::{Digest, Target};

use super::{
    chosen::{Chosen, Origin},
    ends::{Ends, Relation},
    graph::{Node, Nodes, Standing},
    options::{CopyOptions, Foreign},
};
use crate::{
    Children, Error, Result,
    error::GraphLimit,
    graph::{members, sorted, subject},
};

/// Manifests that are asked for at once.
pub(super) const AT_ONCE: usize = 8;
/// Indexes that may be above one another.
const MAX_DEPTH: u32 = 8;
/// All of them are kept in memory, as each is written after those that it lists.
pub(super) const MAX_MANIFESTS: usize = 10_000;
const MAX_BYTES: u64 = 32 << 20;

/// The manifests that were found so far.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) nodes: Nodes,
    /// What is known of in order, looked at or not.
    known: HashSet<Digest>,
    bytes: u64,
}

/// A manifest to begin with.
#[derive(Debug, Clone)]
pub(super) struct Top {
    pub(super) descriptor: Descriptor,
    /// Its bytes, where they are there already.
    pub(super) manifest: Option<Manifest>,
    pub(super) origin: Origin,
    /// Whether the destination has it, where that is known.
    pub(super) standing: Option<Standing>,
    /// What it is listed as a referrer of; nothing, where it is none.
    pub(super) about: Vec<Digest>,
}

impl Top {
    /// One that an index or a list of referrers has.
    pub(super) const fn listed(descriptor: Descriptor) -> Self {
        Self { descriptor, manifest: None, origin: Origin::Source, standing: None, about: Vec::new() }
    }

    /// Whether `manifest` has none of the subjects that this is listed for. What is of no type that has one is not judged.
    fn is_stray(&self, manifest: &Manifest) -> bool {
        let refers = |subject: Option<Digest>| subject.is_some_and(|subject| self.about.contains(&subject));
        !self.about.is_empty() && subject(manifest).is_ok_and(|subject| !refers(subject))
    }
}

impl Gathered {
    /// Looks at `tops` and all manifests beneath them that are not known yet; gives the digests of these, as they were found.
    ///
    /// # Errors
    /// `Copy` of the side that failed; `GraphTooLarge`; those of the caller's own function, and of manifests that are not
    /// read.
    pub(super) async fn add(
        &mut self,
        ends: &Ends,
        tops: Vec<Top>,
        chosen: &Chosen,
        options: &CopyOptions,
    ) -> Result<Vec<Digest>> {
        let mut level: Vec<Top> = tops.into_iter().filter(|top| self.is_new(&top.descriptor.digest)).collect();
        let mut found = Vec::new();
        for _ in 0..MAX_DEPTH {
            self.check(ends)?;
            let looks = stream::iter(level).map(|top| {
                let (ends, options) = (ends.clone(), options.clone());
                // Boxed, as there are eight of them at once.
                async move {
                    let digest = top.descriptor.digest.clone();
                    Box::pin(look(&ends, top, &options)).await.map(|looked| (digest, looked))
                }
            });
            let mut looks = looks.buffered(AT_ONCE);
            let mut below = Vec::new();
            while let Some((digest, looked)) = looks.try_next().await? {
                let Some((mut node, mut manifests)) = looked else {
                    // An index may list it as well.
                    self.known.remove(&digest);
                    continue;
                };
                manifests.retain(|listed| chosen.includes(listed));
                node.manifests = manifests.iter().map(|listed| listed.digest.clone()).collect();
                let listed = manifests.into_iter().filter(|listed| self.is_new(&listed.digest));
                below.extend(listed.map(Top::listed));
                self.bytes = self.bytes.saturating_add(node.manifest.as_ref().map_or(0, |raw| raw.raw.len() as u64));
                self.nodes.insert(digest.clone(), node);
                found.push(digest);
                self.check(ends)?;
            }
            if below.is_empty() {
                return Ok(found);
            }
            level = below;
        }
        Err(too_large(ends, GraphLimit::Depth(MAX_DEPTH)))
    }

    fn is_new(&mut self, digest: &Digest) -> bool {
        self.known.insert(digest.clone())
    }

    fn check(&self, ends: &Ends) -> Result<()> {
        if self.known.len() > MAX_MANIFESTS {
            return Err(too_large(ends, GraphLimit::Manifests(MAX_MANIFESTS)));
        }
        if self.bytes > MAX_BYTES {
            return Err(too_large(ends, GraphLimit::Bytes(MAX_BYTES)));
        }
        Ok(())
    }
}

pub(super) fn too_large(ends: &Ends, limit: GraphLimit) -> Error {
    Error::GraphTooLarge { at: ends.from.clone(), limit }
}

/// One manifest, and those that it lists; `None` for one that does not refer to what it is listed for. The destination would
/// not list it, so that each copy wrote it again.
async fn look(ends: &Ends, top: Top, options: &CopyOptions) -> Result<Option<(Node, Vec<Descriptor>)>> {
    let Top { descriptor, manifest, origin, standing, .. } = &top;
    let node = |manifest, blobs, standing| Node { manifest, manifests: Vec::new(), blobs, standing };
    if ends.relation == Relation::Same && manifest.is_none() && options.children.is_none() {
        // Nothing has to move, and of an index the repository need not have all that it lists.
        return Ok(Some((node(None, Vec::new(), Standing::Present), Vec::new())));
    }
    let is_there = match (standing, origin) {
        (Some(standing), _) => *standing == Standing::Present,
        (None, Origin::Source) => ends.has_manifest(&descriptor.digest).await?,
        // In one repository, too, what was made is new.
        (None, Origin::Made) => ends.has_stored(&descriptor.digest).await?,
    };
    let standing = if is_there { Standing::Present } else { Standing::Absent };
    let is_whole =
        is_there && descriptor.media_type.is_image() && options.children.is_none() && ends.vouches_for_blobs();
    if is_whole && manifest.is_none() {
        return Ok(Some((node(None, Vec::new(), standing), Vec::new())));
    }
    let manifest = match manifest {
        Some(manifest) => manifest.clone(),
        None => read(ends, descriptor).await?,
    };
    if top.is_stray(&manifest) {
        tracing::warn!("{} is left out, as it does not refer to what {} lists it for", descriptor.digest, ends.from);
        return Ok(None);
    }
    let children = children(ends, &manifest, options)?;
    let foreign = if options.foreign == Foreign::Copy { children.foreign } else { Vec::new() };
    // Without what manifests say beside: that could be much, and is not needed.
    let bare = |blob: Descriptor| Descriptor::new(blob.media_type, blob.digest, blob.size);
    let blobs = children.blobs.into_iter().chain(foreign).map(bare);
    let blobs = if is_whole { Vec::new() } else { blobs.collect() };
    let manifests = children.manifests.into_iter().map(bare).collect();
    Ok(Some((node(Some(manifest), blobs, standing), manifests)))
}

/// The manifest that something lists as `descriptor`, whatever size it says: Harbor before 2.11 lists referrers with the size of
/// all that they lead to (<https://github.com/goharbor/harbor/issues/20187>). The digest decides, and a source gives no
/// manifest above 4 MiB.
async fn read(ends: &Ends, descriptor: &Descriptor) -> Result<Manifest> {
    let target = Target::Digest(descriptor.digest.clone());
    ends.source.manifest(&target).await.map_err(|error| ends.unread(error))
}

fn children(ends: &Ends, manifest: &Manifest, options: &CopyOptions) -> Result<Children> {
    match &options.children {
        Some(own) => own.of(&manifest.descriptor.media_type, &manifest.raw),
        None => members(manifest).and_then(sorted).map_err(|error| ends.unread(error)),
    }
}
