//! For any two trees, what is pulled over the one is the other, and what the one had is not fetched.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Arc,
};

use proptest::prelude::*;
use refs_client::{Client, Existing, PullOptions, Reused};
use refs_store::{DiskOptions, DiskStore};
use refs_testkit::Tree;

use crate::setup::{IN_MEMORY, at, directory, memory, noise, timeless};

/// What a layer is cut into.
const CHUNK_BYTES: usize = 1 << 20;

/// Files by their paths, with programs, links and empty directories beside them.
#[derive(Debug, Clone)]
struct Version {
    files: BTreeMap<String, Vec<u8>>,
    others: Vec<String>,
}

impl Version {
    fn tree(&self) -> Tree {
        let others = Tree::parse(&self.others.join("\n"));
        self.files.iter().fold(others, |tree, (path, content)| tree.file(path, content.clone()))
    }

    /// The bytes of chunks for which `is_known` holds, given the path, where in the file it is, and its content.
    fn bytes_of(&self, is_known: impl Fn(&str, usize, &[u8]) -> bool) -> u64 {
        let chunks = self.files.iter().flat_map(|(path, content)| {
            content.chunks(CHUNK_BYTES).enumerate().map(move |(number, chunk)| (path.as_str(), number, chunk))
        });
        chunks
            .filter(|(path, number, chunk)| is_known(path, *number, chunk))
            .map(|(.., chunk)| chunk.len() as u64)
            .sum()
    }

    /// The bytes of what `old` has in the same place, which is looked for there first.
    fn kept_in_place(&self, old: &Self) -> u64 {
        self.bytes_of(|path, number, chunk| {
            let old = old.files.get(path).filter(|old| old.len() == self.files[path].len());
            old.and_then(|old| old.chunks(CHUNK_BYTES).nth(number)) == Some(chunk)
        })
    }

    /// The bytes of what `old` has anywhere.
    fn kept_anywhere(&self, old: &Self) -> u64 {
        let old: BTreeSet<&[u8]> = old.files.values().flat_map(|content| content.chunks(CHUNK_BYTES)).collect();
        self.bytes_of(|_, _, chunk| old.contains(chunk))
    }
}

/// One of few contents, so that files of different names are often alike.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let small = prop_oneof![Just(0_usize), Just(10), Just(1_000), Just(9_000), Just(20_001)];
    let size = prop_oneof![30 => small, 1 => Just(2 * CHUNK_BYTES + 100)];
    let changed = prop::option::of(prop_oneof![0..20_000_usize, CHUNK_BYTES..2 * CHUNK_BYTES]);
    (size, 0..3_u64, changed).prop_map(|(size, seed, changed)| {
        let mut bytes = noise(size, seed);
        if let Some(byte) = changed.and_then(|at| bytes.get_mut(at)) {
            *byte ^= 1;
        }
        bytes
    })
}

/// Beside what differs, what makes a layer large enough for its table to be asked for.
fn version() -> impl Strategy<Value = Version> {
    let files = prop::collection::btree_map("[ab]/[abc]|[c-e]", content(), 0..8);
    let program = (0..2_u32).prop_map(|n| format!("755 p/run \"program {n}\""));
    let link = prop_oneof![Just("base"), Just("p")].prop_map(|target| format!("777 link -> {target}"));
    let others = (prop::option::of(program), prop::option::of(link), prop::option::of(Just("755 empty/".to_owned())));
    (files, others).prop_map(|(mut files, (program, link, directory))| {
        files.insert("base".to_owned(), noise(300 << 10, 9));
        Version { files, others: [program, link, directory].into_iter().flatten().collect() }
    })
}

/// What comes of pulling `new` where `old` was pulled before, by `client` and to places of those names, and what was not
/// fetched.
async fn pulled(client: &Client, old: (&Version, &str), new: (&Version, &str)) -> (Tree, Tree, Reused) {
    let (folder, options) =
        (tempfile::tempdir().unwrap(), PullOptions { existing: Existing::Replace, ..PullOptions::default() });
    let mut reused = Reused::default();
    for (version, name) in [old, new] {
        client.push(directory(&version.tree()).path(), &at(IN_MEMORY), &timeless()).await.unwrap();
        reused = client.pull(&at(IN_MEMORY), &folder.path().join(name), &options).await.unwrap().reused;
    }
    let written = Tree::read_with_times(&folder.path().join(new.1)).unwrap();
    // Times and modes of what was packed: the same of a pull that knows of nothing.
    let (_memories, elsewhere) = memory();
    let fresh = folder.path().join("fresh");
    elsewhere.push(directory(&new.0.tree()).path(), &at(IN_MEMORY), &timeless()).await.unwrap();
    elsewhere.pull(&at(IN_MEMORY), &fresh, &options).await.unwrap();
    (written, Tree::read_with_times(&fresh).unwrap(), reused)
}

fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn pull_over_an_old_tree_equals_a_fresh_pull(old in version(), new in version()) {
        let (_memories, client) = memory();
        let (over, fresh, reused) = now(pulled(&client, (&old, "here"), (&new, "here")));
        prop_assert!(over == fresh);
        prop_assert!(reused.tree_bytes >= new.kept_in_place(&old), "{} of {}", reused.tree_bytes, new.kept_in_place(&old));
    }

    #[test]
    fn pull_beside_an_old_layer_equals_a_fresh_pull_and_fetches_no_chunk_of_it(old in version(), new in version()) {
        let (_memories, client) = memory();
        let cache = tempfile::tempdir().unwrap();
        let store = DiskStore::new(cache.path().join("cache"), &DiskOptions::default());
        let client = client.with_store(Arc::new(store));
        let (over, fresh, reused) = now(pulled(&client, (&old, "old"), (&new, "new")));
        prop_assert!(over == fresh);
        // Nothing is looked for when the two are one: the layer is there.
        let expected = if old.tree() == new.tree() { 0 } else { new.kept_anywhere(&old) };
        prop_assert!(reused.cache_bytes >= expected, "{} of {expected}", reused.cache_bytes);
    }
}
