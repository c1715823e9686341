//! Cuts bytes of a blob, as they arrive, into spans that can be decoded one by one.

use std::vec;

use bytes::Bytes;
use refs_estargz::Span;

/// A span, and its bytes in portions.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) span: Span,
    pub(crate) bytes: Vec<Bytes>,
}

/// Spans that wait for their bytes.
#[derive(Debug)]
pub(crate) struct Cutter {
    /// The first of the spans that are not complete, and its bytes so far.
    current: Option<Batch>,
    rest: vec::IntoIter<Span>,
}

impl Cutter {
    /// A cutter for `spans`, which are in the order of the blob.
    pub(crate) fn new(spans: Vec<Span>) -> Self {
        let mut rest = spans.into_iter();
        Self { current: begin(&mut rest), rest }
    }

    /// Takes the bytes of the blob from `at` on, which is nowhere before the end of those that it took last, and gives the
    /// spans that are complete by them.
    pub(crate) fn push(&mut self, mut at: u64, mut bytes: Bytes) -> Vec<Batch> {
        let mut complete = Vec::new();
        while let Some(batch) = &mut self.current {
            let range = &batch.span.range;
            let before = range.start.saturating_sub(at).min(bytes.len() as u64);
            drop(bytes.split_to(before as usize));
            at += before;
            if bytes.is_empty() {
                break;
            }
            let part = bytes.split_to(range.end.saturating_sub(at).min(bytes.len() as u64) as usize);
            at += part.len() as u64;
            batch.bytes.push(part);
            if at < range.end {
                break;
            }
            complete.extend(self.current.take());
            self.current = begin(&mut self.rest);
        }
        complete
    }
}

fn begin(spans: &mut vec::IntoIter<Span>) -> Option<Batch> {
    spans.next().map(|span| Batch { span, bytes: Vec::new() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use refs_estargz::{Expected, Footer, Kind, Limits, NewEntry, PlanOptions, Toc, WriteOptions, Writer};

    use super::*;

    /// A blob of files of these sizes, and its table of contents.
    fn blob(sizes: &[usize]) -> (Bytes, Toc) {
        let mut blob = Vec::new();
        let options = WriteOptions { chunk_bytes: 50, ..WriteOptions::default() };
        let mut writer = Writer::new(&mut blob, &options).unwrap();
        for (i, &size) in sizes.iter().enumerate() {
            let kind = Kind::File { size: size as u64 };
            let entry = NewEntry { path: format!("f{i:02}"), kind, mode: 0o644, mtime: 0 };
            let content: Vec<u8> = (0..size).map(|at| (at * (i + 3)) as u8).collect();
            writer.append(&entry, &mut content.as_slice()).unwrap();
        }
        let built = writer.finish().unwrap();
        let footer = Footer::parse(&blob, blob.len() as u64).unwrap();
        let start = footer.toc_offset().unwrap();
        let end = blob.len() - footer.bytes();
        let expected = Expected::Digest(&built.toc_digest);
        let toc = Toc::parse(&blob[start as usize..end], expected, start, &Limits::default()).unwrap();
        (blob.into(), toc)
    }

    proptest! {
        #[test]
        fn each_span_gets_its_bytes_however_they_arrive(
            sizes in prop::collection::vec(0..300_usize, 1..12),
            wanted in any::<u16>(),
            portion in 1..400_usize,
            batch in 1..600_u64,
        ) {
            let (blob, toc) = blob(&sizes);
            let wanted = (0..sizes.len()).filter(|i| wanted >> i & 1 == 1);
            let plan = toc.plan(wanted, &PlanOptions { request_cost: 40, ..PlanOptions::default() });
            let spans: Vec<_> = plan.spans.into_iter().flat_map(|span| span.split(batch)).collect();
            let expected: BTreeMap<u64, Bytes> = spans
                .iter()
                .map(|span| (span.range.start, blob.slice(span.range.start as usize..span.range.end as usize)))
                .collect();
            let mut cutter = Cutter::new(spans);
            let mut cut = BTreeMap::new();
            for (i, bytes) in blob.chunks(portion).enumerate() {
                for batch in cutter.push((i * portion) as u64, Bytes::copy_from_slice(bytes)) {
                    cut.insert(batch.span.range.start, Bytes::from(batch.bytes.concat()));
                }
            }
            prop_assert_eq!(cut, expected);
        }
    }
}
