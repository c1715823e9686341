//! An index as bytes.
//!
//! ```text
//! magic  version  blob's digest  its size  archive's size  0 or 1 for names that begin with a slash
//! number of spans, of each: compressed and inflated bytes before the next, digest, 0 or 1 with bits and window
//! the table of entries, deflated
//! sha256 of all that
//! ```

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use refs_url::{Digest, Hasher};

use super::{
    MAX_SPAN_BYTES, SeekFault,
    index::{Checkpoint, Index, MAX_SPANS, Names, Start},
    inflate::Bits,
    table,
    wire::{Values, put_number, put_text},
};
use crate::Result;

const MAGIC: &[u8] = b"refsseek";
const VERSION: u8 = 2;
const CHECKSUM_BYTES: usize = 32;
/// The table of entries has at most so many bytes inflated.
const MAX_TABLE_BYTES: u64 = 256 << 20;

impl Index {
    /// No index has more bytes than this, 256 MiB. It is one for each 40 or more of the blob.
    pub const MAX_BYTES: u64 = 256 << 20;

    /// The index as bytes to keep. `None` when they are more than [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn to_bytes(&self) -> Option<Bytes> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        put_text(self.blob.as_str().as_bytes(), &mut bytes);
        put_number(self.blob_bytes, &mut bytes);
        put_number(self.inflated_bytes, &mut bytes);
        bytes.push(match self.names {
            Names::Relative => 0,
            Names::FromRoot => 1,
        });
        put_number(self.spans.len() as u64, &mut bytes);
        for (at, checkpoint) in self.spans.iter().enumerate() {
            self.put_span(at, checkpoint, &mut bytes);
        }
        let table = table::to_bytes(&self.entries).filter(|table| table.len() as u64 <= MAX_TABLE_BYTES)?;
        put_text(&deflated(&table)?, &mut bytes);
        let checksum = Hasher::sha256_hash(&bytes);
        bytes.extend_from_slice(&checksum);
        (bytes.len() as u64 <= Self::MAX_BYTES).then(|| bytes.into())
    }

    /// The index of `blob` in bytes that were kept. It keeps them.
    ///
    /// # Errors
    /// [`Error::Seek`](crate::Error::Seek) for anything else than what [`to_bytes`](Self::to_bytes) gives of this blob.
    pub fn parse(bytes: &Bytes, blob: &Digest) -> Result<Self> {
        if bytes.len() as u64 > Self::MAX_BYTES {
            return Err(SeekFault::Large.into());
        }
        let body = bytes.len().checked_sub(CHECKSUM_BYTES).filter(|_| bytes.starts_with(MAGIC));
        let body = body.ok_or(SeekFault::NotIndex)?;
        let mut values = Values(bytes.slice(MAGIC.len().min(body)..body));
        match values.byte("version")? {
            VERSION => {}
            version => return Err(SeekFault::Version { version }.into()),
        }
        if Hasher::sha256_hash(&bytes[..body]) != bytes[body..] {
            return Err(SeekFault::Checksum.into());
        }
        if values.parsed::<Digest>("blob")? != *blob {
            return Err(SeekFault::OtherBlob.into());
        }
        Ok(Self::of(blob, &mut values)?)
    }

    fn of(blob: &Digest, values: &mut Values) -> Result<Self, SeekFault> {
        const NAMES: &str = "names";
        let blob_bytes = values.number("size of the blob")?;
        let inflated_bytes = values.number("size of the archive")?;
        let names = match values.byte(NAMES)? {
            0 => Names::Relative,
            1 => Names::FromRoot,
            _ => return Err(SeekFault::Field(NAMES)),
        };
        let spans = spans(values, blob_bytes, inflated_bytes)?;
        let table = values.bytes("table")?;
        values.finish("end")?;
        let entries = table::parse(inflated(&table)?)?;
        let is_inside = |content: std::ops::Range<u64>| content.end <= inflated_bytes;
        if !entries.iter().all(|located| located.content().is_some_and(is_inside)) {
            return Err(SeekFault::Field("content of an entry"));
        }
        Ok(Self { blob: blob.clone(), blob_bytes, inflated_bytes, names, spans, entries })
    }

    fn put_span(&self, at: usize, checkpoint: &Checkpoint, bytes: &mut Vec<u8>) {
        let (compressed, inflated) = (self.compressed(&(at..at + 1)), self.inflated(at));
        put_number(compressed.end - compressed.start, bytes);
        put_number(inflated.end - inflated.start, bytes);
        put_text(checkpoint.digest.as_str().as_bytes(), bytes);
        match &checkpoint.start {
            Start::Member => bytes.push(0),
            Start::Block { bits, window } => {
                bytes.push(1);
                bytes.extend_from_slice(&bits.to_bytes());
                put_text(window, bytes);
            }
        }
    }
}

/// Spans that follow each other from the start of the blob to its end, none without bytes unless it is the only one.
fn spans(values: &mut Values, blob_bytes: u64, inflated_bytes: u64) -> Result<Vec<Checkpoint>, SeekFault> {
    const FIELD: &str = "span";
    let count: usize = values.small("number of spans")?;
    if count > MAX_SPANS {
        return Err(SeekFault::Large);
    }
    let (mut spans, mut compressed, mut inflated) = (Vec::new(), 0_u64, 0_u64);
    for _ in 0..count {
        let (taken, made) = (values.number(FIELD)?, values.number(FIELD)?);
        let digest = values.parsed("digest of a span")?;
        let start = start(values)?;
        if taken == 0 || made > MAX_SPAN_BYTES || (made == 0 && count > 1) {
            return Err(SeekFault::Field(FIELD));
        }
        spans.push(Checkpoint { compressed, inflated, start, digest });
        compressed = compressed.checked_add(taken).ok_or(SeekFault::Field(FIELD))?;
        inflated = inflated.checked_add(made).ok_or(SeekFault::Field(FIELD))?;
    }
    let is_whole = (compressed, inflated) == (blob_bytes, inflated_bytes);
    let begins = spans.first().is_some_and(|first| first.start == Start::Member);
    if is_whole && begins { Ok(spans) } else { Err(SeekFault::Field(FIELD)) }
}

fn start(values: &mut Values) -> Result<Start, SeekFault> {
    const FIELD: &str = "checkpoint";
    match values.byte(FIELD)? {
        0 => Ok(Start::Member),
        1 => {
            let bits = Bits::new(values.byte(FIELD)?, values.byte(FIELD)?).ok_or(SeekFault::Field(FIELD))?;
            Ok(Start::Block { bits, window: values.bytes(FIELD)? })
        }
        _ => Err(SeekFault::Field(FIELD)),
    }
}

fn deflated(table: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(table).ok()?;
    encoder.finish().ok()
}

fn inflated(table: &[u8]) -> Result<Bytes, SeekFault> {
    let mut raw = Vec::new();
    let read = DeflateDecoder::new(table).take(MAX_TABLE_BYTES + 1).read_to_end(&mut raw);
    read.ok().ok_or(SeekFault::Field("table"))?;
    if raw.len() as u64 > MAX_TABLE_BYTES { Err(SeekFault::Large) } else { Ok(raw.into()) }
}
