//! Another process changes the tree while it is written.

use std::{
    fs,
    os::unix::fs::symlink as link,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::fs::{CWD, RenameFlags};

use super::{Existing, Ground, Limits, Staging, directory, file, fill, hardlink, symlink, tree};

/// Swaps `victim` and `link` until told to stop, and tells how often it could.
fn swap_until(stop: &AtomicBool, victim: &Path, link: &Path) -> u32 {
    let mut swaps = 0;
    while !stop.load(Ordering::Relaxed) {
        if rustix::fs::renameat_with(CWD, victim, CWD, link, RenameFlags::EXCHANGE).is_ok() {
            swaps += 1;
        }
    }
    swaps
}

/// Unpacks again and again while `a` and `a/b` turn into a link to `outside` and back, until it happened often enough.
#[track_caller]
fn nothing_goes_outside(by_component: bool) {
    let ground = Ground::new();
    fs::create_dir_all(ground.path("outside/b")).unwrap();
    fs::write(ground.path("outside/b/canary"), "alive").unwrap();
    let outside = super::snapshot(&ground.path("outside"));

    let mut items = vec![directory("a").mode(0o700), directory("a/b").mode(0o700), directory("c")];
    for i in 0..40 {
        // The link is the last of the way to what is in `a`, and in the middle of the way to what is in `a/b`.
        items.push(file(&format!("a/{i}"), "x"));
        items.push(file(&format!("a/b/{i}"), "x"));
        items.push(file(&format!("c/{i}"), "x"));
        items.push(directory(&format!("a/b/d{i}")).mode(0o500));
        items.push(symlink(&format!("a/b/l{i}"), "canary"));
        items.push(hardlink(&format!("a/b/h{i}"), &format!("c/{i}")));
    }
    let (mut swaps, mut failures) = (0, 0);
    for _ in 0..60 {
        let staging = Staging::beside(&ground.dest(), Existing::Refuse).unwrap();
        staging.root().directory.by_component.store(by_component, Ordering::Relaxed);
        let mut scratch = fs::read_dir(ground.path("")).unwrap().map(|entry| entry.unwrap().path());
        let scratch = scratch.find(|path| !path.ends_with("outside")).unwrap();
        link(ground.path("outside"), scratch.join("link")).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let swapper = scope.spawn(|| swap_until(&stop, &scratch.join("tree/a"), &scratch.join("link")));
            failures += u32::from(fill(&staging, &[items.clone()], Limits::default()).is_err());
            stop.store(true, Ordering::Relaxed);
            swaps += swapper.join().unwrap();
        });
        drop(staging);
        assert_eq!(super::snapshot(&ground.path("outside")), outside);
        if swaps > 1000 && failures > 10 {
            break;
        }
    }
    let left: Vec<_> = ground.snapshot().into_keys().collect();
    assert_eq!(left, ["outside", "outside/b", "outside/b/canary"]);
    assert_ne!((swaps, failures), (0, 0));
}

#[test]
fn m135_a_directory_that_turns_into_a_link_leads_nowhere() {
    nothing_goes_outside(false);
}

#[test]
fn m135_nor_does_it_where_the_kernel_cannot_look_up_beneath() {
    nothing_goes_outside(true);
}

#[test]
fn a_kernel_that_cannot_look_up_beneath_gives_the_same_tree() {
    let ground = Ground::new();
    let staging = Staging::beside(&ground.dest(), Existing::Refuse).unwrap();
    staging.root().directory.by_component.store(true, Ordering::Relaxed);
    let items = vec![file("a/b/c", "1"), file("top", "2"), hardlink("a/h", "top"), symlink("a/b/s", "../h")];
    fill(&staging, &[items, vec![file("a/b/c", "3")]], Limits::default()).unwrap();
    staging.publish().unwrap();
    assert_eq!(
        super::snapshot(&ground.dest()),
        tree(&[
            ("a", "755 directory"),
            ("a/b", "755 directory"),
            ("a/b/c", "644 \"3\""),
            ("a/b/s", "-> ../h"),
            ("a/h", "644 \"2\""),
            ("top", "644 \"2\""),
        ])
    );
}
