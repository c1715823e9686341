//! Fills where there are few threads that may wait for the disk.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt;
use refs_registry::{ByteStream, Resolver, Result, Resume};
use refs_store::{Cached, Fetches, Fill, Store};
use refs_testkit::{Fault, On};

use crate::{
    content::{digest, drain, put, text},
    place::{Place, registries},
    store::{here, on_disk},
};

const THREADS: usize = 4;
const STALLED: usize = 4 * THREADS;
/// Longer than anything takes that is not stuck.
const FOR_EVER: Duration = Duration::from_secs(60);

fn with_few_threads<T>(fact: impl Future<Output = Result<T>>) -> Result<T> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(THREADS).enable_all().build().unwrap();
    // What is stuck fails here.
    runtime.block_on(async { tokio::time::timeout(FOR_EVER, fact).await.unwrap() })
}

fn long(name: &str) -> String {
    name.repeat((2 << 20) / name.len())
}

fn cached(place: &Place) -> Arc<Cached> {
    let origin = place.origin("o/r");
    let source = registries().source(&origin.host, &origin.repository).unwrap();
    Arc::new(Cached::new(source, origin, Arc::clone(&place.store)))
}

async fn fetched(place: &Place, fetches: &Fetches, content: &str) -> Result<ByteStream> {
    Ok(fetches.blob(&cached(place), &digest(content)).await?.blob.stream)
}

#[test]
fn blobs_whose_upstream_hangs_keep_no_thread_from_the_others() -> Result<()> {
    with_few_threads(async {
        let (place, fetches) = (Place::on_disk().await, Fetches::default());
        let [hot, cold] = ["hot!", "cold"].map(long);
        put(&*place.repository(), &hot).await?;
        put(&*place.repository(), &cold).await?;
        drain(fetched(&place, &fetches, &hot).await?).await?;

        let mut stalled = Vec::new();
        for number in 0..STALLED {
            let content = long(&format!("{number:04}"));
            put(&*place.repository(), &content).await?;
            let path = format!("/blobs/{}", digest(&content));
            place.registry.fault(On::get(&path), Fault::Stall { after: 100_000 });
            let mut stream = fetched(&place, &fetches, &content).await?;
            assert!(!stream.next().await.unwrap()?.is_empty(), "its first bytes are read");
            stalled.push(stream);
        }

        assert!(text(fetched(&place, &fetches, &hot).await?).await? == hot);
        assert!(text(fetched(&place, &fetches, &cold).await?).await? == cold);
        drop(stalled);
        Ok(())
    })
}

#[test]
fn fills_that_go_on_in_turns_all_come_to_their_end() -> Result<()> {
    with_few_threads(async {
        let (store, _folder) = on_disk();
        let contents: Vec<_> = (0..STALLED).map(|number| long(&format!("{number:04}"))).collect();
        let mut fills: Vec<Box<dyn Fill>> = Vec::new();
        for content in &contents {
            fills.push(store.fill(&here(), &digest(content), content.len() as u64).await?.unwrap());
        }
        for start in (0..contents[0].len()).step_by(100_000) {
            for (content, fill) in contents.iter().zip(&mut fills) {
                let end = content.len().min(start + 100_000);
                fill.write(Bytes::copy_from_slice(&content.as_bytes()[start..end])).await?;
            }
        }
        for fill in &mut fills {
            fill.commit().await?;
        }
        for content in &contents {
            assert!(text(store.blob(&digest(content), Resume::START).await?.stream).await? == *content);
        }
        Ok(())
    })
}

/// What a runtime does not get to any more leaves what came, as a reader who leaves does.
#[test]
fn a_runtime_that_ends_leaves_the_beginning() -> Result<()> {
    let (store, _folder) = on_disk();
    let mib = Bytes::from(vec![b'x'; 1 << 20]);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).enable_all().build().unwrap();
    let fill = runtime.block_on(async {
        let mut fill = store.fill(&here(), &digest("content"), 8 << 20).await?.unwrap();
        // There is no room for the last before the first has been written.
        for _ in 0..5 {
            fill.write(mib.clone()).await?;
        }
        Ok::<_, refs_registry::Error>(fill)
    })?;
    // It waits for the threads, and begins no other.
    drop(runtime);
    drop(fill);
    let left: Vec<_> = store.left().iter().map(|left| left.bytes).collect();
    assert!(matches!(left[..], [bytes] if bytes >= 1 << 20), "{left:?}");
    Ok(())
}
