//! The two listeners of a fake registry, and the way of a request through them.

use std::{
    any::Any,
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header, request};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use refs_registry::Writable;
use refs_server::{Body, Call, Server};
use refs_url::Host;
use tokio::net::{TcpListener, TcpStream};

use crate::{
    Fault,
    access::{Access, Challenge},
    counted::Counted,
    crowd::Crowd,
    deviations::Deviations,
    faults::Faults,
    log::Log,
    wire::{Tap, Wire},
};

/// All that the listeners of one registry share with each other and with its handle.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) host: Host,
    /// The content network, when blobs are redirected to it.
    pub(crate) cdn: Option<Host>,
    pub(crate) store: Arc<dyn Writable>,
    pub(crate) server: Server,
    pub(crate) access: Access,
    pub(crate) deviations: Deviations,
    pub(crate) faults: Faults,
    /// Those who are answered, when there is a bound to them.
    pub(crate) crowd: Option<Crowd>,
    pub(crate) log: Log,
    /// The only signature that the content network accepts.
    pub(crate) signature: AtomicU64,
    /// The first panic of the registry's own code.
    pub(crate) panic: std::sync::Mutex<Option<String>>,
}

/// Which of the two listeners a connection has come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Role {
    Registry,
    Cdn,
}

const TOKEN_PATH: &str = "/token";
const CDN_PATH: &str = "/data";

/// Accepts connections for as long as it is polled.
pub(crate) async fn listen(listener: TcpListener, shared: Arc<Shared>, role: Role) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, Arc::clone(&shared), role));
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, role: Role) {
    let tap = Tap::default();
    let wire = Wire::new(stream, tap.clone());
    let service = service_fn(move |request| {
        let (shared, tap) = (Arc::clone(&shared), tap.clone());
        async move { Ok::<_, Infallible>(logged(&shared, role, request, &tap).await) }
    });
    // A connection that broke is what many tests are about.
    drop(http1::Builder::new().serve_connection(TokioIo::new(wire), service).await);
}

async fn logged(shared: &Shared, role: Role, request: Request<Incoming>, tap: &Tap) -> Response<Body> {
    tap.request();
    let (head, body) = request.into_parts();
    let host = if role == Role::Cdn { shared.cdn.as_ref().unwrap_or(&shared.host) } else { &shared.host };
    let entry = shared.log.begin(host, &head);
    let fault = shared.faults.take(&head.method, head.uri.path());
    let body = Counted::new(body, Arc::clone(&entry), request_limit(fault.as_ref()));
    let answer = AssertUnwindSafe(answered(shared, role, head, body, fault.as_ref())).catch_unwind().await;
    let response = answer.unwrap_or_else(|panic| {
        shared.panic.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(words(&*panic));
        status(StatusCode::INTERNAL_SERVER_ERROR)
    });
    entry.status.store(response.status().as_u16(), Ordering::Release);
    tap.answer(entry, fault);
    response
}

async fn answered(
    shared: &Shared,
    role: Role,
    mut head: request::Parts,
    body: Counted,
    fault: Option<&Fault>,
) -> Response<Body> {
    match fault {
        Some(Fault::Status { status: code, headers }) => {
            body.drain(&head.headers).await;
            return scripted(*code, headers);
        }
        Some(Fault::IgnoreRange) => drop(head.headers.remove(header::RANGE)),
        _ => {}
    }
    let mut response = match role {
        Role::Registry => uncrowded(shared, head, body).await,
        Role::Cdn => cdn(shared, head, body).await,
    };
    if let Some(Fault::ContentRange(range)) = fault {
        set(response.headers_mut(), header::CONTENT_RANGE, range);
    }
    response
}

async fn uncrowded(shared: &Shared, head: request::Parts, body: Counted) -> Response<Body> {
    let Some(crowd) = &shared.crowd else { return registry(shared, head, body).await };
    let Some(_place) = crowd.enter().await else {
        body.drain(&head.headers).await;
        return scripted(429, &[("retry-after", "1".to_owned())]);
    };
    registry(shared, head, body).await
}

