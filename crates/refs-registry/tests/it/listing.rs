use futures_util::{StreamExt, TryStreamExt};
use refs_registry::{Descriptor, Error, ErrorKind, Filter, MediaType, Page, Resolver, Result, Source, error::Fault};
use refs_url::{Digest, Tag};

use crate::{
    peer::{Peer, Reply},
    setup::{anonymous, repository},
};

async fn tags(peer: &Peer) -> Result<Vec<String>> {
    repository(&anonymous(), peer).tags(None).map_ok(|tag| tag.to_string()).try_collect().await
}

fn page(tags: &str) -> Reply {
    Reply::json(&format!("{{\"name\":\"a/b\",\"tags\":{tags}}}"))
}

#[tokio::test]
async fn m099_pages_are_followed_by_their_links() {
    let peer = Peer::start(|request| match request.target.as_str() {
        "/v2/a/b/tags/list?n=1000" => {
            page(r#"["a","b"]"#).header("link", "</v2/a/b/tags/list?last=b&n=2>; rel=\"next\"")
        }
        // A tag twice in a row, across the pages and on one, is one.
        "/v2/a/b/tags/list?last=b&n=2" => page(r#"["b","c","c"]"#).header("link", "<list?last=c>; rel=next"),
        // Artifactory leaves the beginning of the path out.
        "/v2/a/b/tags/list?last=c" => page("[]").header("link", "</v2/b/tags/list?last=d>; rel=next"),
        "/v2/a/b/tags/list?last=d" => page(r#"["e", "not a tag", "f"]"#),
        _ => Reply::status(500),
    })
    .await;
    assert_eq!(tags(&peer).await.unwrap(), ["a", "b", "c", "e", "f"]);
}

#[tokio::test]
async fn a_listing_begins_after_a_tag_and_may_be_null() {
    let peer = Peer::start(|_| page("null")).await;
    let repository = repository(&anonymous(), &peer);
    let tags: Vec<_> = repository.tags(Some(Tag::parse("v1").unwrap())).collect().await;
    assert!(tags.is_empty());
    assert_eq!(peer.lines(), ["GET /v2/a/b/tags/list?n=1000&last=v1"]);
}

#[tokio::test]
async fn a_link_that_leaves_the_repository_is_gone_on_from_by_name() {
    let peer = Peer::start(|request| match request.target.as_str() {
        // A part of the path is missing, and what it goes on after is there; or is not.
        "/v2/a/b/tags/list?n=1000" => page(r#"["a"]"#).header("link", "</v2/b/tags/list?last=5&n=1>; rel=next"),
        "/v2/a/b/tags/list?n=1000&last=5" => page(r#"["b","c"]"#).header("link", "</v2/next/x>; rel=next"),
        "/v2/a/b/tags/list?n=1000&last=c" => page(r#"["d"]"#).header("link", "</v2/a/b/tags/more?c=1>; rel=next"),
        "/v2/a/b/tags/more?c=1" => page(r#"["e"]"#),
        other => panic!("{other}"),
    })
    .await;
    assert_eq!(tags(&peer).await.unwrap(), ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn a_page_size_that_is_refused_becomes_smaller_and_is_then_left_to_the_registry() {
    async fn check(status: u16, most: u32, expect: &[&str], learnt: Page) {
        let peer = Peer::start(move |request| {
            let asked = request.target.split_once("n=").and_then(|(_, n)| n.parse().ok());
            if asked.is_some_and(|asked: u32| asked > most) { Reply::status(status) } else { page(r#"["a"]"#) }
        })
        .await;
        let registries = anonymous();
        let repository = repository(&registries, &peer);
        for _ in 0..2 {
            let tags: Vec<_> = repository.tags(None).map_ok(|tag| tag.to_string()).try_collect().await.unwrap();
            assert_eq!(tags, ["a"]);
        }
        let asked: Vec<_> = peer.lines().iter().map(|line| line.replace("GET /v2/a/b/tags/list", "")).collect();
        assert_eq!(asked, expect);
        assert_eq!(registries.registry(&peer.host).unwrap().quirks().page, learnt);
    }
    for status in [400, 413] {
        check(status, 1000, &["?n=1000", "?n=1000"], Page::Of(1000)).await;
        check(status, 100, &["?n=1000", "?n=100", "?n=100"], Page::Of(100)).await;
        check(status, 0, &["?n=1000", "?n=100", "", ""], Page::Unasked).await;
    }
    let closed = Peer::start(|_| Reply::status(400)).await;
    assert!(matches!(tags(&closed).await.unwrap_err(), Error::Refused { status: 400, .. }));
    assert_eq!(closed.seen().len(), 3);
}

#[tokio::test]
async fn m100_a_listing_without_an_end_is_ended() {
    let itself =
        Peer::start(|request| page(r#"["a"]"#).header("link", format!("<{}>; rel=next", request.target))).await;
    let error = tags(&itself).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { fault: Fault::EndlessListing, .. }), "{error:?}");
    assert_eq!(itself.seen().len(), 1);

    let mut count = 0;
    let empty = Peer::start(move |_| {
        count += 1;
        page("[]").header("link", format!("<?last={count}>; rel=next"))
    })
    .await;
    let error = tags(&empty).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { fault: Fault::EndlessListing, .. }), "{error:?}");
    assert_eq!(empty.seen().len(), 100);
}

/// How many pages with `entries` new tags each it takes until the list is called endless.
async fn pages_until_endless(entries: usize) -> usize {
    let mut count = 0;
    let peer = Peer::start(move |_| {
        count += 1;
        let tags: Vec<String> = (0..entries).map(|entry| format!("\"{count}-{entry}\"")).collect();
        page(&format!("[{}]", tags.join(","))).header("link", format!("<?last={count}>; rel=next"))
    })
    .await;
    let ended: Result<()> = repository(&anonymous(), &peer).tags(None).try_for_each(async |_| Ok(())).await;
    assert!(matches!(ended, Err(Error::Protocol { fault: Fault::EndlessListing, .. })), "{ended:?}");
    peer.seen().len()
}

#[tokio::test]
async fn m100_a_listing_has_so_many_pages_and_entries_and_no_more() {
    assert_eq!(pages_until_endless(1).await, 10_000);
    assert_eq!(pages_until_endless(100_000).await, 10);
}

#[tokio::test]
async fn a_page_elsewhere_or_too_long_is_refused() {
    let peer =
        Peer::start(|_| page(r#"["a"]"#).header("link", "<http://evil.test/v2/a/b/tags/list?last=a>; rel=next")).await;
    let error = tags(&peer).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { fault: Fault::UnsafeRedirect { .. }, .. }), "{error:?}");
    let peer = Peer::start(|_| Reply::ok(vec![b'['; 8 * 1024 * 1024 + 1])).await;
    assert!(matches!(tags(&peer).await.unwrap_err(), Error::TooLarge { .. }));
    let peer = Peer::start(|_| Reply::ok("<html>")).await;
    assert!(matches!(tags(&peer).await.unwrap_err(), Error::Protocol { fault: Fault::BadBody(_), .. }));
}

#[tokio::test]
async fn tags_of_a_repository_that_is_not_there_name_the_repository() {
    let peer = Peer::start(|_| Reply::status(404)).await;
    assert_eq!(tags(&peer).await.unwrap_err().to_string(), format!("repository `a/b` not found in {}", peer.host));
}

#[tokio::test]
async fn repositories_are_listed_where_the_registry_tells() {
    let peer = Peer::start(|request| match request.target.as_str() {
        "/v2/_catalog?n=1000" => {
            Reply::json(r#"{"repositories":["a/b","UPPER"]}"#).header("link", "</v2/_catalog?last=a>; rel=next")
        }
        _ => Reply::json(r#"{"repositories":["c"]}"#),
    })
    .await;
    let names: Vec<_> = anonymous().repositories(&peer.host).try_collect().await.unwrap();
    assert_eq!(names, ["a/b", "c"]);
    let closed = Peer::start(|_| Reply::status(405)).await;
    let names: Result<Vec<_>> = anonymous().repositories(&closed.host).try_collect().await;
    assert_eq!(names.unwrap_err().kind(), ErrorKind::Unsupported);
}

fn referrer(artifact_type: &str) -> Descriptor {
    let artifact_type = Some(MediaType::new(artifact_type));
    Descriptor { artifact_type, ..Descriptor::of(MediaType::OCI_MANIFEST, b"x") }
}

fn index() -> Reply {
    let other = Descriptor { digest: Digest::sha256(b"other"), ..referrer("application/signature") };
    let manifests = [referrer("application/sbom"), other];
    let manifests = serde_json::to_string(&manifests).unwrap();
    let media_type = MediaType::OCI_INDEX;
    Reply::ok(format!("{{\"schemaVersion\":2,\"mediaType\":\"{media_type}\",\"manifests\":{manifests}}}"))
        .header("content-type", media_type.as_str())
}

async fn referrers(peer: &Peer, only: Option<&str>) -> Result<Vec<Descriptor>> {
    let filter = Filter { artifact_type: only.map(MediaType::new) };
    repository(&anonymous(), peer).referrers(&Digest::sha256(b"s"), filter).try_collect().await
}

#[tokio::test]
async fn referrers_are_listed_and_filtered_on_either_side() {
    let subject = Digest::sha256(b"s");
    let peer = Peer::start(|_| index()).await;
    assert_eq!(referrers(&peer, None).await.unwrap().len(), 2);
    assert_eq!(referrers(&peer, Some("application/sbom")).await.unwrap(), [referrer("application/sbom")]);
    let listed = format!("GET /v2/a/b/referrers/{subject}");
    assert_eq!(peer.lines(), [listed.clone(), format!("{listed}?artifactType=application%2Fsbom")]);
    let filtering = Peer::start(|_| index().header("oci-filters-applied", "artifactType")).await;
    assert_eq!(referrers(&filtering, Some("application/other")).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_registry_without_the_list_has_it_under_a_tag_or_not_at_all() {
    let elsewhere = Peer::start(|_| index()).await;
    let to = elsewhere.url("/web");
    let html = Reply::ok("<html>").header("content-type", "text/html");
    for poor in [Reply::status(404), Reply::status(400), Reply::status(406), html, Reply::redirect(303, to)] {
        let answer = poor.clone();
        let tagged = Peer::start(move |request| match request.target.contains("/referrers/") {
            true => answer.clone(),
            false => index(),
        })
        .await;
        assert_eq!(referrers(&tagged, Some("application/sbom")).await.unwrap(), [referrer("application/sbom")]);
        let tag = Digest::sha256(b"s").referrers_tag();
        assert_eq!(tagged.lines()[1], format!("GET /v2/a/b/manifests/{tag}"));

        let bare = Peer::start(move |request| match request.target.contains("/referrers/") {
            true => poor.clone(),
            false => Reply::status(404),
        })
        .await;
        assert_eq!(referrers(&bare, None).await.unwrap(), []);
    }
    assert!(elsewhere.seen().is_empty());
    let closed = Peer::start(|_| Reply::status(500)).await;
    assert_eq!(referrers(&closed, None).await.unwrap_err().kind(), ErrorKind::Unreachable);
}
