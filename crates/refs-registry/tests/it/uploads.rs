use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use refs_registry::{
    Descriptor, Error, ErrorKind, MediaType, Mounted, Payload, Replay, Sink, UploadState, error::Fault,
};
use refs_url::{Digest, RepoName};

use crate::{
    peer::{Peer, Reply, Request},
    setup::{anonymous, bytes, repository, token_registry, with_password},
};

const LEN: usize = 300_000;

/// A registry's side of an upload: every session has its own number, every answer a new state in the query.
fn accepting(request: &Request, sessions: &mut u32) -> Reply {
    match request.method.as_str() {
        "HEAD" => Reply::status(404),
        "POST" => {
            *sessions += 1;
            Reply::status(202).header("location", format!("/up/{sessions}?_state=a%2Bb=="))
        }
        "PATCH" => Reply::status(202).header("location", "/up/1?_state=2").header("range", "0-0"),
        "PUT" => Reply::status(201),
        _ => Reply::status(204),
    }
}

async fn registry() -> Peer {
    let mut sessions = 0;
    Peer::start(move |request| accepting(request, &mut sessions)).await
}

fn layer(blob: &[u8]) -> Descriptor {
    Descriptor::of(MediaType::OCI_LAYER, blob)
}

fn encoded(digest: &Digest) -> String {
    digest.as_str().replace(':', "%3A")
}

#[tokio::test]
async fn what_can_be_read_again_is_one_request_with_its_length() {
    let blob = bytes(LEN);
    let digest = Digest::sha256(&blob);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("blob");
    std::fs::write(&file, &blob).unwrap();
    let held = std::fs::File::open(&file).unwrap();
    for replay in [Replay::Bytes(blob.clone().into()), Replay::File(file), Replay::Held(Arc::new(held))] {
        let peer = registry().await;
        repository(&anonymous(), &peer).put_blob(&layer(&blob), replay.into()).await.unwrap();
        let expect = [
            format!("HEAD /v2/a/b/blobs/{digest}"),
            "POST /v2/a/b/blobs/uploads/".to_owned(),
            format!("PUT /up/1?_state=a%2Bb==&digest={}", encoded(&digest)),
        ];
        assert_eq!(peer.lines(), expect);
        let seen = peer.seen();
        assert_eq!(seen[1].header("content-length"), Some("0"));
        assert_eq!(seen[2].header("content-length"), Some("300000"));
        assert_eq!(seen[2].header("content-type"), Some("application/octet-stream"));
        assert_eq!(seen[2].body, blob);
    }
}

#[tokio::test]
async fn an_empty_blob_can_be_put_either_way() {
    for payload in [Payload::from(Bytes::new()), Payload::Once(stream::empty().boxed())] {
        let peer = registry().await;
        repository(&anonymous(), &peer).put_blob(&layer(b""), payload).await.unwrap();
        assert!(peer.lines()[2].starts_with("PUT /up/1?"));
        assert_eq!(peer.seen()[2].header("content-length"), Some("0"));
    }
}

#[tokio::test]
async fn a_blob_that_is_there_is_not_sent() {
    let peer = Peer::start(|_| Reply::ok("blob")).await;
    repository(&anonymous(), &peer).put_blob(&layer(b"blob"), Bytes::from("blob").into()).await.unwrap();
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test]
async fn m093_a_failed_upload_begins_a_new_session() {
    let blob = bytes(LEN);
    for failed in [Reply::status(500), Reply::dropped(), Reply::status(429)] {
        let (mut sessions, mut puts) = (0, 0);
        let peer = Peer::start(move |request| {
            puts += u32::from(request.method == "PUT");
            if request.method == "PUT" && puts < 3 { failed.clone() } else { accepting(request, &mut sessions) }
        })
        .await;
        repository(&anonymous(), &peer).put_blob(&layer(&blob), Bytes::from(blob.clone()).into()).await.unwrap();
        let puts: Vec<_> = peer.seen().into_iter().filter(|request| request.method == "PUT").collect();
        assert_eq!(puts.iter().map(|put| &put.target[..5]).collect::<Vec<_>>(), ["/up/1", "/up/2", "/up/3"]);
        assert_eq!(puts[2].body, blob);
    }
}

