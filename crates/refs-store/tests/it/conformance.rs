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

#[cfg(feature = "object-store")]
#[tokio::test]
async fn what_is_read_through_a_bucket_conforms_at_each_node() -> Result<()> {
    let place = crate::place::Place::on_disk().await;
    let fixture = Fixture::push(&*place.repository()).await?;
    let (bucket, node) = (crate::bucket::memory(), |name| crate::bucket::node(&place, name));
    for name in ["first", "second"] {
        let store = std::sync::Arc::new(crate::bucket::over(&bucket, node(name)));
        let cached = place.cached_in("o/r", store.clone());
        // Once out of the registry, and once out of the store.
        for _ in 0..2 {
            reads(&*cached, &fixture, &Capabilities::default()).await.require();
        }
        store.settled().await;
    }
    Ok(())
}
