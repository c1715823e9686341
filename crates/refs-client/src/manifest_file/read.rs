//! The manifest file of a directory that is to be pushed.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use refs_registry::error::Doing;
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use super::{ManifestFile, ManifestName};
use crate::{Error, Result, error::SourceFault};

/// The manifest file of `directory`, if there is one. What had better be otherwise in it is logged as a warning.
///
/// # Errors
/// `ManifestFile` with all its faults; `Source` when it is no file; `Io`.
pub(crate) fn read(directory: &Path, name: &ManifestName) -> Result<Option<ManifestFile>> {
    let path = directory.join(name.as_str());
    let failed = |source: io::Error| Error::Io { doing: Doing::Read, path: path.clone(), source };
    let no_file = || Error::Source { path: path.clone(), fault: SourceFault::ManifestNotFile };
    // A pipe must not make this wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(&path, flags, Mode::empty()) {
        Ok(opened) => File::from(opened),
        // What is wrong with the directory itself, its walk tells.
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        // A link, or a socket.
        Err(Errno::LOOP | Errno::NXIO) => return Err(no_file()),
        Err(errno) => return Err(failed(errno.into())),
    };
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(no_file());
    }
    let mut yaml = Vec::new();
    file.take(ManifestFile::MAX_BYTES + 1).read_to_end(&mut yaml).map_err(failed)?;
    let checked = ManifestFile::parse(&yaml).map_err(|source| Error::ManifestFile { path: path.clone(), source })?;
    for warning in &checked.warnings {
        tracing::warn!("{}{}", path.display(), warning.behind_name());
    }
    Ok(Some(checked.manifest))
}
