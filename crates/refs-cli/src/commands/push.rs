//! `refs push`

use std::fmt;

use refs_client::{PushOptions, Sent};
use refs_registry::MediaType;
use serde::Serialize;

use super::{Failure, pack::pack_options};
use crate::{args::Push, output::escape, wiring::Session};

#[derive(Serialize)]
struct Pushed {
    reference: String,
    digest: String,
    tags: Vec<String>,
    #[serde(rename = "mediaType")]
    media_type: String,
    layer: Layer,
    entries: u64,
    #[serde(rename = "fileBytes")]
    file_bytes: u64,
}

#[derive(Serialize)]
struct Layer {
    digest: String,
    size: u64,
    uploaded: bool,
}

impl fmt::Display for Pushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", escape(&self.reference), self.digest)
    }
}

pub(super) async fn run(session: &Session, args: Push) -> Result<(), Failure> {
    let options = PushOptions {
        pack: pack_options(args.packing)?,
        tags: args.tags,
        annotations: args.annotations.into_iter().collect(),
        subject: args.subject,
        artifact_type: args.artifact_type,
        layer_type: args.layer_type.unwrap_or(MediaType::OCI_LAYER_GZIP),
        config_type: args.config_type.unwrap_or(MediaType::OCI_CONFIG),
        stream_attempts: session.stream_attempts(),
    };
    let pushed = session.showing("pushing", session.client().push(&args.directory, &args.to, &options)).await?;
    let mut output = session.output();
    output.result(&Pushed {
        reference: args.to.to_string(),
        digest: pushed.descriptor.digest.to_string(),
        tags: options.tags.iter().map(ToString::to_string).collect(),
        media_type: pushed.descriptor.media_type.to_string(),
        layer: Layer {
            digest: pushed.layer.digest.to_string(),
            size: pushed.layer.size,
            uploaded: pushed.layer_sent == Sent::Uploaded,
        },
        entries: pushed.entries,
        file_bytes: pushed.file_bytes,
    })?;
    Ok(output.flush()?)
}
