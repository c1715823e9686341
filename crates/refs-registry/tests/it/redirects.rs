use refs_registry::{
    Error, Method, RawRequest, Resume, Sink, Source,
    error::{Code, Fault},
};
use refs_url::Digest;

use crate::{
    peer::{Peer, Reply},
    setup::{anonymous, bytes, collect, repository, tag, token_registry, with_password},
};

#[tokio::test]
async fn m023_m025_a_content_network_sees_the_range_and_no_credentials() {
    let blob = bytes(1000);
    let digest = Digest::sha256(&blob);
    let served = blob.clone();
    let network = Peer::start(move |request| Reply::blob(request, &served)).await;
    let to = network.url("/blob?X-Amz-Signature=s%2Bx");
    let peer = token_registry("secret", move |_| Reply::redirect(307, &*to)).await;
    let repository = repository(&with_password(&peer, "secret"), &peer);
    let part = repository.blob_part(&digest, 10..20).await.unwrap();
    assert_eq!(collect(part.stream).await.unwrap(), blob[10..20]);
    let read = repository.blob(&digest, Resume::START).await.unwrap();
    assert_eq!(collect(read.stream).await.unwrap(), blob);
    let seen = network.seen();
    assert_eq!(seen[0].line(), "GET /blob?X-Amz-Signature=s%2Bx");
    assert_eq!(seen[0].header("range"), Some("bytes=10-19"));
    assert!(
        seen.iter().all(|request| request.header("authorization").is_none() && request.header("referer").is_none())
    );
}

#[tokio::test]
async fn an_expired_link_is_asked_for_anew_once() {
    let blob = bytes(1000);
    let digest = Digest::sha256(&blob);
    let served = blob.clone();
    let network = Peer::start(move |request| match request.target.as_str() {
        "/1" => Reply::status(403).body("<Error>AccessDenied</Error>"),
        _ => Reply::ok(&*served),
    })
    .await;
    let base = network.url("");
    let mut count = 0;
    let peer = Peer::start(move |_| {
        count += 1;
        Reply::redirect(307, format!("{base}/{count}"))
    })
    .await;
    let read = repository(&anonymous(), &peer).blob(&digest, Resume::START).await.unwrap();
    assert_eq!(collect(read.stream).await.unwrap(), blob);

    let denying = Peer::start(|_| Reply::status(403)).await;
    let to = denying.url("/");
    let peer = Peer::start(move |_| Reply::redirect(307, &*to)).await;
    let error = repository(&anonymous(), &peer).blob(&digest, Resume::START).await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 403, .. }), "{error:?}");
    assert_eq!(denying.seen().len(), 2);
}

#[tokio::test]
async fn m028_m029_redirects_into_other_networks_are_not_followed() {
    for to in
        ["http://169.254.169.254/latest", "http://10.0.0.1/", "http://0.0.0.0/", "file:///etc/passwd", "//[fe80::1]/"]
    {
        let peer = Peer::start(move |_| Reply::redirect(302, to)).await;
        let error = repository(&anonymous(), &peer).manifest(&tag("v1")).await.unwrap_err();
        assert!(matches!(error, Error::Protocol { fault: Fault::UnsafeRedirect { .. }, .. }), "{to}: {error:?}");
        assert_eq!(peer.seen().len(), 1);
    }
}

#[tokio::test]
async fn m031_redirects_end() {
    let peer = Peer::start(|request| Reply::redirect(307, &*request.target)).await;
    let error = repository(&anonymous(), &peer).manifest(&tag("v1")).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { fault: Fault::TooManyRedirects(10), .. }), "{error:?}");
    assert_eq!(peer.seen().len(), 11);
}

#[tokio::test]
async fn m032_a_request_that_writes_is_not_sent_on_to_another_origin() {
    let other = Peer::start(|_| Reply::status(202)).await;
    let to = other.url("/v2/a/b/blobs/uploads/");
    let peer = Peer::start(move |_| Reply::redirect(307, &*to)).await;
    let error = repository(&anonymous(), &peer).upload(None).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Protocol { fault: Fault::UnsafeRedirect { .. }, .. }), "{error:?}");
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn the_query_of_a_location_that_is_no_url_does_not_show() {
    let peer = Peer::start(|_| Reply::redirect(307, "http://[/blob?X-Amz-Signature=secret")).await;
    let error = repository(&anonymous(), &peer).manifest(&tag("v1")).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { fault: Fault::BadHeader { name: "location", .. }, .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn m025_headers_of_the_callers_own_stay_with_the_registry() {
    let elsewhere = Peer::start(|_| Reply::ok("blob")).await;
    let location = elsewhere.url("/blob");
    let peer = Peer::start(move |_| Reply::redirect(307, location.clone())).await;
    let own = [("Private-Token", "secret"), ("X-JFrog-Art-Api", "secret"), ("Range", "bytes=0-3")];
    let request = RawRequest {
        method: Method::Get,
        path: "/v2/a/b/blobs/x".to_owned(),
        headers: own.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        body: bytes::Bytes::new(),
    };
    anonymous().registry(&peer.host).unwrap().raw(&request).await.unwrap();
    assert_eq!(peer.seen()[0].header("private-token"), Some("secret"));
    let there = &elsewhere.seen()[0];
    assert_eq!((there.header("private-token"), there.header("x-jfrog-art-api")), (None, None));
    assert_eq!(there.header("range"), Some("bytes=0-3"));
}

#[tokio::test]
async fn what_is_not_found_has_the_code_of_the_registry_and_of_no_other_host() {
    let unknown = r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#;
    let check = async |peer: &Peer, expect| {
        let error = repository(&anonymous(), peer).manifest(&tag("v1")).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
        assert_eq!(error.code(), expect);
    };
    let said = Peer::start(move |_| Reply::status(404).body(unknown)).await;
    check(&said, Some(Code::ManifestUnknown)).await;
    check(&Peer::start(|_| Reply::status(404).body("<html>no such page")).await, None).await;
    let to = said.url("/x");
    check(&Peer::start(move |_| Reply::redirect(307, &*to)).await, None).await;
}
