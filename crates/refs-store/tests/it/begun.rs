//! Copies of blobs into a layout that go on where an earlier one was broken off.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, LazyLock},
};

use refs_registry::{ErrorKind, Options, Registries, Replay, Resolver, Result, Retry, Sent, Sink, Source};
use refs_store::Layout;
use refs_testkit::{Close, FakeRegistry, Fault, On};
use refs_url::RepoName;
use tempfile::TempDir;

use crate::{
    content::{blob, digest, fails, put, read},
    layout::{files_in, layout},
};

const TOTAL: u64 = 2 << 20;
const CUT: u64 = TOTAL * 6 / 10;
const REST: Option<&str> = Some("bytes=1258291-");

/// Text of `TOTAL` bytes that does not repeat.
static LONG: LazyLock<String> = LazyLock::new(|| (0..TOTAL / 8).map(|number| format!("{number:07}\n")).collect());

/// A registry that has `LONG`, and a layout.
struct Place {
    registry: FakeRegistry,
    layout: Layout,
    folder: TempDir,
}

impl Place {
    async fn new() -> Result<Self> {
        let registry = FakeRegistry::start().await;
        put(&*registry.repository("o/r"), &LONG).await?;
        let (layout, folder) = layout().await?;
        Ok(Self { registry, layout, folder })
    }

    fn source(&self) -> Arc<dyn Source> {
        let retry = Retry { attempts: 1, ..Retry::default() };
        let registries = Registries::new(Options { retry, ..Options::default() });
        registries.source(&self.registry.host(), &RepoName::parse("o/r").unwrap()).unwrap()
    }

    async fn copy(&self) -> Result<Sent> {
        self.layout.put_blob(&blob(&LONG), Replay::Blob(self.source(), digest(&LONG)).into()).await
    }

    /// The file that has what has come.
    fn begun(&self) -> PathBuf {
        self.ingest().join(format!("sha256-{}", digest(&LONG).encoded()))
    }

    fn ingest(&self) -> PathBuf {
        self.folder.path().join("ingest")
    }

    /// The ranges that were asked for, of each request for the blob.
    fn ranges(&self) -> Vec<Option<String>> {
        self.registry.take_requests().into_iter().map(|seen| seen.range).collect()
    }
}

/// That the blob is copied right over what was left, and what is asked for.
async fn check(left: &[u8], ranges: &[Option<&str>]) -> Result<()> {
    let place = Place::new().await?;
    fs::write(place.begun(), left).unwrap();
    assert_eq!(place.copy().await?, Sent::Uploaded);
    assert_eq!(place.ranges().iter().map(Option::as_deref).collect::<Vec<_>>(), ranges, "{} bytes", left.len());
    assert!(read(&place.layout, &digest(&LONG)).await? == *LONG);
    assert!(files_in(&place.ingest()).is_empty());
    Ok(())
}

#[tokio::test]
async fn what_was_left_is_not_fetched_again_if_it_is_right() -> Result<()> {
    let (long, cut) = (LONG.as_bytes(), CUT as usize);
    check(&long[..cut], &[REST]).await?;
    check(long, &[]).await?;
    check(b"", &[None]).await?;
    check(&vec![b'x'; cut], &[REST, None]).await?;
    check(&vec![b'x'; long.len()], &[None]).await?;
    check(&[long, b"more"].concat(), &[None]).await
}

#[tokio::test]
async fn a_copy_that_was_broken_off_leaves_what_has_come() -> Result<()> {
    let place = Place::new().await?;
    place.registry.fault(On::get("/blobs/"), Fault::Cut { after: CUT, close: Close::Fin });
    fails(place.copy().await, ErrorKind::Unreachable);
    assert_eq!(place.layout.stat_blob(&digest(&LONG)).await?, None);
    assert_eq!(fs::metadata(place.begun()).unwrap().len(), CUT);
    place.ranges();
    assert_eq!((place.copy().await?, place.copy().await?), (Sent::Uploaded, Sent::Present));
    assert_eq!(place.ranges(), [REST.map(str::to_owned)]);
    assert!(files_in(&place.ingest()).is_empty());
    Ok(())
}

#[tokio::test]
async fn what_is_known_to_be_wrong_or_is_nothing_is_not_left() -> Result<()> {
    let place = Place::new().await?;
    place.registry.fault(On::get("/blobs/"), Fault::Flip { at: 7 });
    fails(place.copy().await, ErrorKind::Digest);
    assert!(files_in(&place.ingest()).is_empty());
    place.registry.fault(On::get("/blobs/"), Fault::Status { status: 404, headers: Vec::new() });
    fails(place.copy().await, ErrorKind::NotFound);
    assert!(files_in(&place.ingest()).is_empty());
    Ok(())
}

#[tokio::test]
async fn two_who_copy_one_blob_do_not_wait_for_each_other() -> Result<()> {
    let place = Place::new().await?;
    fs::write(place.begun(), "0").unwrap();
    let held = fs::File::open(place.begun()).unwrap();
    held.try_lock().unwrap();
    assert_eq!(place.copy().await?, Sent::Uploaded);
    assert_eq!(place.ranges(), [None]);
    assert_eq!(fs::read(place.begun()).unwrap(), b"0");
    Ok(())
}

/// That the blob is copied though `put` put something else than a file where its beginning would be, and that this stays.
async fn check_taken(what: &str, put: impl Fn(&Path)) -> Result<()> {
    let place = Place::new().await?;
    put(&place.begun());
    let before = fs::symlink_metadata(place.begun()).unwrap().file_type();
    assert_eq!(place.copy().await?, Sent::Uploaded, "{what}");
    assert!(read(&place.layout, &digest(&LONG)).await? == *LONG, "{what}");
    assert_eq!(fs::symlink_metadata(place.begun()).unwrap().file_type(), before, "{what}");
    Ok(())
}

#[tokio::test]
async fn a_name_that_something_else_has_keeps_no_blob_out() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    fs::write(&outside, "theirs").unwrap();
    check_taken("directory", |path| fs::create_dir(path).unwrap()).await?;
    check_taken("link", |path| symlink(&outside, path).unwrap()).await?;
    check_taken("dangling link", |path| symlink("nowhere", path).unwrap()).await?;
    check_taken("pipe", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())).await?;
    assert_eq!(fs::read(&outside).unwrap(), b"theirs");
    Ok(())
}
