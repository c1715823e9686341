//! The suite over repositories in memory, and over registries of many kinds.

use std::sync::Arc;

use refs_registry::{
    Options, Registries, Result, Sink, Writable,
    auth::{Credential, Secret, Static},
};
use refs_store::{Memories, Memory};
use refs_testkit::{
    Builder, FakeRegistry, Quirks,
    conformance::{Fixture, mounts, reads, writes},
    quirks::{DigestHeader, Head, Location, Mount, Pages, Patch, SinglePost},
};
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

/// The registry as its client sees it: repositories `o/r` and `o/other`.
fn repositories(registry: &FakeRegistry) -> Result<[Arc<dyn Sink>; 2]> {
    let account = Credential::Basic { username: "user".to_owned(), password: Secret::new("password") };
    let credentials = Arc::new(Static::new(registry.host(), "the test", account));
    let registries = Registries::new(Options { credentials, ..Options::default() });
    let sink = |name| registries.sink(&registry.host(), &RepoName::parse(name).unwrap());
    Ok([sink("o/r")?, sink("o/other")?])
}

/// Registries that keep all promises, each by its own way over the network.
fn registries() -> Vec<Builder> {
    let quirks = [
        Quirks::default(),
        Quirks::ecr(),
        Quirks::gar(),
        Quirks { head: Head::Missing, ..Quirks::default() },
        Quirks { digest_header: DigestHeader::Never, ..Quirks::default() },
        Quirks { patch: Patch::NoContent, location: Location::AbsoluteWithState, ..Quirks::default() },
        Quirks { single_post: SinglePost::Session, mount: Mount::Session, ..Quirks::default() },
        Quirks { pages: Pages::AtMost(2), ..Quirks::default() },
    ];
    let quirky = quirks.into_iter().map(|quirks| FakeRegistry::builder().quirks(quirks));
    let demanding = [
        FakeRegistry::builder().redirect_blobs(),
        FakeRegistry::builder().basic_auth("user", "password"),
        FakeRegistry::builder().token_auth("user", "password").redirect_blobs(),
    ];
    quirky.chain(demanding).collect()
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "a failure has to say which registry it is about")]
async fn registries_read() -> Result<()> {
    for builder in registries() {
        eprintln!("{builder:?}");
        let registry = builder.start().await;
        let fixture = Fixture::push(&*registry.repository("o/r")).await?;
        let [source, _] = repositories(&registry)?;
        reads(&*source, &fixture).await?;
    }
    Ok(())
}
#[tokio::test]
#[expect(clippy::print_stderr, reason = "a failure has to say which registry it is about")]
async fn registries_write() -> Result<()> {
    for builder in registries() {
        eprintln!("{builder:?}");
        let registry = builder.start().await;
        let [sink, other] = repositories(&registry)?;
        writes(&*sink).await?;
        mounts(&*other, &*sink, &RepoName::parse("o/r").unwrap()).await?;
    }
    Ok(())
}
