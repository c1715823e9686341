//! What repositories in memory promise beyond the suite.

use std::sync::Arc;

use futures_util::TryStreamExt;
use refs_registry::{ErrorKind, Mounted, Resolver, Result, Resume, Sink, Writable};
use refs_store::{Memories, Memory, MemoryStore, Store};
use refs_url::{Host, RepoName};

use crate::{
    content::{digest, fails, push, put, read, tags, upload},
    store::{fill, here},
};

mod alone {
    use super::{Arc, Memory, Sink};

    async fn store() -> (Arc<dyn Sink>, ()) {
        (Arc::new(Memory::new()), ())
    }

    crate::suite::facts!(store);
}

mod among_others {
    use super::{Arc, Memories, Sink, Writable, host, name};

    async fn store() -> (Arc<dyn Sink>, Memories) {
        let memories = Memories::new();
        (memories.sink(&host("localhost:5000"), &name("org/repo")).unwrap(), memories)
    }

    crate::suite::facts!(store);
}

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

fn name(text: &str) -> RepoName {
    RepoName::parse(text).unwrap()
}

async fn names(memories: &Memories, of: &str) -> Result<Vec<String>> {
    memories.repositories(&host(of)).map_ok(|name| name.to_string()).try_collect().await
}

#[tokio::test]
async fn a_repository_exists_from_its_first_write_to_its_last_delete() -> Result<()> {
    let memories = Memories::new();
    let source = memories.source(&host("a.io"), &name("org/repo"))?;
    fails(tags(&*source, None).await, ErrorKind::NotFound);
    assert!(names(&memories, "a.io").await?.is_empty());

    let sink = memories.sink(&host("a.io"), &name("org/repo"))?;
    drop(upload(&*sink, &["one"]).await?);
    assert!(names(&memories, "a.io").await?.is_empty());
    push(&*sink, "one", &["v1"]).await?;
    push(&*memories.sink(&host("a.io"), &name("alpha"))?, "one", &["v1"]).await?;
    assert_eq!(names(&memories, "a.io").await?, ["alpha", "org/repo"]);
    assert!(names(&memories, "b.io").await?.is_empty());
    assert_eq!(tags(&*source, None).await?, ["v1"]);

    let alpha = memories.repository(&host("a.io"), &name("alpha"));
    alpha.delete_manifest(&crate::content::tagged("v1")).await?;
    assert_eq!(names(&memories, "a.io").await?, ["alpha", "org/repo"]);
    Ok(())
}

#[tokio::test]
async fn a_blob_is_mounted_within_its_host_only() -> Result<()> {
    let memories = Memories::new();
    put(&memories.repository(&host("a.io"), &name("from")), "one").await?;
    for (at, from, mounts) in [("b.io", "from", false), ("a.io", "absent", false), ("a.io", "from", true)] {
        let to = memories.repository(&host(at), &name("to"));
        let mounted = to.mount(&digest("one"), &name(from)).await?;
        assert_eq!(matches!(mounted, Mounted::Mounted), mounts, "{at}/{from}");
    }
    let to = memories.repository(&host("a.io"), &name("to"));
    assert_eq!(read(&to, &digest("one")).await?, "one");
    Ok(())
}

#[tokio::test]
async fn an_upload_that_was_resumed_elsewhere_ends() -> Result<()> {
    let memory = Memory::new();
    let mut first = upload(&memory, &["one "]).await?;
    let mut second = memory.upload(Some(first.state())).await?;
    second.write("two".into()).await?;
    fails(first.write("lost".into()).await, ErrorKind::Conflict);
    drop(first);
    second.commit(&digest("one two")).await
}

#[tokio::test]
async fn a_bounded_store_drops_what_was_not_read_for_longest() -> Result<()> {
    let store = MemoryStore::bounded(10);
    for content in ["one", "two", "six"] {
        fill(&store, content).await?;
    }
    drop(store.blob(&digest("one"), Resume::START).await?);
    store.pin(&digest("six")).await?;
    fill(&store, "four").await?;
    let kept = async |content| store.stat(&digest(content)).await.unwrap().is_some();
    assert_eq!((kept("one").await, kept("two").await, kept("six").await), (true, false, true));
    fill(&store, "seventy").await?;
    assert_eq!((kept("one").await, kept("four").await, kept("six").await), (false, false, true));
    assert!(kept("seventy").await);
    store.keep_seek_index(&digest("seventy"), "0123456789".into()).await?;
    assert!(!kept("seventy").await);
    assert!(store.fill(&here(), &digest("eleven bytes"), 11).await?.is_none());
    assert!(store.fill_part(&here(), &digest("eleven bytes"), 0..11, 20).await?.is_none());
    Ok(())
}
