//! The suite over repositories in memory.

use refs_registry::{Result, Writable};
use refs_store::{Memories, Memory};
use refs_testkit::conformance::{Fixture, mounts, reads, writes};
use refs_url::{Host, RepoName};

#[tokio::test]
async fn memory_reads() -> Result<()> {
    let memory = Memory::new();
    let fixture = Fixture::push(&memory).await?;
    reads(&memory, &fixture).await
}

#[tokio::test]
async fn memory_writes() -> Result<()> {
    writes(&Memory::new()).await
}

#[tokio::test]
async fn memory_mounts() -> Result<()> {
    let (memories, host) = (Memories::new(), Host::parse("localhost").unwrap());
    let (to, from) = (RepoName::parse("to").unwrap(), RepoName::parse("from").unwrap());
    mounts(&*memories.sink(&host, &to)?, &*memories.sink(&host, &from)?, &from).await
}
