//! The verb: finds what to copy, and copies it from the bottom up.

use std::{
    collections::{HashMap, HashSet},
    path,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::future::{Either, select, try_join};
use refs_registry::Sink;
use refs_store::Memory;
use refs_url::{Digest, Tag, Target};
use tokio::time::timeout;

use super::{
    blobs::copy_blobs,
    chosen::{Chosen, Origin, Root},
    copied::{Copied, Fate, Outcome, Tally},
    ends::{Ends, Relation, failure},
    gather::{AT_ONCE, Gathered, Top, too_large},
    graph::Standing,
    journal::Journals,
    manifests::{unseen_blobs, write, write_manifests},
    options::{CopyOptions, Mode},
    referrers::{self, about_referrers, left_behind, referrers},
    unmounted,
};
use crate::{
    Client, Error, Location, Meter, Result,
    error::{GraphLimit, LocationFault, Side},
    named,
};

impl Client {
    /// Copies the artifact at `from` to `to`: the manifest, all that it leads to, and what refers to any of that. What the
    /// destination has is not moved; within one registry blobs are mounted; between two places they pass through memory, a
    /// few pieces at a time, and are verified. Layouts on disk are places as others are, a layer in a file can be a source.
    ///
    /// With a tag, `to` leads to the copy in the end, after all else is there, the referrers included; without one the copy
    /// goes by its digest. A digest in `to` must be that of what is copied. What is copied is read past the client's store, and
    /// not kept there.
    ///
    /// The client's store is where it is written down how far blobs of more than [`CopyOptions::piece_bytes`] have come at a
    /// registry. A copy that was killed, run again with the same store, goes on in the upload that the registry still has, and
    /// reads the rest alone of the source; where there is none any more, and for a client without a store, such a blob begins
    /// anew.
    ///
    /// # Security
    /// Every byte that is moved is hashed on its way. Of a blob that is gone on with, the bytes that were sent before are not
    /// read again, so that it is the destination that finds out whether all are what the digest says, when the upload ends;
    /// what it refuses is sent anew, and hashed here. What the destination says of its own is believed: that it has a blob,
    /// that it has mounted one, and that what it takes a manifest of is there. Blobs that it said to have mounted are looked
    /// for only when it refuses the manifest. That it lists a referrer is not enough, as such a list may be the work of clients:
    /// it is asked for each. Of a registry that lies, and takes the manifest all the same, the copy lacks
    /// blobs; whoever pulls it finds that out, and gets nothing wrong. A layout's files are looked at, by their sizes.
    ///
    /// # Errors
    /// `Location` when `from` names neither tag nor digest, or `to` is a file; `OtherDigest`, before anything is written;
    /// `PlatformNotFound` and its like for a platform that there is no image for; `GraphTooLarge`; `Copy` with the side that
    /// failed, and whether that was over the artifact or over what refers to it. After an error the tag is as it was before,
    /// and what was copied stays: blobs and manifests, by their digests, of which the artifact itself may be one. The same
    /// copy again moves what is missing, and the rest of what was on its way.
    pub async fn copy(&self, from: &Location, to: &Location, options: &CopyOptions) -> Result<Copied> {
        if let Location::File(_) = to {
            return Err(to.fault(LocationFault::File));
        }
        let mut past_store = self.clone();
        past_store.store = None;
        let meter = Arc::new(Meter::part_of(self.meter()));
        let names = (from.to_string(), to.to_string());
        let unread = |error| side_of(Side::Source, &names.0, error);
        let (source, target) = past_store.find(from, &meter).await.map_err(unread)?;
        let named = Named::of(to);
        let relation = relation(from, to);
        let root = Root::find(&*source, &names.0, &target, &options.platforms).await.map_err(unread)?;
        named.check(&names.1, &root)?;
        let sink =
            self.destination(to, options.mode).await.map_err(|error| side_of(Side::Destination, &names.1, error))?;
        let journals = self.journals(to, options);
        let ends = Ends { source, sink, from: names.0, to: names.1, relation, journals, meter };
        // Boxed: a copy holds the state of many requests.
        Box::pin(copy(&ends, root, named.tag, options)).await
    }

    /// Where it is written down how far large blobs have come at `to`; a layout keeps what has come of them by itself.
    fn journals(&self, to: &Location, options: &CopyOptions) -> Option<Journals> {
        let (Location::Registry(reference), Some(store)) = (to, &self.store) else { return None };
        Some(Journals::new(Arc::clone(store), self.origin(reference), options.piece_bytes))
    }

    /// The repository at `to`. A dry run does not make a layout that is not there.
    async fn destination(&self, to: &Location, mode: Mode) -> Result<Arc<dyn Sink>> {
        self.keep_out(to).await?;
        match (to, mode) {
            (Location::Layout { path, .. }, Mode::DryRun) => Ok(match named::foreseen(path).await? {
                Some(layout) => Arc::new(layout),
                None => Arc::new(Memory::new()),
            }),
            _ => self.sink(to).await,
        }
    }
}

/// What a destination is named by.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) tag: Option<Tag>,
    pub(crate) digest: Option<Digest>,
}

