//! Tokens: asking for them, and keeping them while they last
//! ([token authentication](https://distribution.github.io/distribution/spec/auth/token/)).

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use url::Url;

use super::{Credential, Scopes, Secret};
use crate::{error::Fault, spec::has_room, transport::Failure};

/// A token, and when it ends.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) secret: Secret,
    pub(crate) until: Instant,
    /// The refresh token to use from now on, when the service gives one.
    pub(crate) refresh: Option<Secret>,
}

/// How a refresh token is turned into tokens, and which one it is by now.
#[derive(Debug)]
pub(crate) struct Renewal {
    pub(crate) secret: Secret,
    pub(crate) way: Way,
}

/// How a token service takes a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As the protocol has it.
    Post,
    /// As those do that know no POST.
    Get,
}

impl Renewal {
    fn new(key: &TokenKey) -> Self {
        let secret = key.credential.refresh_token().cloned();
        Self { secret: secret.unwrap_or_else(|| Secret::new("")), way: Way::Post }
    }

    /// Goes back to the refresh token that was given: the last one was refused.
    pub(crate) fn begin_again(&mut self, key: &TokenKey) {
        *self = Self::new(key);
    }
}

/// Everything that a token depends on. A token is never used for anything else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TokenKey {
    pub(crate) registry: url::Origin,
    pub(crate) realm: Url,
    pub(crate) service: Option<String>,
    pub(crate) scopes: Scopes,
    pub(crate) credential: Credential,
}

impl TokenKey {
    /// Whether a token for `self` is one for `other`, too.
    fn covers(&self, other: &Self) -> bool {
        self.is_akin(other) && self.service == other.service && self.scopes.contains(&other.scopes)
    }

    /// Whether the same credential is shown at the same place.
    fn is_akin(&self, other: &Self) -> bool {
        self.registry == other.registry && self.realm == other.realm && self.credential == other.credential
    }
}

/// Where a token came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// It was kept, so it may have been revoked meanwhile.
    Kept,
    /// It was made for this very request.
    Fresh,
}

/// The tokens of all registries.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    slots: Mutex<HashMap<TokenKey, Arc<Slot>>>,
    renewals: Mutex<HashMap<RenewalKey, Arc<tokio::sync::Mutex<Renewal>>>>,
}

/// A registry, its token service, and the refresh token that was given for them.
type RenewalKey = (url::Origin, Url, Credential);

/// One token, or the place where one is being waited for.
#[derive(Debug, Default)]
struct Slot {
    /// Held by the one who asks for the token.
    flight: tokio::sync::Mutex<()>,
    last: Mutex<Last>,
}

/// What came of asking.
#[derive(Debug, Default)]
struct Last {
    /// How many times it was asked.
    rounds: u64,
    outcome: Option<Result<Token, Failure>>,
}

impl Slot {
    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lasting(&self, now: Instant) -> Option<Secret> {
        match &self.last().outcome {
            Some(Ok(token)) if token.until > now => Some(token.secret.clone()),
            _ => None,
        }
    }
}

/// More than any program speaks to; beyond it, what has ended is dropped, and then all, to be asked for anew.
const MANY_SLOTS: usize = 1024;

impl Tokens {
    /// The token for `key`: a kept one that lasts, or a fresh one from `fetch`. Callers who arrive while one is fetched
    /// wait for it and share it, or its failure.
    pub(crate) async fn take(
        &self,
        key: &TokenKey,
        now: Instant,
        fetch: impl Future<Output = Result<Token, Failure>> + Send,
    ) -> Result<(Secret, Age), Failure> {
        if let Some(kept) = self.kept(key, now) {
            return Ok((kept, Age::Kept));
        }
        let slot = self.slot(key, now);
        let before = slot.last().rounds;
        let _flight = slot.flight.lock().await;
        let shared = Some(slot.last()).filter(|last| last.rounds != before).and_then(|last| last.outcome.clone());
        if let Some(shared) = shared {
            return shared.map(|token| (token.secret, Age::Fresh));
        }
        // It may have come between the look at what is kept and the one at the rounds.
        if let Some(kept) = slot.lasting(now) {
            return Ok((kept, Age::Kept));
        }
        let outcome = fetch.await;
        let mut last = slot.last();
        last.rounds += 1;
        last.outcome = Some(outcome.clone());
        outcome.map(|token| (token.secret, Age::Fresh))
    }

