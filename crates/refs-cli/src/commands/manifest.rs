//! `refs manifest`

use refs_client::{Error, LocationFault};
use refs_url::Target;
use serde::Serialize;

use super::Failure;
use crate::{
    args::{Format, Manifest},
    output::escape,
    pretty::pretty,
    wiring::Session,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    reference: String,
    digest: String,
    media_type: String,
    size: u64,
    manifest: serde_json::Value,
}

pub(super) async fn run(session: &Session, args: Manifest) -> Result<(), Failure> {
    let Some(target) = args.at.target() else {
        let (input, fault) = (args.at.to_string(), LocationFault::NoTarget);
        return Err(Failure::Client(Error::Location { input, fault }));
    };
    let client = session.client();
    let target = match &args.platform {
        Some(platform) => Target::Digest(client.resolve_platform(&args.at, platform).await?.digest),
        None => target,
    };
    let refs_registry::Manifest { descriptor, raw } = client.source(&args.at).await?.manifest(&target).await?;
    let mut output = session.output();
    match (args.raw, session.format()) {
        (true, _) => output.bytes(&raw)?,
        (false, Format::Text) => match pretty(&raw) {
            Some(json) => output.line(&json)?,
            None => output.line(&escape(&String::from_utf8_lossy(&raw)))?,
        },
        (false, Format::Json) => output.object(&Shown {
            reference: args.at.clone().at_digest(descriptor.digest.clone()).to_string(),
            digest: descriptor.digest.to_string(),
            media_type: descriptor.media_type.to_string(),
            size: descriptor.size,
            manifest: serde_json::from_slice(&raw).unwrap_or_default(),
        })?,
    }
    Ok(output.flush()?)
}
