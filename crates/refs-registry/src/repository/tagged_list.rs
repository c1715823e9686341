//! The list of referrers that clients keep under a tag where the registry keeps none
//! ([referrers tag schema](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema)).

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderName, HeaderValue, header};
use refs_url::{Digest, Target};

use super::{Repository, manifests::Condition};
use crate::{
    Descriptor, Error, Manifest, MediaType, Result,
    auth::Scopes,
    error::{Detail, Wanted},
    spec::{Document, Index, Referrer},
};

/// How often a list is written that other writers overwrite.
const ROUNDS: u32 = 16;
const CONDITIONAL_ROUNDS: u32 = ROUNDS / 2;

/// A change of the list of one subject's referrers.
#[derive(Debug, Clone, Copy)]
enum Change<'a> {
    Add(&'a Descriptor),
    Remove(&'a Digest),
}

impl Change<'_> {
    /// Whether `listed` is as it is meant to be.
    fn is_made(self, listed: &[Descriptor]) -> bool {
        match self {
            Self::Add(referrer) => listed.contains(referrer),
            Self::Remove(digest) => listed.iter().all(|listed| listed.digest != *digest),
        }
    }

    fn make(self, listed: &mut Vec<Descriptor>) {
        let (Self::Add(Descriptor { digest, .. }) | Self::Remove(digest)) = self;
        listed.retain(|listed| listed.digest != *digest);
        if let Self::Add(referrer) = self {
            listed.push(referrer.clone());
        }
    }
}

/// A list as it was read, and what a write must find unchanged.
struct Listed {
    index: Index,
    condition: Condition,
}

impl Repository {
    /// Makes sure that the list has `referrer`, once.
    pub(super) async fn list_referrer(&self, referrer: &Referrer) -> Result<()> {
        self.change_list(&referrer.subject, Change::Add(&referrer.descriptor)).await
    }

    /// Makes sure that the list has `referrer` no more.
    pub(super) async fn unlist_referrer(&self, referrer: &Referrer) -> Result<()> {
        self.change_list(&referrer.subject, Change::Remove(&referrer.descriptor.digest)).await
    }

    /// Reads the list, writes it with the `change`, and reads it again, until a reading has the change in it.
    ///
    /// Few registries heed a condition on a write, and distribution 2.8 answers one as if it did. So the look after a
    /// write comes late: a writer who had read the list before this write has then written, and what that lost is
    /// written again.
    async fn change_list(&self, subject: &Digest, change: Change<'_>) -> Result<()> {
        for round in 0..ROUNDS {
            let took = {
                // Writers of this process need not overwrite one another.
                let _turn = self.remote.turn().await;
                let began = self.remote.clock().now();
                let Listed { mut index, condition } = self.read_list(subject).await?;
                if change.is_made(&index.manifests) {
                    return Ok(());
                }
                change.make(&mut index.manifests);
                // A condition that is never met, as of an `ETag` that something on the way rewrites, is dropped in the end.
                let condition = if round < CONDITIONAL_ROUNDS { condition } else { Condition::Any };
                self.write_list(subject, &index, condition).await?;
                self.remote.clock().now().saturating_duration_since(began)
            };
            self.remote.clock().sleep(settling(took, fastrand::f64())).await;
        }
        Err(self.list_conflict(subject, "other writers changed it each time that it was written"))
    }

    async fn read_list(&self, subject: &Digest) -> Result<Listed> {
        let target = Target::Tag(subject.referrers_tag());
        let (answer, manifest) = match self.fetch_manifest(&target, Scopes::push(&self.name)).await {
            Ok(read) => read,
            Err(Error::NotFound { .. }) => return Ok(Listed { index: empty(), condition: Condition::Absent }),
            Err(error) => return Err(error),
        };
        let Document::Index(index) = manifest.parse()? else {
            return Err(self.list_conflict(subject, "its tag leads to an image"));
        };
        // A weak validator matches nothing.
        let etag = answer.headers.get(header::ETAG).filter(|etag| !etag.as_bytes().starts_with(b"W/"));
        Ok(Listed { index: *index, condition: etag.cloned().map_or(Condition::Any, Condition::Is) })
    }

    async fn write_list(&self, subject: &Digest, index: &Index, condition: Condition) -> Result<()> {
        let target = Target::Tag(subject.referrers_tag());
        let manifest = Manifest::index(index)?;
        if manifest.descriptor.size > Manifest::MAX_BYTES {
            let wanted = Wanted::Referrers(subject.clone());
            return Err(Error::TooLarge { wanted, limit: Manifest::MAX_BYTES });
        }
        match self.put_if(&manifest, &target, &condition).await {
            Ok(_) => Ok(()),
            // Somebody else was faster.
            Err(Error::Refused { status: 412, .. } | Error::Conflict { .. }) => Ok(()),
            Err(Error::Refused { status: 400..=499, .. } | Error::Unsupported { .. })
                if condition != Condition::Any =>
            {
                // What stands before a registry may know no conditions.
                self.put_if(&manifest, &target, &Condition::Any).await.map(drop)
            }
            Err(error) => Err(error),
        }
    }

    fn list_conflict(&self, subject: &Digest, why: &str) -> Error {
        Error::Conflict { wanted: Wanted::Referrers(subject.clone()), at: self.place(), detail: Detail::new(why) }
    }
}

impl Condition {
    /// The header that says so.
    pub(super) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Any => None,
            Self::Absent => Some((header::IF_NONE_MATCH, HeaderValue::from_static("*"))),
            Self::Is(etag) => Some((header::IF_MATCH, etag.clone())),
        }
    }
}

/// How long to wait before the look after a write: twice to three times what reading and writing took, as `draw` from 0
/// to 1 says, so that many writers do not meet again and again.
fn settling(took: Duration, draw: f64) -> Duration {
    const SHORTEST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(2);
    (took.clamp(SHORTEST / 2, LONGEST / 2) * 2).mul_f64(1.0 + draw.clamp(0.0, 1.0) / 2.0)
}

fn empty() -> Index {
    Index {
        schema_version: 2,
        media_type: Some(MediaType::OCI_INDEX),
        artifact_type: None,
        manifests: Vec::new(),
        subject: None,
        annotations: BTreeMap::new(),
        extra: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn referrer(content: &[u8], kind: &str) -> Descriptor {
        let artifact_type = Some(MediaType::new(kind));
        Descriptor { artifact_type, ..Descriptor::of(MediaType::OCI_MANIFEST, content) }
    }

    #[test]
    fn a_list_has_each_referrer_once_as_it_was_listed_last() {
        let (one, other, better) = (referrer(b"1", "a/b"), referrer(b"2", "a/b"), referrer(b"1", "a/c"));
        let mut listed = vec![one.clone(), other.clone(), one.clone()];
        assert!(Change::Add(&one).is_made(&listed) && !Change::Add(&better).is_made(&listed));
        Change::Add(&better).make(&mut listed);
        assert_eq!(listed, [other.clone(), better]);
        assert!(!Change::Remove(&one.digest).is_made(&listed));
        Change::Remove(&one.digest).make(&mut listed);
        assert_eq!(listed, [other]);
        assert!(Change::Remove(&one.digest).is_made(&listed));
    }

    #[test]
    fn the_look_after_a_write_comes_after_the_time_that_another_write_takes() {
        let ms = Duration::from_millis;
        assert_eq!(settling(ms(0), 0.0), ms(100));
        assert_eq!(settling(ms(300), 0.0), ms(600));
        assert_eq!(settling(ms(300), 1.0), ms(900));
        assert_eq!(settling(ms(60_000), 1.0), ms(3_000));
    }
}