    /// What has become of the refresh token of `key`. It is held by the one who exchanges it.
    pub(crate) fn renewal(&self, key: &TokenKey) -> Arc<tokio::sync::Mutex<Renewal>> {
        let mut renewals = self.renewals.lock().unwrap_or_else(PoisonError::into_inner);
        let of = (key.registry.clone(), key.realm.clone(), key.credential.clone());
        if renewals.len() >= MANY_SLOTS && !renewals.contains_key(&of) {
            renewals.clear();
        }
        renewals.entry(of).or_insert_with(|| Arc::new(tokio::sync::Mutex::new(Renewal::new(key)))).clone()
    }

    /// Drops `refused`: the registry does not take it any more. Its slot stays, as somebody may wait there for another.
    pub(crate) fn evict(&self, refused: &Secret) {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        for slot in slots.values() {
            let mut last = slot.last();
            last.outcome.take_if(|outcome| matches!(outcome, Ok(token) if token.secret == *refused));
        }
    }

    /// Whether the token service of `key` has ever given a token for its credential.
    pub(crate) fn is_proven(&self, key: &TokenKey) -> bool {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().any(|(known, slot)| known.is_akin(key) && matches!(slot.last().outcome, Some(Ok(_))))
    }

    /// The token for `key` itself, or else the one that allows the least besides.
    fn kept(&self, key: &TokenKey, now: Instant) -> Option<Secret> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let exact = slots.get(key).and_then(|slot| slot.lasting(now));
        let wider = || {
            let covering = slots.iter().filter(|(known, _)| known.covers(key));
            let lasting = covering.filter_map(|(known, slot)| Some((known.scopes.breadth(), slot.lasting(now)?)));
            lasting.min_by_key(|(breadth, _)| *breadth).map(|(_, secret)| secret)
        };
        exact.or_else(wider)
    }

    fn slot(&self, key: &TokenKey, now: Instant) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MANY_SLOTS {
            // One that is waited for is kept by those who wait.
            slots.retain(|_, slot| slot.lasting(now).is_some());
        }
        if slots.len() >= MANY_SLOTS && !slots.contains_key(key) {
            slots.clear();
        }
        slots.entry(key.clone()).or_default().clone()
    }
}

/// Reads a token service's answer, asked at `asked`.
pub(crate) fn read(body: &[u8], asked: Instant) -> Result<Token, Fault> {
    let answer: Option<Value> = has_room(body).then(|| serde_json::from_slice(body).ok()).flatten();
    let answer = answer.ok_or(Fault::BadBody("a token"))?;
    let text = |name| answer.get(name).and_then(Value::as_str).filter(|text: &&str| !text.is_empty());
    // Azure's service gives `access_token` alone.
    let secret = text("token").or_else(|| text("access_token")).ok_or(Fault::BadBody("a token"))?;
    let lasts = lifetime(answer.get("expires_in"));
    // A token that ends on its way is of no use.
    let slack = (lasts / 10).min(Duration::from_secs(30));
    let refresh = text("refresh_token").map(Secret::from);
    Ok(Token { secret: secret.into(), until: asked + (lasts - slack), refresh })
}

