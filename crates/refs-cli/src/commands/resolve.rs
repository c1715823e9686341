//! `refs resolve`

use std::fmt;

use refs_client::{Error, VersionOptions};
use refs_url::Target;
use serde::Serialize;

use super::Failure;
use crate::{args::Resolve, wiring::Session};

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
}

impl fmt::Display for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reference)
    }
}

pub(super) async fn run(session: &Session, args: Resolve) -> Result<(), Failure> {
    if args.constraint.is_some() && args.at.tag().is_none() && matches!(args.at.target(), Some(Target::Digest(_))) {
        return Err(Failure::Usage(NO_VERSION.to_owned()));
    }
    let client = session.client();
    let (at, tag, descriptor) = match &args.constraint {
        None => (args.at.clone(), args.at.tag().cloned(), None),
        Some(constraint) => {
            let options = VersionOptions::default();
            let choosing = client.resolve_constrained(&args.at, Some(constraint), &options);
            let best = choosing.await.map_err(|error| match error {
                Error::NoMatchingVersion { .. } | Error::NoVersions { .. } if session.knows_only_cached(&args.at) => {
                    Failure::Offline(error)
                }
                error => error.into(),
            })?;
            (best.at, best.tag, Some(best.descriptor))
        }
    };
    let descriptor = match (&args.platform, descriptor) {
        (None, Some(descriptor)) => descriptor,
        (None, None) => client.resolve_tag(&at).await?,
        (Some(platform), _) => client.resolve_platform(&at, platform).await?,
    };
    let mut output = session.output();
    output.result(&Resolved {
        reference: args.at.clone().at_digest(descriptor.digest.clone()).to_string(),
        tag: tag.map(|tag| tag.to_string()),
        digest: descriptor.digest.to_string(),
        media_type: descriptor.media_type.to_string(),
        size: descriptor.size,
    })?;
    Ok(output.flush()?)
}
