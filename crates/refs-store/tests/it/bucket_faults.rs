//! A store in a bucket that many read, or that fails.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, future};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use refs_registry::{Result, Resume};
use refs_store::{Bucket, BucketStore, Store};
use tempfile::TempDir;

use crate::{
    content::{digest, text},
    faulty::{Faulty, Mood},
    store::{bounded, on_disk},
};

const MIB: usize = 1 << 20;

fn long() -> String {
    "0123456789abcdef".repeat(5 * MIB / 16)
}

fn name_of(content: &str) -> Path {
    Path::from(format!("blobs/sha256/{}", digest(content).encoded()))
}

/// A node with a disk of its own.
struct Node {
    store: BucketStore,
    _folder: TempDir,
}

fn node(bucket: &Arc<Faulty>) -> Node {
    let (disk, folder) = on_disk();
    let shared: Arc<dyn ObjectStore> = Arc::<Faulty>::clone(bucket);
    Node { store: BucketStore::new(Bucket::new(shared, ""), disk), _folder: folder }
}

/// A bucket that has `content`.
async fn having(content: &str) -> Arc<Faulty> {
    let bucket = Faulty::new();
    bucket.within.put(&name_of(content), Bytes::from(content.to_owned()).into()).await.unwrap();
    bucket
}

async fn read(store: &BucketStore, content: &str) -> Result<String> {
    text(store.blob(&digest(content), Resume::START).await?.stream).await
}

#[tokio::test]
async fn many_readers_of_what_only_the_bucket_has_are_one_request() -> Result<()> {
    let bucket = having(&long()).await;
    let Node { store, .. } = node(&bucket);
    let content = long();
    for bytes in future::join_all((0..20).map(|_| read(&store, &content))).await {
        assert!(bytes? == content);
    }
    assert_eq!(bucket.gets(), 1);
    assert!(read(&store, &long()).await? == long());
    assert_eq!((bucket.gets(), store.file(&digest(&long())).await?.is_some()), (0, true));
    Ok(())
}

#[tokio::test]
async fn a_reader_who_joins_is_given_the_first_bytes_before_the_last_have_come() -> Result<()> {
    let bucket = having(&long()).await;
    // By the system's clock it stands still for longer than this takes.
    let (disk, _folder) = on_disk();
    let store = BucketStore::new(Bucket::new(Arc::<Faulty>::clone(&bucket) as Arc<dyn ObjectStore>, ""), disk);
    bucket.be(Mood::StallsAfter(MIB));
    let mut readers = Vec::new();
    for _ in 0..3 {
        let mut stream = store.blob(&digest(&long()), Resume::START).await?.stream;
        let mut bytes = 0;
        while bytes < MIB {
            bytes += stream.next().await.unwrap()?.len();
        }
        readers.push(stream);
    }
    assert_eq!(bucket.gets(), 1);
    Ok(())
}

#[tokio::test]
async fn what_the_disk_does_not_take_each_reader_has_from_the_bucket() -> Result<()> {
    let bucket = having(&long()).await;
    let (disk, _folder) = bounded(1000);
    let store = BucketStore::new(Bucket::new(Arc::<Faulty>::clone(&bucket) as Arc<dyn ObjectStore>, ""), disk);
    let content = long();
    for bytes in future::join_all((0..3).map(|_| read(&store, &content))).await {
        assert!(bytes? == content);
    }
    assert_eq!(bucket.gets(), 3);
    Ok(())
}
