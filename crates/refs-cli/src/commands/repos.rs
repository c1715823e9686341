//! `refs repos`

use std::fmt;

use serde::Serialize;

use super::{Failure, each};
use crate::{args::Repos, output::escape, wiring::Session};

#[derive(Serialize)]
struct Repository {
    repository: String,
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.repository))
    }
}

pub(super) async fn run(session: &Session, args: Repos) -> Result<(), Failure> {
    let repositories = session.client().repositories(&args.host);
    each::print(session, repositories, args.limit, |name| Repository { repository: format!("{}/{name}", args.host) })
        .await
}
