//! Blobs, written whole.

use futures_util::StreamExt;

use super::Repository;
use crate::{
    ByteStream, Descriptor, Error, Replay, Result, Resume, Sink, Verify,
    auth::Scopes,
    error::Wanted,
    transport::{Body, Failure, FaultSlot, Proof},
    verified,
};

impl Repository {
    /// Uploads what can be read again: one request with all of it, and after a failure a new session with all of it.
    pub(super) async fn put_replay(&self, blob: &Descriptor, replay: &Replay) -> Result<()> {
        let mut budget = self.remote.budget();
        loop {
            let failure = match self.put_once(blob, replay).await {
                Ok(()) => return Ok(()),
                // Old Artifactory does not know a session before a `PATCH` has been made in it.
                Err(Failure { error: Error::NotFound { wanted: Wanted::Upload, .. }, .. }) => {
                    return self.put_stream(blob, replay.open(0).await?).await;
                }
                Err(failure) => failure,
            };
            self.remote.pause(failure, &mut budget).await?;
            // The answer may have been lost, and not the request; or somebody else was faster.
            if self.head_blob(&blob.digest, Scopes::push(&self.name)).await?.is_some() {
                return Ok(());
            }
        }
    }

    async fn put_once(&self, blob: &Descriptor, replay: &Replay) -> Result<(), Failure> {
        let answer = self.remote.once(&self.session_call()).await?;
        let session = self.next_location(&answer)?;
        let (replay, proof, fault) = (replay.clone(), Proof::new(&blob.digest, blob.size)?, FaultSlot::default());
        let range = 0..blob.size;
        self.finish_upload(session, &blob.digest, Body::Part { replay, range, proof, fault }).await
    }

    /// Uploads what can be read once.
    pub(super) async fn put_stream(&self, blob: &Descriptor, stream: ByteStream) -> Result<()> {
        let mut stream = verified(stream, Verify::new(&blob.digest, blob.size, Resume::START)?);
        let mut upload = self.upload(None).await?;
        loop {
            let written = match stream.next().await {
                None => return upload.commit(&blob.digest).await,
                Some(Ok(chunk)) => upload.write(chunk).await,
                Some(Err(error)) => Err(error),
            };
            if let Err(error) = written {
                // The first failure is the one to report; a session that can't be cancelled expires by itself.
                drop(upload.abort().await);
                return Err(error);
            }
        }
    }
}
