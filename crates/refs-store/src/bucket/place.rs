//! Where a bucket is.

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use object_store::{ObjectStore, path::Path};

/// A bucket, and a prefix in it. Its `Debug` tells no credentials.
#[derive(Clone)]
pub struct Bucket {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) prefix: Path,
}

impl Bucket {
    /// What `store` has below `prefix`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, prefix: impl Into<Path>) -> Self {
        Self { store, prefix: prefix.into() }
    }
}

impl Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({}/{})", self.store, self.prefix)
    }
}
