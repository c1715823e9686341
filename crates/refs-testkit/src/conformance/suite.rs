//! All checks, in repositories of their own.

use std::sync::Arc;

use refs_registry::{Result, Sink, Writable};
use refs_url::{Host, RepoName};

use super::{
    Capabilities, Fixture, Report, Support, blobs, deletes, lists, manifests, mounts, reads,
    refusals::every_write_is_refused,
    report::{Broken, Outcome},
    sha512::sha512_is_a_digest,
    subjects, uploads,
};

/// A place to check, which has no repository below `conformance/` yet.
#[derive(Debug, Clone)]
pub struct Suite<'a> {
    /// The place.
    pub place: Door<'a>,
    /// Another way to the same content: a client beside the first. Where the place can't be written to, the way that its
    /// content comes.
    pub other: Door<'a>,
    /// What the place can do.
    pub capabilities: Capabilities,
    /// How many tags are listed: more than come in a page.
    pub tags: usize,
}

/// A way to repositories.
#[derive(Debug, Clone, Copy)]
pub struct Door<'a> {
    /// What gives them by name.
    pub resolver: &'a dyn Writable,
    /// The host they are asked for at.
    pub host: &'a Host,
}

impl<'a> Suite<'a> {
    /// A place that has but one way in, and can do everything.
    #[must_use]
    pub fn new(resolver: &'a dyn Writable, host: &'a Host) -> Self {
        const TAGS: usize = 25;
        let door = Door { resolver, host };
        Self { place: door, other: door, capabilities: Capabilities::default(), tags: TAGS }
    }

    /// Runs every check.
    pub async fn run(&self) -> Report {
        let mut report = Report::default();
        let run = self.run_into(&mut report).await;
        // What every check needs, and is none itself.
        if run.is_err() {
            report.note("content for the checks is stored", run);
        }
        report
    }

    async fn run_into(&self, report: &mut Report) -> Outcome {
        let fixture = Fixture::push(&*self.other.sink("reads")?).await?;
        let read = self.place.sink("reads")?;
        report.add(reads(&*read, &fixture, &self.capabilities).await);
        let mut written = vec![name("reads")?];
        if self.capabilities.writes == Support::Unsupported {
            report.note("every write is refused", every_write_is_refused(&*read, &written[0], &fixture).await);
        } else {
            self.writes(report).await?;
            self.deletes_and_lists(report).await?;
            written.extend([name("writes")?, name("tags")?, name("subjects")?]);
        }
        report.note("repositories are listed", lists::repositories_are_listed(self, &written).await);
        Ok(())
    }

    async fn writes(&self, report: &mut Report) -> Outcome {
        let (sink, can) = (&*self.place.sink("writes")?, &self.capabilities);
        report.note("blobs come from anywhere", blobs::blobs_come_from_anywhere(sink).await);
        report
            .note("a blob that is there is not sent again", blobs::a_blob_that_is_there_is_not_sent_again(sink).await);
        report.note("wrong bytes leave no blob", blobs::wrong_bytes_leave_no_blob(sink).await);
        report.note("many put the same blob", blobs::many_put_the_same_blob(sink).await);
        report.note("blobs come in pieces", uploads::blobs_come_in_pieces(sink).await);
        let given_up = uploads::an_upload_that_is_given_up_leaves_nothing(sink).await;
        report.note("an upload that is given up leaves nothing", given_up);
        report.note("an upload goes on where it ended", uploads::an_upload_goes_on_where_it_ended(sink, can).await);
        let from = self.place.sink("from")?;
        let mounted = mounts::a_blob_is_mounted(sink, &*from, &name("from")?, can).await;
        report.note("a blob is mounted, or an upload begins", mounted);
        let absent = mounts::a_mount_without_a_blob_is_an_upload(sink).await;
        report.note("a mount without a blob is an upload", absent);
        report.note("a manifest needs its blobs", manifests::a_manifest_needs_its_blobs(sink, can).await);
        report.note("content has sha512 digests", sha512_is_a_digest(sink, can).await);
        Ok(())
    }

    async fn deletes_and_lists(&self, report: &mut Report) -> Outcome {
        let can = &self.capabilities;
        report.note("tags move", manifests::tags_move(&*self.place.sink("tags")?).await);
        report.note("a tag is deleted", deletes::a_tag_is_deleted(&*self.place.sink("untagged")?, can).await);
        let deleted = self.place.sink("deleted")?;
        let manifest = deletes::a_manifest_is_deleted_with_its_tags(&*deleted, can).await;
        report.note("a manifest is deleted with its tags", manifest);
        report.note("a blob is deleted", deletes::a_blob_is_deleted(&*deleted, can).await);
        let (one, other) = (self.place.sink("subjects")?, self.other.sink("subjects")?);
        report.note("referrers come and go", subjects::referrers_come_and_go(&*one, can).await);
        report.note("a subject may come later", subjects::a_subject_may_come_later(&*one).await);
        report.note("two writers lose no referrer", subjects::two_writers_lose_nothing([&*one, &*other], can).await);
        let paged = lists::tags_are_listed_by_pages(self, &*self.place.sink("paged")?).await;
        report.note("tags are listed page by page", paged);
        Ok(())
    }
}

impl Door<'_> {
    fn sink(&self, repository: &str) -> Result<Arc<dyn Sink>, Broken> {
        Ok(self.resolver.sink(self.host, &name(repository)?)?)
    }
}

fn name(repository: &str) -> Result<RepoName, Broken> {
    let name = format!("conformance/{repository}");
    RepoName::parse(&name).map_err(|error| Broken::Promise(error.to_string()))
}
