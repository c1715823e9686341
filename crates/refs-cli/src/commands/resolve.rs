//! `refs resolve`

use std::fmt;

use refs_client::{Error, Location, ResolvedVersion, VersionOptions};
use refs_registry::Descriptor;
use refs_url::{Tag, Target, version::Constraint};
use serde::Serialize;

use super::Failure;
use crate::{args::Resolve, recorded::Recorded, wiring::Session};

/// Why a digest takes no constraint.
const NO_VERSION: &str = "`--constraint` is about tags, and a digest by itself has none; leave out one of them";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resolved {
    reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    digest: String,
    media_type: String,
    size: u64,
    #[serde(flatten)]
    recorded: Option<Recorded>,
}

impl fmt::Display for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reference)
    }
}

pub(super) async fn run(session: &Session, args: Resolve) -> Result<(), Failure> {
    let Asked { at, tag, descriptor } = Asked::of(session, &args).await?;
    let found = match (&args.platform, &descriptor) {
        (None, Some(descriptor)) => descriptor.clone(),
        (None, None) => session.client().resolve_tag(&at).await?,
        (Some(platform), _) => session.client().resolve_platform(&at, platform).await?,
    };
    // A reference with a tag and a digest says that the one leads to the other.
    let is_of_tag = descriptor.as_ref().is_none_or(|descriptor| descriptor.digest == found.digest);
    let chosen = tag.clone().filter(|tag| args.at.tag() != Some(tag));
    let reference = match &chosen {
        Some(tag) if is_of_tag => format!("{}@{}", args.at.clone().at_tag(tag.clone()), found.digest),
        _ => args.at.clone().at_digest(found.digest.clone()).to_string(),
    };
    let recorded = match &tag {
        Some(tag) => Recorded::of(session, &args.at.clone().at_tag(tag.clone())).await?,
        None => None,
    };
    let given = descriptor.map_or_else(|| found.digest.clone(), |descriptor| descriptor.digest);
    let recorded = recorded.map(|recorded| recorded.given(&given));
    recorded.iter().for_each(|recorded| recorded.tell(session));
    let mut output = session.output();
    output.result(&Resolved {
        reference,
        tag: tag.map(|tag| tag.to_string()),
        digest: found.digest.to_string(),
        media_type: found.media_type.to_string(),
        size: found.size,
        recorded,
    })?;
    output.flush()?;
    if let Some(tag) = chosen.filter(|_| !is_of_tag) {
        session.hint(&format!("the version is `{tag}`, whose index has this image"));
    }
    Ok(())
}

/// What is asked for, once a version is chosen.
struct Asked {
    at: Location,
    tag: Option<Tag>,
    /// What the tag leads to, where that had to be found out.
    descriptor: Option<Descriptor>,
}

impl Asked {
    async fn of(session: &Session, args: &Resolve) -> Result<Self, Failure> {
        let is_by_digest = matches!(args.at.target(), Some(Target::Digest(_)));
        let (at, tag) = (args.at.clone(), args.at.tag().cloned());
        match &args.constraint {
            Some(_) if is_by_digest && tag.is_none() => Err(Failure::Usage(NO_VERSION.to_owned())),
            Some(constraint) => {
                let ResolvedVersion { at, tag, descriptor } = best(session, args, constraint).await?;
                Ok(Self { at, tag, descriptor: Some(descriptor) })
            }
            // What a tag leads to is the question, also beside a digest.
            None if is_by_digest => {
                Ok(Self { descriptor: Some(session.client().resolve_unmoved(&at).await?), at, tag })
            }
            None => Ok(Self { at, tag, descriptor: None }),
        }
    }
}

/// The best version of what is asked for that satisfies `constraint`.
async fn best(session: &Session, args: &Resolve, constraint: &Constraint) -> Result<ResolvedVersion, Failure> {
    let Resolve { at, platform, .. } = args;
    let options = VersionOptions { platform: platform.clone(), ..VersionOptions::default() };
    let choosing = session.client().resolve_constrained(at, Some(constraint), &options);
    choosing.await.map_err(|error| match error {
        Error::NoMatchingVersion { .. } | Error::NoVersions { .. } if session.knows_only_cached(at) => {
            Failure::Offline(error)
        }
        error => error.into(),
    })
}