/// How long a token lasts: what the service says, as far as it makes sense, else the 60 s of the specification.
fn lifetime(claimed: Option<&Value>) -> Duration {
    const DAY_SECONDS: f64 = 86_400.0;
    let seconds = match claimed {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    let seconds = seconds.filter(|seconds: &f64| *seconds >= 1.0).unwrap_or(60.0);
    Duration::from_secs_f64(seconds.min(DAY_SECONDS))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[track_caller]
    fn check_lifetime(body: &str, expect_seconds: u64) {
        let asked = Instant::now();
        let token = read(body.as_bytes(), asked).unwrap();
        assert_eq!((token.until - asked).as_secs(), expect_seconds, "{body}");
    }

    #[test]
    fn m045_odd_lifetimes_are_bounded() {
        check_lifetime(r#"{"token":"t"}"#, 54);
        check_lifetime(r#"{"token":"t","expires_in":300}"#, 270);
        check_lifetime(r#"{"token":"t","expires_in":"300"}"#, 270);
        check_lifetime(r#"{"token":"t","expires_in":1}"#, 0);
        check_lifetime(r#"{"token":"t","expires_in":10}"#, 9);
        check_lifetime(r#"{"token":"t","expires_in":299.5}"#, 269);
        check_lifetime(r#"{"token":"t","expires_in":600.0}"#, 570);
        check_lifetime(r#"{"token":"t","expires_in":-5}"#, 54);
        check_lifetime(r#"{"token":"t","expires_in":0}"#, 54);
        check_lifetime(r#"{"token":"t","expires_in":1180591620717411303424}"#, 86_370);
        check_lifetime(r#"{"token":"t","expires_in":1e300}"#, 86_370);
        check_lifetime(r#"{"token":"t","expires_in":"NaN"}"#, 54);
        check_lifetime(r#"{"token":"t","expires_in":null}"#, 54);
        check_lifetime(r#"{"token":"","access_token":"t","expires_in":[1]}"#, 54);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for body in ["", "{}", "[]", r#"{"token":""}"#, r#"{"token":7}"#, "<html>"] {
            assert_eq!(read(body.as_bytes(), Instant::now()).unwrap_err(), Fault::BadBody("a token"), "{body}");
        }
    }

    fn key(scopes: &str, password: &str) -> TokenKey {
        TokenKey {
            registry: Url::parse("https://r.test").unwrap().origin(),
            realm: Url::parse("https://r.test/token").unwrap(),
            service: None,
            scopes: Scopes::parse(scopes),
            credential: Credential::Basic { username: "u".into(), password: password.into() },
        }
    }

    async fn take(tokens: &Tokens, key: &TokenKey, now: Instant, fetched: &str) -> (String, Age) {
        let token = Token { secret: fetched.into(), until: now + Duration::from_secs(60), refresh: None };
        let (secret, age) = tokens.take(key, now, async { Ok(token) }).await.unwrap();
        (secret.reveal().to_owned(), age)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn whoever_comes_at_the_same_moment_shares_one_token() {
        let (tokens, now) = (Arc::new(Tokens::default()), Instant::now());
        for round in 0..300 {
            let (key, asked) = (key(&format!("repository:a{round}:pull"), "p"), Arc::new(AtomicUsize::new(0)));
            let all: Vec<_> = (0..8)
                .map(|_| {
                    let (tokens, key, asked) = (tokens.clone(), key.clone(), asked.clone());
                    tokio::spawn(async move {
                        let token = Token { secret: "t".into(), until: now + Duration::from_secs(60), refresh: None };
                        let fetch = async {
                            asked.fetch_add(1, Ordering::Relaxed);
                            Ok(token)
                        };
                        tokens.take(&key, now, fetch).await.unwrap();
                    })
                })
                .collect();
            for one in all {
                one.await.unwrap();
            }
            assert_eq!(asked.load(Ordering::Relaxed), 1, "round {round}");
        }
    }

    #[tokio::test]
    async fn m049_a_token_serves_only_what_it_was_made_for() {
        let (tokens, now) = (Tokens::default(), Instant::now());
        let wide = key("repository:a:pull,push", "one");
        assert_eq!(take(&tokens, &wide, now, "1").await, ("1".into(), Age::Fresh));
        assert_eq!(take(&tokens, &wide, now, "2").await, ("1".into(), Age::Kept));
        assert_eq!(take(&tokens, &key("repository:a:pull", "one"), now, "2").await, ("1".into(), Age::Kept));
        assert_eq!(take(&tokens, &key("repository:a:pull", "two"), now, "2").await, ("2".into(), Age::Fresh));
        assert_eq!(take(&tokens, &key("repository:b:pull", "one"), now, "3").await, ("3".into(), Age::Fresh));
        let elsewhere = TokenKey { registry: Url::parse("https://s.test").unwrap().origin(), ..wide.clone() };
        assert_eq!(take(&tokens, &elsewhere, now, "4").await, ("4".into(), Age::Fresh));
        let other_realm = TokenKey { realm: Url::parse("https://r.test/other").unwrap(), ..wide.clone() };
        assert_eq!(take(&tokens, &other_realm, now, "5").await, ("5".into(), Age::Fresh));
        let later = now + Duration::from_secs(60);
        assert_eq!(take(&tokens, &wide, later, "6").await, ("6".into(), Age::Fresh));
        tokens.evict(&"6".into());
        assert_eq!(take(&tokens, &wide, later, "7").await, ("7".into(), Age::Fresh));
    }
}
