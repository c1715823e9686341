//! What spools promise.

use bytes::Bytes;
use refs_registry::{ErrorKind, Result};
use refs_store::Spool;

use crate::content::{fails, text};

#[tokio::test]
async fn a_spool_reads_back_from_its_start_and_leaves_no_file() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::create_in(folder.path()).await?;
    assert_eq!(text(spool.read()).await?, "");
    let content = "0123456789".repeat(60_000);
    for chunk in content.as_bytes().chunks(70_001) {
        spool.write(Bytes::copy_from_slice(chunk)).await?;
    }
    assert_eq!(spool.bytes(), 600_000);
    assert_eq!(text(spool.read()).await?, content);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let reader = spool.read();
    drop(spool);
    assert_eq!(text(reader).await?, content);
    Ok(())
}

#[tokio::test]
async fn a_spool_needs_a_folder() {
    fails(Spool::create_in("/absent/folder").await, ErrorKind::Io);
}
