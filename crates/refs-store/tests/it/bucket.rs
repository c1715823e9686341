//! What a store in a bucket promises beyond what every store does.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use refs_registry::{ErrorKind, Result, Resume};
use refs_store::{Bucket, BucketStore, DiskOptions, DiskStore, Store};
use tempfile::TempDir;

use crate::{
    content::{digest, drain, fails, push, tag, tagged, text},
    place::{Place, get},
    store::{bounded, fill, here, on_disk, origin, seen},
};

/// More is sent in pieces, by another name.
const LONG: usize = 5 << 20;

pub(crate) fn memory() -> Arc<InMemory> {
    Arc::new(InMemory::new())
}

pub(crate) fn over(bucket: &Arc<InMemory>, disk: DiskStore) -> BucketStore {
    let bucket: Arc<dyn ObjectStore> = bucket.clone();
    BucketStore::new(Bucket::new(bucket, "some/prefix"), disk)
}

pub(crate) fn in_memory(disk: DiskStore) -> BucketStore {
    over(&memory(), disk)
}

/// The disk of the node that is called `name`.
pub(crate) fn node(place: &Place, name: &str) -> DiskStore {
    DiskStore::new(place.folder.path().join(name), &DiskOptions::default())
}

struct Nodes {
    bucket: Arc<InMemory>,
    first: BucketStore,
    second: BucketStore,
    _folders: [TempDir; 2],
}

fn nodes() -> Nodes {
    let (bucket, [(one, first_folder), (other, second_folder)]) = (memory(), [on_disk(), on_disk()]);
    let (first, second) = (over(&bucket, one), over(&bucket, other));
    Nodes { bucket, first, second, _folders: [first_folder, second_folder] }
}

async fn names(bucket: &InMemory) -> Vec<String> {
    let listed = bucket.list(None).map_ok(|meta| meta.location.to_string());
    let mut names: Vec<_> = listed.try_collect().await.unwrap();
    names.sort();
    names
}

fn name_of(content: &str) -> Path {
    Path::from(format!("some/prefix/blobs/sha256/{}", digest(content).encoded()))
}

async fn read(store: &BucketStore, content: &str) -> Result<String> {
    text(store.blob(&digest(content), Resume::START).await?.stream).await
}

#[tokio::test]
async fn what_one_node_has_taken_in_another_reads_whole_and_in_parts() -> Result<()> {
    let Nodes { bucket, first, second, .. } = nodes();
    for content in ["short".to_owned(), "0123456789".repeat(LONG / 10)] {
        fill(&first, &content).await?;
        first.settled().await;
        assert!(names(&bucket).await.contains(&name_of(&content).to_string()));
        let (digest, bytes) = (digest(&content), content.len() as u64);
        assert_eq!(second.stat(&digest).await?, Some(bytes));
        let part = second.part(&here(), &digest, 2..5).await?;
        assert_eq!((part.total, text(part.stream).await?), (bytes, content[2..5].to_owned()));
        assert_eq!(text(second.part(&here(), &digest, 5..5).await?.stream).await?, "");
        fails(second.part(&here(), &digest, 5..bytes + 1).await, ErrorKind::Size);
        assert_eq!(second.file(&digest).await?.map(drop), None, "nothing has brought it onto the disk");
        assert_eq!(read(&second, &content).await?, content);
        assert!(second.file(&digest).await?.is_some());
    }
    let left = names(&bucket).await;
    assert!(!left.iter().any(|name| name.contains("/tmp/")), "{left:?}");
    Ok(())
}

#[tokio::test]
async fn a_read_goes_on_out_of_the_bucket() -> Result<()> {
    let Nodes { first, second, .. } = nodes();
    fill(&first, "0123456789").await?;
    let digest = digest("0123456789");
    for offset in [1, 4, 10] {
        let mut hasher = refs_url::Hasher::for_digest(&digest).unwrap();
        hasher.update(&b"0123456789"[..offset]);
        let blob = second.blob(&digest, Resume::at(offset as u64, hasher)).await?;
        assert_eq!((blob.size, text(blob.stream).await?), (10, "0123456789"[offset..].to_owned()));
    }
    Ok(())
}

