//! What is planned to be read of a layer, and what reading it gives.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::drawn::{Choices, Drawn};
use crate::{Plan, PlanOptions, Result, Span, SpanDecoder, Toc};

/// Files by index, each a piece of content by where it starts.
type Read = BTreeMap<usize, BTreeMap<u64, Vec<u8>>>;

/// Choices that a layer, wanted entries, the costs and what is wrong with it are drawn from.
pub fn plan(data: &[u8]) {
    let mut choices = Choices(data);
    let mut drawn = Drawn::new(&mut choices);
    let is_spoilt = spoil(&mut drawn, &mut choices);
    let toc = match drawn.toc() {
        Ok(toc) => toc,
        Err(error) => return assert!(is_spoilt, "{error}: {}", drawn.json),
    };
    // One more than there are: an index that leads to nothing is passed over.
    let wanted: BTreeSet<usize> = (0..=toc.len()).filter(|_| choices.below(3) > 0).collect();
    let options = PlanOptions {
        request_cost: [0, 1, 30, u64::MAX][choices.below(4)],
        span_bytes: [u64::MAX, 0, 1, 80][choices.below(4)],
        held_from: [u64::MAX, 0, 100][choices.below(3)],
    };
    let plan = toc.plan(wanted.iter().copied(), &options);
    let files: BTreeSet<usize> = wanted.iter().filter_map(|&index| toc.file_of(index)).collect();
    let chunks: Vec<u32> = files.iter().flat_map(|&file| toc.contents().chunks_of(file)).map(|at| at as u32).collect();
    covers(&plan, &chunks, &options, &toc);
    reads(&drawn, &plan, &files, is_spoilt, &mut choices);
    for file in files {
        let part = (choices.below(70) as u64, choices.below(90) as u64);
        let part = part.0..part.0 + part.1;
        let planned = toc.plan_part(file, part.clone(), &options);
        let contents = toc.contents();
        let overlaps = |chunk: &usize| {
            let chunk = contents.chunk(*chunk);
            chunk.file_offset < part.end && chunk.file_end() > part.start
        };
        let chunks = contents.chunks_of(file).filter(overlaps).map(|at| at as u32);
        match planned {
            Ok(plan) => covers(&plan, &chunks.collect::<Vec<_>>(), &options, &toc),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Changes a byte of the table or of the payload, or none; says whether it did.
fn spoil(drawn: &mut Drawn, choices: &mut Choices<'_>) -> bool {
    let (what, low, high, by) = (choices.below(4), choices.next(), choices.next(), choices.next());
    let at = usize::from(u16::from_le_bytes([low, high]));
    let mut json = std::mem::take(&mut drawn.json).into_bytes();
    let bytes = if what == 1 { &mut json } else { &mut drawn.payload };
    let place = (!bytes.is_empty()).then(|| at % bytes.len());
    let changed = place.filter(|_| matches!(what, 1 | 2)).map(|place| bytes[place] ^= by);
    // A table of other bytes than text is for `toc`.
    drawn.json = String::from_utf8_lossy(&json).into_owned();
    changed.is_some() && by != 0
}

/// The spans of `plan` follow each other and hold `wanted` chunks, no more and no fewer, each with its member.
fn covers(plan: &Plan, wanted: &[u32], options: &PlanOptions, toc: &Toc) {
    let all: Vec<&Span> = plan.spans.iter().chain(&plan.held).collect();
    let wants: BTreeSet<u32> = all.iter().flat_map(|span| span.wants.iter().copied()).collect();
    assert_eq!(wants, wanted.iter().copied().collect(), "{plan:?}");
    assert_eq!(wants.len(), all.iter().map(|span| span.wants.len()).sum::<usize>(), "a chunk is wanted twice");
    assert!(all.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start), "{plan:?}");
    assert_eq!(plan.fetch_bytes(), plan.spans.iter().map(|span| span.range.end - span.range.start).sum::<u64>());
    assert!(plan.held.iter().all(|held| held.range.start >= options.held_from));
    assert!(plan.spans.iter().all(|span| span.range.start < options.held_from));
    for span in all {
        let members = || span.wants.iter().map(|&chunk| toc.contents().chunk(chunk as usize).member);
        assert_eq!(members().next().map(|first| first.start), Some(span.range.start));
        assert_eq!(members().next_back().map(|last| last.end), Some(span.range.end));
        assert!(span.wants.is_sorted() && span.range.end <= toc.payload_bytes());
        for bytes in [0, 50, u64::MAX] {
            let parts = span.clone().split(bytes);
            assert!(parts.iter().flat_map(|part| &part.wants).eq(&span.wants));
            assert!(parts.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start));
            assert!(parts.iter().all(|part| span.range.start <= part.range.start && part.range.end <= span.range.end));
        }
    }
    for pair in plan.spans.windows(2) {
        let bridged = (pair[1].range.start - pair[0].range.end, pair[1].range.end - pair[0].range.start);
        assert!(bridged.0 > options.request_cost || bridged.1 > options.span_bytes, "{pair:?} could be one");
    }
}

/// What is read as planned is what is in the files; where the layer is spoilt, or nothing.
fn reads(drawn: &Drawn, plan: &Plan, files: &BTreeSet<usize>, is_spoilt: bool, choices: &mut Choices<'_>) {
    let portion = 1 + usize::from(choices.next());
    let spans = plan.spans.iter().chain(&plan.held).cloned();
    let parts = plan.spans.iter().chain(&plan.held).flat_map(|span| span.clone().split(40));
    for spans in [spans.collect::<Vec<_>>(), parts.collect()] {
        let mut read = Read::new();
        let outcome = spans.into_iter().try_for_each(|span| decode(span, &drawn.payload, portion, &mut read));
        if !is_spoilt {
            assert!(outcome.is_ok(), "{outcome:?}: {}", drawn.json);
            is_all(drawn, files, &read);
        }
    }
}

/// Every file is read from its first byte to its last.
fn is_all(drawn: &Drawn, files: &BTreeSet<usize>, read: &Read) {
    let Ok(toc) = drawn.toc() else { return };
    for &file in files {
        let pieces = read.get(&file).into_iter().flatten();
        let content = pieces.fold(Vec::new(), |mut content, (offset, piece)| {
            assert_eq!(content.len() as u64, *offset);
            content.extend_from_slice(piece);
            content
        });
        let path = toc.path_at(file);
        let expected = drawn.files.iter().find(|(name, _)| name == path).map(|(_, content)| content);
        assert_eq!(Some(&content), expected, "{path}");
    }
}

/// Decodes a span of `payload`, in portions.
fn decode(span: Span, payload: &[u8], portion: usize, read: &mut Read) -> Result<()> {
    let range = span.range.start as usize..span.range.end as usize;
    let mut decoder = SpanDecoder::new(span);
    for bytes in payload[range].chunks(portion) {
        decoder.push(Bytes::copy_from_slice(bytes));
        while let Some(piece) = decoder.next() {
            let piece = piece?;
            let before = read.entry(piece.entry).or_default().insert(piece.offset, piece.bytes.to_vec());
            assert_eq!(before, None, "a piece comes twice");
        }
    }
    decoder.finish()
}
