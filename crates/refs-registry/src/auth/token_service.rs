//! Asking a token service: by GET with a name and a password, by POST with a refresh token
//! ([OAuth2](https://distribution.github.io/distribution/spec/auth/oauth/)).

use std::{sync::Arc, time::Instant};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderValue, Method, header};
use refs_url::Host;

use super::{
    Credential, Secret,
    token::{self, Token, TokenKey, Way},
};
use crate::{
    Error,
    error::{Setting, Wanted},
    transport::{Answer, Body, Bounds, Call, Failure, Grant, Transport},
};

/// A token service's answer is at most this long.
const TOKEN_BYTES: u64 = 1024 * 1024;

/// The one who asks.
#[derive(Debug)]
pub(super) struct TokenService<'a> {
    pub(super) host: &'a Host,
    pub(super) transport: &'a Transport,
    pub(super) bounds: &'a Bounds,
    /// The scopes in the words to ask in: some services compare texts.
    pub(super) scopes: Vec<String>,
}

impl TokenService<'_> {
    /// A fresh token for `key`.
    pub(super) async fn fetch(&self, key: &TokenKey) -> Result<Token, Failure> {
        match &key.credential {
            credential if credential.refresh_token().is_some() => self.renew(key).await,
            Credential::Basic { username, password } => self.get(key, Some((username, password))).await,
            _ => self.get(key, None).await,
        }
    }

    /// A token for a refresh token. A service may give another refresh token with each answer and take only the last
    /// one, so that they are asked for one after the other.
    async fn renew(&self, key: &TokenKey) -> Result<Token, Failure> {
        let renewal = self.transport.tokens().renewal(key);
        let mut renewal = renewal.lock().await;
        if renewal.way == Way::Post {
            let call = self.refresh(key, &renewal.secret);
            let (answer, asked) = self.ask(&call, None).await?;
            // Services that know no POST: https://github.com/containerd/containerd/blob/main/core/remotes/docker/auth/fetch.go
            if !matches!(answer.status.as_u16(), 404 | 405 | 501) {
                return match self.read((answer, asked), &call, None, Some(&renewal.secret)).await {
                    Ok(token) => {
                        renewal.secret = token.refresh.clone().unwrap_or_else(|| renewal.secret.clone());
                        Ok(token)
                    }
                    Err(failure) => {
                        if matches!(failure.error, Error::Unauthorized { .. } | Error::Denied { .. }) {
                            renewal.begin_again(key);
                        }
                        Err(failure)
                    }
                };
            }
            renewal.way = Way::Get;
        }
        // As containerd does: the refresh token as the password of a user without a name.
        self.get(key, Some(("", &renewal.secret))).await
    }

    async fn get(&self, key: &TokenKey, login: Option<(&str, &Secret)>) -> Result<Token, Failure> {
        let call = self.question(key);
        let header = login.map(|(username, password)| basic(username, password)).transpose()?;
        let grant = header.map(|header| Grant { origin: key.realm.origin(), header });
        let answer = self.ask(&call, grant.as_ref()).await?;
        self.read(answer, &call, grant.as_ref(), None).await
    }

    /// The answer, and when it was asked for: a token's life may begin before its answer does.
    async fn ask(&self, call: &Call, grant: Option<&Grant>) -> Result<(Answer, Instant), Failure> {
        let asked = self.transport.options().clock.now();
        Ok((self.transport.exchange(call, grant, self.bounds).await?, asked))
    }

    /// Reads the answer to `call`. What it says of a refusal is kept, but for what it was shown in `grant` or `sent`.
    ///
    /// # Errors
    /// `Unauthorized` where the credential is refused, `Denied` where it is the question, `Refused` where there is no such
    /// service.
    async fn read(
        &self,
        (answer, asked): (Answer, Instant),
        call: &Call,
        grant: Option<&Grant>,
        sent: Option<&Secret>,
    ) -> Result<Token, Failure> {
        let at = answer.at.clone();
        // A 404 from here is no word of the registry's about what is wanted of that.
        if let status @ (400 | 401 | 403 | 404 | 405 | 409 | 410 | 501) = answer.status.as_u16() {
            let detail = answer.detail(grant).await;
            let detail = sent.map_or_else(|| detail.clone(), |sent| detail.without(sent.reveal()));
            let (host, tried) = (self.host.clone(), Vec::new());
            return Err(Failure::last(match status {
                401 => Error::Unauthorized { host, tried, detail },
                400 | 403 => Error::Denied { host, at, tried, detail },
                status => Error::Refused { at, status, retry_after: None, detail },
            }));
        }
        let mut answer = answer.accepted(call, self.host, grant).await?;
        let body = answer.body.collect(TOKEN_BYTES, &Wanted::Token).await?;
        token::read(&body, asked).map_err(|fault| Failure::last(Error::Protocol { at, fault }))
    }

    /// The request for a token in exchange for a refresh token.
    fn refresh(&self, key: &TokenKey, secret: &Secret) -> Call {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token").append_pair("client_id", "refs");
        form.extend_pairs(key.service.iter().map(|service| ("service", service.as_str())));
        let scopes = self.scopes.join(" ");
        form.extend_pairs(Some(("scope", scopes.as_str())).filter(|(_, scopes)| !scopes.is_empty()));
        form.append_pair("refresh_token", secret.reveal());
        Call::new(Method::POST, key.realm.clone(), Wanted::Token)
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
            .body(Body::Bytes(form.finish().into()))
            .within_origin()
    }

    /// The request for a token that is a plain question.
    fn question(&self, key: &TokenKey) -> Call {
        let mut url = key.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(key.service.iter().map(|service| ("service", service.as_str())));
            query.extend_pairs(self.scopes.iter().map(|scope| ("scope", scope.as_str())));
        }
        if url.query() == Some("") {
            url.set_query(None);
        }
        Call::get(url, Wanted::Token).within_origin()
    }
}

/// The header that shows a name and a password.
pub(super) fn basic(username: &str, password: &Secret) -> Result<HeaderValue, Failure> {
    let pair = zeroize::Zeroizing::new(format!("{username}:{}", password.reveal()));
    sensitive(&format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())))
}

/// The header that shows a token.
pub(super) fn bearer(token: &Secret) -> Result<HeaderValue, Failure> {
    sensitive(&format!("Bearer {}", token.reveal()))
}

fn sensitive(text: &str) -> Result<HeaderValue, Failure> {
    let mut header = HeaderValue::from_str(text)
        .map_err(|error| Failure::last(Error::Settings { what: Setting::Credential, source: Arc::new(error) }))?;
    header.set_sensitive(true);
    Ok(header)
}
