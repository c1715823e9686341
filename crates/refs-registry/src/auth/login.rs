//! From a refusal to the next thing to show, until one is accepted or none is left.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use url::Url;

use super::{
    Candidate, Credential, Scopes, Secret,
    authority::{Authority, Settled},
    challenge::Demand,
    found::Found,
    realm::{self, Trust},
    token::{Age, TokenKey},
    token_service::{TokenService, basic, bearer},
};
use crate::{
    Error,
    error::{Chain, Detail, Fault, RequestLine},
    transport::{Bounds, Call, Failure, Grant, Transport},
};

/// So many tokens are asked for with one credential for one request: one for what the request is known to need, and one
/// for what the registry or its token service wants instead. A registry that goes on naming new scopes would never end.
const MAX_TOKENS: u32 = 2;

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
    /// How many tokens the current candidate was used to ask for.
    asked: u32,
    tried: Vec<String>,
    denied: Option<Error>,
    withheld: Option<Error>,
    /// What could not be met before the request was sent without it.
    unmet: Option<Unmet>,
    detail: Detail,
}

/// A demand that the registry made once, and why there is nothing to show for it.
#[derive(Debug)]
struct Unmet {
    demand: Demand,
    failure: Failure,
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
            asked: 0,
            tried: Vec::new(),
            denied: None,
            withheld: None,
            unmet: None,
            detail: Detail::default(),
        }
    }

    /// What to show with the first request: nothing, unless the registry is known to ask, and what it asked for can be had.
    ///
    /// What one repository demands may not be wanted for another, or no more: where a token service is out of reach, the
    /// registry itself is asked.
    ///
    /// # Errors
    /// Why there is nothing to show, for a request that can't be made again once it is refused.
    pub(crate) async fn opening(&mut self) -> Result<Option<Grant>, Failure> {
        let Some(demand) = self.demand.clone() else { return Ok(None) };
        match self.next_grant().await {
            Err(failure) if self.call.body.is_replayable() => {
                let (host, error) = (&self.authority.host, Chain(&failure.error));
                tracing::debug!(%host, %error, "asking without what was wanted before");
                self.authority.forget(&demand);
                let unmet = Some(Unmet { demand, failure });
                *self = Self { unmet, ..Self::new(self.authority, self.transport, self.bounds, self.call) };
                Ok(None)
            }
            opening => opening,
        }
    }

    /// What to show after a refusal.
    ///
    /// # Errors
    /// What to tell the user when nothing is left to show.
    pub(crate) async fn refused(&mut self, refusal: Refusal) -> Result<Grant, Failure> {
        let is_denied = refusal.status == StatusCode::FORBIDDEN;
        let demand = self.note(refusal);
        if let Some(Unmet { demand: before, failure }) = self.unmet.take()
            && demand.as_ref().is_none_or(|demand| demand.is_met_like(&before))
        {
            return Err(failure);
        }
        let is_shown = !matches!(self.shown, Shown::Nothing);
        // Registries that follow RFC 6750 say with a 403, not a 401, that a token is for too little.
        let wants_more = demand.as_ref().is_some_and(|demand| !is_shown || demand.is_for_more());
        if is_denied && !wants_more {
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
        if !self.tried.is_empty() {
            // Somebody else is let in than was meant.
            let used = named.as_ref().map_or("no credentials", |candidate| &*candidate.from);
            tracing::warn!(host = %self.authority.host, refused = self.tried.join(", "), used, "credentials refused");
        }
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

    /// Takes in a demand.
    fn challenged(&mut self, demand: Option<Demand>) {
        let wider = self.scopes.clone().union(&demand.as_ref().map(Demand::scopes).unwrap_or_default());
        let widened = wider != self.scopes;
        let is_for_more = widened && demand.as_ref().is_some_and(Demand::is_for_more);
        self.scopes = wider;
        if let Some(demand) = demand {
            self.authority.known().demand = Some(demand.clone());
            self.demand = Some(demand);
        }
        match &self.shown {
            Shown::Nothing => {}
            // It goes on serving what it was made for.
            Shown::Kept(_) if is_for_more => {}
            Shown::Kept(token) => self.transport.tokens().evict(token),
            // The token was for less than the registry wants.
            Shown::Fresh if widened && self.asked < MAX_TOKENS => {}
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
        self.asked = 0;
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
                Ok(None) => {
                    self.pass(&candidate);
                    self.at += 1;
                }
                Err(failure) => match failure.error {
                    Error::Unauthorized { detail, .. } | Error::Denied { detail, .. } => {
                        self.detail = detail;
                        self.reject();
                    }
                    _ => return Err(failure),
                },
            }
        }
        Ok(None)
    }

    /// Passes a candidate over that cannot be shown. That one was given has to be told where it is of the wrong kind.
    fn pass(&mut self, candidate: &Candidate) {
        let is_token = matches!(candidate.credential, Credential::Bearer(_) | Credential::Identity(_));
        if is_token && self.demand == Some(Demand::Basic) {
            self.tried.push(format!("{}, a token, and it asks for a user name and a password", candidate.from));
        }
    }

    /// The header that shows `credential`; `None` when the registry's demand leaves no way to.
    async fn show(&mut self, credential: &Credential) -> Result<Option<(HeaderValue, Shown)>, Failure> {
        match (&self.demand, credential) {
            (Some(Demand::Basic), Credential::Basic { username, password }) => {
                Ok(Some((basic(username, password)?, Shown::Fresh)))
            }
            (Some(Demand::Bearer { .. }), Credential::Bearer(token)) => {
                // It allows what it allows: to be asked for more is to be refused.
                self.asked = MAX_TOKENS;
                Ok(Some((bearer(token)?, Shown::Fresh)))
            }
            (Some(Demand::Bearer { realm, service, scope, .. }), _) => {
                let (realm, service, scope) = (realm.clone(), service.clone(), scope.clone());
                let Some(realm) = self.trusted(&realm, credential)? else { return Ok(None) };
                let (token, age) = Box::pin(self.token(realm, service, &scope, credential)).await?;
                let header = bearer(&token)?;
                Ok(Some((header, if age == Age::Kept { Shown::Kept(token) } else { Shown::Fresh })))
            }
            _ => Ok(None),
        }
    }

    /// The token service at `realm`; `None` when it may not see `credential`.
    fn trusted(&mut self, realm: &str, credential: &Credential) -> Result<Option<Url>, Failure> {
        let base = &self.authority.base;
        let untrusted = || Error::Protocol { at: self.call.line(), fault: Fault::UntrustedRealm(shown_realm(realm)) };
        let url = base.join(realm).ok().ok_or_else(|| Failure::last(untrusted()))?;
        match realm::trust(base, &url, &self.transport.options().trusted_realms, &self.bounds.plain) {
            Trust::Full => Ok(Some(url)),
            Trust::AnonymousOnly if *credential == Credential::Anonymous => Ok(Some(url)),
            Trust::AnonymousOnly => {
                let realm = shown_realm(url.as_str());
                tracing::warn!(host = %self.authority.host, realm, "credentials withheld");
                self.withheld = Some(untrusted());
                Ok(None)
            }
            Trust::Nothing => Err(Failure::last(untrusted())),
        }
    }

    /// A token for `credential`, that allows what is wanted or, where that is refused, what can be had. `scope` is what the
    /// registry asks for, as it spells it.
    async fn token(
        &mut self,
        realm: Url,
        service: Option<String>,
        scope: &str,
        credential: &Credential,
    ) -> Result<(Secret, Age), Failure> {
        let (registry, credential) = (self.authority.base.origin(), credential.clone());
        let key = TokenKey { registry, realm, service, scopes: self.scopes.clone(), credential };
        let demanded = Scopes::parse(scope);
        let words = scope.split_ascii_whitespace().map(str::to_owned).collect();
        // One scope keeps its spelling; of several, the one for writing has to come first.
        let is_as_demanded = key.scopes == demanded && key.scopes.each().len() == 1;
        let refused = match self.ask(&key, if is_as_demanded { Vec::clone(&words) } else { key.scopes.each() }).await {
            Err(failure) if self.may_ask_again(&failure, &key) => failure,
            outcome => return outcome,
        };
        let (scopes, words) = if demanded == Scopes::default() || demanded == key.scopes {
            let Some(instead) = key.scopes.instead() else { return Err(refused) };
            let words = instead.each();
            (instead, words)
        } else {
            (demanded, words)
        };
        let token = self.ask(&TokenKey { scopes: scopes.clone(), ..key }, words).await?;
        self.scopes = scopes;
        Ok(token)
    }

    async fn ask(&mut self, key: &TokenKey, scopes: Vec<String>) -> Result<(Secret, Age), Failure> {
        let (transport, host) = (self.transport, &self.authority.host);
        let service = TokenService { host, transport, bounds: self.bounds, scopes };
        let outcome = transport.tokens().take(key, transport.options().clock.now(), service.fetch(key)).await;
        if !matches!(outcome, Ok((_, Age::Kept))) {
            self.asked += 1;
        }
        outcome
    }

    /// Whether a refusal may have been one of the scopes. A password that may be wrong is not shown twice: accounts are
    /// locked for that.
    fn may_ask_again(&self, refused: &Failure, key: &TokenKey) -> bool {
        let is_of_scopes = match refused.error {
            Error::Denied { .. } => true,
            Error::Unauthorized { .. } => {
                key.credential == Credential::Anonymous || self.transport.tokens().is_proven(key)
            }
            _ => false,
        };
        is_of_scopes && self.asked < MAX_TOKENS
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
