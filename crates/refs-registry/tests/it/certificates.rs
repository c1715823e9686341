//! The certificates that all tests of this crate share.

use std::{
    path::PathBuf,
    sync::{Arc, LazyLock},
};

use refs_testkit::tls::{Authority, Life};
use rustls::ServerConfig;
use tempfile::TempDir;

/// The one who signs them, and the folder with what it takes to trust them.
static AUTHORITY: LazyLock<(Authority, TempDir)> = LazyLock::new(|| {
    let (authority, folder) = (Authority::new("the authority of the tests"), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    (authority, folder)
});

/// The file to trust.
pub(crate) fn ca_file() -> PathBuf {
    AUTHORITY.1.path().join("ca.pem")
}

/// What a server needs to be taken for each of `names`.
pub(crate) fn server_of(names: &[&str]) -> Arc<ServerConfig> {
    Arc::new(AUTHORITY.0.issue(names, Life::Current).server(None))
}
