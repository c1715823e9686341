//! One request and its answer, redirects included.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderValue, Method, header};
use url::Url;

use super::{
    answer::{Answer, Incoming},
    bucket::Bucket,
    call::Call,
    client::{Client, Wait},
    dns::LeadsInside,
    outgoing::Pulse,
    redirect::{self, Bounds},
    retry::{Failure, Retryable},
    routes::Routes,
};
use crate::{
    Error, Options, Result,
    auth::{Tokens, is_at},
    error::{Cause, Chain, Fault, RequestLine, ThroughProxy, causes},
    hosts::{Lookup, host_of},
};

/// Sends requests: one connection pool, one set of tokens and one store of retries for all registries.
#[derive(Debug)]
pub(crate) struct Transport {
    options: Options,
    pub(super) routes: Routes,
    tokens: Tokens,
    retries: Bucket,
}

/// What may be shown, and to whom.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) origin: url::Origin,
    pub(crate) header: HeaderValue,
}

impl Transport {
    pub(crate) fn new(options: Options) -> Self {
        Self { routes: Routes::new(&options), options, tokens: Tokens::default(), retries: Bucket::default() }
    }

    pub(crate) const fn options(&self) -> &Options {
        &self.options
    }

    /// What is set for hosts.
    pub(crate) const fn lookup(&self) -> &Lookup {
        self.routes.lookup()
    }

    pub(crate) const fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    pub(crate) const fn retries(&self) -> &Bucket {
        &self.retries
    }

    /// Sends `call` and follows where it is sent on to, as far as `bounds` allow. `grant` is shown to its own origin and to
    /// nobody else. An answer of any status is an answer.
    pub(crate) async fn exchange(
        &self,
        call: &Call,
        grant: Option<&Grant>,
        bounds: &Bounds,
    ) -> Result<Answer, Failure> {
        let mut url = call.url.clone();
        for _ in 0..=redirect::MAX_HOPS {
            // Boxed, as it is a part of every future above.
            let answer = Box::pin(self.hop(call, &url, grant, bounds)).await?;
            if url.origin() == bounds.from.origin() {
                bounds.heard.note(self.options.clock.now());
            }
            let Some(location) = answer.location().filter(|_| redirect::is_redirect(answer.status)) else {
                return Ok(answer);
            };
            let refused = |fault| Failure::last(Error::Protocol { at: answer.at.clone(), fault });
            let next = url.join(&location).ok();
            let next = next.ok_or_else(|| Failure::last(answer.bad_header("location", &location)))?;
            let home = self.routes.zone(&self.options, &bounds.from).await?;
            Bounds::check(call, answer.status, &url, &next, home).map_err(refused)?;
            url = next;
        }
        let fault = Fault::TooManyRedirects(redirect::MAX_HOPS);
        Err(Failure::last(Error::Protocol { at: call.line_to(&url), fault }))
    }

    /// One request to `url`, which is `call`'s own or one it was sent on to.
    async fn hop(&self, call: &Call, url: &Url, grant: Option<&Grant>, bounds: &Bounds) -> Result<Answer, Failure> {
        let at = call.line_to(url);
        let began = self.options.clock.now();
        let (pulse, wait) = (Pulse::default(), Wait::of(None, &*self.options.clock));
        let send = async {
            let client = self.routes.client(&self.options, url, self.named(url, bounds)).await?;
            let client = wait.on(client);
            let request = request(&client.http, call, url, grant, &pulse).await?;
            let response = request.send().await.map_err(|error| broken(call, url, client, error))?;
            Ok((response, Arc::clone(client)))
        };
        let outcome = tokio::select! {
            biased;
            response = send => response,
            () = self.silence(&pulse) => {
                wait.leave();
                Err(Failure::of(Error::Timeout { at: at.clone(), after: self.options.timeouts.headers }, None))
            }
        };
        wait.end();
        self.log(&at, &outcome, began);
        let (response, client) = outcome?;
        let (status, version, headers) = (response.status(), response.version(), response.headers().clone());
        let body = Incoming::new(response, client, at.clone(), &self.options);
        Ok(Answer { status, version, headers, url: url.clone(), at, body, accepted: None, refused: Vec::new() })
    }

