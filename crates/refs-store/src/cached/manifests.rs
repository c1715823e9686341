//! What a repository has under its tags, and under digests of manifests, by its store and by its origin.

use std::time::SystemTime;

use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use refs_registry::{
    Descriptor, Error, Manifest, Result,
    error::{Code, Wanted},
};
use refs_url::{Digest, Tag, Target};

use super::{Cached, freshness::Belief};
use crate::{
    flight::Flight,
    record::{TagChange, TagRecord},
};

impl Cached {
    /// What `tag` leads to, if the store is believed about that.
    pub(super) async fn believed(&self, tag: &Tag) -> Option<Descriptor> {
        if self.belief == Belief::Nothing {
            return None;
        }
        self.believed_of(&self.recorded(tag).await?)
    }

    /// The same by its record: the origin's last word, and where nobody can be asked, what is still of use after that.
    fn believed_of(&self, record: &TagRecord) -> Option<Descriptor> {
        let (last, seen) = record.last()?;
        match self.belief {
            Belief::All => Some(record.descriptor.clone()),
            belief => belief.holds(seen, self.clock.date()).then(|| last.clone()),
        }
    }

    /// What the origin last said that `tag` leads to, kept or not, where nobody else can be asked.
    pub(super) async fn last_recorded(&self, tag: &Tag) -> Option<Descriptor> {
        if self.belief != Belief::All {
            return None;
        }
        self.recorded(tag).await?.last().map(|(last, _)| last.clone())
    }

    /// Notes what the origin has just said that `tag` leads to, and by that, that it has it. A record that leads to what is
    /// kept stays, with a note, where it would lead to nothing.
    pub(super) async fn record(&self, tag: &Tag, descriptor: &Descriptor) {
        self.local.add_member(&descriptor.digest).await;
        let seen = self.clock.date();
        let record = match self.local.known(tag).await {
            Some(old)
                if old.descriptor.digest != descriptor.digest
                    && !self.local.holds(&descriptor.digest).await
                    && self.local.holds(&old.descriptor.digest).await =>
            {
                TagRecord { since: Some(TagChange::Moved { to: Box::new(descriptor.clone()), seen }), ..old }
            }
            _ => TagRecord::new(descriptor.clone(), seen),
        };
        self.local.record(tag, &record).await;
    }

    /// Makes sure that the store has written down where `tag` leads, as who reads without the origin needs.
    ///
    /// # Errors
    /// Why the store has failed, if it has; `NotCached` when nothing is written down.
    pub async fn require_tag(&self, tag: &Tag) -> Result<()> {
        let known = self.local.known(tag).await;
        match self.local.failure() {
            Some(failure) => Err(failure),
            None if known.is_some() => Ok(()),
            None => {
                let wanted = Wanted::Manifest(Target::Tag(tag.clone()));
                Err(Error::NotCached { wanted, of: None, lost: None })
            }
        }
    }

    /// What the origin says that `tag` leads to.
    pub(super) async fn resolved_by_origin(&self, tag: &Tag) -> Result<Descriptor> {
        let target = Target::Tag(tag.clone());
        let answer = self.origin.resolve(&target).await;
        let is_bare = matches!(&answer, Err(Error::NotFound { code: None, .. }));
        // A HEAD has no room for the reason why the tag is not found, and a GET has. It is asked where that matters.
        if is_bare && self.local.known(tag).await.is_some_and(|record| record.last().is_some()) {
            let answer = self.origin.manifest(&target).await;
            return self.unless_gone(tag, answer).await.map(|manifest| manifest.descriptor);
        }
        self.unless_gone(tag, answer).await
    }

    /// What the origin has answered about `tag`. That there is no such tag is noted where it has led somewhere.
    async fn unless_gone<T>(&self, tag: &Tag, answer: Result<T>) -> Result<T> {
        if let Err(error) = &answer
            && says_gone(error, tag)
            && let Some(record) = self.local.known(tag).await
        {
            let since = Some(TagChange::Gone { seen: self.clock.date() });
            self.local.record(tag, &TagRecord { since, ..record }).await;
        }
        answer
    }

    /// The manifest, if it is kept and the origin is known to have it.
    pub(super) async fn own_manifest(&self, digest: &Digest) -> Option<Manifest> {
        if self.local.is_member(digest).await { self.local.manifest(digest).await } else { None }
    }

