//! One fetch of content for all who want it at a time, each of whom reads it from its first byte on as it comes.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use refs_registry::{Blob, ByteStream, Error, Result, Resume, error::Wanted};
use refs_url::Digest;
use tokio::sync::{OnceCell, watch};

use crate::growing::Growing;

/// Content of fewer bytes is fetched to its end though nobody reads it any more; so is what is half there.
const ENDED_ANYWAY: u64 = 64 << 20;

/// Where content comes from, and how it gets into a store.
#[async_trait]
pub(crate) trait Fetching: Send + Sync {
    /// The content from its first byte on. What comes is kept as it is read.
    async fn fetched(&self) -> Result<Fetched>;

    /// The same for one reader, who has it to itself.
    async fn alone(&self) -> Result<Blob>;

    /// What follows a beginning that has come. It need not be kept.
    async fn rest(&self, from: Resume) -> Result<ByteStream>;
}

/// A blob on its way to a reader.
pub(crate) struct Fetched {
    pub(crate) blob: Blob,
    /// What comes of it into the store, where that can be read.
    pub(crate) growing: Option<Growing>,
}

/// A blob, and how it came to the reader.
#[derive(Debug)]
pub struct FetchedBlob {
    /// The blob.
    pub blob: Blob,
    /// How it came.
    pub by: FetchedBy,
}

/// How a blob came to a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchedBy {
    /// It was read for this reader, from the store or from the origin.
    Itself,
    /// It is being fetched, which another reader began.
    Another,
}

/// The fetches that are under way, by what they are of. A clone is of the same fetches.
///
/// A fetch is a task of its own: it goes on when the reader leaves who began it. When all have left, it goes on to its end if
/// that is near, and otherwise leaves what there is for the next.
#[derive(Debug)]
pub(crate) struct Joint<K>(Arc<Mutex<HashMap<K, Weak<Fetch>>>>);

#[derive(Debug, Default)]
struct Fetch {
    begun: OnceCell<Begun>,
    ended: watch::Sender<Option<Ended>>,
}

#[derive(Debug, Clone)]
enum Begun {
    Growing {
        total: u64,
        growing: Growing,
    },
    /// The store does not show what comes: whoever began has it.
    Apart,
    Failed(Error),
}

/// How a fetch has ended.
#[derive(Debug, Clone)]
enum Ended {
    Verified,
    Failed(Error),
    /// The store took only a part.
    NotTaken,
}

impl<K> Default for Joint<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K> Clone for Joint<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static> Joint<K> {
    /// The content `digest`, which `fetching` brings, from the fetch `key` that is under way, or else from one that begins
    /// now.
    ///
    /// # Errors
    /// Those of `fetching`. The failure of a fetch to begin is told to all who wait for it, and the next to ask begins
    /// another.
    pub(crate) async fn blob(&self, key: K, digest: &Digest, fetching: Arc<dyn Fetching>) -> Result<FetchedBlob> {
        let fetch = self.join(&key);
        let mut own = Own::Nothing;
        let begun = fetch.begun.get_or_init(|| self.begin(&*fetching, key, &fetch, &mut own)).await.clone();
        let by = if let Own::Nothing = own { FetchedBy::Another } else { FetchedBy::Itself };
        let blob = match (begun, own) {
            (Begun::Growing { total, growing }, _) => {
                Blob { size: total, stream: follow(fetching, fetch, digest.clone(), total, growing) }
            }
            (Begun::Apart, Own::Blob(blob)) => blob,
            (Begun::Apart, _) => fetching.alone().await?,
            (Begun::Failed(error), _) => return Err(error),
        };
        Ok(FetchedBlob { blob, by })
    }

    /// The fetch that is under way, or one that has yet to begin.
    fn join(&self, key: &K) -> Arc<Fetch> {
        let mut fetches = self.fetches();
        if let Some(fetch) = fetches.get(key).and_then(Weak::upgrade).filter(|fetch| fetch.is_of_use()) {
            return fetch;
        }
        fetches.retain(|_, fetch| fetch.strong_count() > 0);
        let fetch = Arc::<Fetch>::default();
        fetches.insert(key.clone(), Arc::downgrade(&fetch));
        fetch
    }

    async fn begin(&self, fetching: &dyn Fetching, key: K, fetch: &Arc<Fetch>, own: &mut Own) -> Begun {
        *own = Own::Fetch;
        match fetching.fetched().await {
            Err(error) => Begun::Failed(error),
            Ok(Fetched { blob, growing: Some(growing) }) => {
                let total = blob.size;
                let bringing = Bringing { fetches: self.clone(), key, fetch: Arc::clone(fetch) };
                tokio::spawn(bringing.run(blob, growing.clone()));
                Begun::Growing { total, growing }
            }
            Ok(Fetched { blob, growing: None }) => {
                *own = Own::Blob(blob);
                Begun::Apart
            }
        }
    }

