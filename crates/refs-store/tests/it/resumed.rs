//! Reads that go on where an earlier one was broken off.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt;
use refs_registry::{ErrorKind, Options, Registries, Resolver, Result, Resume, Retry, Source, Wire};
use refs_store::{CachedResolver, DiskOptions, DiskStore, Left, Origin, Store};
use refs_testkit::{Close, FakeRegistry, Fault, On, Seen, until};
use refs_url::RepoName;
use tempfile::TempDir;

use crate::content::{digest, fails, put, read};

const TOTAL: u64 = 2 << 20;
const CUT: u64 = TOTAL * 6 / 10;

/// Text of `TOTAL` bytes that does not repeat.
static LONG: LazyLock<String> = LazyLock::new(|| (0..TOTAL / 8).map(|number| format!("{number:07}\n")).collect());

/// A registry that has `LONG` in `o/r`, and a folder for caches.
struct Place {
    registry: FakeRegistry,
    folder: TempDir,
}

impl Place {
    async fn new() -> Result<Self> {
        let place = Self { registry: FakeRegistry::start().await, folder: tempfile::tempdir().unwrap() };
        put(&*place.registry.repository("o/r"), &LONG).await?;
        Ok(place)
    }

    fn origin(&self) -> Origin {
        Origin { wire: Wire::Open, host: self.registry.host(), repository: RepoName::parse("o/r").unwrap() }
    }

    fn store(&self) -> DiskStore {
        DiskStore::new(self.folder.path().join("cache"), &DiskOptions::default())
    }

    /// The repository `name`, as another process would open it.
    fn cached(&self, name: &str) -> Arc<dyn Source> {
        self.cached_in(name, self.store())
    }

    fn cached_in(&self, name: &str, store: DiskStore) -> Arc<dyn Source> {
        let retry = Retry { attempts: 1, ..Retry::default() };
        let registries = Registries::new(Options { retry, ..Options::default() });
        let resolver = CachedResolver::new(Arc::new(registries), Arc::new(store));
        resolver.source(&self.registry.host(), &RepoName::parse(name).unwrap()).unwrap()
    }

    /// Reads the blob until its connection closes after `CUT` bytes, for good.
    async fn break_off(&self) -> Result<()> {
        self.registry.fault(On::get("/blobs/"), Fault::Cut { after: CUT, close: Close::Fin });
        fails(read(&*self.cached("o/r"), &digest(&LONG)).await, ErrorKind::Unreachable);
        self.until_left(CUT).await;
        self.registry.take_requests();
        Ok(())
    }

    /// Waits until the threads that write have left so many bytes, and hold them no more. The store itself is not asked:
    /// it would take them up, and a thread would hold them for a while after.
    async fn until_left(&self, bytes: u64) {
        let is_left = |path: &PathBuf| {
            let file = fs::File::open(path).unwrap();
            file.metadata().unwrap().len() == bytes && file.try_lock().is_ok()
        };
        until(async || self.partials().iter().any(is_left)).await;
    }

    fn partials(&self) -> Vec<PathBuf> {
        let notes = format!("cache/origins/open/{}/o/r/_partials/sha256", self.registry.host());
        let listed = fs::read_dir(self.folder.path().join(notes));
        listed.map(|entries| entries.map(|entry| entry.unwrap().path()).collect()).unwrap_or_default()
    }

    /// Puts `content` in the place of what was left.
    fn change(&self, content: &[u8]) {
        let [path] = self.partials().try_into().unwrap();
        fs::write(path, content).unwrap();
    }

    /// Asserts that the blob is read right, and what is asked for: the `Range` of each request.
    async fn reads(&self, ranges: &[Option<&str>]) -> Result<()> {
        assert!(read(&*self.cached("o/r"), &digest(&LONG)).await? == *LONG);
        assert_eq!(self.registry.take_requests().iter().map(range).collect::<Vec<_>>(), ranges);
        assert!(self.partials().is_empty());
        assert_eq!(self.store().stat(&digest(&LONG)).await?, Some(TOTAL));
        Ok(())
    }
}

fn range(seen: &Seen) -> Option<&str> {
    seen.range.as_deref()
}

const REST: &str = "bytes=1258291-";

#[tokio::test]
async fn m081_a_read_that_broke_off_goes_on_in_another_process() -> Result<()> {
    let place = Place::new().await?;
    place.break_off().await?;
    place.reads(&[Some(REST)]).await?;
    place.reads(&[]).await
}