    /// The manifest that `tag` leads to, by the store if it is believed, else by the origin, if it is kept. Nothing is asked
    /// when it can't be.
    pub(super) async fn kept_manifest(&self, tag: &Tag) -> Result<Option<Manifest>> {
        let Some(record) = self.recorded(tag).await else { return Ok(None) };
        if let Some(Descriptor { digest, .. }) = &self.believed_of(&record) {
            let kept = self.own_manifest(digest).await;
            // Where nobody else is asked, a tag whose manifest is damaged has one.
            let damage =
                if kept.is_none() && self.belief == Belief::All { self.local.damages().of(digest) } else { None };
            return damage.map_or(Ok(kept), Err);
        }
        let Some((last, _)) = record.last() else { return Ok(None) };
        if !self.local.has(&last.digest).await {
            return Ok(None);
        }
        let flight = self.turn(tag).await;
        if flight.is_some()
            && let Some(descriptor) = self.believed(tag).await
        {
            return Ok(self.own_manifest(&descriptor.digest).await);
        }
        let current = self.resolved_by_origin(tag).await?;
        let Some(manifest) = self.local.manifest(&current.digest).await else { return Ok(None) };
        self.record(tag, &current).await;
        drop(flight);
        Ok(Some(manifest))
    }

    /// The right to ask what `tag` leads to, where one answer does for all who wait for it: where records are believed for a
    /// while.
    async fn turn(&self, tag: &Tag) -> Option<Flight> {
        match self.belief {
            Belief::Younger(_) => self.local.tag_flight(tag).await,
            Belief::Nothing | Belief::All => None,
        }
    }

    /// The manifest that another reader was given for `tag` since `asked`, if it is kept.
    async fn manifest_since(&self, tag: &Tag, asked: SystemTime) -> Option<Manifest> {
        let record = self.local.recorded(tag).await?;
        let (descriptor, seen) = record.last()?;
        if asked < seen && seen <= self.clock.date() { self.own_manifest(&descriptor.digest).await } else { None }
    }

    /// The manifest that the origin has under `tag`, which is kept. Others who want it meanwhile wait, and read what is kept.
    pub(super) async fn manifest_by_tag(&self, tag: &Tag, asked: SystemTime) -> Result<Manifest> {
        let flight = self.local.tag_flight(tag).await;
        if flight.is_some()
            && let Some(manifest) = self.manifest_since(tag, asked).await
        {
            return Ok(manifest);
        }
        let manifest = self.unless_gone(tag, self.origin.manifest(&Target::Tag(tag.clone())).await).await?;
        self.local.keep_manifest(&manifest, None).await;
        self.record(tag, &manifest.descriptor).await;
        drop(flight);
        Ok(manifest)
    }

    /// The manifest that the origin has under `digest`, which is kept. Others who want it wait, and read what is kept.
    pub(super) async fn manifest_by_digest(&self, digest: &Digest) -> Result<Manifest> {
        let flight = self.local.flight(digest).await;
        if flight.is_some()
            && let Some(manifest) = self.own_manifest(digest).await
        {
            return Ok(manifest);
        }
        let manifest = self.origin.manifest(&Target::Digest(digest.clone())).await?;
        self.local.keep_manifest(&manifest, flight).await;
        Ok(manifest)
    }

    /// The tags behind `after` that lead to manifests that are kept; without any, the error of what is behind.
    pub(super) fn kept_tags(&self, after: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        stream::once(self.tags_here(after)).flat_map(stream::iter).boxed()
    }

    async fn tags_here(&self, after: Option<Tag>) -> Vec<Result<Tag>> {
        let mut kept = Vec::new();
        for tag in self.local.recorded_tags().await {
            if self.leads_to_kept(&tag).await {
                kept.push(tag);
            }
        }
        // A list that breaks off must not pass for one that is whole.
        if kept.is_empty() || self.local.has_failed() {
            // A repository of which nothing is kept is missing, and is no repository without tags.
            return self.origin.tags(after).collect().await;
        }
        kept.into_iter().filter(|tag| after.as_ref().is_none_or(|after| after < tag)).map(Ok).collect()
    }

    async fn leads_to_kept(&self, tag: &Tag) -> bool {
        let Some(Descriptor { digest, .. }) = self.believed(tag).await else { return false };
        self.local.is_member(&digest).await && self.local.has(&digest).await
    }
}

/// Whether a registry says by `error` that it has no such tag. A 404 without that word may be a proxy's or a lost login's, and
/// a repository that is unknown may be one that may not be seen.
fn says_gone(error: &Error, tag: &Tag) -> bool {
    matches!(
        error,
        Error::NotFound { wanted: Wanted::Manifest(Target::Tag(wanted)), code: Some(Code::ManifestUnknown), .. }
            if wanted == tag
    )
}