    fn fetches(&self) -> MutexGuard<'_, HashMap<K, Weak<Fetch>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a reader has begun itself.
enum Own {
    Nothing,
    Fetch,
    Blob(Blob),
}

impl Fetch {
    /// Whether a reader who joins now may be given something by it.
    fn is_of_use(&self) -> bool {
        let has_begun = !matches!(self.begun.get(), Some(Begun::Apart | Begun::Failed(_)));
        has_begun && matches!(*self.ended.borrow(), None | Some(Ended::Verified))
    }
}

/// The task that brings the bytes into the store, whoever reads them there.
struct Bringing<K> {
    fetches: Joint<K>,
    key: K,
    fetch: Arc<Fetch>,
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static> Bringing<K> {
    async fn run(self, blob: Blob, growing: Growing) {
        let ended = self.bring(blob, &growing).await;
        self.fetch.ended.send_replace(Some(ended));
    }

    async fn bring(&self, Blob { size: total, mut stream }: Blob, growing: &Growing) -> Ended {
        let mut bytes = 0;
        loop {
            match stream.next().await {
                None => return Ended::Verified,
                Some(Err(error)) => return Ended::Failed(error),
                Some(Ok(chunk)) => bytes += chunk.len() as u64,
            }
            let is_near_its_end = total < ENDED_ANYWAY || bytes > total / 2;
            if bytes < total && (growing.has_ended() || (!is_near_its_end && self.is_abandoned())) {
                return Ended::NotTaken;
            }
        }
    }

    /// Whether nobody reads any more; nobody can join then.
    fn is_abandoned(&self) -> bool {
        let mut fetches = self.fetches.fetches();
        let is_alone = Arc::strong_count(&self.fetch) == 1;
        if is_alone {
            fetches.remove(&self.key);
        }
        is_alone
    }
}

/// What comes by `fetch`, from its first byte on. It ends without an error only when all of it has been verified.
fn follow(fetching: Arc<dyn Fetching>, fetch: Arc<Fetch>, digest: Digest, total: u64, growing: Growing) -> ByteStream {
    let ended = fetch.ended.subscribe();
    let follower = Follower { fetching, _joined: fetch, ended, digest, total, growing, given: 0 };
    let pieces = stream::try_unfold(Following::Fetch(Box::new(follower)), |following| async move {
        match following {
            Following::Fetch(mut follower) => match follower.growing.piece(follower.given).await? {
                Some(piece) => {
                    follower.given += piece.len() as u64;
                    Ok(Some((piece, Following::Fetch(follower))))
                }
                None => follower.rest().await,
            },
            Following::Rest(mut stream) => match stream.next().await.transpose()? {
                Some(piece) => Ok(Some((piece, Following::Rest(stream)))),
                None => Ok(None),
            },
        }
    });
    pieces.boxed()
}

enum Following {
    Fetch(Box<Follower>),
    /// The store took no more of it.
    Rest(ByteStream),
}

struct Follower {
    fetching: Arc<dyn Fetching>,
    /// As long as somebody has joined, the fetch goes on.
    _joined: Arc<Fetch>,
    ended: watch::Receiver<Option<Ended>>,
    digest: Digest,
    total: u64,
    growing: Growing,
    given: u64,
}

impl Follower {
    /// What follows what has come: nothing when that is all, and what the origin has where the store took no more.
    async fn rest(mut self: Box<Self>) -> Result<Option<(Bytes, Following)>> {
        let ended = match self.ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone(),
            // The task is gone, as its process stops.
            Err(_) => None,
        };
        match ended {
            Some(Ended::Failed(error)) => Err(error),
            Some(Ended::Verified) if self.given == self.total => Ok(None),
            _ => {
                let digest = &self.digest;
                let hasher = self
                    .growing
                    .hashed(digest, self.given)
                    .await?
                    .ok_or_else(|| Error::unsupported(Wanted::Algorithm(digest.clone()), "this build"))?;
                tracing::debug!(%digest, given = self.given, "the cache takes no more, and the rest is read past it");
                let mut rest = self.fetching.rest(Resume::at(self.given, hasher)).await?;
                Ok(rest.next().await.transpose()?.map(|piece| (piece, Following::Rest(rest))))
            }
        }
    }
}
