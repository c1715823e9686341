//! How old what the cache knows of a tag is, where nobody else is asked.

use std::time::{SystemTime, UNIX_EPOCH};

use indicatif::HumanDuration;
use jiff::Timestamp;
use refs_client::{Error, Location};
use refs_store::{TagChange, TagRecord};
use refs_url::{Digest, Tag, Target};
use serde::Serialize;

use crate::{commands::Failure, wiring::Session};

/// What the answer of a command tells of the tag that it went by.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Recorded {
    #[serde(skip)]
    tag: Tag,
    #[serde(skip)]
    record: TagRecord,
    /// When the registry said what the tag leads to.
    tag_seen: String,
    /// What it has said since.
    #[serde(skip_serializing_if = "Option::is_none")]
    tag_moved_to: Option<String>,
}

impl Recorded {
    /// What the cache knows of the tag of `at`, where the command went by that and asked nobody.
    pub(crate) async fn of(session: &Session, at: &Location) -> refs_client::Result<Option<Self>> {
        let Some(Target::Tag(tag)) = at.target().filter(|_| session.knows_only_cached(at)) else { return Ok(None) };
        let record = session.client().recorded_tag(at).await?;
        Ok(record.map(|record| Self::new(tag, record)))
    }

    /// The same, where the command gave `digest` for the tag: that may be the registry's last word, be it in the cache or not.
    pub(crate) fn given(self, digest: &Digest) -> Self {
        match self.record.since {
            Some(TagChange::Moved { to, seen }) if to.digest == *digest => {
                Self::new(self.tag, TagRecord::new(*to, seen))
            }
            _ => self,
        }
    }

    fn new(tag: Tag, record: TagRecord) -> Self {
        let tag_moved_to = match &record.since {
            Some(TagChange::Moved { to, .. }) => Some(to.digest.to_string()),
            Some(TagChange::Gone { .. }) | None => None,
        };
        Self { tag, tag_seen: timestamp(record.seen), tag_moved_to, record }
    }

    /// Says it on stderr.
    pub(crate) fn tell(&self, session: &Session) {
        session.hint(&self.said());
    }

    fn said(&self) -> String {
        let Self { tag, record, .. } = self;
        let seen = ago(record.seen);
        match &record.since {
            Some(TagChange::Moved { to, seen: moved }) => format!(
                "`{tag}` is as the registry had it {seen}; {}, it led to {}, which is not in the cache",
                ago(*moved),
                to.digest
            ),
            Some(TagChange::Gone { .. }) | None => {
                format!("`{tag}` is as the registry had it {seen}; without `--offline` it is asked again")
            }
        }
    }
}

/// How old what `failure` says of a tag of `places` is, where that does not lead to the digest beside it and nobody was asked.
pub(crate) async fn of_moved(session: &Session, failure: &Failure, places: &[Location]) -> Option<String> {
    let Failure::Client(Error::TagMoved { tag, actual, .. }) = failure else { return None };
    for at in places.iter().filter(|at| at.tag() == Some(tag)) {
        let known = Recorded::of(session, &at.clone().at_tag(tag.clone())).await.ok().flatten();
        if let Some(recorded) = known {
            return Some(recorded.given(actual).said());
        }
    }
    None
}

/// How long ago `then` was, for people.
pub(crate) fn ago(then: SystemTime) -> String {
    match SystemTime::now().duration_since(then) {
        Ok(age) => format!("{} ago", HumanDuration(age)),
        // Somebody has set the clock.
        Err(_) => format!("at {}", timestamp(then)),
    }
}

fn timestamp(then: SystemTime) -> String {
    let seconds = then.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.unwrap_or(Timestamp::MAX).to_string()
}
