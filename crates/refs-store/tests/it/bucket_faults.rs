//! A store in a bucket that many read, or that fails.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, future};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use refs_registry::{Clock, ErrorKind, Result, Resume};
use refs_store::{Bucket, BucketOptions, BucketStore, Store};
use tempfile::TempDir;

use crate::{
    content::{digest, drain, fails, tag, text},
    faulty::{Faulty, Jumping, Mood},
    store::{bounded, fill, here, on_disk, seen},
};

const MIB: usize = 1 << 20;

fn long() -> String {
    "0123456789abcdef".repeat(5 * MIB / 16)
}

fn name_of(content: &str) -> Path {
    Path::from(format!("blobs/sha256/{}", digest(content).encoded()))
}

/// A node with a disk of its own, by whose clock nobody waits.
struct Node {
    store: BucketStore,
    clock: Arc<Jumping>,
    _folder: TempDir,
}

fn node(bucket: &Arc<Faulty>) -> Node {
    let (clock, (disk, folder)) = (Jumping::new(), on_disk());
    let options = BucketOptions { clock: Arc::<Jumping>::clone(&clock), ..BucketOptions::default() };
    let shared: Arc<dyn ObjectStore> = Arc::<Faulty>::clone(bucket);
    Node { store: BucketStore::with_options(Bucket::new(shared, ""), disk, &options), clock, _folder: folder }
}

/// A bucket that has `content`.
async fn having(content: &str) -> Arc<Faulty> {
    let bucket = Faulty::new();
    bucket.within.put(&name_of(content), Bytes::from(content.to_owned()).into()).await.unwrap();
    bucket
}

