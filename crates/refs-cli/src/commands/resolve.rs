//! `refs resolve`

use std::fmt;

use refs_client::Location;
use refs_url::Target;
use serde::Serialize;

use super::Failure;
use crate::{args::Resolve, wiring::Session};

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
    let client = session.client();
    let descriptor = match &args.platform {
        None => client.resolve_tag(&args.at).await?,
        Some(platform) => client.resolve_platform(&args.at, platform).await?,
    };
    let mut output = session.output();
    output.result(&Resolved {
        reference: args.at.clone().at_digest(descriptor.digest.clone()).to_string(),
        tag: tag(&args.at),
        digest: descriptor.digest.to_string(),
        media_type: descriptor.media_type.to_string(),
        size: descriptor.size,
    })?;
    Ok(output.flush()?)
}

fn tag(at: &Location) -> Option<String> {
    match at {
        Location::Registry(reference) => reference.tag().map(ToString::to_string),
        Location::Layout { target: Some(Target::Tag(tag)), .. } => Some(tag.to_string()),
        Location::Layout { .. } | Location::File(_) => None,
    }
}
