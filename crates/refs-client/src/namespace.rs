//! All registries as one namespace: operations by reference.

use std::{fmt::Debug, ops::Range, sync::Arc};

use refs_registry::{
    Blob, Descriptor, Manifest, MediaType, Part, Resolver, Resume, Sink, Source, Writable, error::Wanted,
};
use refs_url::{Digest, Reference, Target};

use crate::{
    Error, Location, Meter, Result,
    blobs::ANY,
    copy::{Copied, CopiedBlob, CopyOptions, Ends, Named, Relation, copy_blob, copy_named},
    error::LocationFault,
    resolve::check_unmoved,
};

/// Registries, or whatever serves repositories by their names, as one namespace, in which a reference leads to a manifest or
/// a blob wherever it is.
///
/// What it is over decides what it can do: over a `dyn Resolver` it reads, over a `dyn Writable` it copies, too. Where a
/// reference has a tag and a digest, the tag is looked up, and must lead to the digest, by what its registry last said where
/// nobody can be asked;
/// [`trusting_digests`](Self::trusting_digests) leaves that out.
#[derive(Debug)]
pub struct Namespace<R: ?Sized = dyn Writable> {
    resolver: Arc<R>,
    tags: Tags,
}

/// What becomes of a tag beside a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tags {
    Verified,
    Ignored,
}

impl<R: ?Sized> Namespace<R> {
    /// The repositories that `resolver` finds.
    #[must_use]
    pub const fn new(resolver: Arc<R>) -> Self {
        Self { resolver, tags: Tags::Verified }
    }

    /// The same, with digests that are not compared with what tags beside them lead to: it saves a request, and a tag that
    /// has moved does not matter.
    #[must_use]
    pub fn trusting_digests(self) -> Self {
        Self { tags: Tags::Ignored, ..self }
    }
}

impl<R: ?Sized> Clone for Namespace<R> {
    fn clone(&self) -> Self {
        Self { resolver: Arc::clone(&self.resolver), tags: self.tags }
    }
}

impl<R: Resolver + ?Sized> Namespace<R> {
    /// The manifest that `reference` leads to.
    ///
    /// # Errors
    /// `Location` when it names neither tag nor digest; `TagMoved`; `Registry` with its kinds.
    pub async fn get_manifest(&self, reference: &Reference) -> Result<Manifest> {
        let (source, target) = self.open(reference).await?;
        Ok(source.manifest(&target).await?)
    }

    /// The descriptor of the manifest that `reference` leads to, which is not fetched where its registry allows.
    ///
    /// # Errors
    /// As [`get_manifest`](Self::get_manifest).
    pub async fn resolve_manifest(&self, reference: &Reference) -> Result<Descriptor> {
        let (source, target) = self.open(reference).await?;
        Ok(source.resolve(&target).await?)
    }

    /// The blob that `reference` names by its digest: verified once its stream has ended without an error.
    ///
    /// # Errors
    /// `Location` with `TagNotAllowed` for a tag, with `NoDigest` when there is no digest; `Registry` with its kinds.
    pub async fn get_blob(&self, reference: &Reference) -> Result<Blob> {
        let digest = blob_digest(reference)?;
        Ok(self.source(reference)?.blob(digest, Resume::START).await?)
    }

    /// Bytes `range` of a blob, exactly; an empty range is asked of nobody. They are not verified: only a digest of the
    /// part's own could vouch for it.
    ///
    /// # Errors
    /// As [`get_blob`](Self::get_blob); `RangeOutside` when the blob ends before the range does, or that ends before it
    /// begins.
    pub async fn get_blob_range(&self, reference: &Reference, range: Range<u64>) -> Result<Part> {
        let digest = blob_digest(reference)?;
        let source = self.source(reference)?;
        let size = size_of(&*source, reference, digest).await?;
        if range.start > range.end || range.end > size {
            return Err(Error::RangeOutside { path: reference.to_string(), start: range.start.max(range.end), size });
        }
        if range.is_empty() {
            return Ok(Part { range, total: size, stream: Box::pin(futures_util::stream::empty()) });
        }
        Ok(source.blob_part(digest, range).await?)
    }

