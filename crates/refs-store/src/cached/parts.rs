//! Parts of blobs, from the store, from a fetch that is under way in this process, or from the origin.

use std::{future::poll_fn, ops::Range, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use refs_registry::{ByteStream, Error, Part, Result, Source, error::Wanted};
use refs_url::Digest;

use super::{
    Cached,
    flow::{Flow, Led, Next, Place},
    keeping::Keeping,
    lead::Lead,
    local::Local,
    part_fetches::{Begun, Joined, PartFetch},
    tee::tee_part,
};
use crate::{flight::Flight, joint::FetchedBy};

/// A part of a blob on its way to a reader.
#[derive(Debug)]
pub struct FetchedPart {
    /// The part.
    pub part: Part,
    /// How it came.
    pub by: FetchedBy,
}

/// A part that somebody asks for, and what it takes to fetch it.
pub(super) struct Asked {
    origin: Arc<dyn Source>,
    local: Arc<Local>,
    digest: Digest,
    range: Range<u64>,
    place: InBlob,
    /// A longer one is not kept.
    max_bytes: u64,
}

/// Where a part is among those that are read of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InBlob {
    /// It is read first: it may be the end, where the table of contents is.
    First,
    /// It comes right before an end that is kept, of a blob of so many bytes.
    BeforeEnd(u64),
    Elsewhere,
}

impl InBlob {
    /// Whether the bytes up to `end` are kept of a blob that has `total`.
    fn is_worth_keeping(self, end: u64, total: u64) -> bool {
        match self {
            Self::First => true,
            Self::BeforeEnd(known) => known == total || end == total,
            Self::Elsewhere => end == total,
        }
    }
}

impl Cached {
    /// Bytes `range` of the blob, from the store, from a fetch of the same that is under way among those who
    /// [share](Cached::sharing), or else from one that begins now. Each is given them from the first on, as they come; when
    /// whoever began leaves or fails, another leads on.
    ///
    /// # Errors
    /// As [`Source::blob_part`]. The failure of a fetch to begin is told to all who wait for it, and the next to ask begins
    /// another.
    pub async fn fetched_part(&self, digest: &Digest, range: Range<u64>) -> Result<FetchedPart> {
        if let Some(aside) = &self.aside
            && let Some(part) = aside.part(digest, range.clone())?
        {
            return Ok(FetchedPart { part, by: FetchedBy::Itself });
        }
        let is_first = self.local.is_first_part(digest);
        if let Some(part) = self.local.own_part(digest, range.clone()).await {
            return Ok(FetchedPart { part, by: FetchedBy::Itself });
        }
        let place = if is_first { InBlob::First } else { self.place_of(digest, &range).await };
        let (origin, local) = (Arc::clone(&self.origin), Arc::clone(&self.local));
        let asked = Arc::new(Asked {
            origin,
            local,
            digest: digest.clone(),
            range: range.clone(),
            place,
            max_bytes: self.max_part_bytes,
        });
        let key = (self.origin_name().clone(), digest.clone(), range);
        let Joined { fetch, begun, led } = self.fetches.parts.join(key, &asked).await?;
        let by = match led {
            Led::NotYet => asked.follows(begun.by),
            Led::Before => FetchedBy::Itself,
        };
        let stream =
            read(Reader { place: begun.flow.enter(led), asked, total: begun.total, alone: None, _joined: fetch });
        Ok(FetchedPart { part: Part { range: begun.range, total: begun.total, stream }, by })
    }

    /// Where a part is that is not read first.
    async fn place_of(&self, digest: &Digest, range: &Range<u64>) -> InBlob {
        self.local.blob_before_end(digest, range.end).await.map_or(InBlob::Elsewhere, InBlob::BeforeEnd)
    }
}

impl Asked {
    /// Since when what is under way may have what was found fault with.
    pub(super) fn not_before(&self) -> u64 {
        self.local.not_before()
    }

