//! From results to answers: status, headers, and the JSON of errors.

use std::fmt::Display;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};

use crate::Refusal;

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Why a body broke off.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a handler comes to.
pub(crate) type Outcome = Result<Reply, Refusal>;

pub(crate) const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
pub(crate) const DOCKER_UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
pub(crate) const OCI_CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
pub(crate) const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
pub(crate) const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
pub(crate) const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// An answer in the making.
#[derive(Debug)]
pub(crate) struct Reply(Response<Body>);

impl Reply {
    /// An answer without a body.
    pub(crate) fn new(status: StatusCode) -> Self {
        Self(Response::new(empty())).with_status(status)
    }

    /// A header more. A value that no header can have, such as a stranger's media type with a line break, is left out.
    pub(crate) fn with(mut self, name: HeaderName, value: impl Display) -> Self {
        if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
            self.0.headers_mut().append(name, value);
        }
        self
    }

    /// The body, of `length` bytes.
    pub(crate) fn with_body(mut self, length: u64, body: Body) -> Self {
        self.0.headers_mut().insert(CONTENT_LENGTH, length.into());
        *self.0.body_mut() = body;
        self
    }

    /// The length that a body would have, on an answer to `HEAD`.
    pub(crate) fn with_length(mut self, length: u64) -> Self {
        self.0.headers_mut().insert(CONTENT_LENGTH, length.into());
        self
    }

    /// The body, in one piece.
    pub(crate) fn with_bytes(self, bytes: Bytes) -> Self {
        self.with_body(bytes.len() as u64, full(bytes))
    }

    /// The body, as JSON.
    pub(crate) fn with_json(self, json: &serde_json::Value) -> Self {
        self.with(CONTENT_TYPE, "application/json").with_bytes(json.to_string().into())
    }

    /// Whether the status forbids a body.
    pub(crate) fn is_empty(&self) -> bool {
        !has_length(self.0.status())
    }

    fn with_status(mut self, status: StatusCode) -> Self {
        *self.0.status_mut() = status;
        self
    }
}

/// The answer to a request that came to `outcome`.
pub(crate) fn finish(outcome: Outcome) -> Response<Body> {
    let reply = outcome.unwrap_or_else(refused);
    // Old clients take a server without this header for something other than a registry.
    let mut response = reply.with(API_VERSION, "registry/2.0").0;
    if !response.headers().contains_key(CONTENT_LENGTH) && has_length(response.status()) {
        response.headers_mut().insert(CONTENT_LENGTH, 0.into());
    }
    response
}

/// `response` as the answer to `HEAD`: all its headers, and no body.
pub(crate) fn without_body(response: Response<Body>) -> Response<Body> {
    response.map(|_| empty())
}

fn has_length(status: StatusCode) -> bool {
    status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED
}

/// The JSON that the spec gives to errors.
fn refused(refusal: Refusal) -> Reply {
    let Refusal { status, code, message, headers } = refusal;
    let json = serde_json::json!({ "errors": [{ "code": code.to_string(), "message": message }] });
    let reply = Reply::new(status).with_json(&json);
    headers.into_iter().fold(reply, |reply, (name, value)| reply.with(name, value))
}

fn empty() -> Body {
    full(Bytes::new())
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
