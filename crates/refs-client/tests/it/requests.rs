//! What each verb asks of a registry that demands a token, counted by the registry.

use refs_client::{Client, Error, FileEntry, Limits, Location, PullOptions, Pushed, ReadOptions};
use refs_store::Memories;
use refs_testkit::{Close, FakeRegistry, Fault, On, Quirks, Seen, Tree, quirks};

use crate::setup::{
    IN_MEMORY, MANIFEST, anonymous, artifact, client, directory, guarded, kind, memory, noise, patterns, pull, pull_of,
    pulled, pushed, timeless,
};

const GET_MANIFEST: &str = "GET /v2/o/r/manifests/v1";

fn blob(pushed: &Pushed) -> String {
    format!("GET /v2/o/r/blobs/{}", pushed.layer.digest)
}

fn tail_bytes(pushed: &Pushed) -> u64 {
    pushed.layer.annotations["dev.refs.estargz.tail"].parse().unwrap()
}

/// The range of the layer's tail, as its annotation gives it.
fn tail(pushed: &Pushed) -> Option<String> {
    let size = pushed.layer.size;
    Some(format!("bytes={}-{}", size - tail_bytes(pushed), size - 1))
}

fn ranges(seen: &[Seen]) -> Vec<Option<String>> {
    seen.iter().map(|request| request.range.clone()).collect()
}

fn sent(seen: &[Seen], path: &str) -> u64 {
    seen.iter().filter(|request| request.path.contains(path)).map(|request| request.sent).sum()
}

fn many(files: usize) -> Tree {
    let tree = Tree::new().file(".sow-ref.yaml", MANIFEST);
    (0..files).fold(tree, |tree, i| tree.file(&format!("d{:02}/f{i:04}.txt", i / 100), format!("{i}\n")))
}

/// Six directories of content that does not compress.
fn heavy() -> Tree {
    let tree = Tree::new().file(".sow-ref.yaml", MANIFEST);
    ["a", "b", "c", "d", "e", "f"].into_iter().zip(0..).fold(tree, |tree, (directory, seed)| {
        (0..10).fold(tree, |tree, i| tree.file(&format!("{directory}/{i}"), noise(64 << 10, 100 * seed + i)))
    })
}

/// A client that has its token already, so that what follows is the verb's own.
async fn logged_in(registry: &FakeRegistry) -> Client {
    let client = client(registry);
    client.resolve_tag(&artifact(registry)).await.unwrap();
    registry.take_requests();
    client
}

/// Both requests of a verb that reads the manifest and the layer's tail.
#[track_caller]
fn check_manifest_and_tail(seen: &[Seen], pushed: &Pushed) {
    assert_eq!(seen, [GET_MANIFEST, &blob(pushed)]);
    assert_eq!(ranges(seen), [None, tail(pushed)]);
    assert_eq!(
        seen.iter().map(|request| (request.had_authorization, request.status)).collect::<Vec<_>>(),
        [(true, 200), (true, 206)]
    );
    assert_eq!([seen[0].sent, seen[1].sent], [pushed.descriptor.size, tail_bytes(pushed)]);
}

async fn check_tree_of(files: usize, most_tail_bytes: u64) {
    let source = directory(&many(files));
    let (memories, in_memory) = memory();
    let pushed = in_memory.push(source.path(), &IN_MEMORY.parse().unwrap(), &timeless()).await.unwrap();
    assert!(tail_bytes(&pushed) <= most_tail_bytes, "{} bytes for {files} files", tail_bytes(&pushed));
    let registry = guarded(&memories).start().await;
    let (client, at) = (logged_in(&registry).await, artifact(&registry));

    let listing = client.list_files(&at, &ReadOptions::default()).await.unwrap();
    assert_eq!(listing.entries().filter(FileEntry::is_file).count(), files + 1);
    check_manifest_and_tail(&registry.take_requests(), &pushed);

    client.list_files(&at, &patterns(&["d00/**"])).await.unwrap();
    check_manifest_and_tail(&registry.take_requests(), &pushed);

    client.get_manifest(&at, &ReadOptions::default()).await.unwrap();
    check_manifest_and_tail(&registry.take_requests(), &pushed);

    let content = client.read_file(&at, ".sow-ref.yaml", &ReadOptions::default(), Vec::new()).await.unwrap();
    assert_eq!(content, MANIFEST.as_bytes());
    check_manifest_and_tail(&registry.take_requests(), &pushed);

    assert!(pulled(&client, &at, &PullOptions::default()).await == Tree::read(source.path()).unwrap());
    let seen = registry.take_requests();
    assert_eq!(seen, [GET_MANIFEST, &blob(&pushed)]);
    assert_eq!(seen[1].sent, pushed.layer.size);
}

