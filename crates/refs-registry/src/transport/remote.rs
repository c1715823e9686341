//! One registry, as requests see it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use refs_url::Host;

use super::{
    answer::Answer,
    call::{Call, Takes},
    clock::Clock,
    endpoint::Endpoints,
    exchange::{Grant, Transport},
    lane::Lanes,
    redirect::Bounds,
    retry::{Budget, Failure, retry_after},
};
use crate::{
    Options, Pieces, Quirks, RateLimit, Result, Retry,
    auth::{Authority, Login},
    error::Chain,
    hosts::{HostSettings, Mirror},
    warning::Warned,
};

/// One registry: attempt, challenge, retry and the meaning of what it answers.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) host: Host,
    pub(crate) endpoints: Endpoints,
    transport: Arc<Transport>,
    authority: Authority,
    bounds: Bounds,
    retry: Retry,
    settings: Arc<HostSettings>,
    quirks: Mutex<Quirks>,
    turns: tokio::sync::Mutex<()>,
    warned: Warned,
    rate_limit: Mutex<Option<RateLimit>>,
    lanes: Lanes,
}

/// A mirror that fails is left for the registry itself, so that little is gained by waiting for it.
const MIRROR_ATTEMPTS: u32 = 2;

impl Remote {
    pub(crate) fn new(host: &Host, transport: Arc<Transport>) -> Result<Self> {
        let security = transport.lookup().of(host)?.security_of(host);
        Self::at(host, Endpoints::of(host, security)?, transport)
    }

    /// A mirror: a host of its own, to which we are who we are to it, and not who we are to the registry.
    pub(crate) fn of_mirror(mirror: &Mirror, transport: Arc<Transport>) -> Result<Self> {
        transport.lookup().adopt(&mirror.host, &mirror.settings)?;
        let remote = Self::at(&mirror.host, Endpoints::of_mirror(mirror)?, transport)?;
        let attempts = remote.retry.attempts.min(MIRROR_ATTEMPTS);
        Ok(Self { retry: Retry { attempts, ..remote.retry }, ..remote })
    }

    fn at(host: &Host, endpoints: Endpoints, transport: Arc<Transport>) -> Result<Self> {
        let options = transport.options();
        let settings = transport.lookup().of(host)?;
        let base = endpoints.base().clone();
        Ok(Self {
            host: host.clone(),
            endpoints,
            authority: Authority::new(host.clone(), base.clone(), &options.credentials),
            bounds: Bounds { from: base, plain: transport.lookup().plain()?, heard: Arc::default() },
            retry: options.retry,
            quirks: Mutex::new(settings.overriding(Quirks::of_host(host))),
            turns: tokio::sync::Mutex::default(),
            warned: Warned::default(),
            rate_limit: Mutex::default(),
            lanes: Lanes::new(settings.concurrency.as_ref().map(|set| set.value)),
            settings,
            transport,
        })
    }

    /// What is set for the registry.
    pub(crate) const fn settings(&self) -> &Arc<HostSettings> {
        &self.settings
    }

    /// The bytes of a piece of an upload: what is set for the registry, or else for all.
    pub(crate) fn piece_bytes(&self) -> Option<u64> {
        match self.settings.pieces.as_ref().map(|set| set.value) {
            Some(Pieces::AtMost(bytes)) => Some(bytes),
            _ => self.options().piece_bytes.map(Into::into),
        }
    }

    /// Sends `call` once and without credentials. An answer of any status is an answer.
    pub(crate) async fn knock(&self, call: &Call) -> Result<Answer> {
        self.transport.exchange(call, None, &self.bounds).await.map_err(|failure| failure.error)
    }

    /// How the registry has to be spoken to, as far as it is known.
    pub(crate) fn quirks(&self) -> Quirks {
        *self.quirks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what the registry has taught, for whoever asks next.
    pub(crate) fn learn(&self, lesson: impl FnOnce(&mut Quirks)) {
        let mut quirks = self.quirks.lock().unwrap_or_else(PoisonError::into_inner);
        lesson(&mut quirks);
        // What its owner says of it counts for more than what it seems to be.
        *quirks = self.settings.overriding(*quirks);
    }

    pub(crate) fn options(&self) -> &Options {
        self.transport.options()
    }

    /// How many requests it still allows, as it said last.
    pub(crate) fn rate_limit(&self) -> Option<RateLimit> {
        self.rate_limit.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the host last gave a sign of life, and in the future where it has asked to be left alone until then.
    pub(crate) fn last_heard(&self) -> Option<Instant> {
        self.bounds.heard.last().max(self.lanes.closed_until())
    }

    /// The clock that all waiting is done by.
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.transport.options().clock
    }

    /// Waits for a turn to read something of the registry and write it back changed, which lasts until the guard is gone.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turns.lock().await
    }

