//! Calls a property with each input of its target that is kept: a module of the tests of every crate that has targets.

use std::{fs, panic, path::Path};

/// Finds that `property` holds of all files in the corpus of `target`.
#[track_caller]
pub(crate) fn replay(target: &str, property: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let inputs: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    for input in inputs {
        let bytes = fs::read(&input).unwrap();
        let held = panic::catch_unwind(|| property(&bytes));
        assert!(held.is_ok(), "{}", input.display());
    }
}
