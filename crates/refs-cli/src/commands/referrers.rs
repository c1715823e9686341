//! `refs referrers`

use std::{collections::BTreeMap, fmt};

use refs_client::{Error, Location, LocationFault};
use refs_registry::{Descriptor, Filter};
use refs_url::Target;
use serde::Serialize;

use super::{Failure, each};
use crate::{args::Referrers, output::escape, wiring::Session};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Referrer {
    reference: String,
    digest: String,
    media_type: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// Digest and artifact type. The type is a server's word.
impl fmt::Display for Referrer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.artifact_type.as_deref().unwrap_or(&self.media_type);
        write!(f, "{} {}", self.digest, escape(kind))
    }
}

pub(super) async fn run(session: &Session, args: Referrers) -> Result<(), Failure> {
    if let Location::File(_) = args.at {
        let (input, fault) = (args.at.to_string(), LocationFault::Untagged);
        return Err(Failure::Client(Error::Location { input, fault }));
    }
    let subject = match args.at.target() {
        Some(Target::Digest(digest)) => digest,
        _ => session.client().resolve_tag(&args.at).await?.digest,
    };
    let source = session.client().source(&args.at).await?;
    let referrers = source.referrers(&subject, Filter { artifact_type: args.artifact_type });
    each::print(session, referrers, args.limit, |descriptor| referrer(&args.at, descriptor)).await
}

fn referrer(at: &Location, descriptor: Descriptor) -> Referrer {
    Referrer {
        reference: at.clone().at_digest(descriptor.digest.clone()).to_string(),
        digest: descriptor.digest.to_string(),
        media_type: descriptor.media_type.to_string(),
        size: descriptor.size,
        artifact_type: descriptor.artifact_type.map(|artifact_type| artifact_type.to_string()),
        annotations: descriptor.annotations,
    }
}
