//! From a refusal to the next thing to show, until one is accepted or none is left.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::{HeaderValue, StatusCode};
use refs_url::{Host, RepoName};
use url::Url;

use super::{
    Candidate, Credential, Credentials, Scopes, Secret,
    challenge::Demand,
    found::{self, Found},
    realm::{self, Trust},
    token::{Age, TokenKey},
    token_service::{TokenService, basic, bearer},
};
use crate::{
    Error,
    error::{Detail, Fault, RequestLine},
    transport::{Bounds, Call, Failure, Grant, Transport},
};

/// What is known of one registry's demands.
#[derive(Debug)]
pub(crate) struct Authority {
    host: Host,
    base: Url,
    sources: Arc<[Arc<dyn Credentials>]>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// What the registry asked for last, so that the next request shows it at once.
    demand: Option<Demand>,
    candidates: HashMap<Option<RepoName>, Arc<Found>>,
    settled: HashMap<Scopes, Settled>,
}

/// What was accepted.
#[derive(Debug, Clone)]
struct Settled {
    candidate: usize,
    /// What was asked for, with what the registry wanted besides.
    scopes: Scopes,
}

/// A token that was made for a request may turn out to be for less than the registry wants so often. Registries that
/// name a scope at a time stay well below; one that goes on naming new ones would never end.
const MAX_WIDENINGS: u32 = 3;

/// Beyond so many repositories, what is known of them is learnt anew.
const MANY_REPOSITORIES: usize = 4096;

impl Authority {
    pub(crate) fn new(host: Host, base: Url, credentials: &Arc<dyn Credentials>) -> Self {
        Self { host, base, sources: found::flat(credentials).into(), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn candidates(&self, repository: Option<&RepoName>) -> Arc<Found> {
        let repository = repository.cloned();
        let mut known = self.known();
        if known.candidates.len() >= MANY_REPOSITORIES && !known.candidates.contains_key(&repository) {
            known.candidates.clear();
            known.settled.clear();
        }
        let found = || Found::new(self.sources.clone(), self.host.clone(), repository.clone());
        known.candidates.entry(repository.clone()).or_insert_with(|| Arc::new(found())).clone()
    }
}

/// The attempts to have one request accepted.
#[derive(Debug)]
pub(crate) struct Login<'a> {
    authority: &'a Authority,
    transport: &'a Transport,
    bounds: &'a Bounds,
    call: &'a Call,
    demand: Option<Demand>,
    scopes: Scopes,
    candidates: Option<Arc<Found>>,
    /// The candidate that is shown, and how many were before it.
    current: Option<Candidate>,
    at: usize,
    shown: Shown,
    /// How often a fresh token was for less than the registry wanted.
    widenings: u32,
    tried: Vec<String>,
    denied: Option<Error>,
    withheld: Option<Error>,
    detail: Detail,
}

/// What the last request carried.
#[derive(Debug)]
enum Shown {
    Nothing,
    Kept(Secret),
    /// Made for this request, or the credential itself: a refusal is meant.
    Fresh,
}

/// A registry's 401 or 403.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) demand: Option<Demand>,
    pub(crate) at: RequestLine,
    pub(crate) detail: Detail,
}

impl<'a> Login<'a> {
    pub(crate) fn new(authority: &'a Authority, transport: &'a Transport, bounds: &'a Bounds, call: &'a Call) -> Self {
        let known = authority.known();
        let settled = known.settled.get(&call.scopes).cloned();
        let (at, scopes) =
            settled.map_or_else(|| (0, call.scopes.clone()), |settled| (settled.candidate, settled.scopes));
        Self {
            authority,
            transport,
            bounds,
            call,
            demand: known.demand.clone(),
            scopes,
            candidates: None,
            current: None,
            at,
            shown: Shown::Nothing,
            widenings: 0,
            tried: Vec::new(),
            denied: None,
            withheld: None,
            detail: Detail::default(),
        }
    }

    /// What to show with the first request: nothing, unless the registry is known to ask.
    pub(crate) async fn opening(&mut self) -> Result<Option<Grant>, Failure> {
        match self.demand {
            Some(_) => self.next_grant().await,
            None => Ok(None),
        }
    }

    /// What to show after a refusal.
    ///
    /// # Errors
    /// What to tell the user when nothing is left to show.
    pub(crate) async fn refused(&mut self, refusal: Refusal) -> Result<Grant, Failure> {
        let is_denied = refusal.status == StatusCode::FORBIDDEN;
        let demand = self.note(refusal);
        if is_denied {
            self.reject();
        } else {
            self.challenged(demand);
        }
        let next = if self.demand.is_some() { self.next_grant().await? } else { None };
        next.ok_or_else(|| Failure::last(self.exhausted()))
    }

    /// What to tell the user of a refusal after which nothing more can be shown, as the request can't be made again.
    pub(crate) fn given_up(mut self, refusal: Refusal) -> Failure {
        self.note(refusal);
        self.reject();
        Failure::last(self.exhausted())
    }

    /// The request was accepted: what it took is remembered. Says whose credential it was, and which were refused before.
    pub(crate) fn accepted(self) -> (Option<String>, Vec<String>) {
        if matches!(self.shown, Shown::Nothing) {
            return (None, self.tried);
        }
        let settled = Settled { candidate: self.at, scopes: self.scopes };
        self.authority.known().settled.insert(self.call.scopes.clone(), settled);
        let named = self.current.filter(|candidate| candidate.credential != Credential::Anonymous);
        (named.map(|candidate| candidate.from), self.tried)
    }