#[tokio::test]
async fn ten_files_are_listed_in_two_requests_and_come_back() {
    check_tree_of(10, 2_000).await;
}

#[tokio::test]
async fn a_thousand_files_are_listed_in_two_requests_and_come_back() {
    check_tree_of(1_000, 100_000).await;
}

#[tokio::test]
async fn nine_thousand_files_are_listed_in_two_requests_and_come_back() {
    check_tree_of(9_000, 900_000).await;
}

#[tokio::test]
async fn token_is_fetched_once_for_all_verbs() {
    let (memories, _, pushed) = pushed(&many(10)).await;
    let registry = guarded(&memories).start().await;
    let (client, at) = (client(&registry), artifact(&registry));
    client.list_files(&at, &ReadOptions::default()).await.unwrap();
    assert_eq!(registry.take_requests(), [GET_MANIFEST, "GET /token", GET_MANIFEST, &blob(&pushed)]);
    client.clone().get_manifest(&at, &ReadOptions::default()).await.unwrap();
    pull(&client, &at, &PullOptions::default()).await.unwrap();
    client.resolve_tag(&at).await.unwrap();
    let resolve = GET_MANIFEST.replace("GET", "HEAD");
    assert_eq!(registry.take_requests(), [GET_MANIFEST, &blob(&pushed), GET_MANIFEST, &blob(&pushed), &resolve]);
}

#[tokio::test]
async fn file_away_from_the_tail_is_one_range_more() {
    let (memories, _, pushed) = pushed(&heavy()).await;
    let registry = guarded(&memories).start().await;
    let (client, at) = (logged_in(&registry).await, artifact(&registry));
    let content = client.read_file(&at, "c/3", &ReadOptions::default(), Vec::new()).await.unwrap();
    assert!(content == noise(64 << 10, 203));
    let seen = registry.take_requests();
    assert_eq!(seen, [GET_MANIFEST, &blob(&pushed), &blob(&pushed)]);
    assert!(ranges(&seen)[1..].iter().all(Option::is_some));
    assert!(seen[2].sent < (64 << 10) + 2_000, "{} bytes", seen[2].sent);
}

#[tokio::test]
async fn pull_of_a_directory_fetches_little_more_than_it_has() {
    let (memories, _, pushed) = pushed(&heavy()).await;
    let registry = guarded(&memories).start().await;
    let (client, at) = (logged_in(&registry).await, artifact(&registry));
    let (tree, report) = pull(&client, &at, &pull_of(&["b/**"])).await.unwrap();
    assert_eq!(tree.to_string().lines().count(), 12, "{tree}");
    let seen = registry.take_requests();
    assert_eq!(seen, [GET_MANIFEST, &blob(&pushed), &blob(&pushed)]);
    assert!(ranges(&seen)[1..].iter().all(Option::is_some) && seen.iter().all(|request| request.had_authorization));
    // Noise is as long compressed as it is.
    let wanted: u64 = 10 * (64 << 10);
    let fetched = sent(&seen, "/blobs/");
    assert!(fetched * 10 <= wanted * 11 + tail_bytes(&pushed) * 10, "{fetched} bytes for {wanted}");
    assert_eq!(report.fetched_bytes, pushed.descriptor.size + fetched);
    assert_eq!(report.written_bytes, wanted + MANIFEST.len() as u64);
}

