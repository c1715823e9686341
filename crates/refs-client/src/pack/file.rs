//! Packs a directory into a file.

use std::{io, path::Path, sync::Arc};

use refs_estargz::{Built, Error as PackError};
use refs_registry::error::Doing;
use refs_url::Digest;

use super::{PackOptions, Plan, plan, write_layer};
use crate::{
    DestinationFault, Error, Existing, Meter, Result, thread,
    unpack::{StagedFile, Wanted},
};

/// What a directory was packed into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The file's digest.
    pub digest: Digest,
    /// The file's size in bytes.
    pub size: u64,
    /// The digest of the tar archive in it.
    pub diff_id: Digest,
    /// The digest of its table of contents.
    pub toc_digest: Digest,
    /// Files, directories and links.
    pub entries: u64,
    /// The bytes of the files together.
    pub file_bytes: u64,
}

/// Packs `directory` into the file `to`, which is complete or as it was at every moment.
///
/// # Errors
/// `Destination` when something is in the way; those of [`plan`]; `Source`, `Pack` and `Io`.
pub(crate) async fn pack(
    directory: &Path,
    to: &Path,
    existing: Existing,
    meter: &Arc<Meter>,
    options: &PackOptions,
) -> Result<Packed> {
    let (plan, _) = plan(directory, options).await?;
    meter.expect(plan.bytes());
    let (to, meter, level) = (to.to_owned(), Arc::clone(meter), options.level);
    let wanted = Arc::<Wanted>::default();
    let waited_for = Arc::downgrade(&wanted);
    let packing = thread::run(move || {
        let file = StagedFile::beside(&to, existing, waited_for)?;
        keep_out(&plan.root, &file)?;
        write(&plan, &to, file, &meter, level)
    });
    let packed = packing.await;
    drop(wanted);
    packed
}

fn write(plan: &Plan, to: &Path, mut file: StagedFile, meter: &Meter, level: u32) -> Result<Packed> {
    let built = write_layer(plan, &mut file, meter, level).map_err(|error| match error {
        Error::Pack { source: PackError::Write { source }, .. } => {
            let source = Arc::try_unwrap(source).unwrap_or_else(|shared| io::Error::new(shared.kind(), shared));
            Error::Io { doing: Doing::Write, path: to.to_owned(), source }
        }
        error => error,
    })?;
    file.publish()?;
    let Built { digest, size, diff_id, toc_digest, entries, .. } = built;
    Ok(Packed { digest, size, diff_id, toc_digest, entries, file_bytes: plan.bytes() })
}

/// Refuses a file in the directory that goes into it: the next time it would be packed, too.
fn keep_out(directory: &Path, file: &StagedFile) -> Result<()> {
    // Both are there by now, so that what can't be resolved is not the other one.
    let (Ok(folder), Ok(directory)) = (file.folder().canonicalize(), directory.canonicalize()) else { return Ok(()) };
    if folder.starts_with(directory) { Err(file.fault(DestinationFault::InSource)) } else { Ok(()) }
}
