//! Tokens: what one may do for a while, signed.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use refs_url::RepoName;
use serde::{Deserialize, Serialize};

use super::{Actions, Key, rights::Caller};

/// What marks are made for here. A change of the claims changes it.
const PURPOSE: &str = "refs token 1";

/// What a token allows, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) caller: Caller,
    pub(super) scopes: Scopes,
}

/// What may be done, where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scopes {
    repositories: BTreeMap<RepoName, Actions>,
    catalog: Option<Catalog>,
}

/// The leave to list repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Catalog;

/// A token as it is signed.
#[derive(Serialize, Deserialize)]
struct Claims {
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    /// Who takes it: servers that share a key may have different names.
    aud: String,
    /// Seconds since 1970.
    exp: u64,
    /// `pull,push` by the name of a repository.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    repositories: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    catalog: bool,
}

impl Token {
    /// The token as text, for `audience` until `lifetime` after `now`.
    pub(super) fn sign(&self, key: &Key, audience: &str, now: SystemTime, lifetime: Duration) -> String {
        let repositories = self.scopes.repositories.iter();
        let claims = Claims {
            sub: match &self.caller {
                Caller::Stranger => None,
                Caller::User(user) => Some(user.clone()),
            },
            aud: audience.to_owned(),
            exp: seconds(now).saturating_add(lifetime.as_secs()),
            repositories: repositories.map(|(name, actions)| (name.to_string(), actions.to_string())).collect(),
            catalog: self.scopes.catalog.is_some(),
        };
        let claims = serde_json::json!(claims).to_string();
        let mark = key.mark(PURPOSE, &[claims.as_bytes()]);
        format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(claims), BASE64_URL_SAFE_NO_PAD.encode(mark))
    }

    /// The token that is `text`, if `key` has signed it for `audience` and its time is not over. Nothing of it is read before
    /// its mark was checked.
    pub(super) fn read(text: &str, key: &Key, audience: &str, now: SystemTime) -> Option<Self> {
        let (claims, mark) = text.split_once('.')?;
        let (claims, mark) = (BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?, BASE64_URL_SAFE_NO_PAD.decode(mark).ok()?);
        if !key.has_marked(PURPOSE, &[&claims], &mark) {
            return None;
        }
        let claims: Claims = serde_json::from_slice(&claims).ok()?;
        if claims.aud != audience || claims.exp <= seconds(now) {
            return None;
        }
        let repository =
            |(name, actions): (&String, &String)| Some((RepoName::parse(name).ok()?, Actions::known(actions)));
        Some(Self {
            caller: claims.sub.map_or(Caller::Stranger, Caller::User),
            scopes: Scopes {
                repositories: claims.repositories.iter().filter_map(repository).collect(),
                catalog: claims.catalog.then_some(Catalog),
            },
        })
    }
}

impl Scopes {
    /// Reads scopes divided by spaces ([token scopes](https://distribution.github.io/distribution/spec/auth/scope/)), such as
    /// `repository:team/app:pull,push`. What is not known is left out: it allows nothing.
    pub(super) fn parse(text: &str) -> Self {
        let mut read = Self::default();
        for scope in text.split_ascii_whitespace() {
            if scope == "registry:catalog:*" {
                read.catalog = Some(Catalog);
            }
            let Some((name, actions)) = scope.strip_prefix("repository:").and_then(|rest| rest.rsplit_once(':')) else {
                continue;
            };
            if let Ok(name) = RepoName::parse(name) {
                let known = read.repositories.entry(name).or_default();
                *known = *known | Actions::known(actions);
            }
        }
        read
    }

    /// As much of this as `allowed` allows in each repository.
    pub(super) fn within(mut self, allowed: impl Fn(&RepoName) -> Actions) -> Self {
        self.repositories.retain(|name, actions| {
            *actions = actions.and(allowed(name));
            *actions != Actions::NONE
        });
        self
    }

