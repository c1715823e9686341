//! Single blobs, by their digest, whatever is in them.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use refs_registry::{ByteStream, Descriptor, MediaType, Replay, Resume, Sent, Sink, Source, Upload, error::Doing};
use refs_url::{Algorithm, Digest, Hasher, Target};

use crate::{
    Client, Error, Existing, Location, Result,
    error::LocationFault,
    healed::healed,
    thread,
    unpack::{StagedFile, Wanted},
};

/// A stream that can be read once is read in pieces of this length.
const PIECE_BYTES: usize = 256 * 1024;

impl Client {
    /// The size in bytes of the blob whose digest `at` names; `None` when its repository has none.
    ///
    /// # Errors
    /// `Location` when `at` names no digest; `Registry` when the registry does not tell.
    pub async fn blob_size(&self, at: &Location) -> Result<Option<u64>> {
        let digest = needs_digest(at)?;
        Ok(self.source(at).await?.stat_blob(&digest).await?)
    }

    /// Writes the blob whose digest `at` names to `output`, from a thread that may block. Bytes are written while they
    /// come, so that only success vouches for them.
    ///
    /// # Errors
    /// `Location` when `at` names no digest; `Io` when `output` fails; `Registry` with the kind `NotFound`, `Digest`, `Size`
    /// or what broke the connection. After an error `output` may have been given a part, or other bytes.
    pub async fn read_blob<W: Write + Send + 'static>(&self, at: &Location, output: W) -> Result<W> {
        let digest = needs_digest(at)?;
        let blob = self.source(at).await?.blob(&digest, Resume::START).await?;
        write(blob.stream, Path::new(&at.to_string()), output).await
    }

    /// Writes the blob whose digest `at` names to the file `to`, which is complete or as it was at every moment; a file that
    /// is there is replaced. Gives the blob's size in bytes.
    ///
    /// # Errors
    /// `Destination` when something else than a file is in the way, or `to` is in the folder of the client's store or in the
    /// layout that is read; else as [`read_blob`](Client::read_blob).
    pub async fn save_blob(&self, at: &Location, to: &Path) -> Result<u64> {
        let digest = &needs_digest(at)?;
        self.keep_apart(at, to).await?;
        let source = self.source(at).await?;
        healed(&source, |source| save(source, digest, to).boxed()).await
    }

    /// Puts the bytes of `file` into the repository at `at`, unless it has them. They are read twice: first for the digest,
    /// which must be the one that `at` names, if it names one. What is no regular file is read once, as
    /// [`put_stream`](Client::put_stream) does.
    ///
    /// # Errors
    /// `Io` when the file can't be read; `Location` for a file as the place; `Registry`, with the kind `Digest` when the
    /// bytes are not those that `at` names. After an error there is no blob.
    pub async fn put_file(&self, at: &Location, file: &Path) -> Result<(Descriptor, Sent)> {
        let failed = |source| Error::Io { doing: Doing::Read, path: file.to_owned(), source };
        let path = file.to_owned();
        let opened = thread::run(move || {
            let open = || File::open(&path).and_then(|file| Ok((file.metadata()?.is_file(), file)));
            open().map_err(|source| Error::Io { doing: Doing::Read, path: path.clone(), source })
        });
        let (is_regular, opened) = opened.await?;
        if !is_regular {
            return self.put_stream(at, opened).await.map_err(|error| match error {
                Error::Io { doing: Doing::Read, source, .. } => failed(source),
                error => error,
            });
        }
        let sink = self.sink(at).await?;
        let replay = Replay::Held(Arc::new(opened));
        let expected = expected(at);
        let hasher = match &expected {
            Some(digest) => Hasher::for_digest(digest).ok_or_else(|| unsupported(digest))?,
            None => Hasher::sha256(),
        };
        let blob = hashed(replay.open(0).await?, hasher).await?;
        check(expected.as_ref(), &blob.digest)?;
        let sent = sink.put_blob(&blob, replay.into()).await?;
        Ok((blob, sent))
    }

    /// Puts the bytes of `input`, which can be read once, into the repository at `at`. They are sent while they come; that
    /// the repository has had them shows at their end only. They are known by their sha256, which must be the digest that
    /// `at` names, if it names one.
    ///
    /// # Errors
    /// As [`put_file`](Client::put_file); `Registry` with the kind `Unsupported` when `at` names a digest of another
    /// algorithm.
    pub async fn put_stream<R: Read + Send + 'static>(&self, at: &Location, input: R) -> Result<(Descriptor, Sent)> {
        let expected = expected(at);
        if let Some(digest) = expected.as_ref().filter(|digest| digest.algorithm() != Algorithm::Sha256) {
            return Err(unsupported(digest));
        }
        let sink = self.sink(at).await?;
        let mut upload = sink.upload(None).await?;
        match send(&mut *upload, input).await.and_then(|blob| check(expected.as_ref(), &blob.digest).map(|()| blob)) {
            Ok(blob) => finish(&*sink, upload, blob).await,
            Err(error) => {
                // The first failure is the one to report; a session that can't be cancelled expires by itself.
                drop(upload.abort().await);
                Err(error)
            }
        }
    }
}

