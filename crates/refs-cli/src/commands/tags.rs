//! `refs tags`

use std::fmt;

use futures_util::TryStreamExt;
use refs_client::{Error, Location, LocationFault};
use serde::Serialize;

use super::Failure;
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
    let mut tags = source.tags(None);
    let mut left = args.limit.unwrap_or(usize::MAX);
    while left > 0
        && let Some(tag) = tags.try_next().await?
    {
        // Stdout is not held across the wait for the next page: each tag is out as soon as it is known.
        let mut output = session.output();
        output.result(&Tag { tag: tag.to_string() })?;
        output.flush()?;
        left -= 1;
    }
    Ok(())
}
