//! Whatever is said, nothing panics.

use proptest::prelude::*;

use super::*;

fn odd_element() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["f", "g", "d/", "d/e", "../x", "", ".prefetch.landmark"]);
    let kind = prop::sample::select(vec!["reg", "chunk", "dir", "hardlink", "symlink", "char"]);
    let number = || prop_oneof![0..20u64, Just(u64::MAX), Just(1 << 62), 990..1010u64];
    (name, kind, number(), number(), number(), number(), number()).prop_map(|(name, kind, size, at, inner, from, len)| {
        let digest = digest(b"");
        format!(
            r#"{{"name":"{name}","type":"{kind}","size":{size},"offset":{at},"innerOffset":{inner},"linkName":"f","chunkOffset":{from},"chunkSize":{len},"chunkDigest":"{digest}"}}"#
        )
    })
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_without_panic(bytes: Vec<u8>, toc_offset: u64) {
        let _ = Toc::parse(&bytes, Expected::Unverified, toc_offset, &Limits::default());
        let _ = Toc::parse(&gzip(&bytes), Expected::Unverified, toc_offset, &Limits::default());
        let _ = Toc::parse(&gzip(&toc_tar(&bytes)), Expected::Unverified, toc_offset, &Limits::default());
    }

    #[test]
    fn odd_tables_are_parsed_and_planned_without_panic(list in prop::collection::vec(odd_element(), 0..6)) {
        if let Ok(toc) = parse(&elements(&list)) {
            let plan = toc.plan(0..toc.len(), &Default::default());
            prop_assert!(plan.spans.iter().all(|span| span.range.end <= PAYLOAD_BYTES));
        }
    }

    #[test]
    fn any_payload_is_read_without_panic(payload in prop::collection::vec(any::<u8>(), 1..60)) {
        let _ = read(one_file(&payload));
        let _ = read(one_file(&[&gzip(b"")[..10], &payload[..]].concat()));
    }
}
