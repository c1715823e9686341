//! Blobs, written whole.

use super::{
    Repository,
    held::{Goal, Held},
    sending::Sending,
    session::Session,
};
use crate::{ByteStream, Descriptor, Replay, Result, Resume, Verify, fill, verified};

impl Repository {
    /// Uploads what can be read again: in one request where the registry takes that, and from where it was cut.
    pub(super) async fn put_replay(&self, blob: &Descriptor, replay: &Replay) -> Result<()> {
        let held = Held::blob(blob, replay)?;
        let mut sending = Sending::new(self, Session::none(self));
        let sent = sending.drive(&held, Goal::Blob(&blob.digest)).await;
        if let Err(error) = &sent {
            sending.cancel_after(error).await;
        }
        sent
    }

    /// Uploads what can be read once.
    pub(super) async fn put_stream(&self, blob: &Descriptor, stream: ByteStream) -> Result<()> {
        let stream = verified(stream, Verify::new(&blob.digest, blob.size, Resume::START)?);
        fill(self.begin_upload(Some(&blob.digest)).await?, stream, &blob.digest).await
    }
}
