//! Layers drawn from bytes: files of several chunks, members that hold some of several files, gaps between them.

use refs_url::Digest;

use super::{toc::gzipped, zstd};
use crate::{Expected, Limits, Result, Toc, footer::Packing};

/// Bytes as a row of choices, the first of each kind when there are no more.
#[derive(Debug)]
pub(super) struct Choices<'d>(pub(super) &'d [u8]);

impl Choices<'_> {
    pub(super) fn next(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// One of the first numbers, fewer than `count` of them.
    pub(super) fn below(&mut self, count: u8) -> usize {
        usize::from(self.next() % count)
    }
}

/// A layer, and what is in it.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) payload: Vec<u8>,
    pub(super) json: String,
    pub(super) packing: Packing,
    /// Paths of files with their content, in the order of the blob.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

/// A member that may still take more.
#[derive(Debug, Default)]
struct Open {
    start: u64,
    inflated: Vec<u8>,
}

impl Drawn {
    pub(super) fn new(choices: &mut Choices<'_>) -> Self {
        let packing = [Packing::Gzip, Packing::Zstd][choices.below(2)];
        let mut drawn = Self { payload: Vec::new(), json: String::new(), packing, files: Vec::new() };
        let mut elements = vec![(0, r#"{"name":"d/","type":"dir"}"#.to_owned())];
        let mut member = Open::default();
        for number in 0..choices.below(10) {
            let path = format!("{}{number}", ["", "d/", "d/e/"][choices.below(3)]);
            let element = drawn.draw_file(&path, &mut member, choices);
            elements.push((choices.next(), element));
            if choices.below(4) == 1 {
                elements.push((0, format!(r#"{{"name":"l{number}","type":"hardlink","linkName":"{path}"}}"#)));
            }
        }
        drawn.end_member(&mut member);
        elements.sort();
        let elements: Vec<String> = elements.into_iter().map(|(_, element)| element).collect();
        drawn.json = format!(r#"{{"version":1,"entries":[{}]}}"#, elements.join(","));
        drawn
    }

    /// The table of the layer.
    pub(super) fn toc(&self) -> Result<Toc> {
        let (bytes, limits) = (self.payload.len() as u64, Limits::default());
        match self.packing {
            Packing::Gzip => {
                Toc::parse_json(self.json.clone().into(), &Digest::sha256(self.json.as_bytes()), bytes, &limits)
            }
            Packing::Zstd => Toc::parse_zstd(&zstd::stored(self.json.as_bytes()), Expected::Unverified, bytes, &limits),
        }
    }

    /// The elements of a file, and its content into members.
    fn draw_file(&mut self, path: &str, member: &mut Open, choices: &mut Choices<'_>) -> String {
        let chunks: Vec<Vec<u8>> = (0..choices.below(5)).map(|_| vec![choices.next(); 1 + choices.below(60)]).collect();
        let content = chunks.concat();
        let size = content.len();
        let whole = match choices.below(2) {
            0 => format!(r#","digest":"{}""#, Digest::sha256(&content)),
            _ => String::new(),
        };
        let mut elements = vec![format!(r#"{{"name":"{path}","type":"reg","size":{size}{whole}"#)];
        let mut offset = 0;
        for (index, chunk) in chunks.iter().enumerate() {
            if choices.below(3) > 0 {
                self.end_member(member);
                // Nobody's bytes may lie between members.
                self.payload.extend(vec![0; choices.below(8)]);
                member.start = self.payload.len() as u64;
            }
            member.inflated.extend(vec![b'.'; choices.below(4)]);
            if index > 0 {
                elements.push(format!(r#"{{"name":"{path}","type":"chunk""#));
            }
            let (start, inner, bytes) = (member.start, member.inflated.len(), chunk.len());
            elements[index] += &format!(
                r#","offset":{start},"innerOffset":{inner},"chunkOffset":{offset},"chunkSize":{bytes},"chunkDigest":"{}""#,
                Digest::sha256(chunk)
            );
            member.inflated.extend_from_slice(chunk);
            offset += bytes;
        }
        self.files.push((path.to_owned(), content));
        elements.join("},") + "}"
    }

    fn end_member(&mut self, member: &mut Open) {
        let inflated = std::mem::take(&mut member.inflated);
        if !inflated.is_empty() {
            self.payload.extend(match self.packing {
                Packing::Gzip => gzipped(&inflated),
                Packing::Zstd => zstd::stored(&inflated),
            });
        }
        member.start = self.payload.len() as u64;
    }
}
