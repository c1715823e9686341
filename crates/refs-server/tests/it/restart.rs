//! Uploads that go on at the server after the one that they were begun at.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Request;
use http_body_util::StreamBody;
use hyper::body::Frame;
use refs_server::{Options, Server};
use refs_store::Layouts;
use refs_testkit::until;

use crate::{
    client::digest,
    direct::{Answer, ask},
};

const IDLE: Duration = Duration::from_secs(60 * 60);

fn server(root: &Path) -> Server {
    Server::writable(Arc::new(Layouts::new(root)), &Options { upload_idle: IDLE, uploads: 2, ..Options::default() })
}

/// The files of uploads in `o/r`.
fn left(root: &Path) -> Vec<PathBuf> {
    fs::read_dir(root.join("o/r/_layout/ingest")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

async fn begin(server: &Server) -> String {
    let begun = ask(server, "POST /v2/o/r/blobs/uploads/", &[], "").await;
    assert_eq!(begun.status, 202);
    begun.header("location").to_owned()
}

async fn patch(server: &Server, location: &str, range: &str, body: &'static str) -> Answer {
    ask(server, &format!("PATCH {location}"), &[("content-range", range)], body).await
}

/// Sends the rest, and requires the blob to be `content` and nothing else to be left.
async fn finish(server: &Server, root: &Path, location: &str, rest: &'static str, content: &str) {
    let digest = digest(content);
    let done = ask(server, &format!("PUT {location}?digest={digest}"), &[], rest).await;
    assert_eq!(done.summary(), "201");
    let read = ask(server, &format!("GET /v2/o/r/blobs/{digest}"), &[], "").await;
    assert_eq!(read.body, content);
    assert!(left(root).is_empty());
    assert_eq!(ask(server, &format!("GET {location}"), &[], "").await.summary(), "404 BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn an_upload_goes_on_at_the_next_server() {
    let root = tempfile::tempdir().unwrap();
    let (root, first) = (root.path(), server(root.path()));
    let location = begin(&first).await;
    assert_eq!(patch(&first, &location, "0-2", "abc").await.header("range"), "0-2");
    drop(first);
    let second = server(root);
    let progress = ask(&second, &format!("GET {location}"), &[], "").await;
    assert_eq!((progress.status, progress.header("range")), (204, "0-2"));
    assert_eq!(patch(&second, &location, "2-4", "cde").await.summary(), "416 RANGE_INVALID");
    assert_eq!(patch(&second, &location, "3-4", "de").await.header("range"), "0-4");
    drop(second);
    // The third one hears of it with its last bytes.
    finish(&server(root), root, &location, "f", "abcdef").await;
}

#[tokio::test]
async fn what_is_lost_of_an_upload_is_sent_again() {
    let root = tempfile::tempdir().unwrap();
    let (root, first) = (root.path(), server(root.path()));
    let location = begin(&first).await;
    patch(&first, &location, "0-5", "abcdef").await;
    drop(first);
    fs::File::options().write(true).open(&left(root)[0]).unwrap().set_len(4).unwrap();
    let second = server(root);
    let refused = patch(&second, &location, "6-6", "g").await;
    assert_eq!((refused.summary().as_str(), refused.header("range")), ("416 RANGE_INVALID", "0-3"));
    finish(&second, root, &location, "efg", "abcdefg").await;
}

#[tokio::test]
async fn a_blob_that_a_power_cut_has_emptied_is_not_there_until_it_is_pushed_again() {
    let root = tempfile::tempdir().unwrap();
    let (server, digest) = (server(root.path()), digest("abc"));
    let (push, path) = (format!("POST /v2/o/r/blobs/uploads/?digest={digest}"), format!("/v2/o/r/blobs/{digest}"));
    assert_eq!(ask(&server, &push, &[], "abc").await.status, 201);
    let file = root.path().join("o/r/_layout/blobs/sha256").join(digest.encoded());
    fs::remove_file(&file).unwrap();
    fs::write(&file, "").unwrap();
    assert_eq!(ask(&server, &format!("HEAD {path}"), &[], "").await.status, 404);
    // No manifest is taken that leads to it.
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let blob = serde_json::json!({ "mediaType": "a/b", "digest": digest, "size": 3 });
    let manifest =
        serde_json::json!({ "schemaVersion": 2, "mediaType": kind, "config": blob, "layers": [] }).to_string();
    let put =
        async || ask(&server, "PUT /v2/o/r/manifests/v1", &[("content-type", kind)], manifest.clone()).await.summary();
    assert_eq!(put().await, "400 MANIFEST_BLOB_UNKNOWN");
    assert_eq!(ask(&server, &push, &[], "abc").await.status, 201);
    assert_eq!(ask(&server, &format!("HEAD {path}"), &[], "").await.header("content-length"), "3");
    assert_eq!(put().await, "201");
}

#[tokio::test]
async fn bytes_that_were_damaged_meanwhile_do_not_become_a_blob() {
    let root = tempfile::tempdir().unwrap();
    let (root, first) = (root.path(), server(root.path()));
    let location = begin(&first).await;
    patch(&first, &location, "0-2", "abc").await;
    drop(first);
    fs::write(&left(root)[0], "a\0c").unwrap();
    let second = server(root);
    let refused = ask(&second, &format!("PUT {location}?digest={}", digest("abcdef")), &[], "def").await;
    assert_eq!(refused.summary(), "400 DIGEST_INVALID");
    assert!(left(root).is_empty());
}

#[test]
fn an_upload_outlives_a_server_that_ends_amid_a_request() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    // All that it has under way goes with its runtime, at whatever point it is.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let location = runtime.block_on(async {
        let first = server(root);
        let location = begin(&first).await;
        let came = stream::iter([Ok::<_, std::io::Error>(Frame::data(Bytes::from("abc")))]);
        let request = Request::patch(&location).body(StreamBody::new(came.chain(stream::pending()))).unwrap();
        tokio::spawn({
            let first = first.clone();
            async move { first.answer(request).await }
        });
        until(async || ask(&first, &format!("GET {location}"), &[], "").await.header("range") == "0-2").await;
        location
    });
    drop(runtime);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { finish(&server(root), root, &location, "def", "abcdef").await });
}

