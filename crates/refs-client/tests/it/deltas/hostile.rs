//! Old trees that are not what they were: whatever is there, what is written is what the artifact holds.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, symlink},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use refs_client::{Existing, PullOptions};
use refs_testkit::{Fault, On, Tree};
use rustix::fs::{CWD, FileType, Mode};

use super::{Place, files, set};
use crate::setup::{artifact, noise};

/// Pulls over an old tree that `change` has been at, and says how many bytes were fetched beyond the table of contents.
async fn check(change: impl Fn(&Path)) -> u64 {
    let tree = files(300, |_| false).file("secret", noise(50_000, 5));
    let place = Place::with(&tree).await;
    change(&place.here());
    let sizes = place.push(&tree.file("new", "new")).await;
    place.pull(&[]).await.layer_bytes() - sizes.tail
}

#[tokio::test]
async fn link_in_the_place_of_a_file_is_not_read_through() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, noise(50_000, 5)).unwrap();
    let fetched = check(|here| {
        fs::remove_file(here.join("secret")).unwrap();
        symlink(&secret, here.join("secret")).unwrap();
        symlink(outside.path(), here.join("elsewhere")).unwrap();
    });
    // It holds the very bytes that are wanted, and they are fetched.
    assert!(fetched.await >= 50_000);
}

#[tokio::test]
async fn link_in_the_place_of_a_directory_is_not_read_through() {
    let outside = tempfile::tempdir().unwrap();
    let fetched = check(|here| {
        fs::rename(here.join("d002"), outside.path().join("d002")).unwrap();
        symlink(outside.path().join("d002"), here.join("d002")).unwrap();
    });
    assert!(fetched.await >= 100 * 900);
}

#[tokio::test]
async fn pipes_directories_and_sockets_in_the_place_of_files_are_passed_over() {
    let fetched = check(|here| {
        for name in ["secret", "d000/f00", "d000/f01"] {
            fs::remove_file(here.join(name)).unwrap();
        }
        rustix::fs::mknodat(CWD, here.join("secret"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        fs::create_dir(here.join("d000/f00")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(here.join("d000/f01")).unwrap());
    });
    assert!(fetched.await >= 50_000);
}

#[tokio::test]
async fn changed_cut_and_unreadable_files_are_fetched() {
    let fetched = check(|here| {
        let changed = here.join("d001/f01");
        let mut bytes = fs::read(&changed).unwrap();
        bytes[500] ^= 1;
        fs::write(&changed, bytes).unwrap();
        fs::write(here.join("d002/f02"), "").unwrap();
        set(&here.join("d002/f03"), 0);
        fs::remove_file(here.join("d000/f05")).unwrap();
    });
    // The superuser reads what others may not.
    let fetched = fetched.await;
    assert!((1_800..20_000).contains(&fetched), "{fetched}");
}

/// Writes to a file over and over, until it is told to stop: other bytes, fewer of them, and those that are wanted.
fn churn(path: &Path, wanted: Vec<u8>, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (file, stop) = (File::options().write(true).open(path).unwrap(), Arc::clone(stop));
    let other = noise(wanted.len(), 99);
    thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            file.write_all_at(&other, 0).unwrap();
            file.set_len(wanted.len() as u64 / 2).unwrap();
            file.write_all_at(&wanted, 0).unwrap();
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_change_while_they_are_read_are_never_believed() {
    let tree = files(300, |_| false).file("secret", noise(50_000, 5)).file("large", noise(3 << 20, 6));
    let place = Place::with(&tree).await;
    for round in 0..6 {
        place.push(&tree.clone().file("new", format!("{round}"))).await;
        let stop = Arc::new(AtomicBool::new(false));
        let churning = [("secret", 50_000, 5), ("large", 3 << 20, 6)]
            .map(|(name, bytes, seed)| churn(&place.here().join(name), noise(bytes, seed), &stop));
        // It compares with a pull to an empty place.
        place.pull(&[]).await;
        stop.store(true, Ordering::Relaxed);
        for thread in churning {
            thread.join().unwrap();
        }
    }
}

#[tokio::test]
async fn old_tree_is_as_it_was_when_the_pull_fails() {
    let tree = files(300, |_| false);
    let place = Place::with(&tree).await;
    place.push(&tree.file("new", "new")).await;
    place.registry.fault(On::get("/blobs/").always(), Fault::Flip { at: 40 });
    let before = Tree::read_with_times(&place.here()).unwrap();
    let options = PullOptions { existing: Existing::Replace, ..PullOptions::default() };
    place.client.pull(&artifact(&place.registry), &place.here(), &options).await.unwrap_err();
    assert_eq!(Tree::read_with_times(&place.here()).unwrap(), before);
}
