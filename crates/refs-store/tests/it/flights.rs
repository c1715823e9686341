//! What many want at once is fetched once.

use std::{
    env, fs,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future};
use refs_registry::{ErrorKind, Manifest, Resolver, Result, Resume, Source};
use refs_store::{DiskOptions, DiskStore, MemoryStore};
use refs_testkit::{Fault, On, require_layout, until};
use refs_url::Target;

use crate::{
    content::{digest, fails, image, push, put, put_manifest, read, tagged},
    place::{FOR_EVER, Place, get, resolver},
};

/// The repository as another process would open it, with a handle on the store of its own.
fn another(place: &Place) -> Arc<dyn Source> {
    place.cached_in("o/r", place.opened_again())
}

/// What was asked for with its bytes. Whoever comes when the tag has been read already asks whether it moved, without them.
fn got(place: &Place) -> Vec<String> {
    let seen = place.registry.take_requests().into_iter().map(|seen| seen.to_string());
    seen.filter(|seen| seen.starts_with("GET")).collect()
}

fn locks(place: &Place) -> usize {
    fs::read_dir(place.folder.path().join("cache/locks")).unwrap().count()
}

#[tokio::test]
async fn m080_two_hundred_readers_of_one_blob_are_one_request() -> Result<()> {
    let place = Place::patient(FOR_EVER).await;
    let content = "content ".repeat(30_000);
    put(&*place.repository(), &content).await?;
    let readers: Vec<_> =
        (0..200).map(|number| if number % 2 == 0 { another(&place) } else { place.cached("o/r") }).collect();
    let wanted = digest(&content);
    for bytes in future::join_all(readers.iter().map(|reader| read(&**reader, &wanted))).await {
        assert!(bytes? == content);
    }
    place.asked(&[&get(&content)]);
    require_layout(&place.folder.path().join("cache"));
    Ok(())
}

#[tokio::test]
async fn many_readers_of_one_manifest_by_digest_are_one_request() -> Result<()> {
    let place = Place::patient(FOR_EVER).await;
    let manifest = push(&*place.repository(), "one", &["v1"]).await?;
    let target = Target::Digest(manifest.descriptor.digest.clone());
    let readers: Vec<_> = (0..50).map(|_| another(&place)).collect();
    for read in future::join_all(readers.iter().map(|reader| reader.manifest(&target))).await {
        assert_eq!(read?, manifest);
    }
    place.asked(&[&format!("GET manifests/{target}")]);
    // The tag leads to what is there.
    assert_eq!(place.cached("o/r").manifest(&tagged("v1")).await?, manifest);
    Ok(())
}

#[tokio::test]
async fn what_another_repository_brings_is_waited_for_and_asked_for_without_a_body() -> Result<()> {
    let place = Place::patient(FOR_EVER).await;
    for name in ["o/r", "o/s"] {
        put(&*place.registry.repository(name), "one").await?;
    }
    let [here, there] = ["o/r", "o/s"].map(|name| place.cached(name));
    let mut first = here.blob(&digest("one"), Resume::START).await?;
    let second = tokio::spawn(async move { read(&*there, &digest("one")).await });
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    while first.stream.next().await.transpose()?.is_some() {}
    assert_eq!(second.await.unwrap()?, "one");
    place.asked(&[&get("one"), &format!("HEAD o/s/blobs/{}", digest("one"))]);
    Ok(())
}

#[tokio::test]
async fn one_who_gets_on_no_further_is_not_waited_for() -> Result<()> {
    let place = Place::patient(Duration::from_millis(20)).await;
    let content = "content ".repeat(300_000);
    put(&*place.repository(), &content).await?;
    place.registry.fault(On::get("/blobs/"), Fault::Stall { after: 1_000 });
    let mut stalled = place.cached("o/r").blob(&digest(&content), Resume::START).await?;
    stalled.stream.next().await.transpose()?;
    assert!(read(&*place.cached("o/r"), &digest(&content)).await? == content);
    place.asked(&[&get(&content), &get(&content)]);
    drop(stalled);
    Ok(())
}

#[tokio::test]
async fn a_reader_who_leaves_lets_the_next_one_go_on_where_it_stopped() -> Result<()> {
    let place = Place::patient(FOR_EVER).await;
    let content = "content ".repeat(300_000);
    put(&*place.repository(), &content).await?;
    let mut leaves = place.cached("o/r").blob(&digest(&content), Resume::START).await?;
    leaves.stream.next().await.transpose()?;
    let next = place.cached("o/r");
    let wanted = digest(&content);
    let mut waiting = Box::pin(next.blob(&wanted, Resume::START));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    drop(leaves);
    let rest = waiting.await?;
    assert!(crate::content::text(rest.stream).await? == content);
    let ranges: Vec<_> = place.registry.take_requests().into_iter().map(|request| request.range.is_some()).collect();
    assert_eq!(ranges, [false, true]);
    assert_eq!(place.store.stat(&wanted).await?, Some(content.len() as u64));
    Ok(())
}

#[tokio::test]
async fn one_who_waits_no_longer_leaves_nothing() -> Result<()> {
    let place = Place::patient(FOR_EVER).await;
    put(&*place.repository(), "one").await?;
    let mut first = place.cached("o/r").blob(&digest("one"), Resume::START).await?;
    let second = place.cached("o/r");
    let waiting = tokio::time::timeout(Duration::from_millis(20), second.blob(&digest("one"), Resume::START)).await;
    assert!(waiting.is_err());
    assert_eq!(locks(&place), 1);
    while first.stream.next().await.transpose()?.is_some() {}
    drop(first);
    assert_eq!(read(&*second, &digest("one")).await?, "one");
    assert_eq!(locks(&place), 0);
    place.asked(&[&get("one")]);
    Ok(())
}

