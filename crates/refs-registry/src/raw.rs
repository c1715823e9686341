//! Any request to a registry, and its answer as it came.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use refs_url::RepoName;

use crate::{
    Error, Result, Retry,
    auth::Scopes,
    error::{Cause, RequestLine, Setting, Wanted},
    repository::ACCEPT,
    transport::{Body, Budget, Call, Remote},
};

/// A request that the verbs of this library do not make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRequest {
    /// What to do.
    pub method: Method,
    /// The path, from `/` on, with its query behind a `?`.
    pub path: String,
    /// Further headers. Those that say who asks, or that frame the body, are not among them: they are the client's own. Where
    /// the request is sent on to another origin, none goes along but those that say what is wanted, such as `Range`.
    pub headers: Vec<(String, String)>,
    /// The body; nothing for most.
    pub body: Bytes,
}

/// What a [`RawRequest`] can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Reads all but the body.
    Head,
    /// Begins something.
    Post,
    /// Writes.
    Put,
    /// Goes on with an upload.
    Patch,
    /// Deletes.
    Delete,
}

/// An answer of any status but those that ask for credentials or for another attempt.
#[derive(Debug, Clone)]
pub struct RawAnswer {
    /// The request, at the host that answered in the end.
    pub at: RequestLine,
    /// The HTTP status.
    pub status: u16,
    /// The headers in their order, the text of each as far as it is text.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl RawAnswer {
    /// A body of more bytes is not read.
    pub const MAX_BYTES: u64 = 16 * 1024 * 1024;
}

/// Headers that decide who asks, whom, or where a body ends.
const OURS: [HeaderName; 12] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    header::HOST,
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Headers that say what is wanted, and nothing of who wants it.
const OPEN: [HeaderName; 9] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::RANGE,
];

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the client sets it itself")]
    Ours,
    #[error("it is no header")]
    Malformed,
    #[error("a path begins with `/`")]
    NotAbsolute,
}

/// Sends `request` with the credentials for the registry, and follows redirects, as all requests are. What begins or goes
/// on with something is sent once; all else is repeated.
pub(crate) async fn send(remote: &Remote, request: &RawRequest) -> Result<RawAnswer> {
    let call = call(remote, request)?;
    let mut budget = match request.method {
        Method::Post | Method::Patch => Budget::new(Retry { attempts: 1, ..remote.options().retry }),
        _ => remote.budget(),
    };
    let (answer, body) = remote.read(&call, RawAnswer::MAX_BYTES, &mut budget).await?;
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = answer.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    Ok(RawAnswer { at: answer.at, status: answer.status.as_u16(), headers, body })
}

fn call(remote: &Remote, request: &RawRequest) -> Result<Call> {
    let (path, query) = match request.path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (request.path.as_str(), None),
    };
    if !path.starts_with('/') {
        return Err(unusable(Setting::RequestPath, Refused::NotAbsolute));
    }
    // Set as a path, it can't lead to another host.
    let mut url = remote.endpoints.base().clone();
    url.set_path(path);
    url.set_query(query);
    let repository = repository(url.path());
    let mut call = Call::new(request.method.into(), url, Wanted::Answer).of_any_status();
    (call.headers, call.own) = headers(request)?;
    if !request.body.is_empty() {
        call.body = Body::Bytes(request.body.clone());
    }
    if call.url.path().contains("/manifests/") && !call.headers.contains_key(header::ACCEPT) {
        call.headers.insert(header::ACCEPT, ACCEPT);
    }
    Ok(match repository {
        Some(name) => {
            let scopes = request.method.scopes(&name);
            call.scoped(&name, scopes)
        }
        None if call.url.path() == "/v2/_catalog" => Call { scopes: Scopes::catalog(), ..call },
        None => call,
    })
}

/// The headers that go along wherever the request is sent on to, and those that may be secrets of the registry's.
fn headers(request: &RawRequest) -> Result<(HeaderMap, HeaderMap)> {
    let (mut headers, mut own) = (HeaderMap::new(), HeaderMap::new());
    for (name, value) in &request.headers {
        let what = || Setting::Header(name.clone());
        let malformed = |_: http::Error| unusable(what(), Refused::Malformed);
        let key = HeaderName::try_from(name).map_err(http::Error::from).map_err(malformed)?;
        let value = HeaderValue::try_from(value).map_err(http::Error::from).map_err(malformed)?;
        if OURS.contains(&key) {
            return Err(unusable(what(), Refused::Ours));
        }
        if OPEN.contains(&key) {
            headers.append(key, value)
        } else {
            own.append(key, value)
        };
    }
    Ok((headers, own))
}

/// The repository that `path` is in, so that a token for it is asked for, if one is needed.
fn repository(path: &str) -> Option<RepoName> {
    let rest = path.strip_prefix("/v2/")?;
    let parts = ["/manifests/", "/blobs/", "/tags/", "/referrers/"];
    let end = parts.iter().filter_map(|part| rest.rfind(part)).max()?;
    RepoName::parse(&rest[..end]).ok()
}

fn unusable(what: Setting, why: Refused) -> Error {
    let source: Cause = Arc::new(why);
    Error::Settings { what, source }
}

impl Method {
    fn scopes(self, repository: &RepoName) -> Scopes {
        match self {
            Self::Get | Self::Head => Scopes::pull(repository),
            Self::Post | Self::Put | Self::Patch => Scopes::push(repository),
            Self::Delete => Scopes::delete(repository),
        }
    }
}

impl From<Method> for http::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::GET,
            Method::Head => Self::HEAD,
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
            Method::Patch => Self::PATCH,
            Method::Delete => Self::DELETE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expect: Option<&str>) {
        assert_eq!(repository(path).as_ref().map(RepoName::as_str), expect, "{path}");
    }

    #[test]
    fn the_repository_is_what_stands_before_the_last_word_of_the_protocol() {
        check("/v2/o/r/manifests/v1", Some("o/r"));
        check("/v2/o/r/blobs/uploads/", Some("o/r"));
        check("/v2/o/tags/r/tags/list", Some("o/tags/r"));
        check("/v2/o/manifests/r/referrers/sha256:0", Some("o/manifests/r"));
        check("/v2/", None);
        check("/v2/_catalog", None);
        check("/v1/o/r/manifests/v1", None);
        check("/v2/O/manifests/v1", None);
    }
}
