//! The suite over repositories in memory, and over registries of many kinds.

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use refs_registry::{
    Options, Registries, Retry,
    auth::{Credential, Secret, Static},
};
use refs_store::Memories;
use refs_testkit::{
    Builder, FakeRegistry, Quirks,
    conformance::{Capabilities, Door, Listed, Mounts, Referrers, Suite, Support},
    quirks::{DigestHeader, Head, Location, Mount, Pages, Patch, SinglePost},
};
use refs_url::Host;

/// A client of the registry that knows its account.
fn client(registry: &FakeRegistry, piece_bytes: Option<NonZeroU64>) -> Registries {
    let account = Credential::Basic { username: "user".to_owned(), password: Secret::new("password") };
    let credentials = Arc::new(Static::new(registry.host(), "the test", account));
    let retry = Retry { first_wait: Duration::ZERO, ..Retry::default() };
    Registries::new(Options { credentials, piece_bytes, retry, ..Options::default() })
}

/// Runs the suite on two such registries: bodies go whole to the one, and in pieces to the other.
async fn check(describe: impl Fn() -> Builder, capabilities: Capabilities) {
    let [whole, pieces] = [None, NonZeroU64::new(3)].map(|piece_bytes| run(describe(), piece_bytes, &capabilities));
    tokio::join!(whole, pieces);
}

#[expect(clippy::print_stderr, reason = "a failure has to say which registry it is about")]
async fn run(builder: Builder, piece_bytes: Option<NonZeroU64>, capabilities: &Capabilities) {
    let described = format!("{builder:?}, pieces of {piece_bytes:?}");
    let registry = builder.start().await;
    let (one, other, host) = (client(&registry, piece_bytes), client(&registry, None), registry.host());
    let other = Door { resolver: &other, host: &host };
    let report = Suite { other, capabilities: capabilities.clone(), ..Suite::new(&one, &host) }.run().await;
    eprintln!("{described}");
    report.require();
}

async fn check_quirks(quirks: Quirks, capabilities: Capabilities) {
    check(|| FakeRegistry::builder().quirks(quirks.clone()), capabilities).await;
}

#[tokio::test]
async fn memories_conform() {
    Suite::new(&Memories::new(), &Host::parse("localhost").unwrap()).run().await.require();
}

/// What a place in memory fails that is said to do so.
async fn failed(capabilities: Capabilities) -> Vec<&'static str> {
    let (memories, host) = (Memories::new(), Host::parse("localhost").unwrap());
    let report = Suite { capabilities, ..Suite::new(&memories, &host) }.run().await;
    report.failed.iter().map(|failure| failure.check).collect()
}

#[tokio::test]
async fn a_place_that_does_more_than_is_stated_fails() {
    let stated = Capabilities {
        manifest_deletion: Support::Unsupported,
        tag_deletion: Support::Unsupported,
        blob_deletion: Support::Unsupported,
        missing_blobs_refused: Support::Unsupported,
        resumed_uploads: Support::Unsupported,
        sha512: Support::Unsupported,
        catalog: Support::Unsupported,
        referrers: Referrers::Tag,
        tags_after: Listed::Whole,
        mounts: Mounts::Upload,
        ..Capabilities::default()
    };
    let names = [
        "tags are listed, and those after any of them",
        "the list of referrers is where it should be",
        "an upload goes on where it ended",
        "a blob is mounted, or an upload begins",
        "a manifest needs its blobs",
        "content has sha512 digests",
        "a tag is deleted",
        "a manifest is deleted with its tags",
        "a blob is deleted",
        "tags are listed page by page",
        "repositories are listed",
    ];
    assert_eq!(failed(stated).await, names);
    assert_eq!(
        failed(Capabilities { writes: Support::Unsupported, ..Capabilities::default() }).await,
        ["every write is refused"]
    );
}

#[tokio::test]
async fn a_registry_after_the_spec_conforms() {
    check_quirks(Quirks::default(), Capabilities::default()).await;
}

#[tokio::test]
async fn ecr_conforms() {
    check_quirks(Quirks::ecr(), Capabilities::default()).await;
}

#[tokio::test]
async fn ghcr_conforms() {
    check_quirks(Quirks::ghcr(), Capabilities { referrers: Referrers::Tag, ..Capabilities::default() }).await;
}

#[tokio::test]
async fn gar_conforms() {
    check_quirks(Quirks::gar(), Capabilities::default()).await;
}

#[tokio::test]
async fn docker_hub_conforms() {
    check_quirks(Quirks::docker_hub(), Capabilities { referrers: Referrers::Tag, ..Capabilities::default() }).await;
}

#[tokio::test]
async fn an_old_registry_conforms() {
    let capabilities = Capabilities {
        referrers: Referrers::Tag,
        tags_after: Listed::Whole,
        tag_deletion: Support::Unsupported,
        ..Capabilities::default()
    };
    check_quirks(Quirks::old_spec(), capabilities).await;
}

#[tokio::test]
async fn single_quirks_conform() {
    let session = Quirks { single_post: SinglePost::Session, mount: Mount::Session, ..Quirks::default() };
    check_quirks(session, Capabilities { mounts: Mounts::Upload, ..Capabilities::default() }).await;
    let quirks = [
        Quirks { head: Head::Missing, ..Quirks::default() },
        Quirks { digest_header: DigestHeader::Never, ..Quirks::default() },
        Quirks { patch: Patch::NoContent, location: Location::AbsoluteWithState, ..Quirks::default() },
        Quirks { pages: Pages::AtMost(2), ..Quirks::default() },
    ];
    for quirks in quirks {
        check_quirks(quirks, Capabilities::default()).await;
    }
}

#[tokio::test]
async fn guarded_registries_conform() {
    check(|| FakeRegistry::builder().redirect_blobs(), Capabilities::default()).await;
    check(|| FakeRegistry::builder().basic_auth("user", "password"), Capabilities::default()).await;
    let tokens = || FakeRegistry::builder().token_auth("user", "password").redirect_blobs();
    check(tokens, Capabilities::default()).await;
}
