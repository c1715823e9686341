//! Caches that can't hold what is read through them: whatever they do with it, one operation fetches nothing twice.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use refs_client::{PullOptions, ReadOptions, UnpackOptions};
use refs_store::{DiskOptions, DiskStore, Store};
use refs_testkit::{FakeRegistry, Image, Tree};

use crate::{
    faulty_store::FaultyStore,
    setup::{anonymous, artifact, noise},
};

/// Enough for the cache to keep a beginning.
const LAYER_BYTES: usize = 5 << 18;

/// Three layers, the lowest of them a second time on top.
fn image() -> Image {
    let tree = |seed| Tree::new().file(&format!("file-{seed}"), noise(LAYER_BYTES, seed));
    Image::new().tree(&tree(1)).tree(&tree(2)).tree(&tree(3)).tree(&tree(1))
}

fn files() -> Tree {
    (1..4).fold(Tree::new(), |tree, seed| tree.file(&format!("file-{seed}"), noise(LAYER_BYTES, seed)))
}

/// Holds that an unpack, a pull and the reading of a file by a client with the store that `make` makes in a folder are right,
/// and that each fetches nothing twice.
async fn check<S: Store + 'static>(make: impl AsyncFn(&Path) -> S) {
    let registry = FakeRegistry::start().await;
    image().push(&*registry.repository("o/r"), &["v1"]).await.unwrap();
    let at = artifact(&registry);
    for verb in ["unpack", "pull", "read"] {
        let folder = tempfile::tempdir().unwrap();
        let client = anonymous().with_store(Arc::new(make(&folder.path().join("cache")).await));
        let destination = folder.path().join("here");
        registry.take_requests();
        match verb {
            "unpack" => drop(client.unpack(&at, &destination, &UnpackOptions::default()).await.unwrap()),
            "pull" => drop(client.pull(&at, &destination, &PullOptions::default()).await.unwrap()),
            _ => {
                let read = client.read_file(&at, "file-1", &ReadOptions::default(), Vec::new()).await.unwrap();
                assert!(read == noise(LAYER_BYTES, 1));
            }
        }
        if verb != "read" {
            assert!(Tree::read(&destination).unwrap() == files(), "{verb}");
            let mut left: Vec<_> =
                fs::read_dir(folder.path()).unwrap().map(|found| found.unwrap().file_name()).collect();
            left.retain(|name| name != "cache");
            assert_eq!(left, ["here"], "{verb}");
        }
        let mut asked = BTreeMap::new();
        for request in registry.take_requests().iter().filter(|request| request.method == "GET") {
            *asked.entry(request.to_string()).or_insert(0) += 1;
        }
        assert!(asked.len() >= 4 && asked.values().all(|times| *times == 1), "{verb}: {asked:#?}");
    }
}

async fn check_bound(max_bytes: u64) {
    let options = DiskOptions { max_bytes, ..DiskOptions::default() };
    check(async |cache| DiskStore::new(cache, &options)).await;
}

#[tokio::test]
async fn a_bound_below_every_layer_costs_no_second_request() {
    check_bound(100_000).await;
}

#[tokio::test]
async fn a_bound_that_one_layer_fits_costs_no_second_request() {
    check_bound(LAYER_BYTES as u64 * 3 / 2).await;
}

#[tokio::test]
async fn a_cache_that_can_not_be_used_costs_no_second_request() {
    check(async |cache| {
        fs::write(cache, "in the way").unwrap();
        DiskStore::new(cache, &DiskOptions::default())
    })
    .await;
}

/// Puts files in the place of the folders `names` of a cache, so that nothing can be written there, whoever the user is.
async fn check_unwritable(names: &[&str]) {
    check(async |cache| {
        DiskStore::new(cache, &DiskOptions::default()).images().await.unwrap();
        for name in names {
            drop(fs::remove_dir_all(cache.join(name)));
            fs::write(cache.join(name), "").unwrap();
        }
        DiskStore::new(cache, &DiskOptions::default())
    })
    .await;
}

#[tokio::test]
async fn a_cache_that_can_not_be_written_costs_no_second_request() {
    check_unwritable(&["ingest", "locks", "origins"]).await;
    check_unwritable(&["ingest"]).await;
}

#[tokio::test]
async fn a_cache_that_does_not_show_what_it_took_costs_no_second_request() {
    check_unwritable(&["blobs"]).await;
    check_unwritable(&["usage"]).await;
}

#[tokio::test]
async fn a_disk_that_is_full_costs_no_second_request() {
    for room in [0, LAYER_BYTES as u64 / 2] {
        check(async |cache| FaultyStore {
            room: Some(room),
            ..FaultyStore::new(DiskStore::new(cache, &DiskOptions::default()))
        })
        .await;
    }
}