#[tokio::test]
async fn selection_beyond_a_limit_is_refused_by_the_table_of_contents_alone() {
    let (memories, _, pushed) = pushed(&heavy()).await;
    let registry = guarded(&memories).start().await;
    let (client, at) = (logged_in(&registry).await, artifact(&registry));
    let limits = Limits { total_bytes: 64 << 10, ..Limits::default() };
    let error = pull(&client, &at, &PullOptions { limits, ..pull_of(&["b/**"]) }).await.unwrap_err();
    assert!(matches!(error, Error::TotalTooLarge { .. }), "{error}");
    check_manifest_and_tail(&registry.take_requests(), &pushed);
}

#[tokio::test]
async fn whole_pull_is_manifest_and_one_get() {
    let (memories, _, pushed) = pushed(&heavy()).await;
    let registry = guarded(&memories).start().await;
    let (client, at) = (logged_in(&registry).await, artifact(&registry));
    let (_, report) = pull(&client, &at, &PullOptions::default()).await.unwrap();
    let seen = registry.take_requests();
    assert_eq!(seen, [GET_MANIFEST, &blob(&pushed)]);
    assert_eq!(ranges(&seen), [None, None]);
    assert_eq!(seen[1].sent, pushed.layer.size);
    assert_eq!(report.fetched_bytes, pushed.descriptor.size + pushed.layer.size);
}

#[tokio::test]
async fn redirect_keeps_the_range_and_drops_the_authorization() {
    let (memories, _, pushed) = pushed(&many(10)).await;
    let registry = guarded(&memories).redirect_blobs().start().await;
    let (client, at) = (logged_in(&registry).await, artifact(&registry));
    client.list_files(&at, &ReadOptions::default()).await.unwrap();
    let seen = registry.take_requests();
    let cdn = registry.cdn_host().unwrap();
    assert_eq!(ranges(&seen), [None, tail(&pushed), tail(&pushed)]);
    let hosts: Vec<_> = seen.iter().map(|request| (request.host == cdn, request.had_authorization)).collect();
    assert_eq!(hosts, [(false, true), (false, true), (true, false)]);
    assert_eq!(seen[2].sent, tail_bytes(&pushed));
}

#[tokio::test]
async fn registry_without_ranges_gives_the_whole_layer_once() {
    let (memories, _, pushed) = pushed(&heavy()).await;
    let ignored = Quirks { ranges: quirks::Ranges::Ignored, ..Quirks::default() };
    let registry = guarded(&memories).quirks(ignored).start().await;
    let (client, at) = (logged_in(&registry).await, artifact(&registry));

    let listing = client.list_files(&at, &ReadOptions::default()).await.unwrap();
    assert_eq!(listing.len(), 67);
    let seen = registry.take_requests();
    assert_eq!(seen, [GET_MANIFEST, &blob(&pushed), &blob(&pushed)]);
    assert_eq!(ranges(&seen), [None, tail(&pushed), None]);
    assert_eq!(seen[2].sent, pushed.layer.size);

    let content = client.read_file(&at, "c/3", &ReadOptions::default(), Vec::new()).await.unwrap();
    assert!(content == noise(64 << 10, 203));
    assert_eq!(registry.take_requests(), [GET_MANIFEST, &blob(&pushed), &blob(&pushed)]);

    let (tree, _) = pull(&client, &at, &pull_of(&["b/**"])).await.unwrap();
    assert_eq!(tree.to_string().lines().count(), 12, "{tree}");
    assert_eq!(registry.take_requests(), [GET_MANIFEST, &blob(&pushed), &blob(&pushed)]);
}

/// Lists after `fault` happened to the request for the tail, and gives the requests.
async fn list_with(fault: Fault) -> (Result<usize, Error>, Vec<Seen>, Pushed) {
    let (memories, _, pushed) = pushed(&many(10)).await;
    let registry = guarded(&memories).start().await;
    let (client, at) = (logged_in(&registry).await, artifact(&registry));
    registry.fault(On::get("/blobs/"), fault);
    let listed = client.list_files(&at, &ReadOptions::default()).await;
    (listed.map(|listing| listing.len()), registry.take_requests(), pushed)
}