/// Writes the blob `digest` of `source` to the file `to`, and gives its size.
async fn save(source: Arc<dyn Source>, digest: &Digest, to: &Path) -> Result<u64> {
    let blob = source.blob(digest, Resume::START).await?;
    let wanted = Arc::<Wanted>::default();
    let (path, waited_for) = (to.to_owned(), Arc::downgrade(&wanted));
    let file = thread::run(move || StagedFile::beside(&path, Existing::Replace, waited_for)).await?;
    let file = write(blob.stream, to, file).await?;
    thread::run(move || file.publish()).await?;
    drop(wanted);
    Ok(blob.size)
}

/// Ends `upload` as the blob that it has turned out to be, if that is not there yet.
async fn finish(sink: &dyn Sink, upload: Box<dyn Upload>, blob: Descriptor) -> Result<(Descriptor, Sent)> {
    if sink.stat_blob(&blob.digest).await? == Some(blob.size) {
        // It expires by itself, too.
        drop(upload.abort().await);
        return Ok((blob, Sent::Present));
    }
    upload.commit(&blob.digest).await?;
    Ok((blob, Sent::Uploaded))
}

async fn send<R: Read + Send + 'static>(upload: &mut dyn Upload, mut input: R) -> Result<Descriptor> {
    let (mut hasher, mut size) = (Hasher::sha256(), 0_u64);
    loop {
        let (read, chunk) = thread::run(move || {
            let mut chunk = Vec::with_capacity(PIECE_BYTES);
            let read = Read::by_ref(&mut input).take(PIECE_BYTES as u64).read_to_end(&mut chunk);
            read.map_err(|source| Error::Io { doing: Doing::Read, path: "-".into(), source })?;
            Ok((input, Bytes::from(chunk)))
        })
        .await?;
        if chunk.is_empty() {
            return Ok(Descriptor::new(MediaType::new(ANY), hasher.finish(), size));
        }
        input = read;
        hasher.update(&chunk);
        size += chunk.len() as u64;
        upload.write(chunk).await?;
    }
}

/// What is known of bytes of which nothing is.
pub(crate) const ANY: &str = "application/octet-stream";

async fn hashed(stream: ByteStream, hasher: Hasher) -> Result<Descriptor> {
    let add = |(mut hasher, size): (Hasher, u64), chunk: Bytes| async move {
        hasher.update(&chunk);
        Ok((hasher, size + chunk.len() as u64))
    };
    let (hasher, size) = stream.try_fold((hasher, 0), add).await?;
    Ok(Descriptor::new(MediaType::new(ANY), hasher.finish(), size))
}

/// Writes `stream` to `output`, which `path` is the name of.
async fn write<W: Write + Send + 'static>(mut stream: ByteStream, path: &Path, mut output: W) -> Result<W> {
    while let Some(chunk) = stream.next().await {
        let (chunk, path) = (chunk?, path.to_owned());
        output = thread::run(move || {
            let written = output.write_all(&chunk);
            written.map_err(|source| Error::Io { doing: Doing::Write, path, source })?;
            Ok(output)
        })
        .await?;
    }
    Ok(output)
}

fn expected(at: &Location) -> Option<Digest> {
    match at.target() {
        Some(Target::Digest(digest)) => Some(digest),
        _ => None,
    }
}

fn needs_digest(at: &Location) -> Result<Digest> {
    expected(at).ok_or_else(|| at.fault(LocationFault::NoDigest))
}

fn check(expected: Option<&Digest>, actual: &Digest) -> Result<()> {
    match expected {
        Some(expected) if expected != actual => {
            let (wanted, actual) = (refs_registry::error::Wanted::Blob(expected.clone()), actual.clone());
            Err(refs_registry::Error::Digest { wanted, actual }.into())
        }
        _ => Ok(()),
    }
}

fn unsupported(digest: &Digest) -> Error {
    let wanted = refs_registry::error::Wanted::Algorithm(digest.clone());
    refs_registry::Error::unsupported(wanted, "this build").into()
}
