//! Requests that are only to be carried out where something is, or is not, what the client knows.

use std::sync::Arc;

use futures_util::future::join_all;
use refs_server::{Options, Server};
use refs_store::Layouts;
use refs_testkit::Image;

use crate::{
    client::{Peer, digest},
    direct::ask,
};

const OCI: (&str, &str) = ("content-type", "application/vnd.oci.image.manifest.v1+json");
const OCI_INDEX: (&str, &str) = ("content-type", "application/vnd.oci.image.index.v1+json");
const V1: &str = "/v2/o/r/manifests/v1";
const NEW: &str = "/v2/o/r/manifests/new";

#[tokio::test]
async fn what_a_condition_does_not_hold_of_is_neither_changed_nor_given() {
    let peer = Peer::start().await;
    let repository = peer.registry.repository("o/r");
    let manifest = Image::new().file("a", "a").push(&*repository, &["v1"]).await.unwrap();
    let own = format!("\"{}\"", manifest.descriptor.digest);
    let other = format!("\"{}\"", digest("other"));
    let both = format!("{other}, {own}");
    let weak = format!("W/{own}");
    let rows = [
        ("GET", V1, "if-match", &*other, 412),
        ("HEAD", V1, "if-match", &other, 412),
        ("GET", V1, "if-match", &both, 200),
        ("GET", V1, "if-match", "*", 200),
        ("GET", V1, "if-none-match", &own, 304),
        ("GET", NEW, "if-match", "*", 404),
        ("PUT", V1, "if-match", &other, 412),
        ("PUT", V1, "if-match", &weak, 412),
        ("PUT", V1, "if-none-match", "*", 412),
        ("PUT", V1, "if-none-match", &own, 412),
        ("PUT", V1, "if-none-match", &other, 201),
        ("PUT", V1, "if-match", &own, 201),
        ("PUT", NEW, "if-match", "*", 412),
        ("HEAD", NEW, "x-none", "", 404),
        ("PUT", NEW, "if-none-match", "*", 201),
        ("DELETE", V1, "if-match", &other, 412),
        ("DELETE", V1, "if-none-match", "*", 412),
        ("GET", V1, "x-none", "", 200),
        ("DELETE", V1, "if-match", &own, 202),
        ("GET", V1, "x-none", "", 404),
    ];
    for (method, path, name, value, expected) in rows {
        let body = if method == "PUT" { manifest.raw.clone() } else { bytes::Bytes::new() };
        let answer = peer.put((method, path), &[OCI, (name, value)], body).await;
        assert_eq!(answer.status(), expected, "{method} {path} {name}: {value}");
    }
}

#[tokio::test]
async fn of_many_who_push_a_new_tag_at_a_time_one_is_told_that_it_was_new() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::writable(Arc::new(Layouts::new(folder.path())), &Options::default());
    const INDEX: &str = r#"{"schemaVersion":2,"manifests":[]}"#;
    let own = format!("\"{}\"", digest(INDEX));
    for (method, name, value, first) in [("PUT", "if-none-match", "*", 201), ("DELETE", "if-match", &own, 202)] {
        let (line, headers) = (format!("{method} {NEW}"), [OCI_INDEX, (name, value)]);
        let asked = (0..8).map(|_| ask(&server, &line, &headers, INDEX));
        let mut given: Vec<_> = join_all(asked).await.into_iter().map(|answer| answer.status).collect();
        given.sort_unstable();
        assert_eq!(given, [first, 412, 412, 412, 412, 412, 412, 412], "{line} {name}");
    }
}

#[tokio::test]
async fn a_blob_is_given_where_the_condition_holds() {
    let peer = Peer::start().await;
    let digest = peer.blob("content").await;
    let path = format!("/v2/o/r/blobs/{digest}");
    let own = format!("\"{digest}\"");
    for (value, expected) in [(&*own, 200), ("*", 200), ("\"other\"", 412)] {
        for method in ["GET", "HEAD"] {
            let status = peer.ask(method, &path).header("if-match", value).send().await.unwrap().status();
            assert_eq!(status, expected, "{method} {value}");
        }
    }
}
