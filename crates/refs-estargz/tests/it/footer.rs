use proptest::prelude::*;
use refs_estargz::{Error, Footer};

const BLOB: u64 = 1 << 40;

/// The 51 bytes as the reference implementation writes them, for an offset of 0x1234.
const GOLDEN: &[u8; 51] = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x1a\0SG\x16\x000000000000001234STARGZ\
    \x01\0\0\xff\xff\0\0\0\0\0\0\0\0";

fn legacy(digits: &str) -> Vec<u8> {
    let mut footer = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x16\0".to_vec();
    footer.extend_from_slice(digits.as_bytes());
    footer.extend_from_slice(b"STARGZ\x01\0\0\xff\xff\0\0\0\0\0\0\0\0");
    footer
}

fn external() -> Vec<u8> {
    b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x15\0SG\x11\0STARGZEXTERNALTOC\x01\0\0\xff\xff\0\0\0\0\0\0\0\0".to_vec()
}

fn with_digits(digits: &str) -> Vec<u8> {
    let mut footer = GOLDEN.to_vec();
    footer[16..32].copy_from_slice(digits.as_bytes());
    footer
}

#[test]
fn footer_is_byte_for_byte_that_of_the_reference() {
    assert_eq!(&Footer::encode(0x1234), GOLDEN);
    assert!(super::support::gunzip(GOLDEN).is_empty());
}

#[test]
fn every_offset_comes_back() {
    let far = [0, 1, 0xff, u64::from(u32::MAX), BLOB - 52];
    for toc_offset in (0..=200_000).step_by(1023).chain(far) {
        let footer = Footer::parse(&Footer::encode(toc_offset), BLOB).unwrap();
        assert_eq!(footer, Footer::Estargz { toc_offset });
        let footer = Footer::parse(&legacy(&format!("{toc_offset:016x}")), BLOB).unwrap();
        assert_eq!(footer, Footer::Legacy { toc_offset });
    }
    assert_eq!(Footer::parse(&external(), BLOB).unwrap(), Footer::ExternalToc);
}

#[test]
fn bytes_before_the_footer_do_not_matter() {
    let tail = [b"payload".as_slice(), GOLDEN].concat();
    assert_eq!(Footer::parse(&tail, BLOB).unwrap().toc_offset(), Some(0x1234));
}

#[test]
fn lie_01_digits_that_are_not_sixteen_lower_case_hexadecimal() {
    let all = [
        "-000000000001234",
        "+000000000001234",
        "000000000000ABCD",
        "0x00000000001234",
        "000000000000_123",
        "               1",
    ];
    for digits in all {
        for footer in [with_digits(digits), legacy(digits)] {
            assert!(matches!(Footer::parse(&footer, BLOB), Err(Error::FooterSyntax)), "{digits}");
        }
    }
}

#[test]
fn lie_01_offset_at_or_behind_the_footer() {
    for (toc_offset, fits) in [(0, true), (948, true), (949, false), (950, false), (1000, false), (u64::MAX, false)] {
        let parsed = Footer::parse(&Footer::encode(toc_offset), 1000);
        assert_eq!(parsed.is_ok(), fits, "{toc_offset}: {parsed:?}");
    }
    assert!(matches!(
        Footer::parse(&Footer::encode(949), 1000),
        Err(Error::FooterOffset { toc_offset: 949, footer_offset: 949 })
    ));
}

#[test]
fn other_ends_are_no_footers() {
    for len in 0..51 {
        assert!(matches!(Footer::parse(&GOLDEN[51 - len..], BLOB), Err(Error::NotEstargz)), "last {len} bytes");
    }
    for changed in (0..51).filter(|at| !(16..32).contains(at)) {
        let mut footer = *GOLDEN;
        footer[changed] ^= 0x40;
        assert!(matches!(Footer::parse(&footer, BLOB), Err(Error::NotEstargz)), "byte {changed} changed");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_without_panic(tail: Vec<u8>, blob_bytes: u64) {
        let _ = Footer::parse(&tail, blob_bytes);
    }

    #[test]
    fn any_digits_are_parsed_without_panic(digits in proptest::array::uniform16(any::<u8>()), blob_bytes: u64) {
        let mut footer = *GOLDEN;
        footer[16..32].copy_from_slice(&digits);
        let _ = Footer::parse(&footer, blob_bytes);
    }
}
