//! `[tls]` and `[auth]`

use std::path::{Path, PathBuf};

use refs_server::{Actions, Grant};
use serde::Deserialize;
use toml::Spanned;

use super::{Fault, fault::Text};
use crate::access_args::{Auth, Entry, NamedAt, token_url};

/// The certificate that the server shows, and its key.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct TlsFiles {
    cert: Spanned<PathBuf>,
    key: Spanned<PathBuf>,
}

/// Who may come in.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct AuthFiles {
    htpasswd: Spanned<PathBuf>,
    #[serde(default)]
    mode: Auth,
    #[serde(default)]
    anonymous_pull: bool,
    token_key: Option<Spanned<PathBuf>>,
    token_url: Option<Spanned<String>>,
    #[serde(default, rename = "grant")]
    grants: Vec<GrantTable>,
}

/// What a user may do below a prefix.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct GrantTable {
    user: Spanned<String>,
    prefix: Option<Spanned<String>>,
    actions: Vec<Action>,
}

/// What can be done with a repository.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    Pull,
    Push,
    Delete,
}

/// What the tables ask for; everyone, in the clear, where there is none.
pub(super) fn entry(
    tls: Option<TlsFiles>,
    auth: Option<AuthFiles>,
    folder: &Path,
    place: &Text<'_>,
) -> Result<Entry, Fault> {
    let users = auth.map_or_else(|| Ok(Entry::default()), |auth| users(auth, folder, place))?;
    let at = |file: &Spanned<PathBuf>| Some(place.named(file.span()));
    Ok(match tls {
        None => users,
        Some(TlsFiles { cert, key }) => Entry {
            named_at: Box::new(NamedAt { tls_cert: at(&cert), tls_key: at(&key), ..*users.named_at }),
            tls_cert: Some(folder.join(cert.into_inner())),
            tls_key: Some(folder.join(key.into_inner())),
            ..users
        },
    })
}

fn users(auth: AuthFiles, folder: &Path, place: &Text<'_>) -> Result<Entry, Fault> {
    if auth.mode == Auth::Basic {
        let for_tokens = auth.token_key.as_ref().map(Spanned::span);
        let for_tokens = for_tokens.or_else(|| auth.token_url.as_ref().map(Spanned::span));
        if for_tokens.is_some() {
            return Err(place.wrong(for_tokens, "it goes with `mode = \"bearer\"`"));
        }
    }
    let url = |url: Spanned<String>| token_url(url.get_ref()).map_err(|message| place.wrong(Some(url.span()), message));
    Ok(Entry {
        named_at: Box::new(NamedAt {
            htpasswd: Some(place.named(auth.htpasswd.span())),
            token_key: auth.token_key.as_ref().map(|key| place.named(key.span())),
            ..NamedAt::default()
        }),
        htpasswd: Some(folder.join(auth.htpasswd.into_inner())),
        auth: Some(auth.mode),
        anonymous_pull: auth.anonymous_pull,
        token_key: auth.token_key.map(|key| folder.join(key.into_inner())),
        token_url: auth.token_url.map(url).transpose()?,
        granted_at: auth.grants.iter().map(|table| place.named(table.user.span())).collect(),
        grants: auth.grants.into_iter().map(|table| table.grant(place)).collect::<Result<_, _>>()?,
        ..Entry::default()
    })
}

impl GrantTable {
    fn grant(self, place: &Text<'_>) -> Result<Grant, Fault> {
        let prefix = self.prefix.filter(|prefix| !prefix.get_ref().is_empty());
        let actions = self.actions.into_iter().fold(Actions::NONE, |all, action| all | action.into());
        Ok(Grant {
            user: self.user.into_inner(),
            prefix: prefix.map(|prefix| place.name(&prefix)).transpose()?,
            actions,
        })
    }
}

impl From<Action> for Actions {
    fn from(action: Action) -> Self {
        match action {
            Action::Pull => Self::PULL,
            Action::Push => Self::PUSH,
            Action::Delete => Self::DELETE,
        }
    }
}
