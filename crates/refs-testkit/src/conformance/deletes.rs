//! What is deleted is gone, or an error says that it can't be.

use refs_registry::{ErrorKind, Sink};

use super::{
    Capabilities, Support,
    check::{by_digest, digest, put, tagged, tags},
    report::{Outcome, fails, same},
};
use crate::Image;

const NOT_FOUND: &[ErrorKind] = &[ErrorKind::NotFound];
const UNSUPPORTED: &[ErrorKind] = &[ErrorKind::Unsupported];

/// In an empty repository.
pub(super) async fn a_tag_is_deleted(sink: &dyn Sink, can: &Capabilities) -> Outcome {
    let image = Image::new().file("tagged", "tagged").push(sink, &["goes", "stays"]).await?;
    let deleted = sink.delete_manifest(&tagged("goes")).await;
    if can.tag_deletion == Support::Unsupported {
        fails("deleting a tag", deleted, UNSUPPORTED)?;
        return same("a tag that can't be deleted", &sink.manifest(&tagged("goes")).await?, &image);
    }
    deleted?;
    fails("a deleted tag", sink.resolve(&tagged("goes")).await, NOT_FOUND)?;
    fails("deleting what is gone", sink.delete_manifest(&tagged("goes")).await, NOT_FOUND)?;
    same("its manifest", &sink.manifest(&by_digest(&image)).await?, &image)?;
    same("the tags that stay", &tags(sink, None).await?, &["stays"])
}

pub(super) async fn a_manifest_is_deleted_with_its_tags(sink: &dyn Sink, can: &Capabilities) -> Outcome {
    let image = Image::new().file("deleted", "deleted").push(sink, &["deleted", "deleted-too"]).await?;
    let deleted = sink.delete_manifest(&by_digest(&image)).await;
    if can.manifest_deletion == Support::Unsupported {
        fails("deleting a manifest", deleted, UNSUPPORTED)?;
        return same("a manifest that can't be deleted", &sink.manifest(&tagged("deleted")).await?, &image);
    }
    deleted?;
    for target in [tagged("deleted"), tagged("deleted-too"), by_digest(&image)] {
        fails("a deleted manifest", sink.resolve(&target).await, NOT_FOUND)?;
    }
    fails("deleting what is gone", sink.delete_manifest(&by_digest(&image)).await, NOT_FOUND)
}

pub(super) async fn a_blob_is_deleted(sink: &dyn Sink, can: &Capabilities) -> Outcome {
    put(sink, "goes").await?;
    let deleted = sink.delete_blob(&digest("goes")).await;
    if can.blob_deletion == Support::Unsupported {
        fails("deleting a blob", deleted, UNSUPPORTED)?;
        return same("a blob that can't be deleted", &sink.stat_blob(&digest("goes")).await?, &Some(4));
    }
    deleted?;
    same("a deleted blob", &sink.stat_blob(&digest("goes")).await?, &None)?;
    fails("deleting what is gone", sink.delete_blob(&digest("goes")).await, NOT_FOUND)
}
