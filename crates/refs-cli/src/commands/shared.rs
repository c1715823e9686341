//! What a mirror keeps, for itself or with others.

use std::{sync::Arc, time::Duration};

use refs_store::{DiskStore, Store};

use super::Failure;
use crate::serving::Plan;

/// What a mirror has with others.
pub(super) enum Shared {
    Nothing,
    #[cfg(feature = "bucket")]
    Bucket(refs_store::BucketStore),
}

impl Shared {
    /// Waits until all of it is there that is on its way, for so long at most.
    pub(super) async fn settled(&self, most: Duration) {
        let settled = async {
            match self {
                Self::Nothing => {}
                #[cfg(feature = "bucket")]
                Self::Bucket(store) => store.settled().await,
            }
        };
        if tokio::time::timeout(most, settled).await.is_err() {
            tracing::warn!("what was on its way into the bucket is given up");
        }
    }
}

/// The store that is asked: the disk, or the bucket behind it.
#[cfg(not(feature = "bucket"))]
pub(super) fn shared(_plan: &Plan, disk: DiskStore) -> Result<(Arc<dyn Store>, Shared), Failure> {
    Ok((Arc::new(disk), Shared::Nothing))
}

/// The store that is asked: the disk, or the bucket behind it.
#[cfg(feature = "bucket")]
pub(super) fn shared(plan: &Plan, disk: DiskStore) -> Result<(Arc<dyn Store>, Shared), Failure> {
    use refs_store::{Bucket, BucketStore};

    let Some(url) = &plan.bucket.url else { return Ok((Arc::new(disk), Shared::Nothing)) };
    let settings = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok().filter(|name| name.starts_with("AWS_"))?;
        Some((name, value.into_string().ok()?))
    });
    let bucket = Bucket::open(url, settings).map_err(Failure::Bucket)?;
    let store = BucketStore::with_options(bucket, disk, &plan.bucket.options);
    Ok((Arc::new(store.clone()), Shared::Bucket(store)))
}
