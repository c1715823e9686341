//! The same layer from any number of threads.

use std::{
    io::{self, Write},
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
};

use proptest::prelude::*;
use refs_estargz::{Error, Kind, WriteOptions, Writer};

use crate::support::{Item, build_hot, dir, entry, file, hardlink, open, symlink, wait};

pub(crate) fn threads(count: usize) -> WriteOptions {
    WriteOptions { threads: NonZeroUsize::new(count).expect("tests ask for some"), ..WriteOptions::default() }
}

/// Bytes that deflate a little, so that members differ in size.
fn content(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let step = |state: &mut u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 60) as u8
    };
    (0..bytes).map(|_| step(&mut state)).collect()
}

/// An item for each of the figures: directories, links, empty, small and long files.
fn items(figures: &[(u8, usize)]) -> Vec<Item> {
    let mut items = vec![file("0", "first")];
    for (at, &(kind, size)) in figures.iter().enumerate() {
        let path = format!("{}/{at:04}", at / 7 + 1);
        items.push(match kind {
            0 => dir(&path),
            1 => symlink(&path, "../0"),
            2 => hardlink(&path, "0"),
            3 => file(&path, ""),
            4 => file(&path, content(size * 40, size as u64)),
            _ => file(&path, content(size, size as u64)),
        });
    }
    items
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn bytes_do_not_depend_on_the_number_of_threads(
        cold in prop::collection::vec((0..12u8, 0..9_000usize), 0..80),
        hot in prop::collection::vec((3..6u8, 1..9_000usize), 0..4),
        chunk_bytes in 900..300_000usize,
    ) {
        let mut last = items(&hot);
        for (new, _) in &mut last {
            new.path.insert_str(0, "hot/");
        }
        let first = items(&cold);
        let options = |count| WriteOptions { chunk_bytes, level: 1, ..threads(count) };
        let alone = build_hot(&first, &last, &options(1)).unwrap();
        for count in [2, 8] {
            let together = build_hot(&first, &last, &options(count)).unwrap();
            prop_assert!(together == alone, "{count} threads");
        }
        let archive = open(&alone.0, &alone.1).unwrap();
        for (new, content) in first.iter().chain(&last).filter(|(new, _)| matches!(new.kind, Kind::File { .. })) {
            prop_assert_eq!(&wait(archive.read_file(&new.path)).unwrap(), content);
        }
    }
}

/// Takes so many bytes and then fails.
struct Full {
    room: usize,
    fail: fn() -> io::Error,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.room.checked_sub(bytes.len()) {
            Some(room) => self.room = room,
            None => return Err((self.fail)()),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Appends to an output that fails until the writer says so.
fn append_to(output: Full, options: &WriteOptions) -> Error {
    let mut writer = Writer::new(output, options).unwrap();
    let content = content(300_000, 3);
    for n in 0..10_000 {
        let new = entry(&n.to_string(), Kind::File { size: content.len() as u64 });
        if let Err(error) = writer.append(&new, &mut content.as_slice()) {
            assert!(matches!(
                writer.append(&new, &mut content.as_slice()),
                Err(Error::Duplicate { .. } | Error::Abandoned)
            ));
            assert!(matches!(writer.finish(), Err(Error::Abandoned)));
            return error;
        }
    }
    panic!("the output has failed unseen");
}

#[test]
fn failing_output_ends_the_layer() {
    for count in [1, 2, 8] {
        let output = Full { room: 1 << 20, fail: || io::ErrorKind::StorageFull.into() };
        let error = append_to(output, &threads(count));
        let Error::Write { source } = error else { panic!("{error:?}") };
        assert_eq!(source.kind(), io::ErrorKind::StorageFull);
    }
}

#[test]
fn panicking_output_leaves_no_thread_waiting() {
    for count in [1, 2, 8] {
        let output = Full { room: 1 << 20, fail: || panic!("as the test wants") };
        let panic = catch_unwind(AssertUnwindSafe(|| append_to(output, &threads(count)))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"as the test wants"));
    }
}

#[test]
fn unreadable_content_ends_the_layer() {
    struct Unreadable;
    impl io::Read for Unreadable {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
    for count in [1, 2] {
        let mut writer = Writer::new(Vec::new(), &threads(count)).unwrap();
        for n in 0..20 {
            let (new, content) = file(&n.to_string(), content(100_000, n));
            writer.append(&new, &mut content.as_slice()).unwrap();
        }
        let error = writer.append(&entry("bad", Kind::File { size: 1 << 20 }), &mut Unreadable).unwrap_err();
        assert!(matches!(&error, Error::Content { path, .. } if path == "bad"), "{error:?}");
        assert!(matches!(writer.finish(), Err(Error::Abandoned)));
    }
}

/// Counts what it takes.
struct Counting<'a>(&'a std::cell::Cell<u64>);

impl Write for Counting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.set(self.0.get() + bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn reading_runs_ahead_of_the_output_by_a_bounded_number_of_bytes() {
    for count in [1, 2, 8] {
        let written = std::cell::Cell::new(0);
        let options = WriteOptions { level: 0, chunk_bytes: 100_000, ..threads(count) };
        let mut writer = Writer::new(Counting(&written), &options).unwrap();
        let (content, mut read) = (content(70_000, 9), 0);
        let in_flight = if count == 1 { 1 } else { count + 5 };
        let bound = in_flight as u64 * (100_000 + (256 << 10));
        for n in 0..200 {
            let new = entry(&n.to_string(), Kind::File { size: content.len() as u64 });
            writer.append(&new, &mut content.as_slice()).unwrap();
            read += content.len() as u64;
            assert!(read <= written.get() + bound, "{count} threads: {read} read, {} written", written.get());
        }
        writer.finish().unwrap();
    }
}
