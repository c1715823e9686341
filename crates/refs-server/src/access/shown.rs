//! What a request says of who sent it.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, header::AUTHORIZATION};
use refs_registry::auth::Secret;
use zeroize::Zeroizing;

/// What is in the `Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    Basic {
        user: String,
        password: Secret,
    },
    Bearer(Secret),
    /// Something that is none of these.
    Unreadable,
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Shown {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = match (values.next(), values.next()) {
            (None, _) => return Self::Nothing,
            (Some(value), None) => value,
            // One of them might be somebody else's.
            (Some(_), Some(_)) => return Self::Unreadable,
        };
        let parts = value.to_str().ok().and_then(|text| text.split_once(' '));
        match parts.map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest.trim())) {
            Some((scheme, rest)) if scheme == "basic" => basic(rest).unwrap_or(Self::Unreadable),
            Some((scheme, rest)) if scheme == "bearer" && !rest.is_empty() => Self::Bearer(rest.into()),
            _ => Self::Unreadable,
        }
    }

    /// A name and a password. Where both are empty nothing was said: Podman and skopeo send these when they have no
    /// credentials ([containers/image](https://github.com/containers/image/blob/main/docker/docker_client.go)).
    pub(super) fn login(user: &str, password: &str) -> Self {
        if user.is_empty() && password.is_empty() {
            return Self::Nothing;
        }
        Self::Basic { user: user.to_owned(), password: password.into() }
    }
}

fn basic(encoded: &str) -> Option<Shown> {
    let decoded = Zeroizing::new(BASE64.decode(encoded).ok()?);
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(Shown::login(user, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[&str], expect: &Shown) {
        let headers = values.iter().map(|value| (AUTHORIZATION, value.parse().unwrap())).collect();
        assert_eq!(Shown::of(&headers), *expect, "{values:?}");
    }

    #[test]
    fn credentials_are_read_from_the_header() {
        let user = Shown::Basic { user: "user".to_owned(), password: "pass:word".into() };
        check(&[], &Shown::Nothing);
        check(&["Basic dXNlcjpwYXNzOndvcmQ="], &user);
        check(&["basic  dXNlcjpwYXNzOndvcmQ"], &user);
        check(&["Basic Og=="], &Shown::Nothing);
        check(&["Basic dTo="], &Shown::login("u", ""));
        check(&["bEARER a.b"], &Shown::Bearer("a.b".into()));
    }

    #[test]
    fn what_can_not_be_read_is_not_taken_for_nothing() {
        for wrong in
            ["", "Basic", "Basic ", "Basic !", "Basic dXNlcg==", "Basic /zo=", "Bearer ", "Digest x", "Negotiate a"]
        {
            check(&[wrong], &Shown::Unreadable);
        }
        check(&["Basic dTo=", "Basic dTo="], &Shown::Unreadable);
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?} {:?}", Shown::login("u", "hunter2"), Shown::Bearer("hunter2".into()));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
