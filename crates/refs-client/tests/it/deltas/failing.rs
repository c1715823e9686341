//! What a pull does with an older layer that its store can't read on.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use refs_registry::{
    Error,
    error::{Doing, Wanted},
};

use super::cache::{Cache, second, tree};
use crate::{
    faulty_store::{FaultyStore, Reason},
    setup::{anonymous, artifact, push},
};

/// Holds that a pull is right where its store fails so, and hashes the layer as a whole so many times.
async fn check(fault: Reason, hashed: usize) {
    let cache = Cache::with(&tree()).await;
    let path = cache.layer();
    let layer = format!("sha256:{}", path.file_name().unwrap().display()).parse().unwrap();
    push(&anonymous(), &second(), &artifact(&cache.registry)).await;
    let store = Arc::new(FaultyStore { unreadable: Some((layer, fault)), ..FaultyStore::new(cache.store()) });
    let client = anonymous().with_store(Arc::<FaultyStore>::clone(&store));
    let pulled = cache.pull_with(&client, &artifact(&cache.registry), "new", &[]).await;
    assert_eq!(pulled.reused.cache_bytes, 0);
    assert_eq!(store.hashed.load(Ordering::Relaxed), hashed);
    assert!(path.exists());
}

#[tokio::test]
async fn only_bytes_that_are_wrong_have_an_older_layer_hashed() {
    check(|layer| Error::NotCached { wanted: Wanted::Blob(layer.clone()), of: None, lost: None }, 0).await;
    check(|_| Error::io(Doing::Read, "layer", io::ErrorKind::PermissionDenied.into()), 0).await;
    check(|layer| Error::Size { wanted: Wanted::Blob(layer.clone()), expected: 2, actual: 1 }, 1).await;
}