async fn registry(shared: &Shared, mut head: request::Parts, body: Counted) -> Response<Body> {
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    if path == TOKEN_PATH {
        return token(shared, &head);
    }
    let call = Call::parse(&head.method, path, query).ok();
    if let Some(call) = &call {
        let realm = format!("http://{}{TOKEN_PATH}", shared.host);
        if let Err(Challenge(words)) = shared.access.check(call, &head.headers, &realm) {
            body.drain(&head.headers).await;
            return unauthorized(&words);
        }
    }
    if let Some(refused) = shared.deviations.before(&mut head, call.as_ref()) {
        body.drain(&head.headers).await;
        return refused;
    }
    let asked = head.clone();
    let response = shared.server.answer(Request::from_parts(head, body)).await;
    let response = redirected(shared, &asked, response);
    shared.deviations.after(&asked, &shared.host, response)
}

fn token(shared: &Shared, head: &request::Parts) -> Response<Body> {
    if head.method != Method::GET {
        return status(StatusCode::METHOD_NOT_ALLOWED);
    }
    match shared.access.token(head.uri.query().unwrap_or_default(), &head.headers) {
        Some(token) => with_body(StatusCode::OK, token.to_string()),
        None => status(StatusCode::UNAUTHORIZED),
    }
}

/// Sends whoever gets a blob to the content network, when there is one.
fn redirected(shared: &Shared, asked: &request::Parts, response: Response<Body>) -> Response<Body> {
    let is_blob = asked.method == Method::GET && asked.uri.path().contains("/blobs/sha");
    let Some(cdn) = shared.cdn.as_ref().filter(|_| is_blob && response.status().is_success()) else { return response };
    let signature = shared.signature.load(Ordering::Acquire);
    let location = format!("http://{cdn}{CDN_PATH}{}?signature={signature}", asked.uri.path());
    let mut redirect = status(StatusCode::TEMPORARY_REDIRECT);
    set(redirect.headers_mut(), header::LOCATION, &location);
    redirect
}

/// A content network, which knows signatures and nobody's credentials.
async fn cdn(shared: &Shared, mut head: request::Parts, body: Counted) -> Response<Body> {
    if head.headers.contains_key(header::AUTHORIZATION) {
        return with_body(StatusCode::BAD_REQUEST, "only one authentication mechanism is allowed".to_owned());
    }
    let signature = format!("signature={}", shared.signature.load(Ordering::Acquire));
    if head.uri.query() != Some(&signature) {
        return with_body(StatusCode::FORBIDDEN, "the request has expired".to_owned());
    }
    let path = head.uri.path().strip_prefix(CDN_PATH).and_then(|path| path.parse::<Uri>().ok());
    match path {
        Some(path) if head.method == Method::GET || head.method == Method::HEAD => {
            head.uri = path;
            shared.server.answer(Request::from_parts(head, body)).await
        }
        _ => status(StatusCode::NOT_FOUND),
    }
}

fn scripted(code: u16, headers: &[(&'static str, String)]) -> Response<Body> {
    let mut response = status(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    for (name, value) in headers {
        set(response.headers_mut(), HeaderName::from_static(name), value);
    }
    response
}

fn unauthorized(challenge: &str) -> Response<Body> {
    let json = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
    let mut response = with_body(StatusCode::UNAUTHORIZED, json.to_owned());
    set(response.headers_mut(), header::WWW_AUTHENTICATE, challenge);
    response
}

pub(crate) fn status(status: StatusCode) -> Response<Body> {
    with_body(status, String::new())
}

pub(crate) fn with_body(status: StatusCode, text: String) -> Response<Body> {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
}

fn request_limit(fault: Option<&Fault>) -> u64 {
    if let Some(Fault::CutRequest { after, .. }) = fault { *after } else { u64::MAX }
}
