//! `refs tags`

use std::fmt;

use refs_client::{Error, Location, LocationFault};
use serde::Serialize;

use super::{Failure, each};
use crate::{args::Tags, output::escape, wiring::Session};

#[derive(Serialize)]
struct Tag {
    tag: String,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.tag))
    }
}

pub(super) async fn run(session: &Session, args: Tags) -> Result<(), Failure> {
    if let Location::File(_) = args.at {
        let (input, fault) = (args.at.to_string(), LocationFault::Untagged);
        return Err(Failure::Client(Error::Location { input, fault }));
    }
    let source = session.client().source(&args.at).await?;
    each::print(session, source.tags(None), args.limit, |tag| Tag { tag: tag.to_string() }).await
}
