//! The token service: by `GET` with a password in the header
//! ([token authentication](https://distribution.github.io/distribution/spec/auth/token/)), by `POST` with one in a form
//! ([OAuth2](https://distribution.github.io/distribution/spec/auth/oauth/)).

use http::{
    Method, StatusCode,
    header::{ALLOW, CACHE_CONTROL},
    request,
};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::{
    Gate, Scheme, challenge,
    gate::{note, unauthorized},
    passwords::Verdict,
    rights::Caller,
    shown::Shown,
    token::{Scopes, Token},
};
use crate::{
    Code, Refusal,
    answer::{Outcome, Reply},
    body::{self, Incoming},
    watch::Notes,
};

/// Where the service is.
pub(crate) const PATH: &str = "/token";

/// A form with a user, a password and some scopes is smaller than this.
const FORM_BYTES: u64 = 64 * 1024;

/// What a client asks for, and what it shows.
struct Question {
    scopes: Scopes,
    shown: Shown,
}

impl Gate {
    /// Answers a request to the token service, if there is one.
    pub(crate) async fn give_token(&self, head: &request::Parts, body: &mut Incoming, notes: &Notes) -> Outcome {
        let Scheme::Bearer(tokens) = &self.access.scheme else { return Err(Refusal::no_such_page()) };
        let question = match head.method {
            Method::GET | Method::HEAD => Question::of_query(head),
            Method::POST => Question::of_form(&Zeroizing::new(body::collect(body, FORM_BYTES).await?.to_vec()))?,
            _ => return Err(Refusal::unsupported("tokens are asked for by GET or POST").with(ALLOW, "GET, HEAD, POST")),
        };
        let caller = self.caller(question.shown).await?;
        note(&caller, notes);
        let scopes = self.allowed(question.scopes, &caller);
        let granted = scopes.to_string();
        let token = Token { caller, scopes };
        let signed = token.sign(&tokens.key, &self.access.name, self.access.clock.date(), tokens.lifetime);
        // No `issued_at`: a client whose clock is wrong would count the token's life from there.
        let json = serde_json::json!({
            "token": signed, "access_token": signed, "expires_in": tokens.lifetime.as_secs(), "scope": granted,
        });
        Ok(Reply::new(StatusCode::OK).with(CACHE_CONTROL, "no-store").with_json(&json))
    }

    /// Who has shown this: there are no tokens for those whom nothing is allowed to.
    async fn caller(&self, shown: Shown) -> Result<Caller, Refusal> {
        match shown {
            Shown::Nothing if self.is_for(&Caller::Stranger) => return Ok(Caller::Stranger),
            Shown::Basic { user, password } if self.passwords.check(&user, &password).await? == Verdict::Right => {
                return Ok(Caller::User(user));
            }
            _ => {}
        }
        Err(unauthorized(&challenge::basic(&self.access)))
    }
}

impl Question {
    fn of_query(head: &request::Parts) -> Self {
        let scopes = all("scope", head.uri.query().unwrap_or_default().as_bytes());
        Self { scopes: Scopes::parse(&scopes), shown: Shown::of(&head.headers) }
    }

    /// # Errors
    /// 400 for another grant than a password: refresh tokens are not given out here.
    fn of_form(form: &[u8]) -> Result<Self, Refusal> {
        if all("grant_type", form) != "password" {
            let message = "the one `grant_type` here is `password`";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, Code::Unsupported, message));
        }
        let (user, password) = (all("username", form), Zeroizing::new(all("password", form)));
        Ok(Self { scopes: Scopes::parse(&all("scope", form)), shown: Shown::login(&user, &password) })
    }
}

/// All values of `key`, divided by spaces.
fn all(key: &str, form: &[u8]) -> String {
    let values: Vec<_> = form_urlencoded::parse(form).filter(|(k, _)| k == key).map(|(_, value)| value).collect();
    values.join(" ")
}