impl Named {
    fn of(to: &Location) -> Self {
        Self { tag: to.tag().cloned(), digest: to.digest().cloned() }
    }

    /// That the digest, if there is one, is that of what is copied.
    fn check(&self, to: &str, root: &Root) -> Result<()> {
        let actual = &root.manifest.descriptor.digest;
        match &self.digest {
            Some(expected) if expected != actual => {
                let (expected, actual) = (Box::new(expected.clone()), Box::new(actual.clone()));
                Err(Error::OtherDigest { at: to.to_owned(), expected, actual })
            }
            _ => Ok(()),
        }
    }
}

/// Copies what `target` leads to at the source.
pub(crate) async fn copy_named(ends: &Ends, target: &Target, to: Named, options: &CopyOptions) -> Result<Copied> {
    let root = Root::find(&*ends.source, &ends.from, target, &options.platforms).await;
    let root = root.map_err(|error| side_of(Side::Source, &ends.from, error))?;
    to.check(&ends.to, &root)?;
    copy(ends, root, to.tag, options).await
}

/// An error of a registry with the side that it is from.
fn side_of(side: Side, at: &str, error: Error) -> Error {
    match error {
        Error::Registry(source) => failure(side, at, source),
        other => other,
    }
}

fn relation(from: &Location, to: &Location) -> Relation {
    match (from, to) {
        (Location::Registry(from), Location::Registry(to)) => Relation::of(from, to),
        (Location::Layout { path: from, .. }, Location::Layout { path: to, .. }) => {
            let [from, to] = [from, to].map(|path| path::absolute(named::split(path).0).ok());
            if from == to { Relation::Same } else { Relation::Apart }
        }
        _ => Relation::Apart,
    }
}

/// A copy under way.
struct Copying<'a> {
    ends: &'a Ends,
    options: &'a CopyOptions,
    gathered: Gathered,
    /// The blobs that were looked at.
    seen: HashMap<Digest, u64>,
    /// Whether a tag is to lead to the copy that has led elsewhere before, or nowhere.
    is_retagged: bool,
    copied: Copied,
}

/// The manifests of a copy, but for what refers to them.
struct Found(Vec<Digest>);

impl Found {
    /// All but `root` itself.
    fn below(&self, root: &Root) -> Vec<Digest> {
        let own = &root.manifest.descriptor.digest;
        self.0.iter().filter(|digest| *digest != own).cloned().collect()
    }

    /// Those that something at the source may refer to.
    fn subjects(&self, root: &Root) -> Vec<Digest> {
        if root.origin == Origin::Made { self.below(root) } else { self.0.clone() }
    }
}

