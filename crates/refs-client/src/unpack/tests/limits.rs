//! Limits hold on what is produced, and early on what is declared.

use std::sync::Arc;

use super::{Budget, Existing, Ground, Item, Limits, Staging, Unpack, directory, file, hardlink, symlink, tree};
use crate::{
    Error, Result,
    receive::{Hand, Receive},
    unpack::file::{FileWriter, Finish, Unfinished},
};

const UNLIMITED: Limits = Limits { file_bytes: 0, total_bytes: 0, entries: 0 };

fn said<T>(result: Result<T>) -> Option<(&'static str, u64, u64)> {
    match result {
        Ok(_) => None,
        Err(Error::FileTooLarge { size, limit, .. }) => Some(("file", size, limit)),
        Err(Error::TotalTooLarge { total, limit }) => Some(("total", total, limit)),
        Err(Error::TooManyEntries { count, limit }) => Some(("entries", count, limit)),
        Err(other) => panic!("{other:?}"),
    }
}

#[track_caller]
fn check(limits: Limits, items: &[Item], expect: Option<(&'static str, u64, u64)>) {
    let ground = Ground::new();
    assert_eq!(said(ground.unpack_within(&[items.to_vec()], limits)), expect);
    if expect.is_some() {
        assert_eq!(ground.snapshot(), tree(&[]));
    }
}

#[test]
fn m165_a_figure_that_equals_its_limit_passes_and_one_more_does_not() {
    let limits = Limits { file_bytes: 10, total_bytes: 15, entries: 3 };
    let (ten, eleven) = ("0123456789", "0123456789a");
    check(limits, &[file("f", ten)], None);
    check(limits, &[file("f", eleven)], Some(("file", 11, 10)));
    check(limits, &[file("f", ten), file("g", "01234")], None);
    check(limits, &[file("f", ten), file("g", "012345")], Some(("total", 16, 15)));
    check(limits, &[file("a", ""), directory("b"), symlink("c", "a")], None);
    check(limits, &[file("a", ""), directory("b"), symlink("c", "a"), hardlink("d", "a")], Some(("entries", 4, 3)));
}

#[test]
fn m165_bytes_that_are_produced_count_whatever_was_declared() {
    let limits = Limits { file_bytes: 10, total_bytes: 15, entries: 3 };
    let check = |pieces: &[(usize, u64)], expected: Option<(&'static str, u64, u64)>| {
        let (budget, mut files) = (Budget::new(limits), [0; 2]);
        let produced = pieces.iter().try_for_each(|&(file, bytes)| budget.produced("f", &mut files[file], bytes));
        assert_eq!(said(produced), expected, "{pieces:?}");
    };
    check(&[(0, 10)], None);
    check(&[(0, 10), (0, 1)], Some(("file", 11, 10)));
    check(&[(0, 10), (1, 5)], None);
    check(&[(0, 10), (1, 6)], Some(("total", 16, 15)));
    check(&[(0, u64::MAX), (0, u64::MAX)], Some(("file", u64::MAX, 10)));
}

#[test]
fn m165_more_bytes_than_were_declared_are_not_written() {
    let (ground, entry) = (Ground::new(), file("f", "0123456789").entry);
    let staging = Staging::beside(&ground.dest(), Existing::Refuse).unwrap();
    let mut unpack = Unpack::new(staging.root(), &Arc::new(Budget::new(UNLIMITED)));
    unpack.entry(&entry).unwrap();
    let mut hand = unpack.hand();
    hand.piece(&entry, 0, b"01234").unwrap();
    for (offset, bytes) in [(5, &b"56789a"[..]), (10, b"a"), (u64::MAX, b"a")] {
        assert!(matches!(hand.piece(&entry, offset, bytes), Err(Error::Worker)), "{offset}");
    }
}

#[test]
fn m165_zero_is_no_limit() {
    let many: Vec<_> = (0..300).map(|i| file(&format!("f{i}"), "0123456789")).collect();
    check(UNLIMITED, &many, None);
    check(Limits { entries: 299, ..UNLIMITED }, &many, Some(("entries", 300, 299)));
    check(Limits { total_bytes: 2999, ..UNLIMITED }, &many, Some(("total", 3000, 2999)));
    check(Limits { file_bytes: 10, ..UNLIMITED }, &many, None);
}

#[test]
fn m165_directories_that_no_entry_names_are_bounded_too() {
    let limits = Limits { entries: 2, ..UNLIMITED };
    check(limits, &[file("a/f", ""), file("b/f", "")], None);
    check(limits, &[file("a/b/c/f", "")], Some(("entries", 3, 2)));
}

#[test]
fn the_limits_are_those_that_are_documented() {
    assert_eq!(Limits::default(), Limits { file_bytes: 104_857_600, total_bytes: 1_073_741_824, entries: 10_000 });
}

#[test]
fn sizes_that_add_up_beyond_any_number_are_refused() {
    let budget = Budget::new(Limits { total_bytes: u64::MAX - 1, ..UNLIMITED });
    assert_eq!(said(budget.declared("a", u64::MAX - 1)), None);
    assert_eq!(said(budget.declared("b", u64::MAX)), Some(("total", u64::MAX, u64::MAX - 1)));
}

#[test]
fn files_can_be_written_by_several_threads_within_one_budget() {
    let ground = Ground::new();
    let staging = Staging::beside(&ground.dest(), Existing::Refuse).unwrap();
    let budget = Arc::new(Budget::new(Limits { total_bytes: 400, ..UNLIMITED }));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let mut writer =
                FileWriter::new(staging.root().clone(), budget.clone(), Unfinished::default(), Finish::Pulled);
            scope.spawn(move || {
                for i in 0..10 {
                    writer.piece(&file(&format!("{thread}-{i}"), "0123456789").entry, 0, b"0123456789").unwrap();
                }
            });
        }
    });
    assert_eq!(budget.bytes(), 400);
    let mut writer = FileWriter::new(staging.root().clone(), budget, Unfinished::default(), Finish::Pulled);
    assert_eq!(said(writer.piece(&file("more", "x").entry, 0, b"x")), Some(("total", 401, 400)));
    staging.publish().unwrap();
    assert_eq!(super::snapshot(&ground.dest()).len(), 40);
}
