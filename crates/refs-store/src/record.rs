//! What a store remembers of a tag.

use std::time::SystemTime;

use refs_registry::Descriptor;
use serde::{Deserialize, Serialize};

/// What a tag led to when somebody looked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TagRecord {
    /// The manifest.
    pub descriptor: Descriptor,
    /// When the origin said so.
    pub seen: SystemTime,
    /// What the origin has said since, when that is something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<TagChange>,
}

/// What an origin said of a tag after it had led elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum TagChange {
    /// There is no such tag.
    Gone {
        /// When it said so.
        seen: SystemTime,
    },
    /// It leads to a manifest that the store did not have by then, as it had the one before.
    Moved {
        /// The manifest.
        to: Box<Descriptor>,
        /// When the origin said so.
        seen: SystemTime,
    },
}

impl TagRecord {
    /// The record of a tag that leads to `descriptor`, as its origin said at `seen`.
    #[must_use]
    pub const fn new(descriptor: Descriptor, seen: SystemTime) -> Self {
        Self { descriptor, seen, since: None }
    }

    /// What the origin said last that the tag leads to, and when; `None` when it said that there is no such tag.
    #[must_use]
    pub fn last(&self) -> Option<(&Descriptor, SystemTime)> {
        match &self.since {
            None => Some((&self.descriptor, self.seen)),
            Some(TagChange::Moved { to, seen }) => Some((to, *seen)),
            Some(TagChange::Gone { .. }) => None,
        }
    }

    /// When the origin was last asked.
    #[must_use]
    pub const fn asked(&self) -> SystemTime {
        match &self.since {
            None => self.seen,
            Some(TagChange::Moved { seen, .. } | TagChange::Gone { seen }) => *seen,
        }
    }
}