#[tokio::test]
async fn one_server_at_a_time_writes_an_upload() {
    let root = tempfile::tempdir().unwrap();
    let (root, first, second) = (root.path(), server(root.path()), server(root.path()));
    let location = begin(&first).await;
    assert_eq!(patch(&second, &location, "0-0", "a").await.status, 503);
    patch(&first, &location, "0-2", "abc").await;
    drop(first);
    finish(&second, root, &location, "", "abc").await;
}

#[tokio::test]
async fn uploads_expire_whoever_began_them() {
    let root = tempfile::tempdir().unwrap();
    let (root, first) = (root.path(), server(root.path()));
    let (location, other) = (begin(&first).await, begin(&first).await);
    for begun in [&location, &other] {
        patch(&first, begun, "0-2", "abc").await;
    }
    let (now, later) = (SystemTime::now(), SystemTime::now() + IDLE + IDLE);
    first.reclaim_uploads(later).await;
    assert_eq!(left(root).len(), 2, "they are held");
    drop(first);
    let second = server(root);
    assert_eq!(ask(&second, &format!("DELETE {other}"), &[], "").await.status, 204);
    second.reclaim_uploads(now).await;
    assert_eq!(left(root).len(), 1);
    second.reclaim_uploads(later).await;
    assert!(left(root).is_empty());
    assert_eq!(patch(&second, &location, "3-3", "d").await.summary(), "404 BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn an_upload_that_has_expired_is_not_revived() {
    let root = tempfile::tempdir().unwrap();
    let (root, first) = (root.path(), server(root.path()));
    let location = begin(&first).await;
    patch(&first, &location, "0-2", "abc").await;
    drop(first);
    let file = fs::File::options().write(true).open(&left(root)[0]).unwrap();
    file.set_modified(SystemTime::now() - IDLE - IDLE).unwrap();
    drop(file);
    let second = server(root);
    assert_eq!(ask(&second, &format!("GET {location}"), &[], "").await.summary(), "404 BLOB_UPLOAD_UNKNOWN");
    assert!(left(root).is_empty());
}

#[tokio::test]
async fn what_is_refused_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (root, first) = (root.path(), server(root.path()));
    let location = begin(&first).await;
    begin(&first).await;
    let third = ask(&first, "POST /v2/o/r/blobs/uploads/", &[], "").await;
    assert_eq!((third.summary().as_str(), left(root).len()), ("429 TOOMANYREQUESTS", 2));
    let elsewhere = location.replace("/o/r/", "/o/other/");
    assert_eq!(patch(&first, &elsewhere, "0-0", "a").await.summary(), "404 BLOB_UPLOAD_UNKNOWN");
    drop(first);
    let second = server(root);
    assert_eq!(patch(&second, &elsewhere, "0-0", "a").await.summary(), "404 BLOB_UPLOAD_UNKNOWN");
    assert!(!root.join("o/other").exists());
}

#[tokio::test]
async fn a_broken_repository_keeps_no_other_from_being_cleared() {
    let root = tempfile::tempdir().unwrap();
    let (root, first) = (root.path(), server(root.path()));
    ask(&first, "POST /v2/a/blobs/uploads/", &[], "").await;
    begin(&first).await;
    drop(first);
    let broken = root.join("a/_layout/ingest");
    fs::remove_dir_all(&broken).unwrap();
    fs::write(&broken, "").unwrap();
    server(root).reclaim_uploads(SystemTime::now() + IDLE + IDLE).await;
    assert!(left(root).is_empty());
}
