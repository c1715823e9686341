//! What a pull over an older version fetches, and that it gives what a pull to an empty place does.

mod cache;
mod failing;
mod hostile;
mod property;

use std::{fs, path::Path};

use refs_client::{Client, Existing, PullOptions, Pulled, PushOptions, Reused};
use refs_testkit::{FakeRegistry, Seen, Tree};
use tempfile::TempDir;

use crate::setup::{anonymous, artifact, directory, noise, patterns, timeless};

/// A registry, and a place that a version was pulled to.
struct Place {
    registry: FakeRegistry,
    client: Client,
    folder: TempDir,
}

impl Place {
    /// With `old` pushed, and pulled by the client.
    async fn with(old: &Tree) -> Self {
        let place =
            Self { registry: FakeRegistry::start().await, client: anonymous(), folder: tempfile::tempdir().unwrap() };
        place.push(old).await;
        place.client.pull(&artifact(&place.registry), &place.here(), &PullOptions::default()).await.unwrap();
        place.registry.take_requests();
        place
    }

    fn here(&self) -> std::path::PathBuf {
        self.folder.path().join("here")
    }

    /// Pushes `tree` in the place of what was there, and says how large its layer is, and how much of that its table of contents.
    async fn push(&self, tree: &Tree) -> Sizes {
        self.push_as(tree, &timeless()).await
    }

    async fn push_as(&self, tree: &Tree, options: &PushOptions) -> Sizes {
        let source = directory(tree);
        let pushed = self.client.push(source.path(), &artifact(&self.registry), options).await.unwrap();
        self.registry.take_requests();
        let tail = &pushed.layer.annotations["dev.refs.estargz.tail"];
        Sizes { layer: pushed.layer.size, tail: tail.parse().unwrap() }
    }

    /// Pulls over what is there; the tree must then be that of a pull to an empty place.
    async fn pull(&self, chosen: &[&str]) -> Delta {
        let options = PullOptions { read: patterns(chosen), existing: Existing::Replace, ..PullOptions::default() };
        let pulled = self.client.pull(&artifact(&self.registry), &self.here(), &options).await.unwrap();
        let requests = self.registry.take_requests();
        let fresh = self.folder.path().join("fresh");
        let expected = self.client.pull(&artifact(&self.registry), &fresh, &options).await.unwrap();
        // Directories that a selection does not name are of the time at which they were made.
        let read = if chosen.is_empty() { Tree::read_with_times } else { Tree::read };
        assert!(read(&self.here()).unwrap() == read(&fresh).unwrap());
        assert_eq!((pulled.files, pulled.written_bytes), (expected.files, expected.written_bytes));
        assert_eq!(expected.reused, Reused::default());
        fs::remove_dir_all(fresh).unwrap();
        self.registry.take_requests();
        let sent = requests.iter().map(|request| request.sent).sum::<u64>();
        assert_eq!(pulled.fetched_bytes, sent);
        Delta { requests, pulled }
    }
}

struct Sizes {
    layer: u64,
    tail: u64,
}

struct Delta {
    requests: Vec<Seen>,
    pulled: Pulled,
}

impl Delta {
    /// The bytes of the layer that were sent.
    fn layer_bytes(&self) -> u64 {
        self.requests.iter().filter(|request| request.path.contains("/blobs/")).map(|request| request.sent).sum()
    }
}

/// `count` files of about a kilobyte in directories of a hundred; those for which `is_new` holds are of the second version.
fn files(count: u64, is_new: impl Fn(u64) -> bool) -> Tree {
    (0..count).fold(Tree::new(), |tree, n| {
        let seed = if is_new(n) { n + 1_000_000 } else { n };
        tree.file(&format!("d{:03}/f{:02}", n / 100, n % 100), noise(900 + n as usize % 300, seed))
    })
}

#[tokio::test]
async fn one_percent_of_many_files_costs_little_more_than_one_percent() {
    const COUNT: u64 = 2_000;
    let place = Place::with(&files(COUNT, |_| false)).await;
    // Scattered, as edits are: 20 files.
    let sizes = place.push(&files(COUNT, |n| n % 100 == n / 100 * 37 % 100)).await;
    let delta = place.pull(&[]).await;
    assert!(delta.requests.len() <= 22, "{} requests", delta.requests.len());
    let allowed = sizes.layer * 3 / 100 + sizes.tail;
    assert!(delta.layer_bytes() <= allowed, "{} of {}, allowed {allowed}", delta.layer_bytes(), sizes.layer);
    assert!(delta.pulled.reused.tree_bytes >= delta.pulled.written_bytes * 98 / 100, "{:?}", delta.pulled);
}

