//! For any two trees, what is pulled over the one is the other.

use proptest::prelude::*;
use refs_client::{Existing, PullOptions};
use refs_testkit::Tree;

use crate::setup::{IN_MEMORY, at, directory, memory, noise, timeless};

/// One of few contents, so that files of different names are often alike.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let size = prop_oneof![Just(0_usize), Just(10), Just(1_000), Just(9_000), Just(20_001)];
    let changed = prop::option::of(0..20_000_usize);
    (size, 0..3_u64, changed).prop_map(|(size, seed, changed)| {
        let mut bytes = noise(size, seed);
        if let Some(byte) = changed.and_then(|at| bytes.get_mut(at)) {
            *byte ^= 1;
        }
        bytes
    })
}

/// Beside what differs, what makes a layer large enough for its table to be asked for.
fn tree() -> impl Strategy<Value = Tree> {
    prop::collection::btree_map("[ab]/[abc]|[c-e]", content(), 0..8).prop_map(|files| {
        let base = Tree::new().file("base", noise(300 << 10, 9));
        files.into_iter().fold(base, |tree, (path, content)| tree.file(&path, content))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn pull_over_an_old_tree_equals_a_fresh_pull(old in tree(), new in tree()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let (over, fresh, reused) = runtime.block_on(async {
            let (_memories, client) = memory();
            let folder = tempfile::tempdir().unwrap();
            let here = folder.path().join("here");
            let options = PullOptions { existing: Existing::Replace, ..PullOptions::default() };
            let mut reused = 0;
            for tree in [&old, &new] {
                client.push(directory(tree).path(), &at(IN_MEMORY), &timeless()).await.unwrap();
                reused = client.pull(&at(IN_MEMORY), &here, &options).await.unwrap().reused.tree_bytes;
            }
            let fresh = folder.path().join("fresh");
            client.pull(&at(IN_MEMORY), &fresh, &options).await.unwrap();
            (Tree::read_with_times(&here).unwrap(), Tree::read_with_times(&fresh).unwrap(), reused)
        });
        prop_assert_eq!(over, fresh);
        prop_assert!(reused >= 300 << 10, "{}", reused);
    }
}
