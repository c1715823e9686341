//! A store that fails, and what its clients hear of it.

use std::{ops::Range, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use refs_registry::{
    Blob, Descriptor, Error, Filter, Manifest, Part, Resolver, Result, Resume, Source,
    error::{Doing, Wanted},
};
use refs_server::{Options, Server};
use refs_url::{Digest, Host, RepoName, Tag, Target};

use crate::client::digest;

/// A source that gives the error of its test; of a blob, it gives some bytes first.
#[derive(Debug, Clone)]
struct Fails(Error);

#[async_trait]
impl Source for Fails {
    async fn resolve(&self, _: &Target) -> Result<Descriptor> {
        Err(self.0.clone())
    }
    async fn manifest(&self, _: &Target) -> Result<Manifest> {
        Err(self.0.clone())
    }
    async fn blob(&self, _: &Digest, _: Resume) -> Result<Blob> {
        let chunks = [Ok(Bytes::from("hello ")), Ok(Bytes::from("world")), Ok(Bytes::new()), Err(self.0.clone())];
        Ok(Blob { size: 11, stream: stream::iter(chunks).boxed() })
    }
    async fn blob_part(&self, digest: &Digest, _: Range<u64>) -> Result<Part> {
        Err(Error::unsupported(Wanted::BlobPart(digest.clone()), "here"))
    }
    async fn stat_blob(&self, _: &Digest) -> Result<Option<u64>> {
        Ok(Some(11))
    }
    fn tags(&self, _: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        stream::iter([Err(self.0.clone())]).boxed()
    }
    fn referrers(&self, _: &Digest, _: Filter) -> BoxStream<'_, Result<Descriptor>> {
        stream::iter([Err(self.0.clone())]).boxed()
    }
}

impl Resolver for Fails {
    fn source(&self, _: &Host, _: &RepoName) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(self.clone()))
    }
    fn repositories(&self, _: &Host) -> BoxStream<'_, Result<RepoName>> {
        stream::iter([Err(self.0.clone())]).boxed()
    }
}

fn request(method: Method, path: &str) -> Request<Empty<Bytes>> {
    Request::builder().method(method).uri(path).body(Empty::new()).unwrap()
}

fn server(error: Error) -> Server {
    Server::new(Arc::new(Fails(error)), &Options::default())
}

fn wrong() -> Error {
    Error::Digest { wanted: Wanted::Blob(digest("hello world")), actual: digest("other") }
}

#[tokio::test]
async fn bytes_that_turn_out_wrong_never_make_a_complete_body() {
    for range in ["", "bytes=0-4"] {
        let mut request = request(Method::GET, &format!("/v2/o/r/blobs/{}", digest("hello world")));
        if !range.is_empty() {
            // Without parts in the source, a range is answered with the whole.
            request.headers_mut().insert("range", range.parse().unwrap());
        }
        let response = server(wrong()).answer(request).await;
        assert_eq!((response.status().as_u16(), response.headers()["content-length"].to_str().unwrap()), (200, "11"));
        let mut body = response.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "hello ");
        assert!(body.frame().await.unwrap().is_err());
    }
}

#[tokio::test]
async fn failures_have_a_status_and_tell_nothing_of_the_inside() {
    let host = || Host::parse("upstream.internal").unwrap();
    let path = || PathBuf::from("/srv/internal/blobs");
    let line = || refs_registry::error::RequestLine::new(&Method::GET, &"https://upstream.internal/x".parse().unwrap());
    let io = || std::io::Error::other("internal");
    let rows = [
        (Error::io(Doing::Read, path(), io()), "500 UNKNOWN"),
        (Error::Full { doing: Doing::Write, path: path() }, "507 UNKNOWN"),
        (Error::Corrupt { path: path(), fault: "internal".to_owned() }, "500 UNKNOWN"),
        (Error::Busy { path: path() }, "503 UNKNOWN"),
        (Error::Unreachable { host: host(), source: Arc::new(io()) }, "502 UNKNOWN"),
        (Error::Timeout { at: line(), after: Duration::from_secs(9) }, "504 UNKNOWN"),
        (Error::Unauthorized { host: host(), tried: vec![], detail: Default::default() }, "403 DENIED"),
        (Error::Denied { host: host(), at: line(), tried: vec![], detail: Default::default() }, "403 DENIED"),
        (Error::RateLimited { host: host(), retry_after: None }, "429 TOOMANYREQUESTS"),
        (Error::unsupported(Wanted::Tags, "internal"), "405 UNSUPPORTED"),
        (Error::NotFound { wanted: Wanted::Tags, at: "internal".into(), code: None }, "404 NAME_UNKNOWN"),
        (wrong(), "502 DIGEST_INVALID"),
    ];
    for (error, expect) in rows {
        let shown = error.to_string();
        for path in ["/v2/o/r/manifests/v1", "/v2/o/r/tags/list", "/v2/_catalog"] {
            let response = server(error.clone()).answer(request(Method::GET, path)).await;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(format!("{status} {}", json["errors"][0]["code"].as_str().unwrap()), expect, "{shown}");
            assert!(!String::from_utf8_lossy(&body).contains("internal"), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_limit_upstream_says_how_long_to_wait() {
    let error = Error::RateLimited {
        host: Host::parse("upstream.internal").unwrap(),
        retry_after: Some(Duration::from_secs(7)),
    };
    let response = server(error).answer(request(Method::GET, "/v2/o/r/manifests/v1")).await;
    assert_eq!(response.headers()["retry-after"], "7");
}

#[tokio::test]
async fn a_server_over_a_resolver_can_not_write() {
    let rows = [
        (Method::PUT, "/v2/o/r/manifests/v1"),
        (Method::DELETE, "/v2/o/r/manifests/v1"),
        (Method::POST, "/v2/o/r/blobs/uploads/"),
    ];
    for (method, path) in rows {
        let response = server(wrong()).answer(request(method, path)).await;
        assert_eq!((response.status().as_u16(), response.headers()["allow"].to_str().unwrap()), (405, "GET, HEAD"));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("UNSUPPORTED"));
    }
}
