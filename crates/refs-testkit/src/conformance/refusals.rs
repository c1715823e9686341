//! What can't be written says so.

use bytes::Bytes;
use refs_registry::{ErrorKind, Sink};
use refs_url::RepoName;

use super::{
    Fixture,
    check::{blob, by_digest, digest, only_error, tag, tagged},
    report::{Outcome, fails, same},
};

/// Nothing is written to `sink`, which holds `fixture`, nor deleted from it.
pub(super) async fn every_write_is_refused(sink: &dyn Sink, name: &RepoName, fixture: &Fixture) -> Outcome {
    let large = fixture.large_digest();
    let payload = || Bytes::from("refused").into();
    let rows = [
        ("a blob", only_error(sink.put_blob(&blob("refused"), payload()).await)),
        ("an upload", only_error(sink.upload(None).await)),
        ("a mount", only_error(sink.mount(&digest("refused"), name).await)),
        ("a manifest", only_error(sink.put_manifest(&fixture.image, &[tag("refused")]).await)),
        ("deleting a manifest", sink.delete_manifest(&by_digest(&fixture.index)).await),
        ("deleting a tag", sink.delete_manifest(&tagged("a")).await),
        ("deleting a blob", sink.delete_blob(&large).await),
    ];
    for (what, result) in rows {
        fails(what, result, &[ErrorKind::Unsupported, ErrorKind::Denied])?;
    }
    fails("a refused tag", sink.resolve(&tagged("refused")).await, &[ErrorKind::NotFound])?;
    same("a tag that was not deleted", &sink.resolve(&tagged("a")).await?, &fixture.image.descriptor)?;
    same("a blob that was not deleted", &sink.stat_blob(&large).await?, &Some(fixture.large.len() as u64))
}