    /// Keeps what a refusal says for the error that may come of it.
    fn note(&mut self, refusal: Refusal) -> Option<Demand> {
        if refusal.status == StatusCode::FORBIDDEN {
            let (host, at, detail) = (self.authority.host.clone(), refusal.at, refusal.detail);
            self.denied.get_or_insert(Error::Denied { host, at, tried: Vec::new(), detail });
        } else {
            self.detail = refusal.detail;
        }
        refusal.demand
    }

    /// Takes in a 401.
    fn challenged(&mut self, demand: Option<Demand>) {
        let mut widened = false;
        if let Some(Demand::Bearer { scopes, .. }) = &demand {
            let wider = self.scopes.clone().union(scopes);
            widened = wider != self.scopes;
            self.scopes = wider;
        }
        if let Some(demand) = demand {
            self.authority.known().demand = Some(demand.clone());
            self.demand = Some(demand);
        }
        match &self.shown {
            Shown::Nothing => {}
            Shown::Kept(token) => self.transport.tokens().evict(token),
            // The token was for less than the registry wants.
            Shown::Fresh if widened && self.widenings < MAX_WIDENINGS => self.widenings += 1,
            Shown::Fresh => self.reject(),
        }
    }

    /// Gives the current candidate up.
    fn reject(&mut self) {
        let shown = self.current.take();
        if let Some(candidate) = shown.filter(|candidate| candidate.credential != Credential::Anonymous) {
            tracing::debug!(host = %self.authority.host, from = %candidate.from, "credential refused");
            self.authority.sources.iter().for_each(|source| source.refused(&candidate));
            self.tried.push(candidate.from);
        }
        self.at += 1;
    }

    /// The first thing that the candidates, from the current one on, can show.
    async fn next_grant(&mut self) -> Result<Option<Grant>, Failure> {
        let candidates = match &self.candidates {
            Some(candidates) => candidates.clone(),
            None => self.authority.candidates(self.call.repository.as_ref()),
        };
        self.candidates = Some(candidates.clone());
        while let Some(candidate) = candidates.at(self.at).await? {
            self.current = Some(candidate.clone());
            match self.show(&candidate.credential).await {
                Ok(Some((header, shown))) => {
                    self.shown = shown;
                    return Ok(Some(Grant { origin: self.authority.base.origin(), header }));
                }
                Ok(None) => self.at += 1,
                Err(failure) => match failure.error {
                    Error::Unauthorized { detail, .. } => {
                        self.detail = detail;
                        self.reject();
                    }
                    _ => return Err(failure),
                },
            }
        }
        Ok(None)
    }

    /// The header that shows `credential`; `None` when the registry's demand leaves no way to.
    async fn show(&mut self, credential: &Credential) -> Result<Option<(HeaderValue, Shown)>, Failure> {
        match (&self.demand, credential) {
            (Some(Demand::Basic), Credential::Basic { username, password }) => {
                Ok(Some((basic(username, password)?, Shown::Fresh)))
            }
            (Some(Demand::Bearer { .. }), Credential::Bearer(token)) => Ok(Some((bearer(token)?, Shown::Fresh))),
            (Some(Demand::Bearer { realm, service, .. }), _) => {
                let (realm, service) = (realm.clone(), service.clone());
                let Some((token, age)) = self.token(&realm, service, credential).await? else { return Ok(None) };
                let header = bearer(&token)?;
                Ok(Some((header, if age == Age::Kept { Shown::Kept(token) } else { Shown::Fresh })))
            }
            _ => Ok(None),
        }
    }

    /// A token for `credential`; `None` when the token service may not see it.
    async fn token(
        &mut self,
        realm: &str,
        service: Option<String>,
        credential: &Credential,
    ) -> Result<Option<(Secret, Age)>, Failure> {
        let base = &self.authority.base;
        let options = self.transport.options();
        let untrusted = || Error::Protocol { at: self.call.line(), fault: Fault::UntrustedRealm(shown_realm(realm)) };
        let realm = base.join(realm).ok().ok_or_else(|| Failure::last(untrusted()))?;
        match realm::trust(base, &realm, &options.trusted_realms, &self.bounds.plain) {
            Trust::Full => {}
            Trust::AnonymousOnly if *credential == Credential::Anonymous => {}
            Trust::AnonymousOnly => {
                tracing::warn!(host = %self.authority.host, realm = %shown_realm(realm.as_str()), "credentials withheld");
                self.withheld = Some(untrusted());
                return Ok(None);
            }
            Trust::Nothing => return Err(Failure::last(untrusted())),
        }
        let scopes = self.scopes.clone();
        let key = TokenKey { registry: base.origin(), realm, service, scopes, credential: credential.clone() };
        let now = options.clock.now();
        let service = TokenService { host: &self.authority.host, transport: self.transport, plain: &self.bounds.plain };
        self.transport.tokens().take(&key, now, service.fetch(&key)).await.map(Some)
    }

    fn exhausted(&mut self) -> Error {
        let mut known = self.authority.known();
        known.candidates.remove(&self.call.repository);
        known.settled.remove(&self.call.scopes);
        drop(known);
        let unauthorized = || Error::Unauthorized {
            host: self.authority.host.clone(),
            tried: self.tried.clone(),
            detail: self.detail.clone(),
        };
        match self.withheld.take().or_else(|| self.denied.take()) {
            Some(Error::Denied { host, at, detail, .. }) => {
                Error::Denied { host, at, tried: self.tried.clone(), detail }
            }
            Some(error) => error,
            None => unauthorized(),
        }
    }
}

/// The origin of a realm, which is what matters of it; its own text when it is no URL.
fn shown_realm(realm: &str) -> String {
    match Url::parse(realm) {
        Ok(url) => url.origin().ascii_serialization(),
        Err(_) => realm.chars().take(64).flat_map(char::escape_default).collect(),
    }
}