    /// The host that the user named, and that has us speak to `url`: the registry, unless the user vouches for the host
    /// itself.
    fn named<'a>(&self, url: &'a Url, bounds: &'a Bounds) -> &'a Url {
        if self.options.trusted_realms.iter().any(|trusted| is_at(trusted, url)) { url } else { &bounds.from }
    }

    /// Ends when the other side has been silent for too long: it neither takes what we send nor answers.
    async fn silence(&self, pulse: &Pulse) {
        loop {
            let beats = pulse.beats();
            self.options.clock.sleep(self.options.timeouts.headers).await;
            if pulse.beats() == beats && !pulse.is_producing() {
                return;
            }
        }
    }

    /// Tells of one request, without the query of its URL, which may hold a signature.
    fn log(&self, at: &RequestLine, outcome: &Result<(reqwest::Response, Arc<Client>), Failure>, began: Instant) {
        let ms =
            u64::try_from(self.options.clock.now().saturating_duration_since(began).as_millis()).unwrap_or(u64::MAX);
        match outcome {
            Ok((response, _)) => tracing::debug!(status = response.status().as_u16(), ms, "{at}"),
            Err(failure) => tracing::debug!(error = %Chain(&failure.error), ms, "{at} failed"),
        }
    }
}

/// `call` to `url`, with what `grant` allows to be shown there. `pulse` watches the body.
async fn request(
    client: &reqwest::Client,
    call: &Call,
    url: &Url,
    grant: Option<&Grant>,
    pulse: &Pulse,
) -> Result<reqwest::RequestBuilder, Failure> {
    let mut request = client
        .request(call.method.clone(), url.clone())
        .headers(call.headers.clone())
        // A body that is decoded on the way has other bytes than its digest says, and no ranges.
        .header(header::ACCEPT_ENCODING, "identity");
    if url.origin() == call.url.origin() {
        request = request.headers(call.own.clone());
    }
    if let Some(grant) = grant.filter(|grant| grant.origin == url.origin()) {
        request = request.header(header::AUTHORIZATION, grant.header.clone());
    }
    let writes = matches!(call.method, Method::POST | Method::PUT | Method::PATCH);
    if let Some(len) = call.body.len().filter(|_| writes) {
        request = request.header(header::CONTENT_LENGTH, len);
    }
    if let Some(stream) = call.body.open().await? {
        request = request.body(reqwest::Body::wrap_stream(pulse.watch(stream)));
    }
    Ok(request)
}

/// What a request failed of that got no answer.
fn broken(call: &Call, url: &Url, client: &Client, error: reqwest::Error) -> Failure {
    // The body's own failure comes to light as a broken connection.
    if let Some(fault) = call.body.fault() {
        return Failure::last(fault);
    }
    if let Some(LeadsInside(name)) = causes(&error).find_map(|cause| cause.downcast_ref()) {
        return Failure::last(Error::Protocol { at: call.line_to(url), fault: Fault::PrivateAddress(name.clone()) });
    }
    let is_unseen = causes(&error).filter_map(|cause| cause.downcast_ref()).any(says_unseen);
    let error = error.without_url();
    let source: Cause = match client.proxy.clone() {
        Some(proxy) => Arc::new(ThroughProxy { proxy, source: error }),
        None => Arc::new(error),
    };
    let error = match host_of(url) {
        Some(host) => Error::Unreachable { host, source },
        None => Error::Cut { at: call.line_to(url), received: 0, source },
    };
    if !call.body.is_replayable() {
        return Failure::last(error);
    }
    if is_unseen { Failure { error, retryable: Retryable::Unseen } } else { Failure::of(error, None) }
}

/// Whether the other side says that it has not looked at the request
/// ([RFC 9113, 8.7](https://www.rfc-editor.org/rfc/rfc9113.html#section-8.7)): it has refused the stream, or closes the
/// connection in order and names an earlier request as its last.
fn says_unseen(error: &h2::Error) -> bool {
    let reason = error.reason();
    let is_refused = error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM);
    let is_leaving = error.is_go_away() && reason == Some(h2::Reason::NO_ERROR);
    error.is_remote() && (is_refused || is_leaving)
}

/// Speeds below this are a way to hold a client for ever.
pub(crate) const SLOWEST: (u64, Duration) = (60 * 1024, Duration::from_secs(60));
