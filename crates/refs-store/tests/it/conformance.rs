//! The suite that every source and sink passes, wherever its content lives.

use refs_registry::{Result, Writable};
use refs_store::{Layout, Layouts, Memories};
use refs_testkit::conformance::{Fixture, mounts, reads, writes};
use refs_url::{Host, RepoName};

fn name(text: &str) -> RepoName {
    RepoName::parse(text).unwrap()
}

/// Runs the suite in three repositories of a place that has none yet.
async fn check(place: &dyn Writable) -> Result<()> {
    let host = Host::parse("localhost:5000").unwrap();
    let [to, from, written] = ["org/to", "from", "org/written"].map(|text| place.sink(&host, &name(text)).unwrap());
    mounts(&*to, &*from, &name("from")).await?;
    let fixture = Fixture::push(&*from).await?;
    reads(&*from, &fixture).await?;
    writes(&*written).await
}

#[tokio::test]
async fn memories_conform() -> Result<()> {
    check(&Memories::new()).await
}

#[tokio::test]
async fn layouts_conform() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    check(&Layouts::new(folder.path())).await
}

#[tokio::test]
async fn a_layout_conforms() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    writes(&Layout::create(folder.path().join("written")).await?).await?;
    let layout = Layout::create(folder.path().join("read")).await?;
    let fixture = Fixture::push(&layout).await?;
    reads(&Layout::open(folder.path().join("read")).await?, &fixture).await
}