#[tokio::test]
async fn a_wrong_payload_never_arrives_whole() {
    let blob = bytes(LEN);
    let mut other = blob.clone();
    other[LEN - 1] ^= 1;
    async fn check(blob: &[u8], payload: Payload, expect: ErrorKind) {
        let peer = registry().await;
        let error = repository(&anonymous(), &peer).put_blob(&layer(blob), payload).await.unwrap_err();
        assert_eq!(error.kind(), expect, "{error:?}");
        assert!(peer.seen().iter().all(|request| request.method != "PUT"), "{:?}", peer.lines());
    }
    let once = |bytes: &[u8]| Payload::Once(stream::iter([Ok(Bytes::copy_from_slice(bytes))]).boxed());
    check(&blob, Bytes::from(other.clone()).into(), ErrorKind::Digest).await;
    check(&blob, Bytes::from(blob[1..].to_vec()).into(), ErrorKind::Size).await;
    check(&blob[1..], Bytes::from(blob.clone()).into(), ErrorKind::Size).await;
    check(&blob, once(&other), ErrorKind::Digest).await;
    check(&blob, once(&blob[1..]), ErrorKind::Size).await;
    check(&blob, Replay::File("/nonexistent/file".into()).into(), ErrorKind::Io).await;
}

#[tokio::test]
async fn a_stream_is_patched_and_committed_at_the_newest_location() {
    let blob = bytes(LEN);
    let digest = Digest::sha256(&blob);
    let peer = registry().await;
    let mut upload = repository(&anonymous(), &peer).upload(None).await.unwrap();
    for chunk in blob.chunks(10_000) {
        upload.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    upload.commit(&digest).await.unwrap();
    let expect = [
        "POST /v2/a/b/blobs/uploads/".to_owned(),
        "PATCH /up/1?_state=a%2Bb==".to_owned(),
        format!("PUT /up/1?_state=2&digest={}", encoded(&digest)),
    ];
    assert_eq!(peer.lines(), expect);
    assert_eq!(peer.seen()[1].body, blob);
}

#[tokio::test]
async fn statuses_that_registries_give_to_a_patch_are_successes() {
    for status in [201, 202, 204] {
        let mut sessions = 0;
        let peer = Peer::start(move |request| match request.method.as_str() {
            "PATCH" => Reply::status(status).header("location", "/up/1"),
            _ => accepting(request, &mut sessions),
        })
        .await;
        let payload = Payload::Once(stream::iter([Ok(Bytes::from("blob"))]).boxed());
        repository(&anonymous(), &peer).put_blob(&layer(b"blob"), payload).await.unwrap();
    }
}

#[tokio::test]
async fn a_commit_under_another_digest_cancels_the_session() {
    let peer = registry().await;
    let mut upload = repository(&anonymous(), &peer).upload(None).await.unwrap();
    upload.write("blob".into()).await.unwrap();
    assert_eq!(upload.commit(&Digest::sha256(b"other")).await.unwrap_err().kind(), ErrorKind::Digest);
    assert_eq!(peer.lines().last().unwrap(), "DELETE /up/1?_state=2");
}

#[tokio::test]
async fn an_aborted_upload_is_cancelled() {
    let peer = registry().await;
    let mut upload = repository(&anonymous(), &peer).upload(None).await.unwrap();
    upload.abort().await.unwrap();
    assert_eq!(peer.lines()[1], "DELETE /up/1?_state=a%2Bb==");
    upload = repository(&anonymous(), &peer).upload(None).await.unwrap();
    let state = upload.state();
    assert_eq!(state, UploadState { session: peer.url("/up/2?_state=a%2Bb=="), offset: 0 });
}

#[tokio::test]
async fn a_session_is_gone_on_with_from_where_the_registry_is() {
    for (range, offset, expect) in
        [(Some("0-99"), 100, 100), (Some("bytes=0-99"), 0, 100), (Some("0-0"), 0, 0), (Some("0-0"), 1, 1), (None, 7, 0)]
    {
        let peer = Peer::start(move |_| match range {
            Some(range) => Reply::status(204).header("location", "/up/9").header("range", range),
            None => Reply::status(204),
        })
        .await;
        let state = UploadState { session: "/up/8?x=y".to_owned(), offset };
        let upload = repository(&anonymous(), &peer).upload(Some(state)).await.unwrap();
        assert_eq!(upload.state().offset, expect, "{range:?}");
        assert_eq!(peer.lines(), ["GET /up/8?x=y"]);
    }
    let state = |session: &str| UploadState { session: session.to_owned(), offset: 0 };
    // olareg has the right code and the wrong status.
    let bad = |code| Reply::status(400).body(format!(r#"{{"errors":[{{"code":"{code}","message":"no"}}]}}"#));
    let rows = [
        (bad("BLOB_UPLOAD_UNKNOWN"), ErrorKind::NotFound),
        (bad("BLOB_UPLOAD_INVALID"), ErrorKind::Protocol),
        (Reply::status(404), ErrorKind::NotFound),
    ];
    for (reply, expect) in rows {
        let peer = Peer::start(move |_| reply.clone()).await;
        let error = repository(&anonymous(), &peer).upload(Some(state("/up/8"))).await.map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), expect);
    }
    let peer = Peer::start(|_| Reply::status(404)).await;
    let error =
        repository(&anonymous(), &peer).upload(Some(state("http://evil.test/up"))).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert_eq!(peer.lines(), [] as [&str; 0]);
}

#[tokio::test]
async fn m090_m091_a_location_elsewhere_is_refused_and_one_here_used() {
    let other = registry().await;
    let elsewhere =
        [other.url("/up/1"), "//evil.test/up".to_owned(), "https://127.0.0.1/up".to_owned(), "file:///x".to_owned()];
    let own = Arc::new(Mutex::new(String::new()));
    // The last one stays, with a name and a password in it.
    for location in elsewhere.into_iter().chain(["http://u:p@OWN/up".to_owned()]) {
        let (to, host) = (location.clone(), own.clone());
        let peer = Peer::start(move |request| match request.method.as_str() {
            "HEAD" => Reply::status(404),
            _ => Reply::status(202).header("location", to.replace("OWN", &host.lock().unwrap())),
        })
        .await;
        *own.lock().unwrap() = peer.host.to_string();
        let result = repository(&anonymous(), &peer).put_blob(&layer(b"blob"), Bytes::from("blob").into()).await;
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Protocol { fault: Fault::UnsafeRedirect { .. }, .. }), "{location}: {error:?}");
        assert_eq!(peer.seen().len(), 2);
    }
    assert!(other.seen().is_empty());

    let own = Arc::new(Mutex::new(String::new()));
    let (host, mut sessions) = (own.clone(), 0);
    let peer = Peer::start(move |request| match request.method.as_str() {
        "POST" => Reply::status(202).header("location", format!("{}/abs?x=%2F#f", host.lock().unwrap())),
        _ => accepting(request, &mut sessions),
    })
    .await;
    *own.lock().unwrap() = peer.url("");
    repository(&anonymous(), &peer).put_blob(&layer(b"blob"), Bytes::from("blob").into()).await.unwrap();
    assert!(peer.lines()[2].starts_with("PUT /abs?x=%2F&digest="), "{:?}", peer.lines());
}