async fn in_bucket(bucket: &Faulty, content: &str) -> Option<Bytes> {
    let got = bucket.within.get(&name_of(content)).await.ok()?;
    Some(got.bytes().await.unwrap())
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

#[tokio::test]
async fn what_breaks_off_or_stands_still_is_gone_on_with_as_long_as_it_gets_on() -> Result<()> {
    for mood in [Mood::CutsAfter(MIB), Mood::StallsAfter(MIB)] {
        let bucket = having(&long()).await;
        let Node { store, .. } = node(&bucket);
        bucket.be(mood);
        assert!(read(&store, &long()).await? == long(), "{mood:?}");
        assert_eq!(bucket.gets(), 5, "{mood:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_brings_no_byte_any_more_is_given_up() -> Result<()> {
    for mood in [Mood::CutsAfter(0), Mood::StallsAfter(0)] {
        let bucket = having(&long()).await;
        let Node { store, .. } = node(&bucket);
        bucket.be(mood);
        fails(read(&store, &long()).await, ErrorKind::Io);
        assert_eq!(bucket.gets(), 4, "{mood:?}");
        assert_eq!(store.file(&digest(&long())).await?.map(drop), None);
    }
    Ok(())
}

#[tokio::test]
async fn a_bucket_that_is_down_is_left_out_for_a_while() -> Result<()> {
    for mood in [Mood::Fails, Mood::Hangs] {
        let bucket = having("in the bucket").await;
        let Node { store, clock, .. } = node(&bucket);
        fill(&store, "here").await?;
        bucket.be(mood);
        bucket.requests();
        assert_eq!(read(&store, "here").await?, "here");
        assert_eq!(bucket.requests(), 0, "what is here is asked of nobody");
        for _ in 0..10 {
            assert_eq!(store.stat(&digest("in the bucket")).await?, None);
        }
        assert_eq!(bucket.requests(), 3, "{mood:?}");
        clock.pass(Duration::from_secs(31));
        assert_eq!(store.stat(&digest("in the bucket")).await?, None);
        assert_eq!(store.recorded(&here(), &tag("v1")).await?, None);
        assert_eq!(bucket.requests(), 1, "{mood:?}");
        bucket.be(Mood::Works);
        assert_eq!(store.stat(&digest("in the bucket")).await?, None, "it is left out still");
        clock.pass(Duration::from_secs(31));
        assert_eq!(read(&store, "in the bucket").await?, "in the bucket");
    }
    Ok(())
}

#[tokio::test]
async fn a_request_that_hangs_costs_no_more_than_the_patience() -> Result<()> {
    let bucket = having("one").await;
    let Node { store, clock, .. } = node(&bucket);
    bucket.be(Mood::Hangs);
    let begun = clock.now();
    assert_eq!(store.stat(&digest("one")).await?, None);
    assert_eq!(clock.now() - begun, BucketOptions::default().patience);
    Ok(())
}

#[tokio::test]
async fn an_upload_that_fails_is_aborted_and_shows_nothing() -> Result<()> {
    let bucket = Faulty::new();
    let Node { store, .. } = node(&bucket);
    bucket.be(Mood::RefusesParts);
    fill(&store, &long()).await?;
    store.settled().await;
    assert_eq!((bucket.aborts(), in_bucket(&bucket, &long()).await), (1, None));
    // What comes is not what its digest says.
    bucket.be(Mood::Works);
    let (claimed, actual) = ("a".repeat(5 * MIB), "b".repeat(5 * MIB));
    let mut filling = store.fill(&here(), &digest(&claimed), claimed.len() as u64).await?.unwrap();
    filling.write(Bytes::from(actual)).await?;
    filling.commit().await?;
    store.settled().await;
    assert_eq!((bucket.aborts(), in_bucket(&bucket, &claimed).await), (2, None));
    Ok(())
}

#[tokio::test]
async fn what_is_too_long_for_one_request_is_never_copied() -> Result<()> {
    let bucket = Faulty::new();
    let Node { store, .. } = node(&bucket);
    let content = "0123456789abcdef".repeat(20 * MIB / 16);
    fill(&store, &content).await?;
    store.settled().await;
    assert!(in_bucket(&bucket, &content).await.unwrap() == content);
    Ok(())
}

#[tokio::test]
async fn an_object_of_another_size_is_replaced() -> Result<()> {
    for content in ["short".to_owned(), long()] {
        let bucket = Faulty::new();
        bucket.within.put(&name_of(&content), Bytes::from("half").into()).await.unwrap();
        let Node { store, .. } = node(&bucket);
        fill(&store, &content).await?;
        store.settled().await;
        assert!(in_bucket(&bucket, &content).await.unwrap() == content);
    }
    Ok(())
}

#[tokio::test]
async fn a_tag_that_the_bucket_goes_on_knowing_is_told() -> Result<()> {
    let bucket = Faulty::new();
    let Node { store, clock, .. } = node(&bucket);
    store.record(&here(), &tag("v1"), &seen("old", 1)).await?;
    bucket.be(Mood::Fails);
    fails(store.forget(&here(), &tag("v1")).await, ErrorKind::Io);
    assert_eq!(store.recorded(&here(), &tag("v1")).await?, None, "the disk has forgotten it");
    bucket.be(Mood::Works);
    clock.pass(Duration::from_secs(31));
    store.forget(&here(), &tag("v1")).await?;
    assert_eq!(store.recorded(&here(), &tag("v1")).await?, None);
    Ok(())
}

#[tokio::test]
async fn uploads_that_come_to_no_end_keep_nobody_from_stopping() -> Result<()> {
    let bucket = Faulty::new();
    let Node { store, .. } = node(&bucket);
    bucket.be(Mood::PanicsAtParts);
    fill(&store, &long()).await?;
    store.settled().await;
    assert_eq!(in_bucket(&bucket, &long()).await, None);

    let (disk, _folder) = on_disk();
    let patient = BucketStore::new(Bucket::new(Arc::<Faulty>::clone(&bucket) as Arc<dyn ObjectStore>, ""), disk);
    bucket.be(Mood::Hangs);
    fill(&patient, &long()).await?;
    let mut settled = Box::pin(patient.settled());
    assert!(future::poll_immediate(&mut settled).await.is_none());
    drop(settled);
    patient.settled().await;
    Ok(())
}

#[tokio::test]
async fn a_bucket_that_fails_under_way_takes_nothing_from_what_is_read_of_the_disk() -> Result<()> {
    let bucket = Faulty::new();
    let Node { store, .. } = node(&bucket);
    bucket.be(Mood::Fails);
    for content in ["short".to_owned(), long()] {
        fill(&store, &content).await?;
        drain(store.blob(&digest(&content), Resume::START).await?.stream).await?;
    }
    Ok(())
}
