//! What zstd has compressed, read from its first byte to its last.

use std::io::{self, BufReader, ErrorKind, Read};

use proptest::prelude::*;
use refs_estargz::ZstdReader;
use refs_url::Digest;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::reference;

fn read(compressed: &[u8]) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    ZstdReader::new(compressed).read_to_end(&mut content).map(|_| content)
}

/// The kind of the error that reading ends in.
#[track_caller]
fn fault(compressed: &[u8]) -> ErrorKind {
    read(compressed).unwrap_err().kind()
}

/// One block of each kind: the bytes as they are, one byte many times.
const STORED: &[u8] = b"\x28\xb5\x2f\xfd\x20\x04\x21\0\0abcd";
const REPEATED: &[u8] = b"\x28\xb5\x2f\xfd\x20\x04\x23\0\0a";
/// Nine bytes that mean nothing.
const SKIPPABLE: &[u8] = b"\x5f\x2a\x4d\x18\x09\0\0\x00012345678";

#[test]
fn archives_of_the_reference_are_read() {
    for file in ["stargz.tar.zst", "stargz-chunks-of-4.tar.zst", "storage.tar.zst"] {
        let content = read(&reference::bytes(file)).unwrap();
        assert_eq!(Some(Digest::sha256(&content).to_string()), reference::layer(file).0.diff_id, "{file}");
    }
}

#[test]
fn frames_follow_each_other() {
    assert_eq!(read(b"").unwrap(), b"");
    assert_eq!(read(STORED).unwrap(), b"abcd");
    assert_eq!(read(REPEATED).unwrap(), b"aaaa");
    assert_eq!(read(SKIPPABLE).unwrap(), b"");
    let empty = b"\x28\xb5\x2f\xfd\x20\0\x01\0\0";
    let all = [STORED, SKIPPABLE, empty, empty, REPEATED, SKIPPABLE, STORED, SKIPPABLE].concat();
    assert_eq!(read(&all).unwrap(), b"abcdaaaaabcd");
}

#[test]
fn checksum_is_passed_over() {
    let with_checksum = [b"\x28\xb5\x2f\xfd\x24\x04\x21\0\0abcd".as_slice(), b"sums", STORED].concat();
    assert_eq!(read(&with_checksum).unwrap(), b"abcdabcd");
}

#[test]
fn input_may_come_byte_by_byte() {
    let blob = reference::bytes("storage.tar.zst");
    let mut slowly = Vec::new();
    ZstdReader::new(BufReader::with_capacity(1, &blob[..])).read_to_end(&mut slowly).unwrap();
    assert_eq!(slowly, read(&blob).unwrap());
}

#[test]
fn frame_may_have_many_blocks() {
    let content: Vec<u8> = (0..400_000u32).flat_map(|n| (n / 3).to_le_bytes()).collect();
    let compressed = compress_to_vec(&content[..], CompressionLevel::Fastest);
    assert!(read(&compressed).unwrap() == content);
}

#[test]
fn cut_input_is_an_error() {
    for whole in [STORED, REPEATED, SKIPPABLE] {
        for end in 1..whole.len() {
            assert_eq!(fault(&whole[..end]), ErrorKind::UnexpectedEof, "{end} bytes");
        }
    }
}

#[test]
fn other_bytes_are_an_error() {
    let reserved_block = b"\x28\xb5\x2f\xfd\x20\x04\x27\0\0abcd";
    let large_block = b"\x28\xb5\x2f\xfd\x20\x04\xff\xff\xff";
    let dictionary = b"\x28\xb5\x2f\xfd\x21\x07\x04\x21\0\0abcd";
    let no_magic = b"no zstd at all";
    for bytes in [&reserved_block[..], large_block, dictionary, no_magic, &[STORED, b"trailing"].concat()] {
        assert_eq!(fault(bytes), ErrorKind::InvalidData, "{bytes:?}");
    }
}

#[test]
fn window_beyond_the_limit_is_an_error() {
    let window = |descriptor: u8| [b"\x28\xb5\x2f\xfd\0", &[descriptor][..], b"\x21\0\0abcd"].concat();
    for fits in [0, 10 << 3, 17 << 3] {
        assert_eq!(read(&window(fits)).unwrap(), b"abcd");
    }
    for large in [17 << 3 | 1, 18 << 3, 31 << 3 | 7] {
        assert_eq!(fault(&window(large)), ErrorKind::InvalidData);
    }
    let all_in_one = b"\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\xff\x7f\x21\0\0abcd";
    assert_eq!(fault(all_in_one), ErrorKind::InvalidData);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        let _ = read(&bytes);
        let _ = read(&[&STORED[..6], &bytes].concat());
    }

    #[test]
    fn changed_frames_are_read_without_panic(at in 0..4_000usize, to: u8) {
        let mut blob = reference::bytes("stargz.tar.zst").to_vec();
        let at = at % blob.len();
        blob[at] = to;
        let _ = read(&blob);
    }
}
