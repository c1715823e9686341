use std::ops::Range;

use proptest::prelude::*;
use refs_estargz::{ChunkId, FileChunk, Plan, PlanOptions, SpanDecoder, Toc, WriteOptions, path_order};
use refs_url::Digest;

use crate::support::{PAYLOAD_BYTES, build, chunked, file, hardlink, open, parse, table};

/// A table of files `00`, `01`, … whose members start at these offsets.
fn toc(offsets: &[u64]) -> Toc {
    let digest = Digest::sha256(b"?");
    let element = |(n, offset)| {
        format!(r#"{{"name":"{n:02}","type":"reg","size":1,"offset":{offset},"chunkDigest":"{digest}"}}"#)
    };
    let elements: Vec<String> = offsets.iter().enumerate().map(element).collect();
    parse(&table(&elements.iter().map(String::as_str).collect::<Vec<_>>())).unwrap()
}

fn cost_of(request_cost: u64) -> PlanOptions {
    PlanOptions { request_cost, ..PlanOptions::default() }
}

fn ranges(plan: &Plan) -> Vec<Range<u64>> {
    plan.spans.iter().map(|span| span.range.clone()).collect()
}

#[track_caller]
fn check(wanted: &[usize], options: &PlanOptions, expected: &[Range<u64>]) {
    let plan = toc(&[100, 200, 300, 400, 500]).plan(wanted.iter().copied(), options);
    assert_eq!(ranges(&plan), expected);
}

#[test]
fn many_links_to_a_file_of_many_chunks_are_planned_as_that_file() {
    // A list of the chunks for each link would have 900 million numbers.
    const COUNT: usize = 30_000;
    let digest = Digest::sha256(b"?");
    let chunk =
        |n: usize| format!(r#""offset":1,"innerOffset":{n},"chunkOffset":{n},"chunkSize":1,"chunkDigest":"{digest}""#);
    let file = format!(r#"{{"name":"f","type":"reg","size":{COUNT},{}}}"#, chunk(0));
    let chunks = (1..COUNT).map(|n| format!(r#"{{"name":"f","type":"chunk",{}}}"#, chunk(n)));
    let links = (0..COUNT).map(|n| format!(r#"{{"name":"l{n}","type":"hardlink","linkName":"f"}}"#));
    let elements: Vec<String> = std::iter::once(file).chain(chunks).chain(links).collect();
    let toc = parse(&table(&elements.iter().map(String::as_str).collect::<Vec<_>>())).unwrap();
    let plan = toc.plan(0..toc.entries().len(), &PlanOptions::default());
    assert_eq!(ranges(&plan), [1..PAYLOAD_BYTES]);
    assert_eq!(plan.spans[0].entries().count(), 1);
}

#[test]
fn gap_is_bridged_when_a_request_costs_as_much() {
    check(&[], &cost_of(100), &[]);
    check(&[0, 1, 2], &cost_of(0), &[100..400]);
    check(&[0, 2], &cost_of(99), &[100..200, 300..400]);
    check(&[0, 2], &cost_of(100), &[100..400]);
    check(&[4], &cost_of(100), &[500..PAYLOAD_BYTES]);
    check(&[2, 0, 0, 77], &cost_of(0), &[100..200, 300..400]);
}

#[test]
fn long_spans_are_cut_between_files() {
    let options = PlanOptions { span_bytes: 200, ..PlanOptions::default() };
    check(&[0, 1, 2, 3], &options, &[100..300, 300..500]);
    check(&[0, 2, 4], &options, &[100..200, 300..400, 500..1000]);
}

#[test]
fn held_bytes_cost_nothing() {
    let options = PlanOptions { held_from: 300, ..PlanOptions::default() };
    let plan = toc(&[100, 200, 300, 400, 500]).plan([1, 2, 4], &options);
    assert_eq!(ranges(&plan), [200..300]);
    assert_eq!(plan.held.unwrap().range, 300..1000);
    assert_eq!(toc(&[100]).plan([0], &PlanOptions { held_from: 101, ..options }).spans.len(), 1);
}

#[test]
fn part_of_a_file_is_the_chunks_that_overlap_it() {
    let options = WriteOptions { chunk_bytes: 4, ..WriteOptions::default() };
    let (blob, built) = build(&[file("f", "0123456789")], &options).unwrap();
    let archive = open(&blob, &built).unwrap();
    let whole = archive.toc().plan([0], &cost_of(0)).fetch_bytes();
    let bytes_of = |part: Range<u64>| archive.toc().plan_part(0, part, &cost_of(0)).unwrap().fetch_bytes();
    let chunks = [bytes_of(0..1), bytes_of(4..5), bytes_of(8..9)];
    assert_eq!(chunks.iter().sum::<u64>(), whole);
    assert_eq!(bytes_of(3..4), chunks[0]);
    assert_eq!(bytes_of(3..5), chunks[0] + chunks[1]);
    assert_eq!(bytes_of(0..u64::MAX), whole);
    assert_eq!(bytes_of(10..20), 0);
    assert_eq!(bytes_of(4..4), 0);
}

#[test]
fn chunks_of_a_file_follow_each_other_and_a_link_has_those_of_its_file() {
    let (blob, built) = build(&[file("f", "0123456789"), hardlink("l", "f")], &chunked(4)).unwrap();
    let archive = open(&blob, &built).unwrap();
    let chunks: Vec<FileChunk> = archive.toc().chunks_of(0).collect();
    let parts: Vec<_> = chunks.iter().map(|chunk| (chunk.offset, chunk.bytes, chunk.digest.clone())).collect();
    let digest = |content: &str| Digest::sha256(content.as_bytes());
    assert_eq!(parts, [(0, 4, digest("0123")), (4, 4, digest("4567")), (8, 2, digest("89"))]);
    assert!(chunks.windows(2).all(|pair| pair[0].range.end == pair[1].range.start));
    assert_eq!(archive.toc().chunks_of(1).collect::<Vec<_>>(), chunks);
    assert_eq!(archive.toc().chunks_of(2).count(), 0);
}

#[test]
fn directory_is_one_run() {
    let names = ["a", "a-b", "a/b", "a/b/c", "a.b", "b", "a/z"];
    let mut items: Vec<_> = names.iter().map(|name| file(&format!("{name}/f"), name)).collect();
    items.sort_by(|(left, _), (right, _)| path_order(&left.path, &right.path));
    let (blob, built) = build(&items, &WriteOptions::default()).unwrap();
    let archive = open(&blob, &built).unwrap();
    let toc = archive.toc();
    for directory in names {
        let below = toc.below(directory);
        let expected: Vec<_> =
            (0..toc.len()).filter(|&index| toc.path_at(index).starts_with(&format!("{directory}/"))).collect();
        assert_eq!(below.clone().collect::<Vec<_>>(), expected, "{directory}");
        assert_eq!(toc.plan(below, &cost_of(0)).spans.len(), 1, "{directory}");
    }
    assert!(toc.below("absent").is_empty());
}

/// The lowest cost of all ways to cover the wanted members: each gap between two is bridged, or costs a request.
fn lowest_cost(offsets: &[u64], wanted: &[usize], request_cost: u64) -> u64 {
    let ends: Vec<u64> = offsets[1..].iter().copied().chain([PAYLOAD_BYTES]).collect();
    let members: Vec<Range<u64>> = wanted.iter().map(|&index| offsets[index]..ends[index]).collect();
    let Some(gaps) = members.len().checked_sub(1) else { return 0 };
    let useful: u64 = members.iter().map(|member| member.end - member.start).sum();
    let cost = |bridged: u32| {
        let gap = |index: usize| match bridged >> index & 1 {
            1 => members[index + 1].start - members[index].end,
            _ => request_cost,
        };
        request_cost + useful + (0..gaps).map(gap).sum::<u64>()
    };
    (0..1u32 << gaps).map(cost).min().unwrap_or(0)
}

proptest! {
    #[test]
    fn plan_is_cheapest_and_covers_the_wanted_in_order(
        offsets in prop::collection::btree_set(0..PAYLOAD_BYTES, 1..12),
        chosen: u16,
        request_cost in 0..300u64,
    ) {
        let offsets: Vec<u64> = offsets.into_iter().collect();
        let wanted: Vec<usize> = (0..offsets.len()).filter(|index| chosen >> index & 1 == 1).collect();
        let plan = toc(&offsets).plan(wanted.iter().copied(), &cost_of(request_cost));
        let covered: Vec<usize> = plan.spans.iter().flat_map(|span| span.entries()).collect();
        prop_assert_eq!(&covered, &wanted);
        prop_assert!(plan.spans.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start));
        for span in &plan.spans {
            prop_assert!(span.entries().all(|index| span.range.contains(&offsets[index])));
        }
        let cost = plan.fetch_bytes() + request_cost * plan.spans.len() as u64;
        prop_assert_eq!(cost, lowest_cost(&offsets, &wanted, request_cost));
    }

    #[test]
    fn plan_without_what_is_there_gives_the_rest_and_nothing_else(
        sizes in prop::collection::vec(0..40usize, 1..6),
        there: u64,
        request_cost in 0..200u64,
    ) {
        let content = |n: usize, size: usize| (0..size).map(|at| (at * (n + 3) + n) as u8).collect::<Vec<u8>>();
        let items: Vec<_> = sizes.iter().enumerate().map(|(n, &size)| file(&format!("{n}"), content(n, size))).collect();
        let (blob, built) = build(&items, &chunked(8)).unwrap();
        let archive = open(&blob, &built).unwrap();
        let chunks: Vec<(usize, FileChunk)> = (0..items.len())
            .flat_map(|index| archive.toc().chunks_of(index).map(move |chunk| (index, chunk)))
            .collect();
        let has = |id: ChunkId| chunks.iter().position(|(_, chunk)| chunk.id == id).is_some_and(|n| there >> (n % 64) & 1 == 1);
        let plan = archive.toc().plan_without(0..items.len(), has, &cost_of(request_cost));
        prop_assert!(plan.spans.windows(2).all(|pair| pair[1].range.start - pair[0].range.end > request_cost));
        let mut given = Vec::new();
        for span in plan.spans {
            let mut decoder = SpanDecoder::new(span.clone());
            decoder.push(blob.slice(span.range.start as usize..span.range.end as usize));
            while let Some(piece) = decoder.next() {
                let piece = piece.unwrap();
                given.push((piece.entry, piece.offset, piece.bytes.to_vec()));
            }
            decoder.finish().unwrap();
        }
        let lacking = chunks.iter().filter(|(_, chunk)| !has(chunk.id));
        let expected: Vec<_> = lacking
            .map(|(index, chunk)| {
                let part = chunk.offset as usize..(chunk.offset + chunk.bytes) as usize;
                (*index, chunk.offset, content(*index, sizes[*index])[part].to_vec())
            })
            .collect();
        prop_assert_eq!(given, expected);
    }

    #[test]
    fn directory_costs_little_more_than_its_files(sizes in prop::collection::vec((0..5u8, 0..3000usize), 1..40)) {
        let mut state = 1u32;
        let mut noise = move || { state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223); (state >> 24) as u8 };
        let mut items: Vec<_> = sizes
            .iter()
            .enumerate()
            .map(|(n, (directory, size))| {
                let content: Vec<u8> = (0..*size).map(|_| noise()).collect();
                file(&format!("d{directory}/{n:02}"), content)
            })
            .collect();
        items.sort_by(|(left, _), (right, _)| path_order(&left.path, &right.path));
        let (blob, built) = build(&items, &WriteOptions::default()).unwrap();
        let archive = open(&blob, &built).unwrap();
        let toc = archive.toc();
        for directory in 0..5 {
            let below = toc.below(&format!("d{directory}"));
            let asked: u64 = below.clone().map(|file| toc.plan([file], &cost_of(0)).fetch_bytes()).sum();
            let fetched = toc.plan(below, &PlanOptions::default()).fetch_bytes();
            prop_assert!(fetched * 10 <= asked * 11, "{fetched} for {asked}");
        }
    }
}
