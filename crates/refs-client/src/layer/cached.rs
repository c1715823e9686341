//! Reads the chunks of files out of layers of other versions that a store holds as a whole.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use refs_estargz::{
    Archive, FileChunk, OpenOptions, PlanOptions, RangeRead, ReadError, Span, SpanDecoder, TAIL_ANNOTATION,
};
use refs_registry::{Descriptor, Error as RegistryError, ErrorKind, error::Wanted, spec::ImageManifest};
use refs_store::{Origin, Store};
use refs_url::Digest;
use tokio::runtime::Handle;

use super::{
    delta::Found,
    form::{self, Layer, Vouched},
    same::Search,
};
use crate::{Result, Trust, older::Kept, receive::Hand};

/// Gaps are read where that is cheaper than one more call; what is held of a layer at a time is bounded.
const OPTIONS: PlanOptions = PlanOptions { request_cost: 64 << 10, span_bytes: 4 << 20, held_from: u64::MAX };

/// The layers of an image that have a table of contents which its manifest vouches for.
pub(crate) fn vouched_layers(image: &ImageManifest) -> Vec<Descriptor> {
    let layers = form::layers(image, Trust::Verified).unwrap_or_default();
    layers.into_iter().filter(Layer::is_vouched).map(|layer| (*layer.descriptor).clone()).collect()
}

/// A blob that a store holds. Nothing vouches for its bytes but the digests of chunks.
#[derive(Debug)]
struct Stored {
    store: Arc<dyn Store>,
    origin: Origin,
    layer: Descriptor,
}

/// By their digests: the chunks that are looked for, and the files that they are of.
type Sought = HashMap<Digest, Vec<(usize, FileChunk)>>;

#[async_trait]
impl RangeRead for Stored {
    type Error = RegistryError;

    fn blob_bytes(&self) -> u64 {
        self.layer.size
    }

    async fn read(&self, range: Range<u64>) -> refs_registry::Result<Bytes> {
        let expected = range.end - range.start;
        let part = self.store.part(&self.origin, &self.layer.digest, range).await?;
        let read = part.stream.try_fold(BytesMut::new(), |mut read, chunk| async move {
            read.extend_from_slice(&chunk);
            Ok(read)
        });
        let read = read.await?.freeze();
        let (wanted, actual) = (Wanted::BlobPart(self.layer.digest.clone()), read.len() as u64);
        if actual == expected { Ok(read) } else { Err(RegistryError::Size { wanted, expected, actual }) }
    }
}

/// What came of reading a layer.
#[derive(Debug, PartialEq)]
enum Read {
    /// All that was looked for in it.
    Whole,
    /// Bytes that can't be.
    Damaged,
    /// Nothing, or not all: the store has it no more, or can't read it. That says nothing about its bytes, of which there may
    /// be many to hash.
    Missing,
}

impl Search<'_> {
    /// Hands over what the layers of `kept` have of `files` beside what was `found`, and gives its chunks. What can't be read
    /// of them is not there, and is fetched; where bytes are wrong, the store is told to look at the layer.
    ///
    /// # Errors
    /// Those of the hand; `Worker` when nobody waits any more.
    pub(super) fn run_kept(
        &self,
        kept: &Kept,
        files: &[usize],
        found: &Found,
        hand: &mut impl Hand,
        runtime: &Handle,
    ) -> Result<Found> {
        let mut sought = Sought::new();
        for &file in files {
            for chunk in self.sought(file, found) {
                sought.entry(chunk.digest.clone()).or_default().push((file, chunk));
            }
        }
        let mut given = Found::new();
        for layer in &kept.layers {
            if sought.is_empty() {
                break;
            }
            let (store, origin) = (Arc::clone(&kept.store), kept.origin.clone());
            let stored = Stored { store, origin, layer: layer.clone() };
            if self.run_layer(stored, &mut sought, &mut given, hand, runtime)? == Read::Damaged {
                runtime.block_on(kept.distrust(layer));
            }
        }
        Ok(given)
    }

    /// Hands over what `stored` has of what is `sought`, and takes that out; the chunks are added to those `given`.
    fn run_layer(
        &self,
        stored: Stored,
        sought: &mut Sought,
        given: &mut Found,
        hand: &mut impl Hand,
        runtime: &Handle,
    ) -> Result<Read> {
        let archive = match runtime.block_on(open(stored)) {
            Ok(archive) => archive,
            Err(read) => return Ok(read),
        };
        let (spans, wanted) = spans(&archive, sought);
        let mut read = Read::Whole;
        for span in spans {
            self.check_waited_for()?;
            let bytes = match runtime.block_on(archive.read_span(&span)) {
                Ok(bytes) => bytes,
                Err(error) => return Ok(Read::failed(&error)),
            };
            let mut decoder = SpanDecoder::new(span);
            decoder.push(bytes);
            while let Some(piece) = decoder.next() {
                let Ok(piece) = piece else {
                    read = Read::Damaged;
                    break;
                };
                let digest = wanted.get(&(piece.entry, piece.offset));
                for (file, chunk) in digest.and_then(|digest| sought.remove(digest)).unwrap_or_default() {
                    hand.piece(&self.entry(file), chunk.offset, piece.bytes)?;
                    self.older.add_from_cache(chunk.bytes);
                    given.insert(chunk.id);
                }
            }
        }
        Ok(read)
    }
}

impl Read {
    fn failed(error: &ReadError<RegistryError>) -> Self {
        match error {
            ReadError::Read { source, .. } => match source.kind() {
                ErrorKind::Digest | ErrorKind::Size | ErrorKind::Corrupt => Self::Damaged,
                _ => {
                    tracing::debug!(%error, cause = %source, "an older layer is not read on");
                    Self::Missing
                }
            },
            _ => Self::Damaged,
        }
    }
}

async fn open(stored: Stored) -> std::result::Result<Archive<Stored>, Read> {
    // Only layers that are vouched for are read at all.
    let vouched = Vouched::of(&stored.layer).map_err(|_fault| Read::Missing)?;
    let tail_bytes = stored.layer.annotations.get(TAIL_ANNOTATION).and_then(|bytes| bytes.parse().ok());
    let options = OpenOptions { tail_bytes, ..OpenOptions::default() };
    let digest = stored.layer.digest.clone();
    let opened = Archive::open(stored, vouched.expected(), &options).await;
    opened.map_err(|error| {
        tracing::debug!(%digest, %error, "an older layer is of no use");
        Read::failed(&error)
    })
}

/// Where chunks are that are looked for: by entry and offset, their digests.
type Places = HashMap<(usize, u64), Digest>;

/// The spans of `archive` that hold chunks which are looked for, each of them once.
fn spans(archive: &Archive<Stored>, sought: &Sought) -> (Vec<Span>, Places) {
    let toc = archive.toc();
    let (mut ids, mut places, mut met) = (HashSet::new(), Places::new(), HashSet::new());
    for file in (0..toc.len()).filter(|&index| toc.file_of(index) == Some(index)) {
        for chunk in toc.chunks_of(file) {
            if sought.contains_key(&chunk.digest) && met.insert(chunk.digest.clone()) {
                ids.insert(chunk.id);
                places.insert((file, chunk.offset), chunk.digest);
            }
        }
    }
    let plan = archive.plan_without(0..toc.len(), |id| !ids.contains(&id), &OPTIONS);
    (plan.spans.into_iter().chain(plan.held).collect(), places)
}
