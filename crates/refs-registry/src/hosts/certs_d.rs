//! docker's folders of certificates
//! ([`certs.d`](https://docs.docker.com/engine/security/certificates/)), which podman and containerd read alike.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    fault::SettingsFault,
    settings::{ClientCertificate, HostSettings, Origin, Set},
};
use crate::{Error, Result, error::Setting};

/// What the folder of one host says: `*.crt` are to be trusted, `*.cert` and `*.key` of one name are who we are. No folder
/// says nothing.
pub(super) fn read(folder: &Path) -> Result<HostSettings> {
    let mut settings = HostSettings::default();
    for file in files(folder)? {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => settings.ca.push(Set { from: Origin::file(&file), value: file }),
            Some("cert") if settings.client.is_none() => {
                let key = file.with_extension("key");
                if !key.is_file() {
                    return Err(SettingsFault::Half { missing: key.display().to_string() }.at(&file, None));
                }
                let from = Origin::file(&file);
                settings.client = Some(Set { from, value: ClientCertificate { certificate: file, key } });
            }
            Some("key") if !file.with_extension("cert").is_file() => {
                let missing = file.with_extension("cert").display().to_string();
                return Err(SettingsFault::Half { missing }.at(&file, None));
            }
            _ => {}
        }
    }
    Ok(settings)
}

/// The files of a folder, sorted; none when there is no folder.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |error: io::Error| Error::Settings {
        what: Setting::File { path: folder.to_owned(), line: None },
        source: Arc::new(error),
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(unreadable(error)),
    };
    let mut files =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>().map_err(unreadable)?;
    files.sort();
    Ok(files)
}
