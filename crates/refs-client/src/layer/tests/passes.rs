//! An archive read twice: for its entries, then for the content of some of them.

use std::{
    collections::HashMap,
    io::{BufRead, Cursor, Read},
};

use refs_estargz::{Entry, Kind};
use refs_registry::{Descriptor, MediaType};
use refs_url::{Digest, Hasher};

use super::{
    super::{
        archive::{inflated, open},
        merge::Met,
        passes::{Hashed, Tally, contents, entries},
        tar::Walk,
    },
    fixtures::{Recorder, gzip, shown, tar},
};
use crate::{ArchiveFault, Error, receive::Receive};

/// What is met in `archive`, and the digest of all its bytes.
fn met(archive: &[u8]) -> (Vec<Met>, Digest) {
    let layer = Descriptor::of(MediaType::OCI_LAYER, archive);
    let reader = Hashed::new(inflated(Cursor::new(archive.to_vec()), &layer).unwrap(), Hasher::sha256());
    let walk = Walk::new(reader, layer.digest.clone());
    let (met, reader) = entries(walk, &layer, &Tally::default(), |_, _| Ok(())).unwrap();
    (met, reader.digest())
}

/// The content that the second pass hands over for files by index and path, and the error it ends with, if it does.
fn handed(archive: &[u8], wanted: &[(usize, &str, u64)]) -> (Vec<String>, Option<Error>) {
    let layer = Descriptor::of(MediaType::OCI_LAYER, archive);
    let template = met(&tar(&[("x", b"")])).0.remove(0).entry;
    let mut recorder = Recorder::default();
    let mut files = HashMap::new();
    for &(index, path, size) in wanted {
        let file = Entry { path: path.to_owned(), kind: Kind::File { size }, ..template.clone() };
        recorder.entry(&file).unwrap();
        files.insert(index, file);
    }
    let hands = [recorder.hand(), recorder.hand()];
    let error = contents(open(Cursor::new(archive.to_vec()), &layer).unwrap(), files, hands).err();
    (if error.is_none() { recorder.received().iter().map(shown).collect() } else { Vec::new() }, error)
}

#[test]
fn the_first_pass_meets_all_entries_and_reads_to_the_end() {
    let mut archive = tar(&[("./", b""), ("a", b"1"), ("d/", b""), ("d/l->../a", b"")]);
    archive.extend_from_slice(b"what some writers leave behind");
    let (met, digest) = met(&archive);
    let lines: Vec<String> = met.iter().map(|met| format!("{} {}", met.index, met.entry.path)).collect();
    assert_eq!(lines, ["0 ", "1 a", "2 d", "3 d/l"]);
    assert_eq!(digest, Digest::sha256(&archive));
}

#[test]
fn what_is_hashed_is_what_was_compressed() {
    let archive = tar(&[("a", &[7; 300_000]), ("b", b"")]);
    assert_eq!(met(&gzip(&archive)).1, Digest::sha256(&archive));
}

#[test]
fn reading_in_portions_hashes_each_byte_once() {
    let mut reader = Hashed::new(Cursor::new(b"0123456789".to_vec()), Hasher::sha256());
    reader.fill_buf().unwrap();
    reader.consume(3);
    let mut portion = [0; 4];
    reader.read_exact(&mut portion).unwrap();
    reader.consume(0);
    reader.fill_buf().unwrap();
    reader.consume(3);
    assert_eq!((portion, reader.digest()), (*b"3456", Digest::sha256(b"0123456789")));
}

#[test]
fn the_second_pass_hands_over_what_is_wanted_by_its_last_path() {
    let archive = gzip(&tar(&[("./", b""), ("a", b"old"), ("b", b"x"), ("a", b"new"), ("e", b"")]));
    let check = |wanted: &[(usize, &str, u64)], expected: &[&str]| {
        let (lines, error) = handed(&archive, wanted);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(lines, expected);
    };
    check(&[], &[]);
    check(&[(3, "a", 3)], &["f 644 a new"]);
    check(&[(1, "z/a", 3), (4, "e", 0)], &["f 644 z/a old", "f 644 e "]);
}

#[test]
fn an_archive_that_has_changed_is_noticed() {
    let archive = tar(&[("a", b"1"), ("d/", b"")]);
    for wanted in [(0, "a", 2), (1, "d", 0), (2, "b", 1)] {
        let (_, error) = handed(&archive, &[wanted]);
        assert!(matches!(error, Some(Error::Corrupt { fault: ArchiveFault::Changed, .. })), "{wanted:?}: {error:?}");
    }
}

#[test]
fn nanoseconds_come_from_extended_headers() {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_pax_extensions([("mtime", b"12.25".as_slice())]).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    header.set_mtime(12);
    builder.append_data(&mut header, "a", &b""[..]).unwrap();
    builder.append_data(&mut header, "b", &b""[..]).unwrap();
    let (met, _) = met(&builder.into_inner().unwrap());
    let times: Vec<_> = met.iter().map(|met| (met.entry.mtime, met.nanos)).collect();
    assert_eq!(times, [(12, 250_000_000), (12, 0)]);
}

#[test]
fn m165_layers_that_hold_too_much_together_are_refused() {
    let tally = Tally::default();
    let layer = Descriptor::of(MediaType::OCI_LAYER, b"");
    let mut huge = met(&tar(&[("a", b"")])).0.remove(0).entry;
    huge.xattrs.insert("user.x".to_owned(), vec![0; 40 << 20]);
    tally.count(&layer, &huge).unwrap();
    assert!(matches!(tally.count(&layer, &huge), Err(Error::LayerLimit { .. })));
}