    /// The digest and size of the blob that `reference` names by its digest. Of what type it is only a manifest tells.
    ///
    /// # Errors
    /// As [`get_blob`](Self::get_blob).
    pub async fn resolve_blob(&self, reference: &Reference) -> Result<Descriptor> {
        let digest = blob_digest(reference)?;
        let source = self.source(reference)?;
        let size = size_of(&*source, reference, digest).await?;
        Ok(Descriptor::new(MediaType::new(ANY), digest.clone(), size))
    }

    fn source(&self, reference: &Reference) -> Result<Arc<dyn Source>> {
        Ok(self.resolver.source(reference.host(), reference.repository())?)
    }

    /// The repository of a manifest, and what that goes by.
    async fn open(&self, reference: &Reference) -> Result<(Arc<dyn Source>, Target)> {
        let target = reference.target().ok_or_else(|| fault(reference, LocationFault::NoTarget))?;
        let source = self.source(reference)?;
        if let (Tags::Verified, Some(tag), Some(_)) = (self.tags, reference.tag(), reference.digest()) {
            let found = source.last_told(tag).await?;
            check_unmoved(&reference.clone().into(), &found)?;
        }
        Ok((source, target))
    }
}

impl<R: Writable + ?Sized> Namespace<R> {
    /// Copies the blob that `from` names by its digest to the repository of `to`, unless that has it; within one registry it
    /// is mounted.
    ///
    /// # Errors
    /// `Location` with `TagNotAllowed` for a tag in either, with `NoDigest` when `from` has no digest; `OtherDigest` when
    /// `to` has another one; `Copy` with the side that failed.
    pub async fn copy_blob(&self, from: &Reference, to: &Reference) -> Result<CopiedBlob> {
        let digest = blob_digest(from)?;
        check_blob(to, digest)?;
        let ends = self.ends(from, to, self.source(from)?)?;
        let size = size_of(&*ends.source, from, digest).await?;
        let descriptor = Descriptor::new(MediaType::new(ANY), digest.clone(), size);
        copy_blob(&ends, descriptor).await
    }

    /// Copies the manifest that `from` leads to, all that it leads to itself, and what refers to any of that, as
    /// [`Client::copy`](crate::Client::copy) does.
    ///
    /// # Errors
    /// `TagMoved` when `from` has a tag that does not lead to its digest; else as [`Client::copy`](crate::Client::copy).
    pub async fn copy_manifest(&self, from: &Reference, to: &Reference, options: &CopyOptions) -> Result<Copied> {
        let (source, target) = self.open(from).await?;
        let ends = self.ends(from, to, source)?;
        let named = Named { tag: to.tag().cloned(), digest: to.digest().cloned() };
        // Boxed: a copy holds the state of many requests.
        Box::pin(copy_named(&ends, &target, named, options)).await
    }

    fn ends(&self, from: &Reference, to: &Reference, source: Arc<dyn Source>) -> Result<Ends> {
        let sink: Arc<dyn Sink> = self.resolver.sink(to.host(), to.repository())?;
        let relation = Relation::of(from, to);
        let (from, to) = (from.to_string(), to.to_string());
        let meter = Arc::new(Meter::default());
        Ok(Ends { source, sink, from, to, relation, journals: None, meter })
    }
}

fn blob_digest(reference: &Reference) -> Result<&Digest> {
    if reference.tag().is_some() {
        return Err(fault(reference, LocationFault::TagNotAllowed));
    }
    reference.digest().ok_or_else(|| fault(reference, LocationFault::NoDigest))
}

/// That `to` can take the blob `digest`.
fn check_blob(to: &Reference, digest: &Digest) -> Result<()> {
    if to.tag().is_some() {
        return Err(fault(to, LocationFault::TagNotAllowed));
    }
    match to.digest() {
        Some(expected) if expected != digest => {
            let (expected, actual) = (Box::new(expected.clone()), Box::new(digest.clone()));
            Err(Error::OtherDigest { at: to.to_string(), expected, actual })
        }
        _ => Ok(()),
    }
}

async fn size_of(source: &dyn Source, reference: &Reference, digest: &Digest) -> Result<u64> {
    let size = source.stat_blob(digest).await?;
    let at = || reference.repository_ref().to_string().into();
    Ok(size.ok_or_else(|| refs_registry::Error::NotFound {
        wanted: Wanted::Blob(digest.clone()),
        at: at(),
        code: None,
    })?)
}

fn fault(reference: &Reference, fault: LocationFault) -> Error {
    Location::Registry(reference.clone()).fault(fault)
}