#[tokio::test]
async fn an_upload_that_is_refused_midway_says_why() {
    let mut sessions = 0;
    let peer = Peer::start(move |request| match request.method.as_str() {
        "PATCH" => Reply::status(413).body(r#"{"errors":[{"code":"SIZE_INVALID","message":"too much"}]}"#),
        _ => accepting(request, &mut sessions),
    })
    .await;
    let mut upload = repository(&anonymous(), &peer).upload(None).await.unwrap();
    upload.write("blob".into()).await.unwrap();
    let error = upload.commit(&Digest::sha256(b"blob")).await.unwrap_err();
    assert!(error.to_string().ends_with("SIZE_INVALID: too much"), "{error}");
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_looked_after() {
    let (mut sessions, mut is_there) = (0, false);
    let peer = Peer::start(move |request| match request.method.as_str() {
        "HEAD" if is_there => Reply::ok("blob"),
        "PUT" => {
            is_there = true;
            Reply::dropped()
        }
        _ => accepting(request, &mut sessions),
    })
    .await;
    let payload = Payload::Once(stream::iter([Ok(Bytes::from("blob"))]).boxed());
    repository(&anonymous(), &peer).put_blob(&layer(b"blob"), payload).await.unwrap();
}

#[tokio::test]
async fn a_mount_moves_no_bytes_or_becomes_an_upload() {
    let digest = Digest::sha256(b"blob");
    let from = RepoName::parse("c/d").unwrap();
    let mount = |peer: &Peer| {
        let (repository, digest, from) = (repository(&anonymous(), peer), digest.clone(), from.clone());
        async move { repository.mount(&digest, &from).await }
    };
    let peer = Peer::start(|_| Reply::status(201)).await;
    assert!(matches!(mount(&peer).await.unwrap(), Mounted::Mounted));
    assert_eq!(peer.lines(), [format!("POST /v2/a/b/blobs/uploads/?mount={}&from=c%2Fd", encoded(&digest))]);

    let peer = registry().await;
    let Mounted::Upload(mut upload) = mount(&peer).await.unwrap() else { panic!("mounted") };
    upload.write("blob".into()).await.unwrap();
    upload.commit(&digest).await.unwrap();
    assert_eq!(peer.lines().iter().filter(|line| line.starts_with("POST")).count(), 1);

    for status in [401, 403, 404, 400, 405] {
        let mut sessions = 0;
        let peer = Peer::start(move |request| match request.target.contains("mount=") {
            true => Reply::status(status),
            false => accepting(request, &mut sessions),
        })
        .await;
        assert!(matches!(mount(&peer).await.unwrap(), Mounted::Upload(_)), "{status}");
    }
}

#[tokio::test]
async fn writing_asks_for_one_token_and_mounting_for_both_repositories() {
    let mut sessions = 0;
    let peer = token_registry("secret", move |request| accepting(request, &mut sessions)).await;
    let repository = repository(&with_password(&peer, "secret"), &peer);
    repository.put_blob(&layer(b"blob"), Bytes::from("blob").into()).await.unwrap();
    let tokens = |peer: &Peer| peer.lines().into_iter().filter(|line| line.contains("/token")).collect::<Vec<_>>();
    assert_eq!(tokens(&peer), ["GET /token?service=r.test&scope=repository%3Aa%2Fb%3Apull%2Cpush"]);
    repository.mount(&Digest::sha256(b"blob"), &RepoName::parse("c/d").unwrap()).await.unwrap();
    let expect = "GET /token?service=r.test&scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=repository%3Ac%2Fd%3Apull";
    assert_eq!(tokens(&peer)[1..], [expect]);
}

#[tokio::test]
async fn a_registry_that_wants_a_patch_first_gets_one() {
    let (mut sessions, mut is_patched) = (0, false);
    let peer = Peer::start(move |request| {
        is_patched |= request.method == "PATCH";
        if request.method == "PUT" && !is_patched { Reply::status(404) } else { accepting(request, &mut sessions) }
    })
    .await;
    repository(&anonymous(), &peer).put_blob(&layer(b"blob"), Bytes::from("blob").into()).await.unwrap();
    let methods: Vec<_> = peer.seen().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["HEAD", "POST", "PUT", "POST", "PATCH", "PUT"]);
}

#[tokio::test]
async fn a_stream_that_is_refused_names_the_credential() {
    let mut sessions = 0;
    let peer = Peer::start(move |request| match (request.method.as_str(), request.header("authorization")) {
        (_, None) => Reply::status(401).header("www-authenticate", "Basic"),
        ("PATCH", _) => Reply::status(401).header("www-authenticate", "Basic"),
        _ => accepting(request, &mut sessions),
    })
    .await;
    let payload = Payload::Once(stream::iter([Ok(Bytes::from("blob"))]).boxed());
    let error = repository(&with_password(&peer, "x"), &peer).put_blob(&layer(b"blob"), payload).await.unwrap_err();
    assert!(matches!(&error, Error::Unauthorized { tried, .. } if *tried == ["the test"]), "{error:?}");
}

#[test]
fn the_query_of_a_session_does_not_show() {
    let state = UploadState { session: "https://r.test/up/1?_state=secret".to_owned(), offset: 7 };
    assert_eq!(format!("{state:?}"), r#"UploadState { session: "https://r.test/up/1", offset: 7 }"#);
}