    /// What a new operation may spend.
    pub(crate) fn budget(&self) -> Budget {
        self.transport.retries().begin();
        Budget::new(self.retry)
    }

    /// Sends `call` as often as `budget` allows, until it succeeds.
    pub(crate) async fn send(&self, call: &Call, budget: &mut Budget) -> Result<Answer> {
        loop {
            match self.once(call).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => self.pause(failure, budget).await?,
            }
        }
    }

    /// Sends `call` and reads the whole body, of at most `limit` bytes, likewise.
    pub(crate) async fn document(&self, call: &Call, limit: u64) -> Result<(Answer, Bytes)> {
        self.read(call, limit, &mut self.budget()).await
    }

    /// The same, as often as `budget` allows.
    pub(crate) async fn read(&self, call: &Call, limit: u64, budget: &mut Budget) -> Result<(Answer, Bytes)> {
        loop {
            let read = async {
                let mut answer = self.once(call).await?;
                // It is waited for to its end, whichever host it comes from.
                answer.body.tell(&self.bounds.heard);
                let body = answer.body.collect(limit, &call.wanted).await?;
                Ok((answer, body))
            };
            match read.await {
                Ok(read) => return Ok(read),
                Err(failure) => self.pause(failure, budget).await?,
            }
        }
    }

    /// Waits until the next attempt may be made.
    ///
    /// # Errors
    /// The failure itself, when there is to be none; the operation's first, when all operations together have had as many
    /// retries as they may.
    pub(crate) async fn pause(&self, failure: Failure, budget: &mut Budget) -> Result<()> {
        let first = budget.first_of(&failure.error).clone();
        // What has got on is no storm.
        let is_free = budget.take_progress();
        let Some(wait) = budget.wait(failure.retryable, fastrand::f64()) else { return Err(failure.error) };
        if !is_free && !self.transport.retries().take() {
            tracing::debug!(host = %self.host, error = %failure.error, "not tried again, as too much was");
            return Err(first);
        }
        let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(host = %self.host, error = %Chain(&failure.error), ms, "trying again after a wait");
        self.transport.options().clock.sleep(wait).await;
        Ok(())
    }

    /// One attempt: sends `call`, and again with other credentials for as long as the registry asks and there are some.
    pub(crate) async fn once(&self, call: &Call) -> Result<Answer, Failure> {
        let mut login = Login::new(&self.authority, &self.transport, &self.bounds, call);
        let mut grant = login.opening().await?;
        loop {
            let answer = self.ask(call, grant.as_ref()).await?;
            let is_ours = self.is_ours(&answer);
            if is_ours {
                self.listen(&answer.headers);
            }
            let asks = matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            if !asks || !is_ours {
                let (accepted, refused) = login.accepted();
                let answer = match call.takes {
                    Takes::Any if !answer.may_change() => answer,
                    _ => answer.accepted(call, &self.host, grant.as_ref()).await?,
                };
                return Ok(Answer { accepted, refused, ..answer });
            }
            let refusal = answer.refusal(grant.as_ref()).await;
            if !call.body.is_replayable() {
                return Err(login.given_up(refusal));
            }
            grant = Some(login.refused(refusal).await?);
        }
    }

    /// Takes in what `headers` say besides the answer itself.
    fn listen(&self, headers: &HeaderMap) {
        self.warned.take(&self.host, headers, &self.transport.options().warnings);
        if let Some(limit) = RateLimit::of(headers) {
            *self.rate_limit.lock().unwrap_or_else(PoisonError::into_inner) = Some(limit);
        }
    }

    /// Sends `call` when its turn has come, and lets the answer say how many requests the registry bears.
    async fn ask(&self, call: &Call, grant: Option<&Grant>) -> Result<Answer, Failure> {
        let Options { clock, retry, .. } = self.transport.options();
        let turn = self.lanes.turn(call, &**clock, retry.longest_hint).await;
        let mut answer = self.transport.exchange(call, grant, &self.bounds).await?;
        if self.is_ours(&answer) {
            answer.body.tell(&self.bounds.heard);
        }
        if matches!(answer.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            // A wait that is too long for one request would close the registry to those that it means to answer, too.
            let hint = retry_after(&answer.headers).filter(|hint| *hint <= retry.longest_hint && self.is_ours(&answer));
            turn.throttled(hint.and_then(|hint| clock.now().checked_add(hint)));
        } else if !answer.status.is_server_error() {
            turn.answered();
        }
        Ok(answer)
    }

    /// Whether the registry itself answered, and not a host that it led to.
    fn is_ours(&self, answer: &Answer) -> bool {
        answer.url.origin() == self.endpoints.base().origin()
    }
}
