//! Manifests and their tags.

use refs_registry::{ErrorKind, MediaType, Sink};

use super::{
    Capabilities, Support,
    check::{by_digest, put, tag, tagged, tags},
    report::{Outcome, fails, same},
};
use crate::Image;

pub(super) async fn a_manifest_needs_its_blobs(sink: &dyn Sink, can: &Capabilities) -> Outcome {
    let manifest = Image::new().layer(MediaType::OCI_LAYER, "nobody has put this").manifest()?;
    put(sink, "{}").await?;
    let stored = sink.put_manifest(&manifest, &[]).await;
    if can.missing_blobs_refused == Support::Unsupported {
        stored?;
        return same("a manifest without its blobs", &sink.manifest(&by_digest(&manifest)).await?, &manifest);
    }
    fails("a manifest without its blobs", stored, &[ErrorKind::NotFound, ErrorKind::Protocol])?;
    fails("a refused manifest", sink.resolve(&by_digest(&manifest)).await, &[ErrorKind::NotFound])
}

/// In an empty repository.
pub(super) async fn tags_move(sink: &dyn Sink) -> Outcome {
    let old = Image::new().file("old", "old").push(sink, &["moves", "stays"]).await?;
    let new = Image::new().file("new", "new").push(sink, &["moves"]).await?;
    let stored = sink.put_manifest(&new, &[]).await?;
    same("what is stored twice", &(stored.digest, stored.subject), &(new.descriptor.digest.clone(), None))?;
    same("a tag that moved", &sink.manifest(&tagged("moves")).await?, &new)?;
    same("a tag that stayed", &sink.manifest(&tagged("stays")).await?, &old)?;
    same("a manifest that lost a tag", &sink.manifest(&by_digest(&old)).await?, &old)?;
    let mut tags = tags(sink, None).await?;
    tags.sort();
    same("the tags", &tags, &["moves", "stays"].map(tag).to_vec())
}