/// Copies `root` and what is beneath it and what refers to any of that, and lets `tag` lead to it.
async fn copy(ends: &Ends, root: Root, tag: Option<Tag>, options: &CopyOptions) -> Result<Copied> {
    let descriptor = root.manifest.descriptor.clone();
    let is_tagged = match &tag {
        Some(tag) => ends.is_tagged(tag, &descriptor.digest).await?,
        None => false,
    };
    let copied = Copied {
        outcome: Outcome::Copied,
        manifest: descriptor,
        tag: tag.clone(),
        manifests: Tally::default(),
        manifests_present: 0,
        blobs: Vec::new(),
        referrers: 0,
        left_behind: None,
    };
    let (gathered, seen) = (Gathered::default(), HashMap::new());
    let is_retagged = tag.is_some() && !is_tagged;
    let mut copying = Copying { ends, options, gathered, seen, is_retagged, copied };
    let found = copying.gather(&root, is_tagged.then_some(Standing::Present)).await?;
    let stays = root.stays.as_ref().filter(|index| **index != root.manifest.descriptor.digest);
    let (copied, left_behind) =
        beside(copying.all(&root, &found, tag), left_behind(ends, stays, options), GRACE).await?;
    Ok(Copied { left_behind, ..copied })
}

/// How long a finished copy waits for what is only told.
const GRACE: Duration = Duration::from_secs(2);

/// What `work` gives, and `news`, which is asked for meanwhile and may take `grace` longer than the work. The work never waits
/// for it.
async fn beside<T, N>(
    work: impl Future<Output = Result<T>>,
    news: impl Future<Output = Option<N>>,
    grace: Duration,
) -> Result<(T, Option<N>)> {
    match select(pin!(work), pin!(news)).await {
        Either::Left((done, news)) => Ok((done?, timeout(grace, news).await.ok().flatten())),
        Either::Right((news, work)) => Ok((work.await?, news)),
    }
}