#[tokio::test]
async fn nothing_shows_in_the_bucket_that_is_not_what_its_digest_says() -> Result<()> {
    let Nodes { bucket, first, second, .. } = nodes();
    for (content, wrong) in [("one".to_owned(), "two".to_owned()), ("1".repeat(LONG), "2".repeat(LONG))] {
        let mut filling = first.fill(&here(), &digest(&content), content.len() as u64).await?.unwrap();
        filling.write(Bytes::from(wrong)).await?;
        filling.commit().await?;
        first.settled().await;
        assert_eq!(second.stat(&digest(&content)).await?, None);
    }
    assert_eq!(names(&bucket).await, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn damage_in_the_bucket_is_found_and_healed() -> Result<()> {
    let Nodes { bucket, first, second, .. } = nodes();
    fill(&first, "one").await?;
    bucket.put(&name_of("one"), Bytes::from("bad").into()).await.unwrap();
    fails(drain(second.blob(&digest("one"), Resume::START).await?.stream).await, ErrorKind::Digest);
    assert_eq!(second.quarantine(&here(), &digest("one")).await?, refs_store::Checked::Gone);
    assert_eq!(second.stat(&digest("one")).await?, None);
    fill(&second, "one").await?;
    assert_eq!(read(&second, "one").await?, "one");
    assert_eq!(names(&bucket).await, [name_of("one").to_string()]);
    Ok(())
}

#[tokio::test]
async fn what_tags_lead_to_is_agreed_on() -> Result<()> {
    let Nodes { first, second, .. } = nodes();
    first.record(&here(), &tag("v1"), &seen("old", 1)).await?;
    assert_eq!(second.recorded(&here(), &tag("v1")).await?, Some(seen("old", 1)));
    second.record(&here(), &tag("v1"), &seen("new", 3)).await?;
    assert_eq!(first.recorded(&here(), &tag("v1")).await?, Some(seen("new", 3)));
    // What was seen before that comes late.
    first.record(&here(), &tag("v1"), &seen("late", 2)).await?;
    for node in [&first, &second] {
        assert_eq!(node.recorded(&here(), &tag("v1")).await?, Some(seen("new", 3)));
        assert_eq!(node.recorded_tags(&here()).await?, [tag("v1")]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_record_a_tag_the_last_to_see_it_is_believed() -> Result<()> {
    let Nodes { bucket, first, second, .. } = nodes();
    let writers: Vec<_> = (1..=12)
        .map(|number| {
            let (disk, folder) = on_disk();
            let node = over(&bucket, disk);
            tokio::spawn(async move {
                let _folder = folder;
                node.record(&here(), &tag("v1"), &seen(&number.to_string(), number)).await
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap()?;
    }
    for node in [&first, &second] {
        assert_eq!(node.recorded(&here(), &tag("v1")).await?, Some(seen("12", 12)));
    }
    Ok(())
}

#[tokio::test]
async fn who_has_what_is_known_to_all_nodes() -> Result<()> {
    let Nodes { first, second, .. } = nodes();
    let other = origin("a.io:5000", "org/a/b");
    first.add_member(&here(), &digest("one")).await?;
    first.pin(&digest("one")).await?;
    first.keep_seek_index(&digest("one"), "index".into()).await?;
    assert!(!second.is_member(&other, &digest("one")).await?);
    assert_eq!(second.members(&here(), 9).await?, [digest("one")]);
    assert!(second.is_member(&here(), &digest("one")).await?);
    assert_eq!(second.seek_index(&digest("one")).await?, Some("index".into()));
    fails(second.remove(&here(), &digest("one")).await, ErrorKind::Conflict);
    Ok(())
}

#[tokio::test]
async fn what_the_disk_drops_the_bucket_has() -> Result<()> {
    let (disk, _folder) = bounded(100);
    let store = in_memory(disk.clone());
    let contents = ["a", "b", "c"].map(|letter| letter.repeat(50));
    for content in &contents {
        fill(&store, content).await?;
    }
    assert_eq!(disk.stat(&digest(&contents[0])).await?, None);
    for content in &contents {
        assert_eq!(read(&store, content).await?, *content);
    }
    Ok(())
}

#[tokio::test]
async fn what_one_node_fetched_another_gives_without_a_request() -> Result<()> {
    let place = Place::on_disk().await;
    let manifest = push(&*place.repository(), "one", &["v1"]).await?;
    let bucket = memory();
    let first = place.cached_in("o/r", Arc::new(over(&bucket, node(&place, "first"))));
    first.manifest(&tagged("v1")).await?;
    drain(first.blob(&digest("one"), Resume::START).await?.stream).await?;
    place.registry.take_requests();
    let second = place.cached_in("o/r", Arc::new(over(&bucket, node(&place, "second"))));
    assert_eq!(second.manifest(&refs_url::Target::Digest(manifest.descriptor.digest.clone())).await?, manifest);
    assert_eq!(text(second.blob(&digest("one"), Resume::START).await?.stream).await?, "one");
    place.asked(&[]);
    let third = place.cached_in("o/other", Arc::new(over(&bucket, node(&place, "third"))));
    fails(third.blob(&digest("one"), Resume::START).await.map(drop), ErrorKind::NotFound);
    assert!(!place.registry.take_requests().is_empty(), "another repository is asked: {}", get("one"));
    Ok(())
}

#[tokio::test]
async fn a_store_tells_no_more_of_its_bucket_than_where_it_is() {
    let (disk, _folder) = on_disk();
    let bucket: Arc<dyn ObjectStore> = memory();
    assert_eq!(format!("{:?}", Bucket::new(bucket, "a/b")), "Bucket(InMemory/a/b)");
    let shown = format!("{:?}", in_memory(disk));
    assert!(shown.starts_with("BucketStore { disk: "), "{shown}");
}
