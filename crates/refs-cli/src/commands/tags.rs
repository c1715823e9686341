//! `refs tags`

use std::fmt;

use refs_client::{Error, Location, LocationFault};
use refs_url::version::{ChoiceOptions, LeftOut, matching_tags, semver_tags};
use serde::Serialize;

use super::{Failure, each};
use crate::{args::Tags, output::escape, wiring::Session};

#[derive(Serialize)]
struct Tag {
    /// What can be named behind the place and a colon: in a layout, it may be a whole reference.
    tag: String,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.tag))
    }
}

pub(super) async fn run(session: &Session, args: Tags) -> Result<(), Failure> {
    if let Some(fault) = fault(&args.at) {
        return Err(Failure::Client(Error::Location { input: args.at.to_string(), fault }));
    }
    list(session, &args).await?;
    if session.knows_only_cached(&args.at) {
        session.hint("these are the tags that the cache knows; the registry, which was not asked, may have others");
    }
    Ok(())
}

/// Why there is no list of tags at `at`.
fn fault(at: &Location) -> Option<LocationFault> {
    let names_one = match at {
        Location::File(_) => return Some(LocationFault::Untagged),
        // `docker://NAME` has a tag that nobody wrote.
        Location::Registry(reference) => reference.has_explicit_tag(),
        Location::Layout { .. } => at.target().is_some(),
    };
    names_one.then_some(LocationFault::TargetNotAllowed)
}

async fn list(session: &Session, args: &Tags) -> Result<(), Failure> {
    if args.semver || args.constraint.is_some() {
        return versions(session, args).await;
    }
    if let Location::Layout { .. } = args.at {
        let names = session.client().list_names(&args.at).await?;
        return print(session, args, names);
    }
    let source = session.client().source(&args.at).await?;
    each::print(session, source.tags(None), args.limit, |tag| Tag { tag: tag.to_string() }).await
}

/// Prints the tags that are versions. All tags are listed for that, as the highest may come last.
async fn versions(session: &Session, args: &Tags) -> Result<(), Failure> {
    let tags = session.client().list_candidates(&args.at).await?;
    let options = ChoiceOptions::default();
    let versions = match &args.constraint {
        Some(constraint) => matching_tags(&tags, constraint, &options),
        None => semver_tags(&tags),
    };
    print(session, args, versions.iter().map(ToString::to_string))?;
    let unmatched = args.constraint.as_ref().filter(|_| versions.is_empty());
    if let Some(left_out) = unmatched.and_then(|constraint| LeftOut::of(&tags, constraint, &options)) {
        session.hint(&left_out.to_string());
    }
    Ok(())
}

fn print(session: &Session, args: &Tags, tags: impl IntoIterator<Item = String>) -> Result<(), Failure> {
    let mut output = session.output();
    for tag in tags.into_iter().take(args.limit.unwrap_or(usize::MAX)) {
        output.result(&Tag { tag })?;
    }
    Ok(output.flush()?)
}
