//! What happens where the system gives few threads, or none.

use std::{process::Command, thread};

use refs_client::{Client, Error};
use refs_testkit::Tree;

use crate::setup::{IN_MEMORY, at, noise, pull, pull_of, pushed};

/// For the stack of each thread whose maker does not say how large it is to be.
const STACK_BYTES: u64 = 4 << 30;
/// What else a process takes.
const SLACK_BYTES: u64 = 2 << 30;
const IS_STARVED: &str = "REFS_TEST_WITHOUT_THREADS";

/// Runs the test `name` once more in a process that has room for so many stacks: one is of the test's own thread.
fn starve(name: &str, stacks: u64) {
    let kibibytes = (stacks * STACK_BYTES + SLACK_BYTES) >> 10;
    let again = Command::new("sh")
        .args(["-c", &format!("ulimit -v {kibibytes} && exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(IS_STARVED, "1")
        .env("RUST_MIN_STACK", STACK_BYTES.to_string())
        .output()
        .unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
}

fn is_starved() -> bool {
    std::env::var_os(IS_STARVED).is_some()
}

/// How many threads there are at once, of up to three.
fn threads() -> usize {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let receiver = std::sync::Arc::new(std::sync::Mutex::new(receiver));
    let wait = || {
        let receiver = std::sync::Arc::clone(&receiver);
        thread::Builder::new().spawn(move || receiver.lock().unwrap().recv()).ok()
    };
    let made: Vec<_> = (0..3).filter_map(|_| wait()).collect();
    drop(sender);
    let count = made.len();
    made.into_iter().for_each(|thread| drop(thread.join()));
    count
}

/// Runs `work` with a small artifact, and with one that is read by ranges. The runtime says how large the stacks of its own
/// threads are.
fn with_artifacts(work: &impl AsyncFn(&Client)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().thread_stack_size(4 << 20).build();
    runtime.unwrap().block_on(async {
        let long = Tree::new().file("a", noise(3 << 20, 1)).file("b/c", noise(9 << 20, 2));
        for tree in [long, Tree::parse("644 a \"1\"\n644 b/c \"2\"")] {
            work(&pushed(&tree).await.1).await;
        }
    });
}

#[test]
fn a_pull_for_which_there_are_no_threads_fails() {
    if !is_starved() {
        return starve("threads::a_pull_for_which_there_are_no_threads_fails", 1);
    }
    assert_eq!(threads(), 0);
    with_artifacts(&async |client| {
        for chosen in [&["b/c"] as &[&str], &["a"], &[]] {
            let error = pull(client, &at(IN_MEMORY), &pull_of(chosen)).await.unwrap_err();
            assert!(matches!(error, Error::Worker), "{chosen:?}: {error:?}");
        }
    });
}

#[test]
fn a_pull_for_which_there_is_one_thread_ends() {
    if !is_starved() {
        return starve("threads::a_pull_for_which_there_is_one_thread_ends", 2);
    }
    assert_eq!(threads(), 1);
    with_artifacts(&async |client| {
        for (chosen, files) in [(&["b/c"] as &[&str], 1), (&["a"], 1), (&[], 2)] {
            assert_eq!(pull(client, &at(IN_MEMORY), &pull_of(chosen)).await.unwrap().1.files, files, "{chosen:?}");
        }
    });
}
