//! Bodies that can be read once only: they are not begun before the registry lets us in, as nothing would be left to send again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use refs_registry::{Descriptor, MediaType, Payload, Registries, Sink};
use refs_url::Digest;

use crate::{
    peer::{Peer, Reply},
    setup::{TestClock, login, options, repository, token_registry, with_password},
};

/// A registry that takes uploads by token, and whether it has granted a session.
async fn taking_uploads() -> (Peer, Arc<AtomicBool>) {
    let is_granted = Arc::new(AtomicBool::new(false));
    let grants = is_granted.clone();
    let peer = token_registry("secret", move |request| match request.method.as_str() {
        "POST" => {
            grants.store(true, Ordering::SeqCst);
            Reply::status(202).header("location", "/v2/a/b/blobs/uploads/1")
        }
        "PATCH" => Reply::status(202).header("range", "0-3"),
        "PUT" => Reply::status(201),
        _ => Reply::status(404),
    });
    (peer.await, is_granted)
}

/// The methods of the requests that `peer` has seen, of those for tokens the path. None had a body without a token.
#[track_caller]
fn sent(peer: &Peer) -> Vec<String> {
    let seen = peer.seen();
    assert!(seen.iter().all(|request| request.body.is_empty() || request.header("authorization").is_some()));
    let shown = seen.iter().map(|request| if request.is("GET /token") { "/token" } else { request.method.as_str() });
    shown.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_body_that_can_be_read_once_waits_for_its_token() {
    let (peer, is_granted) = taking_uploads().await;
    let body = async move {
        assert!(is_granted.load(Ordering::SeqCst), "it is read before the registry has let anyone in");
        Ok(Bytes::from("blob"))
    };
    let layer = Descriptor::of(MediaType::OCI_LAYER, b"blob");
    let payload = Payload::Once(stream::once(body).boxed());
    repository(&with_password(&peer, "secret"), &peer).put_blob(&layer, payload).await.unwrap();
    assert_eq!(sent(&peer), ["HEAD", "/token", "HEAD", "POST", "PATCH", "PUT"]);
}

#[tokio::test]
async fn an_upload_of_bytes_as_they_come_has_its_token_before_the_first_of_them() {
    for (waits, expected) in [
        (0, vec!["POST", "/token", "POST", "PATCH", "PUT"]),
        (300, vec!["POST", "/token", "POST", "/token", "PATCH", "PUT"]),
    ] {
        let (clock, (peer, _)) = (TestClock::new(), taking_uploads().await);
        let registries = Registries::new(options(&clock, vec![login(&peer, "x", "secret")]));
        let mut upload = repository(&registries, &peer).upload(None).await.unwrap();
        // The token that the upload began with ends.
        clock.advance(Duration::from_secs(waits));
        upload.write(Bytes::from("blob")).await.unwrap();
        upload.commit(&Digest::sha256(b"blob")).await.unwrap();
        assert_eq!(sent(&peer), expected);
    }
}
