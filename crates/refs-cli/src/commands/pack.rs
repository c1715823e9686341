//! `refs pack`

use std::{fmt, path::Path};

use refs_client::{Existing, Mtime, PackOptions};
use serde::Serialize;

use super::Failure;
use crate::{
    args::{Pack, Packing},
    output::{Bytes, escape},
    wiring::Session,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Packed {
    file: String,
    digest: String,
    size: u64,
    diff_id: String,
    toc_digest: String,
    entries: u64,
    file_bytes: u64,
}

impl fmt::Display for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entries, ies) = (self.entries, if self.entries == 1 { "y" } else { "ies" });
        let (files, packed) = (Bytes(self.file_bytes), Bytes(self.size));
        write!(f, "{}: {entries} entr{ies}, {files} packed into {packed}", escape(&self.file))
    }
}

pub(super) async fn run(session: &Session, args: Pack) -> Result<(), Failure> {
    if args.file == Path::new("-") {
        return Err(Failure::PackToStdout);
    }
    let existing = if args.force { Existing::Replace } else { Existing::Refuse };
    let options = pack_options(args.packing)?;
    let packing = session.client().pack(&args.directory, &args.file, existing, &options);
    let packed = session.showing("packing", packing).await?;
    let mut output = session.output();
    output.result(&Packed {
        file: args.file.display().to_string(),
        digest: packed.digest.to_string(),
        size: packed.size,
        diff_id: packed.diff_id.to_string(),
        toc_digest: packed.toc_digest.to_string(),
        entries: packed.entries,
        file_bytes: packed.file_bytes,
    })?;
    Ok(output.flush()?)
}

/// What the arguments say about making a layer.
pub(super) fn pack_options(args: Packing) -> Result<PackOptions, Failure> {
    Ok(PackOptions {
        exclude: args.exclude,
        require_manifest: args.require_manifest,
        mtime: mtime(if args.reproducible { Mtime::Fixed(0) } else { Mtime::Keep })?,
        level: args.level,
        ..PackOptions::default()
    })
}

/// `SOURCE_DATE_EPOCH`, when it is set and not empty, is the time of all files, whatever was asked for `otherwise`.
fn mtime(otherwise: Mtime) -> Result<Mtime, Failure> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) if !text.is_empty() => match text.parse() {
            Ok(seconds) => Ok(Mtime::Fixed(seconds)),
            Err(_) => Err(Failure::Usage(format!("SOURCE_DATE_EPOCH is `{text}`, not a number of seconds"))),
        },
        _ => Ok(otherwise),
    }
}
