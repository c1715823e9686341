//! What comes into a store on disk while others remove something beside it.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use refs_registry::Result;
use refs_store::Store;

use crate::{
    content::digest,
    store::{fill, fill_part, on_disk},
};

#[tokio::test(flavor = "multi_thread")]
async fn parts_and_the_whole_of_the_same_content_come_at_a_time() -> Result<()> {
    let (store, _folder) = on_disk();
    for round in 0..50 {
        let content = format!("{round:0100}");
        let begin = |number: usize| {
            let (store, content) = (store.clone(), content.clone());
            tokio::spawn(async move {
                match number % 4 {
                    0 => fill(&store, &content).await,
                    _ => fill_part(&store, &content, number * 10..number * 10 + 10).await,
                }
            })
        };
        let fills: Vec<_> = (0..10).map(begin).collect();
        for fill in fills {
            fill.await.unwrap()?;
        }
        assert_eq!(store.stat(&digest(&content)).await?, Some(100));
    }
    Ok(())
}

#[tokio::test]
async fn a_folder_that_others_remove_meanwhile_is_made_again() -> Result<()> {
    let (store, folder) = on_disk();
    let content = "x".repeat(1000);
    let parts = folder.path().join("cache/origins/secured/a.io/org/a/_parts/sha256").join(digest(&content).encoded());
    let is_over = Arc::new(AtomicBool::new(false));
    let removing = {
        let is_over = Arc::clone(&is_over);
        // It is there or not.
        thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                drop(fs::remove_dir_all(&parts))
            }
        })
    };
    let mut filled = Ok(());
    for at in 0..150 {
        filled = filled.and(fill_part(&store, &content, at..at + 1).await);
    }
    is_over.store(true, Ordering::Relaxed);
    removing.join().unwrap();
    filled
}
