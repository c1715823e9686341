//! `refs rm`

use std::{
    fmt,
    io::{self, IsTerminal},
};

use refs_client::{Error, Location};
use refs_registry::ErrorKind;
use refs_url::Target;
use serde::Serialize;

use super::Failure;
use crate::{args::Rm, output::escape, terminal, wiring::Session};

/// Why nothing was deleted, where it is not that there was nothing, or that the registry does not allow it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("`{at}` names a tag and a digest, and only one of them can be meant")]
    Ambiguous { at: String, tag: String, manifest: String },
    #[error("there is nobody to ask whether to delete {what}: stdin is not a terminal")]
    NobodyToAsk { what: String },
    #[error("cannot ask")]
    Question(#[source] io::Error),
    #[error("nothing was deleted")]
    Declined,
    /// A layout has the tag under other names than the one that was given.
    #[error("`{at}` is not there, but others with its tag are")]
    Elsewhere { at: String, others: Vec<Location>, source: Box<refs_registry::Error> },
    #[error("the registry keeps the tag")]
    TagStays { by_digest: String, source: refs_registry::Error },
}

impl Fault {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Ambiguous { tag, manifest, .. } => Some(format!(
                "`refs rm {tag}` deletes the tag alone, `refs rm {manifest}` the manifest with all its tags"
            )),
            Self::NobodyToAsk { .. } => Some("`--yes` deletes without asking".to_owned()),
            Self::TagStays { by_digest, .. } => Some(format!(
                "`refs rm {by_digest}` deletes the manifest instead, with all its tags, if the registry allows that"
            )),
            Self::Elsewhere { others, .. } => Some(there_are(others)),
            Self::Question(_) | Self::Declined => None,
        }
    }
}

#[derive(Serialize)]
struct Deleted {
    deleted: Gone,
    reference: String,
    digest: String,
}

impl fmt::Display for Deleted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "deleted {} {}", self.deleted, escape(&self.reference))?;
        // What the tag led to is still there, and can be tagged again by this.
        if self.deleted == Gone::Tag { write!(f, ", which was {}", self.digest) } else { Ok(()) }
    }
}

/// What is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Gone {
    Tag,
    Manifest,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tag => "tag",
            Self::Manifest => "manifest",
        })
    }
}

pub(super) async fn run(session: &Session, args: Rm) -> Result<(), Failure> {
    let at = unambiguous(args.at)?;
    let by_tag = matches!(at.target(), Some(Target::Tag(_)));
    let (deleted, scope) = if by_tag { (Gone::Tag, "") } else { (Gone::Manifest, " with all its tags") };
    // The origin is asked, not the cache: what is gone need not be asked about.
    let digest = match session.uncached().resolve_tag(&at).await {
        Ok(found) => found.digest,
        Err(error) => return Err(elsewhere(session, at, error).await),
    };
    if !args.yes {
        confirm(&format!("the {deleted} {at}{scope}")).await?;
    }
    session.client().delete(&at).await.map_err(|error| match error {
        Error::Registry(source) if by_tag && source.kind() == ErrorKind::Unsupported => {
            let by_digest = at.clone().at_digest(digest.clone()).to_string();
            Failure::Deleting(Fault::TagStays { by_digest, source })
        }
        error => error.into(),
    })?;
    let mut output = session.output();
    output.result(&Deleted { deleted, reference: at.to_string(), digest: digest.to_string() })?;
    Ok(output.flush()?)
}

/// The failure `error` to find `at`, with where its tag is, if that is known.
async fn elsewhere(session: &Session, at: Location, error: Error) -> Failure {
    let source = match error {
        Error::Registry(source) if source.kind() == ErrorKind::NotFound => source,
        error => return error.into(),
    };
    // Why nothing is listed was told before.
    let others = session.client().tag_elsewhere(&at).await.unwrap_or_default();
    if others.is_empty() {
        return Error::Registry(source).into();
    }
    Failure::Deleting(Fault::Elsewhere { at: at.to_string(), others, source: Box::new(source) })
}

/// A cache may list one tag for any number of repositories.
const MOST_TOLD: usize = 8;

fn there_are(others: &[Location]) -> String {
    let told: Vec<String> = others.iter().take(MOST_TOLD).map(|at| format!("`{at}`")).collect();
    let more = if others.len() > MOST_TOLD { " and more, which `refs tags` lists" } else { "" };
    format!("name the one that is meant: {}{more}", told.join(", "))
}

/// The one thing that `at` names. A push prints a tag with its digest, and whoever pastes that may mean either.
fn unambiguous(at: Location) -> Result<Location, Fault> {
    match (&at, at.tag(), at.digest()) {
        (_, Some(tag), Some(digest)) => Err(Fault::Ambiguous {
            at: at.to_string(),
            tag: at.clone().at_tag(tag.clone()).to_string(),
            manifest: at.clone().at_digest(digest.clone()).to_string(),
        }),
        // `docker://` adds a tag that nobody has named.
        (Location::Registry(reference), ..) if reference.tag_is_default() => Ok(at.repository()),
        _ => Ok(at),
    }
}

async fn confirm(what: &str) -> Result<(), Fault> {
    if !io::stdin().is_terminal() {
        return Err(Fault::NobodyToAsk { what: what.to_owned() });
    }
    let answer = terminal::line(&format!("delete {}? [y/N] ", escape(what))).await.map_err(Fault::Question)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") { Ok(()) } else { Err(Fault::Declined) }
}
