//! `refs login`

use std::{fmt, sync::Arc};

use refs_registry::auth::{Credential, DockerConfig, Saved, Static};
use serde::Serialize;

use super::Failure;
use crate::{args::Login, credentials, output::escape, wiring::Session};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoggedIn {
    host: String,
    username: String,
    /// Whether the registry asked who we are, and took the answer.
    verified: bool,
    saved_in: String,
    plain_text: bool,
}

impl fmt::Display for LoggedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "logged in to {} as {}", escape(&self.host), escape(&self.username))
    }
}

/// Has the registry check the password, then saves it: a wrong one is never written down.
pub(super) async fn run(session: &Session, args: Login) -> Result<(), Failure> {
    let (username, password) = credentials::login(session.identity()).await?;
    let credential = Credential::Basic { username: username.clone(), password: password.clone() };
    let given = Static::new(args.host.clone(), format!("the password given for `{username}`"), credential);
    let registry = session.registries(Arc::new(given)).registry(&args.host)?;
    let verified = registry.check_auth().await?.is_some();
    let saved = DockerConfig::from_env().save(&args.host, &username, &password).await?;
    if !verified {
        tracing::warn!("{} asks nobody who they are: the password was not checked", args.host);
    }
    let plain_text = matches!(saved, Saved::PlainText(_));
    if plain_text {
        tracing::warn!(
            "the password is in plain text in {saved}; a credential helper (`credsStore`) would keep it safe"
        );
    }
    let host = args.host.to_string();
    let mut output = session.output();
    output.result(&LoggedIn { host, username, verified, saved_in: place(&saved), plain_text })?;
    Ok(output.flush()?)
}

/// Where the login is, for programs: a path, or the name of a helper.
fn place(saved: &Saved) -> String {
    match saved {
        Saved::PlainText(path) => path.display().to_string(),
        Saved::Helper(program) => program.clone(),
        other => other.to_string(),
    }
}
