//! What spools promise.

use bytes::Bytes;
use futures_util::TryStreamExt;
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
async fn what_was_spooled_can_be_sent_again_from_any_byte_on() -> Result<()> {
    let mut spool = Spool::create().await?;
    let content = "0123456789".repeat(60_000);
    spool.write(Bytes::from(content.clone())).await?;
    let replay = spool.replay();
    let (mut first, again) = (replay.open(0).await?, replay.clone());
    let start = first.try_next().await?.expect("the spool is not empty");
    for offset in [0, 300_001, 599_999, 600_000, 700_000] {
        assert_eq!(text(again.open(offset as u64).await?).await?, content[offset.min(content.len())..]);
    }
    assert_eq!(text(first).await?, content[start.len()..]);
    Ok(())
}

#[tokio::test]
async fn a_spool_needs_a_folder() {
    fails(Spool::create_in("/absent/folder").await, ErrorKind::Io);
}