#[tokio::test]
async fn cut_tail_is_asked_for_from_where_it_was_cut() {
    let (listed, seen, pushed) = list_with(Fault::Cut { after: 100, close: Close::Fin }).await;
    assert_eq!(listed.unwrap(), 12);
    let size = pushed.layer.size;
    let rest = Some(format!("bytes={}-{}", size - tail_bytes(&pushed) + 100, size - 1));
    assert_eq!(ranges(&seen), [None, tail(&pushed), rest]);
}

#[tokio::test]
async fn dropped_connection_is_tried_again() {
    let (listed, seen, pushed) = list_with(Fault::Drop(Close::Reset)).await;
    assert_eq!(listed.unwrap(), 12);
    assert_eq!(ranges(&seen), [None, tail(&pushed), tail(&pushed)]);
}

#[tokio::test]
async fn other_range_than_asked_for_is_refused() {
    let (listed, _, _) = list_with(Fault::ContentRange("bytes 0-9/10".to_owned())).await;
    assert_eq!(kind(&listed.unwrap_err()), refs_registry::ErrorKind::Protocol);
}

#[tokio::test]
async fn status_416_is_refused_and_not_repeated() {
    let (listed, seen, pushed) = list_with(Fault::Status { status: 416, headers: Vec::new() }).await;
    assert_eq!(kind(&listed.unwrap_err()), refs_registry::ErrorKind::Protocol);
    // What is asked once more is the size: the manifest may have said a wrong one.
    let get = blob(&pushed);
    assert_eq!(seen, [GET_MANIFEST, &get, &get.replace("GET", "HEAD")]);
}

#[tokio::test]
async fn expired_token_is_fetched_again_in_the_middle_of_a_verb() {
    let (memories, _, pushed) = pushed(&many(10)).await;
    let registry = guarded(&memories).start().await;
    let (client, at) = (logged_in(&registry).await, artifact(&registry));
    registry.expire_tokens();
    client.list_files(&at, &ReadOptions::default()).await.unwrap();
    assert_eq!(registry.take_requests(), [GET_MANIFEST, "GET /token", GET_MANIFEST, &blob(&pushed)]);
}

async fn check_quirks(quirks: Quirks) {
    let (memories, _, pushed) = pushed(&many(10)).await;
    let registry = FakeRegistry::builder().store(std::sync::Arc::new(memories)).quirks(quirks).start().await;
    let (client, at) = (anonymous(), artifact(&registry));
    assert_eq!(client.get_digest(&at).await.unwrap(), pushed.descriptor.digest);
    assert_eq!(client.list_files(&at, &ReadOptions::default()).await.unwrap().len(), 12);
    assert_eq!(pulled(&client, &at, &pull_of(&["d00/f0001.txt"])).await.to_string().lines().count(), 3);
}

#[tokio::test]
async fn registries_with_quirks_are_read() {
    for quirks in [Quirks::ecr(), Quirks::ghcr(), Quirks::gar(), Quirks::docker_hub(), Quirks::old_spec()] {
        check_quirks(quirks).await;
    }
    let no_header = quirks::DigestHeader::Never;
    check_quirks(Quirks { head: quirks::Head::Missing, digest_header: no_header, ..Quirks::default() }).await;
}

#[tokio::test]
async fn two_pulls_at_once_count_their_own_bytes() {
    let (memories, client, pushed) = pushed(&heavy()).await;
    let at = |text: &str| text.parse::<Location>().unwrap();
    let (here, other) = (at("localhost/o/r:v1"), at("localhost/o/other:v1"));
    let second =
        crate::setup::push(&Client::new(std::sync::Arc::new(Memories::clone(&memories))), &many(10), &other).await;
    let options = PullOptions::default();
    let (first, next) = tokio::join!(pull(&client, &here, &options), pull(&client, &other, &options));
    assert_eq!(first.unwrap().1.fetched_bytes, pushed.descriptor.size + pushed.layer.size);
    assert_eq!(next.unwrap().1.fetched_bytes, second.descriptor.size + second.layer.size);
}
