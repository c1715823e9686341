//! The table of contents of a layer that is being written: elements wait until their content is placed, then they are
//! text, which is kept deflated.

use std::{collections::VecDeque, sync::Arc};

use refs_url::Digest;

use crate::{Error, NewEntry, Result, element::Line, text::Text, time, wire};

/// All elements, in the order in which they were begun.
#[derive(Debug)]
pub(crate) struct Table {
    /// Those that are text by now, and the head of the table.
    text: Text,
    /// The first of the others waits for its content, or for the digest of it.
    waiting: VecDeque<Element>,
    /// The elements before this one of `waiting` have their content placed.
    unplaced: usize,
    elements: u64,
    /// The file that further chunks in the text belong to.
    file: String,
    line: Vec<u8>,
}

/// An entry, or a further chunk of the file before it.
#[derive(Debug)]
struct Element {
    what: What,
    chunk: Option<Chunk>,
}

#[derive(Debug)]
enum What {
    Entry(NewEntry, Whole),
    FurtherChunk,
}

/// The digest of a file.
#[derive(Debug)]
enum Whole {
    /// That of the one chunk it has; or there is no file.
    OfChunk,
    Unknown,
    Known(Digest),
}

#[derive(Debug)]
struct Chunk {
    file_offset: u64,
    /// How many bytes it has, or 0 when it is the last of its file.
    bytes: u64,
    place: Option<(u64, Digest)>,
}

/// How much of a file the first of its chunks is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstChunk {
    /// The file is empty.
    Absent,
    /// All of it, so both have one digest.
    Whole,
    /// So many bytes of it.
    Part(u64),
}

impl Table {
    pub(crate) fn new() -> Result<Self> {
        let mut text = Text::default();
        text.append(format!(r#"{{"version":{},"entries":["#, wire::VERSION).as_bytes())?;
        let (waiting, file, line) = (VecDeque::new(), String::new(), Vec::new());
        Ok(Self { text, waiting, unplaced: 0, elements: 0, file, line })
    }

    /// How many elements there are.
    pub(crate) fn elements(&self) -> u64 {
        self.elements
    }

    /// Begins the element of an entry without content of its own.
    pub(crate) fn push(&mut self, entry: &NewEntry) -> Result<()> {
        self.push_element(Element { what: What::Entry(entry.clone(), Whole::OfChunk), chunk: None })
    }

    /// Begins the element of a file.
    pub(crate) fn push_file(&mut self, entry: &NewEntry, first: FirstChunk) -> Result<()> {
        let chunk = |bytes| Some(Chunk { file_offset: 0, bytes, place: None });
        let (whole, chunk) = match first {
            FirstChunk::Absent => (Whole::Known(Digest::sha256(&[])), None),
            FirstChunk::Whole => (Whole::OfChunk, chunk(0)),
            FirstChunk::Part(bytes) => (Whole::Unknown, chunk(bytes)),
        };
        self.push_element(Element { what: What::Entry(entry.clone(), whole), chunk })
    }

    /// Begins the element of a further chunk of the last file: `bytes` is 0 for the last.
    pub(crate) fn push_chunk(&mut self, file_offset: u64, bytes: u64) -> Result<()> {
        let chunk = Chunk { file_offset, bytes, place: None };
        self.push_element(Element { what: What::FurtherChunk, chunk: Some(chunk) })
    }

    /// Says the digest of the last file that has several chunks.
    pub(crate) fn set_digest(&mut self, digest: Digest) -> Result<()> {
        let unknown = self.waiting.iter_mut().rev().find_map(|element| match &mut element.what {
            What::Entry(_, whole @ Whole::Unknown) => Some(whole),
            _ => None,
        });
        if let Some(whole) = unknown {
            *whole = Whole::Known(digest);
        }
        self.settle()
    }

    /// Says where the next chunk lies, in the order in which their elements were begun.
    pub(crate) fn place(&mut self, offset: u64, digest: Digest) -> Result<()> {
        for (at, element) in self.waiting.iter_mut().enumerate().skip(self.unplaced) {
            if let Some(chunk) = element.chunk.as_mut() {
                chunk.place = Some((offset, digest));
                self.unplaced = at + 1;
                break;
            }
        }
        self.settle()
    }

    /// The text of the table, once all chunks are placed.
    pub(crate) fn finish(mut self) -> Result<Text> {
        self.text.append(b"]}")?;
        Ok(self.text)
    }

    fn push_element(&mut self, element: Element) -> Result<()> {
        self.elements += 1;
        self.waiting.push_back(element);
        self.settle()
    }

    /// Makes text of the elements that wait for nothing any more.
    fn settle(&mut self) -> Result<()> {
        while self.waiting.front().is_some_and(Element::is_settled) {
            self.unplaced = self.unplaced.saturating_sub(1);
            if let Some(element) = self.waiting.pop_front() {
                self.write(element)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, element: Element) -> Result<()> {
        self.line.clear();
        let before = self.elements - self.waiting.len() as u64 - 1;
        if before > 0 {
            self.line.push(b',');
        }
        let mtime;
        let mut line = match &element.what {
            What::Entry(entry, _) => {
                mtime = time::format(entry.mtime);
                Line::of(entry, &mtime)
            }
            What::FurtherChunk => Line::of_chunk(&self.file),
        };
        line.set_digest(element.digest());
        if let Some(Chunk { file_offset, bytes, place: Some((offset, digest)) }) = &element.chunk {
            line.set_chunk(*offset, *file_offset, *bytes, digest);
        }
        serde_json::to_writer(&mut self.line, &line)
            .map_err(|source| Error::Json { offset: 0, source: Arc::new(source) })?;
        self.text.append(&self.line)?;
        if let What::Entry(entry, Whole::Known(_)) = element.what {
            self.file = entry.path;
        }
        Ok(())
    }
}

impl Element {
    fn is_settled(&self) -> bool {
        !matches!(self.what, What::Entry(_, Whole::Unknown))
            && self.chunk.as_ref().is_none_or(|chunk| chunk.place.is_some())
    }

    /// The digest of the file, where this is one.
    fn digest(&self) -> Option<&Digest> {
        match &self.what {
            What::Entry(_, Whole::Known(digest)) => Some(digest),
            What::Entry(_, Whole::OfChunk) => Some(&self.chunk.as_ref()?.place.as_ref()?.1),
            What::Entry(_, Whole::Unknown) | What::FurtherChunk => None,
        }
    }
}