impl Copying<'_> {
    /// Copies what was `found`, `root` and what refers to any of that, and lets `tag` lead to it.
    async fn all(mut self, root: &Root, found: &Found, tag: Option<Tag>) -> Result<Copied> {
        let (ends, options, subjects) = (self.ends, self.options, found.subjects(root));
        // What refers is asked for meanwhile; whether that went well matters when all that it refers to is there.
        let listed = async { Ok(referrers(ends, &subjects, options).await) };
        let (listed, ()) = try_join(listed, self.below(root, found)).await?;
        let tops = listed.map_err(about_referrers)?;
        let tag = tag.filter(|_| self.is_retagged);
        if tops.is_empty() {
            // Nothing comes between the manifest and its tag: one request is enough for both.
            self.root(root, tag).await?;
            return Ok(self.report());
        }
        self.root(root, None).await?;
        self.all_referrers(tops).await.map_err(about_referrers)?;
        if tag.is_some() {
            self.root(root, tag).await?;
        }
        Ok(self.report())
    }

    /// Finds `root` and all manifests beneath it.
    async fn gather(&mut self, root: &Root, standing: Option<Standing>) -> Result<Found> {
        let manifest = Some(root.manifest.clone());
        let top = Top { manifest, origin: root.origin, standing, ..Top::listed(root.manifest.descriptor.clone()) };
        self.gathered.add(self.ends, vec![top], &root.chosen, self.options).await.map(Found)
    }

    /// Copies what is beneath `root`.
    async fn below(&mut self, root: &Root, found: &Found) -> Result<()> {
        self.blobs(&found.0).await?;
        self.manifests(&found.below(root), AT_ONCE).await
    }

    /// Writes `root` if it is not there, and lets `tag` lead to it.
    async fn root(&mut self, root: &Root, tag: Option<Tag>) -> Result<()> {
        let is_absent = self.is_absent(&root.manifest.descriptor.digest);
        if self.options.mode == Mode::DryRun || !is_absent && tag.is_none() {
            return Ok(());
        }
        let written = write(self.ends, &root.manifest, tag.as_slice()).await;
        if self.has_sent_unmounted(&written).await? {
            return write(self.ends, &root.manifest, tag.as_slice()).await;
        }
        written
    }

    /// Copies `tops`, which refer to what was copied, what refers to them, and so on.
    async fn all_referrers(&mut self, mut tops: Vec<Top>) -> Result<()> {
        for _ in 0..referrers::MAX_DEPTH {
            let subjects = self.referrers(tops).await?;
            tops = referrers(self.ends, &subjects, self.options).await?;
            if tops.is_empty() {
                return Ok(());
            }
        }
        Err(too_large(self.ends, GraphLimit::Depth(referrers::MAX_DEPTH)))
    }

    /// Copies `tops`, which refer to what was copied; gives the manifests that came with them.
    async fn referrers(&mut self, tops: Vec<Top>) -> Result<Vec<Digest>> {
        let listed: HashSet<Digest> = tops.iter().map(|top| top.descriptor.digest.clone()).collect();
        let found = self.gathered.add(self.ends, tops, &Chosen::All, self.options).await?;
        self.copied.referrers += found.iter().filter(|digest| listed.contains(*digest)).count() as u64;
        self.blobs(&found).await?;
        self.manifests(&found, referrers::WRITES_AT_ONCE).await?;
        Ok(found)
    }

    async fn blobs(&mut self, found: &[Digest]) -> Result<()> {
        let blobs = unseen_blobs(&self.gathered.nodes, found, &mut self.seen);
        let blobs = blobs.map_err(|error| self.ends.unread(error))?;
        self.copied.blobs.extend(copy_blobs(self.ends, blobs, self.options).await?);
        Ok(())
    }

    async fn manifests(&mut self, found: &[Digest], at_once: usize) -> Result<()> {
        let mode = self.options.mode;
        let mut written = write_manifests(self.ends, &self.gathered.nodes, found, mode, at_once).await;
        if self.has_sent_unmounted(&written).await? {
            written = write_manifests(self.ends, &self.gathered.nodes, found, mode, at_once).await;
        }
        let written = written?;
        self.copied.manifests.count += written.count;
        self.copied.manifests.bytes = self.copied.manifests.bytes.saturating_add(written.bytes);
        Ok(())
    }

    /// Whether `written` failed for want of blobs that were said to be mounted, and have now been sent.
    async fn has_sent_unmounted<T: Sync>(&mut self, written: &Result<T>) -> Result<bool> {
        match written {
            Err(refusal) if unmounted::may_be_why(refusal) => {
                Ok(unmounted::send(self.ends, &mut self.copied.blobs, self.options).await? > 0)
            }
            _ => Ok(false),
        }
    }

    fn is_absent(&self, digest: &Digest) -> bool {
        self.gathered.nodes.get(digest).is_none_or(|node| node.standing == Standing::Absent)
    }

    /// What came of it.
    fn report(self) -> Copied {
        let is_written = self.is_absent(&self.copied.manifest.digest);
        let mut copied = self.copied;
        if is_written {
            copied.manifests.add(copied.manifest.size);
        }
        copied.manifests_present = (self.gathered.nodes.len() as u64).saturating_sub(copied.manifests.count);
        let is_moved = copied.blobs.iter().any(|blob| blob.fate != Fate::Present);
        copied.outcome = match (self.is_retagged || is_moved || copied.manifests.count > 0, self.options.mode) {
            (true, Mode::Copy) => Outcome::Copied,
            (true, Mode::DryRun) => Outcome::Planned,
            (false, _) if self.ends.relation == Relation::Same => Outcome::Itself,
            (false, _) => Outcome::Present,
        };
        copied
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_copy_does_not_wait_for_what_is_only_told() {
        let none = Duration::ZERO;
        assert_eq!(beside(ready(Ok(1)), pending::<Option<u8>>(), none).await.unwrap(), (1, None));
        assert_eq!(beside(ready(Ok(1)), ready(Some(2)), none).await.unwrap(), (1, Some(2)));
        let late = async {
            tokio::task::yield_now().await;
            Ok(1)
        };
        assert_eq!(beside(late, ready(Some(2)), none).await.unwrap(), (1, Some(2)));
    }
}
