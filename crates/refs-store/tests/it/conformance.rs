//! The suite that every source and sink passes, wherever its content lives.

use refs_registry::{Result, Writable};
use refs_store::{Layout, Layouts, Memories};
use refs_testkit::conformance::{Capabilities, Fixture, Suite, reads};
use refs_url::Host;

async fn check(place: &dyn Writable, capabilities: Capabilities) {
    let host = Host::parse("localhost:5000").unwrap();
    Suite { capabilities, ..Suite::new(place, &host) }.run().await.require();
}

#[tokio::test]
async fn memories_conform() {
    check(&Memories::new(), Capabilities::default()).await;
}

#[tokio::test]
async fn layouts_conform() {
    let folder = tempfile::tempdir().unwrap();
    check(&Layouts::new(folder.path()), Capabilities::default()).await;
}

#[tokio::test]
async fn a_layout_conforms_when_it_is_opened_again() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path().join("read")).await?;
    let fixture = Fixture::push(&layout).await?;
    let again = Layout::open(folder.path().join("read")).await?;
    reads(&again, &fixture, &Capabilities::default()).await.require();
    Ok(())
}