    /// Begins to read the part: from the origin, unless somebody else has brought it into the store meanwhile.
    pub(super) async fn begin(&self) -> Result<Begun> {
        let flight = self.flight().await;
        if flight.is_some()
            && let Some(part) = self.local.own_part(&self.digest, self.range.clone()).await
        {
            return Ok(shared(part, None, FetchedBy::Itself));
        }
        let part = self.origin.blob_part(&self.digest, self.range.clone()).await?;
        self.local.drop_other_parts(&self.digest, part.total).await;
        let keeping = self.keeping(&part.range, part.total).await.map(|keeping| keeping.holding(flight));
        Ok(shared(part, keeping, FetchedBy::Another))
    }

    /// What follows the first `given` bytes of the part, of a blob of `total`.
    fn rest(&self, given: u64, total: u64) -> ByteStream {
        let (origin, digest) = (Arc::clone(&self.origin), self.digest.clone());
        let range = self.range.start + given..self.range.end;
        let rest = async move {
            let part = origin.blob_part(&digest, range).await?;
            if part.total != total {
                return Err(Error::Size { wanted: Wanted::Blob(digest), expected: total, actual: part.total });
            }
            Ok(part.stream)
        };
        stream::once(rest).try_flatten().boxed()
    }

    /// The right to fetch what will be kept, once no other process does. It may be kept by then. Nobody waits for what is not,
    /// or for what may be at fault.
    async fn flight(&self) -> Option<Flight> {
        let is_awaited = self.may_be_kept(&self.range) && self.place != InBlob::Elsewhere && self.not_before() == 0;
        if is_awaited { self.local.part_flight(&self.digest, &self.range).await } else { None }
    }

    async fn keeping(&self, range: &Range<u64>, total: u64) -> Option<Keeping> {
        let is_kept = self.may_be_kept(range) && self.place.is_worth_keeping(range.end, total);
        if is_kept { self.local.fill_part(&self.digest, range, total).await } else { None }
    }

    fn may_be_kept(&self, Range { start, end }: &Range<u64>) -> bool {
        (1..=self.max_bytes).contains(&end.saturating_sub(*start))
    }

    /// Notes that this reader is given what another's fetch brings, and says how that comes.
    fn follows(&self, by: FetchedBy) -> FetchedBy {
        match by {
            FetchedBy::Itself => self.local.give(&self.digest),
            FetchedBy::Another => drop(self.local.touched().kept_in_part.insert(self.digest.clone())),
        }
        by
    }
}

/// `part`, for all who want it at a time. To those who follow it comes `by` that.
fn shared(Part { range, total, stream }: Part, keeping: Option<Keeping>, by: FetchedBy) -> Begun {
    let lead = Lead::new(stream);
    let growing = keeping.as_ref().and_then(Keeping::growing);
    let stream = match keeping {
        Some(keeping) => tee_part(lead.followed(), keeping, range.end.saturating_sub(range.start)),
        None => lead.followed(),
    };
    Begun { range, total, flow: Flow::new(stream, lead, growing), by }
}

struct Reader {
    place: Place,
    asked: Arc<Asked>,
    total: u64,
    /// What this one reads by itself, as what it had to be given is gone.
    alone: Option<ByteStream>,
    /// As long as somebody reads, others may join.
    _joined: Arc<PartFetch>,
}

fn read(reader: Reader) -> ByteStream {
    let pieces = stream::try_unfold(reader, |mut reader| async move {
        let piece = reader.next().await?;
        Ok(piece.map(|piece| (piece, reader)))
    });
    pieces.boxed()
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.alone.is_none() {
            let Self { place, asked, total, .. } = self;
            match poll_fn(|context| place.poll_next(context, |given| asked.rest(given, *total))).await? {
                Next::Bytes(bytes) => return Ok(Some(bytes)),
                Next::End => return Ok(None),
                Next::Behind => {}
            }
            if let Some(piece) = place.behind().await {
                return Ok(Some(piece));
            }
            tracing::debug!(digest = %asked.digest, given = place.given, "what others were given is gone: it is read alone");
            self.alone = Some(asked.rest(place.given, *total));
        }
        match &mut self.alone {
            Some(alone) => alone.next().await.transpose(),
            None => Ok(None),
        }
    }
}