#[tokio::test]
async fn every_attempt_goes_on_where_the_last_one_ended() -> Result<()> {
    let place = Place::new().await?;
    place.registry.fault(On::get("/blobs/").times(4), Fault::Cut { after: TOTAL / 5, close: Close::Fin });
    for fifths in 1..5 {
        fails(read(&*place.cached("o/r"), &digest(&LONG)).await, ErrorKind::Unreachable);
        place.until_left(TOTAL / 5 * fifths).await;
    }
    assert!(read(&*place.cached("o/r"), &digest(&LONG)).await? == *LONG);
    let sent: u64 = place.registry.requests().iter().filter(|seen| seen.method == "GET").map(|seen| seen.sent).sum();
    assert_eq!(sent, TOTAL);
    Ok(())
}

#[tokio::test]
async fn a_reader_that_leaves_leaves_what_it_has_read() -> Result<()> {
    let place = Place::new().await?;
    let store = place.store();
    let blob = place.cached_in("o/r", store.clone()).blob(&digest(&LONG), Resume::START).await?;
    let (first, rest) = blob.stream.into_future().await;
    let bytes = first.unwrap()?.len() as u64;
    drop(rest);
    until(async || !store.left().is_empty()).await;
    assert_eq!(store.left(), [Left { digest: digest(&LONG), bytes, total: TOTAL }]);
    assert!(read(&*place.cached_in("o/r", store.clone()), &digest(&LONG)).await? == *LONG);
    assert_eq!(store.left(), []);
    Ok(())
}

#[tokio::test]
async fn m082_a_registry_that_ignores_the_range_is_read_from_its_start() -> Result<()> {
    let place = Place::new().await?;
    place.break_off().await?;
    place.registry.fault(On::get("/blobs/"), Fault::IgnoreRange);
    place.reads(&[Some(REST)]).await
}

#[tokio::test]
async fn m083_another_range_than_the_rest_is_not_taken_for_it() -> Result<()> {
    let place = Place::new().await?;
    place.break_off().await?;
    let other = format!("bytes 0-{}/{TOTAL}", TOTAL - 1);
    place.registry.fault(On::get("/blobs/"), Fault::ContentRange(other));
    place.reads(&[Some(REST), None]).await
}

#[tokio::test]
async fn m084_a_rest_that_does_not_fit_is_one_error_and_then_a_whole_read() -> Result<()> {
    let place = Place::new().await?;
    place.break_off().await?;
    place.registry.fault(On::get("/blobs/"), Fault::Flip { at: 10 });
    fails(read(&*place.cached("o/r"), &digest(&LONG)).await, ErrorKind::Digest);
    assert!(place.partials().is_empty());
    place.registry.take_requests();
    place.reads(&[None]).await
}

#[tokio::test]
async fn m088_a_beginning_that_was_tampered_with_is_one_error_and_then_a_whole_read() -> Result<()> {
    let place = Place::new().await?;
    place.break_off().await?;
    place.change(&[b'x'; 100_000]);
    let cached = place.cached("o/r");
    fails(read(&*cached, &digest(&LONG)).await, ErrorKind::Digest);
    assert!(place.partials().is_empty());
    assert!(cached.distrust().await, "the reader was given it, and may read again");
    place.registry.take_requests();
    place.reads(&[None]).await
}

#[tokio::test]
async fn m088_a_beginning_longer_than_the_whole_is_dropped() -> Result<()> {
    let place = Place::new().await?;
    place.break_off().await?;
    place.change(format!("{}x", *LONG).as_bytes());
    place.reads(&[None]).await
}

#[tokio::test]
async fn m088_a_beginning_of_something_of_another_size_is_dropped() -> Result<()> {
    let place = Place::new().await?;
    place.break_off().await?;
    let [path] = place.partials().try_into().unwrap();
    let other = path.with_file_name(format!("{}-{}", digest(&LONG).encoded(), TOTAL + 1));
    fs::rename(path, other).unwrap();
    place.reads(&[Some(REST), None]).await
}

