//! Blobs of other repositories.

use refs_registry::Sink;
use refs_url::RepoName;

use super::{
    Capabilities, Mounts, Support,
    check::{WasMounted, digest, finish, holds_blob, put},
    report::{Outcome, same},
};

/// Mounts from `from`, the repository named `name` beside the repository `sink` of the same place.
pub(super) async fn a_blob_is_mounted(
    sink: &dyn Sink,
    from: &dyn Sink,
    name: &RepoName,
    can: &Capabilities,
) -> Outcome {
    put(from, "mounted").await?;
    let digest = digest("mounted");
    let mounted = finish(sink.mount(&digest, name).await?, "mounted").await?;
    let expect = match can.mounts {
        Mounts::Mounted => WasMounted::Mounted,
        Mounts::Upload => WasMounted::Sent,
    };
    same("what comes of a mount", &mounted, &expect)?;
    holds_blob(sink, "mounted").await?;
    if can.blob_deletion == Support::Supported {
        from.delete_blob(&digest).await?;
        same("the blob where it came from", &from.stat_blob(&digest).await?, &None)?;
    }
    holds_blob(sink, "mounted").await
}

#[expect(clippy::expect_used, reason = "the name is a literal")]
pub(super) async fn a_mount_without_a_blob_is_an_upload(sink: &dyn Sink) -> Outcome {
    let nowhere = RepoName::parse("no/such/repository").expect("a name");
    let mounted = sink.mount(&digest("not to be mounted"), &nowhere).await?;
    same("a blob that is nowhere", &finish(mounted, "not to be mounted").await?, &WasMounted::Sent)?;
    holds_blob(sink, "not to be mounted").await
}
