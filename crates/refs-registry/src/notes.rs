//! What is kept in mind of the upload of a blob, for whoever goes on with it.

use std::{fmt::Debug, num::NonZeroU64, sync::Arc};

use async_trait::async_trait;

use crate::UploadState;

/// Where it is written down how far the upload of one blob to one place has come, so that a later one can go on with it, in
/// another process too. What can't be written down is lost, and no error.
///
/// # Security
/// A session may be all that it takes to write into it: what is written is for its owner alone.
#[async_trait]
pub trait Notes: Debug + Send + Sync {
    /// What was last written; `None` when there is nothing to go on with.
    async fn last(&self) -> Option<UploadState>;

    /// The place has acknowledged so much.
    async fn write(&self, state: &UploadState);

    /// The upload has ended, or nobody can go on with it.
    async fn clear(&self);
}

/// How to send a blob so that a later upload can go on with it.
#[derive(Debug, Clone)]
pub struct Noted {
    /// Where it is written down how far it has come. Nobody else uploads by the same at the same time.
    pub notes: Arc<dyn Notes>,
    /// A longer blob goes in pieces of so many bytes, after each of which a later upload can go on, to a registry that takes
    /// pieces of them. What is set for a registry, and [`Options::piece_bytes`](crate::Options::piece_bytes), come first.
    pub piece_bytes: NonZeroU64,
}