    pub(super) fn allow(&self, repository: &RepoName, actions: Actions) -> bool {
        self.repositories.get(repository).is_some_and(|allowed| allowed.contains(actions))
    }

    pub(super) const fn allow_catalog(&self) -> bool {
        self.catalog.is_some()
    }
}

impl std::fmt::Display for Scopes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let catalog = self.catalog.map(|Catalog| "registry:catalog:*".to_owned());
        let repositories = self.repositories.iter().map(|(name, actions)| format!("repository:{name}:{actions}"));
        f.write_str(&catalog.into_iter().chain(repositories).collect::<Vec<_>>().join(" "))
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;
    const MINUTE: Duration = Duration::from_secs(60);

    fn key(byte: u8) -> Key {
        Key::new(&[byte; 32]).unwrap()
    }

    fn token() -> Token {
        let scopes = Scopes::parse("repository:team/app:pull,push registry:catalog:*");
        Token { caller: Caller::User("ä\"b".to_owned()), scopes }
    }

    #[test]
    fn a_token_is_good_for_its_audience_and_time_alone() {
        let signed = token().sign(&key(1), "refs", NOW, MINUTE);
        let read = |text: &str, byte, audience, after| Token::read(text, &key(byte), audience, NOW + after);
        assert_eq!(read(&signed, 1, "refs", Duration::ZERO), Some(token()));
        assert_eq!(read(&signed, 1, "refs", MINUTE - Duration::from_secs(1)), Some(token()));
        assert_eq!(read(&signed, 1, "refs", MINUTE), None);
        assert_eq!(read(&signed, 2, "refs", Duration::ZERO), None);
        assert_eq!(read(&signed, 1, "other", Duration::ZERO), None);
        let stranger = Token { caller: Caller::Stranger, scopes: Scopes::default() };
        assert_eq!(read(&stranger.sign(&key(1), "refs", NOW, MINUTE), 1, "refs", Duration::ZERO), Some(stranger));
    }

    #[test]
    fn a_token_that_was_touched_is_none() {
        let signed = token().sign(&key(1), "refs", NOW, MINUTE);
        for at in 0..signed.len() {
            let mut touched = signed.clone().into_bytes();
            touched[at] = if touched[at] == b'A' { b'B' } else { b'A' };
            let touched = String::from_utf8(touched).unwrap();
            assert_eq!(Token::read(&touched, &key(1), "refs", NOW), None, "{at}");
            assert_eq!(Token::read(&signed[..at], &key(1), "refs", NOW), None, "{at}");
        }
        let (claims, _) = signed.split_once('.').unwrap();
        for text in ["", ".", "a.b.c", claims, &format!("{claims}."), &format!("{signed}.a"), &format!("{signed}=")] {
            assert_eq!(Token::read(text, &key(1), "refs", NOW), None, "{text}");
        }
    }

    #[track_caller]
    fn check(text: &str, expect: &str) {
        assert_eq!(Scopes::parse(text).to_string(), expect, "{text}");
    }

    #[test]
    fn scopes_are_read_as_far_as_they_are_known() {
        check("", "");
        check("repository:a/b:push,pull", "repository:a/b:pull,push");
        check(
            "repository:a:pull repository:a:push  repository:b:*",
            "repository:a:pull,push repository:b:pull,push,delete",
        );
        check("registry:catalog:* repository:a:pull", "registry:catalog:* repository:a:pull");
        check("registry:catalog:pull repository:A:pull repository:../a:pull repository::pull repository:a other", "");
        check("repository(plugin):a:pull", "");
    }

    #[test]
    fn scopes_shrink_to_what_is_allowed() {
        let scopes = Scopes::parse("repository:a:pull,push repository:b:pull,push");
        let allowed = |name: &RepoName| if name.as_str() == "a" { Actions::PULL } else { Actions::DELETE };
        assert_eq!(scopes.within(allowed).to_string(), "repository:a:pull");
    }
}
