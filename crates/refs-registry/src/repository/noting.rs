//! Blobs whose upload is written down, for whoever goes on with it.

use std::sync::Arc;

use super::{
    Repository,
    sending::{Goal, Held, Sending},
    session::{Session, Standing},
};
use crate::{Descriptor, Error, ErrorKind, Noted, Notes, Pieces, Quirks, Replay, Result, UploadState};

impl Repository {
    /// Uploads what can be read again, and goes on with what an earlier upload has left of it.
    pub(super) async fn put_by_notes(&self, blob: &Descriptor, replay: &Replay, noted: &Noted) -> Result<()> {
        let left = self.left(blob, noted).await;
        let is_resumed = left.is_some();
        let held = if is_resumed { Held::rest(blob, replay) } else { Held::blob(blob, replay)? };
        let mut sending = Sending::noting(self, left.unwrap_or_else(|| Session::none(self)), noted);
        let Err(error) = sending.drive(&held, Goal::Blob(&blob.digest)).await else {
            noted.notes.clear().await;
            return Ok(());
        };
        let is_complete = sending.session().offset() >= blob.size;
        let may_be_the_session = is_resumed && is_complete && matches!(error, Error::Refused { .. });
        if error.is_retryable() {
            // Nobody is to go on for ever with what fails at its end.
            if may_be_the_session {
                noted.notes.clear().await;
            }
            return Err(error);
        }
        noted.notes.clear().await;
        sending.give_up().await;
        let may_be_the_piece = !is_complete && sending.is_in_pieces() && matches!(error, Error::Refused { .. });
        let may_be_the_beginning = !held.is_checked() && !is_about_access(&error);
        if !may_be_the_piece && !may_be_the_beginning {
            return Err(error);
        }
        tracing::debug!(digest = %blob.digest, %error, is_resumed, "the blob is sent anew, as one");
        self.put_replay(blob, replay).await
    }

    /// The session of an earlier upload, as far as the registry has it.
    async fn left(&self, blob: &Descriptor, noted: &Noted) -> Option<Session> {
        let state = noted.notes.last().await?;
        match Session::resume(self, &state).await {
            Ok(session) if session.offset() <= blob.size => {
                tracing::debug!(digest = %blob.digest, offset = session.offset(), "an earlier upload goes on");
                return Some(session);
            }
            // It is left to whoever it belongs to.
            Ok(session) => tracing::debug!(offset = session.offset(), "the session is of another upload"),
            // A registry that does not answer at all says so of a fresh one, too.
            Err(error) => tracing::debug!(%error, "the registry does not go on with the earlier upload"),
        }
        None
    }
}

/// Whether sending it all anew would come to the same.
const fn is_about_access(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::Denied)
}

/// The notes on an upload under way.
#[derive(Debug)]
pub(super) struct Noting {
    notes: Arc<dyn Notes>,
    piece_bytes: u64,
    last: Option<UploadState>,
}

impl Noting {
    pub(super) fn new(noted: &Noted) -> Self {
        Self { notes: Arc::clone(&noted.notes), piece_bytes: noted.piece_bytes.into(), last: None }
    }

    /// The bytes of a piece; `None` where no piece may have so many: what would become many requests is one.
    pub(super) fn piece(&self, quirks: &Quirks) -> Option<u64> {
        match quirks.pieces {
            Pieces::Any => Some(self.piece_bytes),
            Pieces::AtMost(most) => (most >= self.piece_bytes).then_some(self.piece_bytes),
            Pieces::Never => None,
        }
    }

    /// Writes down how far `session` has come, where that is sure and new.
    pub(super) async fn note(&mut self, session: &Session) {
        if session.standing() != Standing::Sure {
            return;
        }
        let state = session.state();
        if self.last.as_ref() != Some(&state) {
            self.notes.write(&state).await;
            self.last = Some(state);
        }
    }
}
