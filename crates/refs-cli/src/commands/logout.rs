//! `refs logout`

use std::fmt;

use refs_registry::auth::DockerConfig;
use serde::Serialize;

use super::Failure;
use crate::{args::Logout, output::escape, wiring::Session};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoggedOut {
    host: String,
    removed: bool,
    removed_from: Vec<String>,
}

impl fmt::Display for LoggedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = escape(&self.host);
        let word = if self.removed { "logged out of" } else { "there was no login for" };
        write!(f, "{word} {host}")
    }
}

pub(super) async fn run(session: &Session, args: Logout) -> Result<(), Failure> {
    let forgotten = DockerConfig::from_env().forget(&args.host).await?;
    let file = forgotten.file.map(|path| path.display().to_string());
    let removed_from: Vec<String> = forgotten.helper.into_iter().chain(file).collect();
    let mut output = session.output();
    output.result(&LoggedOut { host: args.host.to_string(), removed: !removed_from.is_empty(), removed_from })?;
    Ok(output.flush()?)
}
