//! What happens where the system gives no more threads.

use std::process::Command;

use refs_client::Error;
use refs_testkit::Tree;

use crate::setup::{IN_MEMORY, at, noise, pull, pull_of, pushed};

/// So much memory for the stack of a thread that none can be made.
const STACK_BYTES: u64 = 1 << 60;
const IS_STARVED: &str = "REFS_TEST_WITHOUT_THREADS";

#[test]
fn a_pull_for_which_there_are_no_threads_fails_at_once() {
    if std::env::var_os(IS_STARVED).is_some() {
        return starved();
    }
    let again = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "threads::a_pull_for_which_there_are_no_threads_fails_at_once", "--nocapture"])
        .env(IS_STARVED, "1")
        .env("RUST_MIN_STACK", STACK_BYTES.to_string())
        .output()
        .unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
}

/// The runtime has threads, as it says how large their stacks are.
fn starved() {
    assert!(std::thread::Builder::new().spawn(|| ()).is_err(), "there are threads");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().thread_stack_size(4 << 20).build();
    runtime.unwrap().block_on(async {
        let tree = Tree::new().file("a", noise(3 << 20, 1)).file("b/c", noise(9 << 20, 2));
        let (_, client, _) = pushed(&tree).await;
        for chosen in [&["b/c"] as &[&str], &["a"], &[]] {
            let error = pull(&client, &at(IN_MEMORY), &pull_of(chosen)).await.unwrap_err();
            assert!(matches!(error, Error::Worker), "{chosen:?}: {error:?}");
        }
        let (_, client, _) = pushed(&Tree::parse("644 short \"1\"")).await;
        let error = pull(&client, &at(IN_MEMORY), &pull_of(&[])).await.unwrap_err();
        assert!(matches!(error, Error::Worker), "{error:?}");
    });
}