#[tokio::test]
async fn a_beginning_that_is_the_whole_asks_only_whether_the_registry_has_it() -> Result<()> {
    let place = Place::new().await?;
    place.break_off().await?;
    place.change(LONG.as_bytes());
    assert!(read(&*place.cached("o/r"), &digest(&LONG)).await? == *LONG);
    let seen = place.registry.take_requests();
    assert_eq!(seen.iter().map(|seen| seen.status).collect::<Vec<_>>(), [416, 200]);
    Ok(())
}

#[tokio::test]
async fn what_one_repository_began_no_other_gets() -> Result<()> {
    let place = Place::new().await?;
    put(&*place.registry.repository("o/empty"), "other").await?;
    put(&*place.registry.repository("o/same"), &LONG).await?;
    place.break_off().await?;
    fails(place.cached("o/empty").blob(&digest(&LONG), Resume::START).await, ErrorKind::NotFound);
    place.until_left(CUT).await;
    place.registry.take_requests();
    assert!(read(&*place.cached("o/same"), &digest(&LONG)).await? == *LONG);
    assert_eq!(place.registry.take_requests().iter().map(range).collect::<Vec<_>>(), [None]);
    place.until_left(CUT).await;
    Ok(())
}

#[tokio::test]
async fn whoever_comes_while_it_is_filled_reads_from_the_registry() -> Result<()> {
    let place = Place::new().await?;
    let first = place.cached("o/r").blob(&digest(&LONG), Resume::START).await?;
    until(async || !place.partials().is_empty()).await;
    let options = DiskOptions { patience: Duration::ZERO, ..DiskOptions::default() };
    let impatient = DiskStore::new(place.folder.path().join("cache"), &options);
    assert!(read(&*place.cached_in("o/r", impatient), &digest(&LONG)).await? == *LONG);
    let bytes = first.stream.map(|chunk| chunk.unwrap()).collect::<Vec<Bytes>>().await.concat();
    assert!(bytes == LONG.as_bytes());
    place.registry.take_requests();
    place.reads(&[]).await
}

#[tokio::test]
async fn a_beginning_is_for_its_owner_alone() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new().await?;
    place.break_off().await?;
    let [path] = place.partials().try_into().unwrap();
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    Ok(())
}

#[tokio::test]
async fn beginnings_are_bounded_in_number() -> Result<()> {
    let place = Place::new().await?;
    let store = place.store();
    for number in 0..80 {
        let mut fill = store.fill(&place.origin(), &digest(&number.to_string()), TOTAL).await?.unwrap();
        fill.write(Bytes::from_static(b"begun")).await?;
        drop(fill);
        until(async || store.left().len() > number).await;
    }
    assert_eq!(place.partials().len(), 64);
    Ok(())
}

#[tokio::test]
async fn beginnings_of_processes_that_died_are_bounded_by_the_first_fill_of_another() -> Result<()> {
    let place = Place::new().await?;
    let (store, begun) = (place.store(), digest("begun"));
    let leave = |content: &str| {
        for number in 0..80 {
            let notes = place.folder.path().join(format!("cache/origins/open/a.io/o/r{number}/_partials/sha256"));
            fs::create_dir_all(&notes).unwrap();
            fs::write(notes.join(format!("{}-{TOTAL}", digest(content).encoded())), "left").unwrap();
        }
    };
    // Once the first bytes are there, room was made, if any is.
    let fill = async || {
        let mut fill = store.fill(&place.origin(), &begun, TOTAL).await?.unwrap();
        fill.write(Bytes::from_static(b"begun")).await?;
        until(async || place.partials().iter().any(|path| fs::metadata(path).unwrap().len() > 0)).await;
        Result::Ok(fill)
    };
    let all = async || Result::Ok(store.info().await?.partials.files);
    assert_eq!(store.stat(&begun).await?, None, "the folder is a store's");
    leave("first");
    fill().await?.discard().await;
    assert_eq!(all().await?, 63);
    leave("second");
    let second = fill().await?;
    assert_eq!(all().await?, 63 + 80 + 1, "whoever waits for content waits for no look at all repositories");
    drop(second);
    until(async || !store.left().is_empty()).await;
    assert_eq!(all().await?, 64);
    Ok(())
}

#[tokio::test]
async fn what_is_removed_takes_its_beginning_along() -> Result<()> {
    let place = Place::new().await?;
    place.break_off().await?;
    place.store().remove(&place.origin(), &digest(&LONG)).await?;
    assert!(place.partials().is_empty());
    place.reads(&[None]).await
}
