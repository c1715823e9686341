//! A bucket in memory that fails, hangs and counts.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart, memory::InMemory, path::Path,
};
use refs_registry::Clock;

/// What a bucket does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Works,
    Fails,
    /// No request is ever answered.
    Hangs,
    /// What is read breaks off after so many bytes of each answer.
    CutsAfter(usize),
    /// What is read stands still after so many bytes of each answer.
    StallsAfter(usize),
    /// Parts of uploads are refused.
    RefusesParts,
    /// Parts of uploads meet a fault of the program.
    PanicsAtParts,
}

/// A bucket in memory, and how it is.
#[derive(Debug)]
pub(crate) struct Faulty {
    pub(crate) within: InMemory,
    mood: Mutex<Mood>,
    log: Arc<Log>,
}

#[derive(Debug, Default)]
struct Log {
    requests: AtomicUsize,
    gets: AtomicUsize,
    aborts: AtomicUsize,
}

impl Faulty {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { within: InMemory::new(), mood: Mutex::new(Mood::Works), log: Arc::default() })
    }

    pub(crate) fn be(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// How many requests there were since the last time.
    pub(crate) fn requests(&self) -> usize {
        self.log.requests.swap(0, Ordering::Relaxed)
    }

    /// How many of content there were since the last time.
    pub(crate) fn gets(&self) -> usize {
        self.log.gets.swap(0, Ordering::Relaxed)
    }

    /// How many uploads were aborted.
    pub(crate) fn aborts(&self) -> usize {
        self.log.aborts.load(Ordering::Relaxed)
    }

    async fn answer(&self) -> Result<Mood> {
        self.log.requests.fetch_add(1, Ordering::Relaxed);
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Fails => Err(refused()),
            Mood::Hangs => std::future::pending().await,
            mood => Ok(mood),
        }
    }
}

fn refused() -> Error {
    Error::Generic { store: "Faulty", source: "it fails".into() }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.answer().await?;
        self.within.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let mood = self.answer().await?;
        let upload = self.within.put_multipart_opts(at, options).await?;
        Ok(Box::new(FaultyUpload { upload, mood, log: Arc::clone(&self.log) }))
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        let mood = self.answer().await?;
        if !options.head {
            self.log.gets.fetch_add(1, Ordering::Relaxed);
        }
        let got = self.within.get_opts(at, options).await?;
        let (meta, range, attributes, extensions) =
            (got.meta.clone(), got.range.clone(), got.attributes.clone(), got.extensions.clone());
        let payload = GetResultPayload::Stream(given(got, mood));
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.answer().await?;
        self.within.get_ranges(at, ranges).await
    }

    fn delete_stream(&self, at: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.log.requests.fetch_add(1, Ordering::Relaxed);
        match *self.mood.lock().unwrap() {
            Mood::Fails => stream::once(async { Err(refused()) }).boxed(),
            Mood::Hangs => stream::pending().boxed(),
            _ => self.within.delete_stream(at),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.log.requests.fetch_add(1, Ordering::Relaxed);
        match *self.mood.lock().unwrap() {
            Mood::Fails => stream::once(async { Err(refused()) }).boxed(),
            Mood::Hangs => stream::pending().boxed(),
            _ => self.within.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.answer().await?;
        self.within.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        panic!("S3 copies no more than 5 GB")
    }
}

/// The bytes of `got`, in small pieces, as far as `mood` lets them come.
fn given(got: GetResult, mood: Mood) -> BoxStream<'static, Result<bytes::Bytes>> {
    const PIECE: usize = 64 << 10;
    let pieces = got.into_stream().flat_map(|whole| {
        let whole = whole.unwrap();
        let starts = (0..whole.len()).step_by(PIECE);
        stream::iter(
            starts.map(move |start| Ok(whole.slice(start..whole.len().min(start + PIECE)))).collect::<Vec<_>>(),
        )
    });
    match mood {
        Mood::CutsAfter(bytes) => pieces.take(bytes / PIECE).chain(stream::once(async { Err(refused()) })).boxed(),
        Mood::StallsAfter(bytes) => pieces.take(bytes / PIECE).chain(stream::pending()).boxed(),
        _ => pieces.boxed(),
    }
}

#[derive(Debug)]
struct FaultyUpload {
    upload: Box<dyn MultipartUpload>,
    mood: Mood,
    log: Arc<Log>,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        match self.mood {
            Mood::RefusesParts => Box::pin(async { Err(refused()) }),
            Mood::PanicsAtParts => panic!("a fault that is meant"),
            _ => self.upload.put_part(part),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.upload.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.log.aborts.fetch_add(1, Ordering::Relaxed);
        self.upload.abort().await
    }
}

/// A clock that goes when somebody waits, and when it is told to.
#[derive(Debug)]
pub(crate) struct Jumping(Mutex<Instant>);

impl Jumping {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Instant::now())))
    }

    pub(crate) fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

#[async_trait]
impl Clock for Jumping {
    fn now(&self) -> Instant {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, wait: Duration) {
        self.pass(wait);
    }
}
