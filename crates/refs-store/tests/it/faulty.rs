//! A bucket in memory that stands still and counts.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};

/// What a bucket does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Works,
    /// What is read stands still after so many bytes of each answer.
    StallsAfter(usize),
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
    gets: AtomicUsize,
}

impl Faulty {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { within: InMemory::new(), mood: Mutex::new(Mood::Works), log: Arc::default() })
    }

    pub(crate) fn be(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// How many of content there were since the last time.
    pub(crate) fn gets(&self) -> usize {
        self.log.gets.swap(0, Ordering::Relaxed)
    }

    fn answer(&self) -> Mood {
        *self.mood.lock().unwrap()
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.within.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.within.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        let mood = self.answer();
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
        self.within.get_ranges(at, ranges).await
    }

    fn delete_stream(&self, at: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.within.delete_stream(at)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.within.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.within.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.within.copy_opts(from, to, options).await
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
        Mood::StallsAfter(bytes) => pieces.take(bytes / PIECE).chain(stream::pending()).boxed(),
        _ => pieces.boxed(),
    }
}