#[tokio::test]
async fn a_flight_that_a_killed_process_left_is_not_waited_for() -> Result<()> {
    let place = Place::patient(FOR_EVER).await;
    put(&*place.repository(), "one").await?;
    let flight = place.store.flight(&digest("one")).await?;
    let path = place.folder.path().join("cache/locks").join(format!("sha256-{}", digest("one").encoded()));
    let kept = place.folder.path().join("kept");
    fs::hard_link(&path, &kept).unwrap();
    drop(flight);
    // As a process that was killed leaves it: the file is there, and nobody holds it.
    fs::rename(&kept, &path).unwrap();
    let begun = Instant::now();
    assert_eq!(read(&*place.cached("o/r"), &digest("one")).await?, "one");
    assert!(begun.elapsed() < FOR_EVER);
    assert_eq!(locks(&place), 0);
    Ok(())
}

/// What a process that fetches and is killed is told by: the registry, a digest and a cache.
const LEADER: &str = "REFS_TEST_LEADER";

/// The process that [`m149_who_waits_for_a_process_that_is_killed_goes_on_where_it_was`] kills. Without a task there is
/// nothing to do.
#[tokio::test]
async fn a_leader() -> Result<()> {
    let Ok(task) = env::var(LEADER) else { return Ok(()) };
    let [host, wanted, cache] = task.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let store = Arc::new(DiskStore::new(cache, &DiskOptions::default()));
    let source = resolver(store).source(&host.parse().unwrap(), &"o/r".parse().unwrap())?;
    let mut blob = source.blob(&wanted.parse().unwrap(), Resume::START).await?;
    // The rest never comes.
    while blob.stream.next().await.transpose()?.is_some() {}
    Ok(())
}

#[tokio::test]
async fn m149_who_waits_for_a_process_that_is_killed_goes_on_where_it_was() -> Result<()> {
    const STALLED_AT: u64 = 1 << 20;
    let place = Place::patient(FOR_EVER).await;
    let content = "content ".repeat(300_000);
    put(&*place.repository(), &content).await?;
    let (wanted, cache) = (digest(&content), place.folder.path().join("cache"));
    place.registry.fault(On::get("/blobs/"), Fault::Stall { after: STALLED_AT });
    let mut leader = Command::new(env::current_exe().unwrap());
    leader.args(["--exact", "flights::a_leader"]).stdout(Stdio::null());
    leader.env(LEADER, format!("{} {wanted} {}", place.registry.host(), cache.display()));
    let mut leader = leader.spawn().unwrap();
    let lock = cache.join("locks").join(format!("sha256-{}", wanted.encoded()));
    until(async || fs::metadata(&lock).is_ok_and(|lock| lock.len() >= STALLED_AT / 2)).await;

    let next = place.cached("o/r");
    let mut waiting = Box::pin(next.blob(&wanted, Resume::START));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    leader.kill().unwrap();
    leader.wait().unwrap();
    assert!(crate::content::text(waiting.await?.stream).await? == content);
    let ranges: Vec<_> = place.registry.take_requests().into_iter().map(|request| request.range.is_some()).collect();
    assert_eq!(ranges, [false, true]);
    assert_eq!((place.store.stat(&wanted).await?, locks(&place)), (Some(content.len() as u64), 0));
    require_layout(&cache);
    Ok(())
}

#[tokio::test]
async fn many_readers_in_memory_and_on_disk_are_one_request_for_a_tag_and_one_for_its_blob() -> Result<()> {
    for place in [Place::new(|_| Arc::new(MemoryStore::new())).await, Place::patient(FOR_EVER).await] {
        let manifest = push(&*place.repository(), "one", &["v1"]).await?;
        let readers: Vec<_> = (0..50).map(|_| place.cached("o/r")).collect();
        let target = tagged("v1");
        for read in future::join_all(readers.iter().map(|reader| reader.manifest(&target))).await {
            assert_eq!(read?, manifest);
        }
        assert_eq!(got(&place), ["GET /v2/o/r/manifests/v1"]);
        let wanted = digest("one");
        for bytes in future::join_all(readers.iter().map(|reader| read(&**reader, &wanted))).await {
            assert_eq!(bytes?, "one");
        }
        place.asked(&[&get("one")]);
    }
    Ok(())
}

#[tokio::test]
async fn readers_of_one_tag_with_stores_of_their_own_are_one_request() -> Result<()> {
    let place = Place::patient(FOR_EVER).await;
    let manifest = push(&*place.repository(), "one", &["v1"]).await?;
    let (readers, target): (Vec<_>, _) = ((0..50).map(|_| another(&place)).collect(), tagged("v1"));
    for read in future::join_all(readers.iter().map(|reader| reader.manifest(&target))).await {
        assert_eq!(read?, manifest);
    }
    assert_eq!(got(&place), ["GET /v2/o/r/manifests/v1"]);
    assert_eq!(locks(&place), 0);
    Ok(())
}

#[tokio::test]
async fn a_tag_that_is_not_there_is_not_there_for_each_who_waits() -> Result<()> {
    for place in [Place::new(|_| Arc::new(MemoryStore::new())).await, Place::patient(FOR_EVER).await] {
        push(&*place.repository(), "one", &["v1"]).await?;
        let (readers, target): (Vec<_>, _) = ((0..5).map(|_| place.cached("o/r")).collect(), tagged("v2"));
        for read in future::join_all(readers.iter().map(|reader| reader.manifest(&target))).await {
            fails(read, ErrorKind::NotFound);
        }
        place.asked(&["GET manifests/v2"; 5]);
        put_manifest(&*place.repository(), &Manifest::image(&image("one"))?, &["v2"]).await?;
        place.cached("o/r").manifest(&target).await?;
    }
    Ok(())
}