/// Three files that are cut into several chunks each.
fn large() -> Tree {
    (0..3).fold(Tree::new(), |tree, n| tree.file(&format!("l/{n}"), noise(4 << 20, n)))
}

#[tokio::test]
async fn one_chunk_in_the_middle_of_a_large_file_is_all_that_comes_of_it() {
    let place = Place::with(&large()).await;
    let mut changed = noise(4 << 20, 1);
    changed[2 << 20] ^= 1;
    let sizes = place.push(&large().file("l/1", changed)).await;
    let delta = place.pull(&[]).await;
    let chunk = 1 << 20;
    assert!(delta.layer_bytes() <= chunk + chunk / 50 + sizes.tail, "{}", delta.layer_bytes());
    assert_eq!(delta.pulled.reused.tree_bytes, 11 << 20);
}

#[tokio::test]
async fn file_that_has_grown_keeps_its_first_chunks() {
    let place = Place::with(&large()).await;
    let grown = [noise(4 << 20, 1), noise(1000, 7)].concat();
    let sizes = place.push(&large().file("l/1", grown)).await;
    assert!(place.pull(&[]).await.layer_bytes() < 2000 + sizes.tail);
}

#[tokio::test]
async fn nothing_but_the_table_comes_of_what_was_renamed() {
    let place = Place::with(&files(300, |_| false)).await;
    let renamed = (0..300_u64).fold(Tree::new(), |tree, n| {
        tree.file(&format!("moved/{}/f{:02}", n / 100, n % 100), noise(900 + n as usize % 300, n))
    });
    let sizes = place.push(&renamed).await;
    let delta = place.pull(&[]).await;
    assert_eq!((delta.requests.len(), delta.layer_bytes()), (2, sizes.tail));
    assert_eq!(delta.pulled.reused.tree_bytes, delta.pulled.written_bytes);
}

#[tokio::test]
async fn large_files_that_swapped_their_names_are_found() {
    let place = Place::with(&large()).await;
    let swapped = large().file("l/0", noise(4 << 20, 2)).file("l/2", noise(4 << 20, 0)).file("copy", noise(4 << 20, 1));
    let sizes = place.push(&swapped).await;
    assert_eq!(place.pull(&[]).await.layer_bytes(), sizes.tail);
}

#[tokio::test]
async fn other_modes_and_times_do_not_matter() {
    let old = files(300, |_| false);
    let place = Place::with(&old).await;
    for directory in fs::read_dir(place.here()).unwrap() {
        for file in fs::read_dir(directory.unwrap().path()).unwrap() {
            set(&file.unwrap().path(), 0o400);
        }
    }
    let sizes = place.push(&old.file("new", "new")).await;
    let delta = place.pull(&[]).await;
    assert!(delta.layer_bytes() < sizes.tail + 1000, "{}", delta.layer_bytes());
}

#[tokio::test]
async fn selection_takes_what_is_there_of_it() {
    let place = Place::with(&files(400, |_| false)).await;
    let sizes = place.push(&files(400, |n| n == 150)).await;
    let delta = place.pull(&["d001/**", "d003/f00"]).await;
    assert_eq!(delta.pulled.files, 101);
    assert!(delta.layer_bytes() < sizes.tail + 2000, "{}", delta.layer_bytes());
    // Most of it is gone from here by now.
    let delta = place.pull(&[]).await;
    assert!(delta.layer_bytes() > sizes.layer * 6 / 10, "{}", delta.layer_bytes());
    assert!(delta.pulled.reused.tree_bytes > 100 * 900);
}

#[tokio::test]
async fn another_tree_altogether_costs_no_more_than_its_layer_and_its_table() {
    let place = Place::with(&files(400, |_| false)).await;
    let sizes = place.push(&files(400, |_| true)).await;
    let delta = place.pull(&[]).await;
    assert_eq!(delta.pulled.reused, Reused::default());
    assert_eq!(delta.requests.len(), 3, "{:?}", delta.requests);
    assert!(delta.layer_bytes() <= sizes.layer + sizes.tail);
}

#[tokio::test]
async fn without_an_old_tree_nothing_is_different() {
    let place = Place::with(&files(300, |_| false)).await;
    fs::remove_dir_all(place.here()).unwrap();
    let delta = place.pull(&[]).await;
    assert_eq!(delta.requests.len(), 2, "{:?}", delta.requests);
    fs::remove_dir_all(place.here()).unwrap();
    fs::create_dir(place.here()).unwrap();
    assert_eq!(place.pull(&[]).await.requests.len(), 2);
}

fn set(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
