//! Blobs whose upload is written down, for whoever goes on with it.

use std::sync::Arc;

use super::{
    Repository,
    held::{Goal, Held},
    sending::Sending,
    session::{Session, Standing},
};
use crate::{Descriptor, Error, ErrorKind, Noted, Notes, Pieces, Quirks, Replay, Result, UploadState, error::Wanted};

impl Repository {
    /// Uploads what can be read again, and goes on with what an earlier upload has left of it.
    pub(super) async fn put_by_notes(&self, blob: &Descriptor, replay: &Replay, noted: &Noted) -> Result<()> {
        let left = self.left(blob, noted).await;
        let before = left.as_ref().map(Session::offset);
        let held = if before.is_some() { Held::rest(blob, replay) } else { Held::blob(blob, replay)? };
        let mut sending = Sending::noting(self, left.unwrap_or_else(|| Session::none(self)), noted);
        let Err(error) = sending.drive(&held, Goal::Blob(&blob.digest)).await else {
            noted.notes.clear().await;
            return Ok(());
        };
        let offset = sending.session().offset();
        let broken = Broken { is_complete: offset >= blob.size, has_come: offset > before.unwrap_or(0), before };
        if error.is_retryable() || broken.stays_after(&error) {
            // Nobody is to go on for ever with what fails at its end.
            if before.is_some() && broken.is_complete && matches!(error, Error::Refused { .. }) {
                noted.notes.clear().await;
            }
            return Err(error);
        }
        // What was refused before there was a session says nothing of the one that an earlier upload has left.
        if sending.has_noted() {
            noted.notes.clear().await;
        }
        sending.give_up().await;
        let may_be_the_piece = sending.is_in_pieces() && broken.may_be_the_piece(&error);
        let may_be_the_beginning = !held.is_checked() && !is_elsewhere(&error);
        if !may_be_the_piece && !may_be_the_beginning {
            return Err(error);
        }
        tracing::debug!(digest = %blob.digest, %error, ?before, "the blob is sent anew, as one");
        self.put_replay(blob, replay).await
    }

    /// The session of an earlier upload, as far as the registry has it.
    async fn left(&self, blob: &Descriptor, noted: &Noted) -> Option<Session> {
        let state = noted.notes.last().await?;
        match Session::resume(self, &state).await {
            Ok(session) if (state.offset..=blob.size).contains(&session.offset()) => {
                tracing::debug!(digest = %blob.digest, offset = session.offset(), "an earlier upload goes on");
                return Some(session);
            }
            // It is left to whoever it belongs to: it has more than there is, or less than was acknowledged.
            Ok(session) => tracing::debug!(offset = session.offset(), "the session is of another upload"),
            // A registry that does not answer at all says so of a fresh one, too.
            Err(error) => tracing::debug!(%error, "the registry does not go on with the earlier upload"),
        }
        None
    }
}

/// Where an upload has broken off.
struct Broken {
    /// All bytes have come.
    is_complete: bool,
    /// Some have that had not before.
    has_come: bool,
    /// How many had before, if it was gone on with.
    before: Option<u64>,
}

impl Broken {
    /// Whether what has come is worth going on with, once the cause of `error` is gone.
    const fn stays_after(&self, error: &Error) -> bool {
        let has_any = self.has_come || matches!(self.before, Some(1..));
        let was_taken = !self.is_complete && self.has_come && matches!(error, Error::Refused { .. });
        has_any && (is_elsewhere(error) || was_taken)
    }

    /// Whether the registry may have refused a piece because it takes none.
    const fn may_be_the_piece(&self, error: &Error) -> bool {
        !self.is_complete && !self.has_come && matches!(error, Error::Refused { .. }) && !is_elsewhere(error)
    }
}

/// Whether the cause is neither in the session nor in what was sent: who may not read or write, what the source lacks, and a
/// registry that is full.
const fn is_elsewhere(error: &Error) -> bool {
    const INSUFFICIENT_STORAGE: u16 = 507;
    match error {
        Error::Refused { status, .. } => *status == INSUFFICIENT_STORAGE,
        Error::NotFound { wanted, .. } => matches!(wanted, Wanted::Blob(_) | Wanted::BlobPart(_)),
        error => matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::Denied),
    }
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

    /// Whether anything was written down.
    pub(super) const fn has_any(&self) -> bool {
        self.last.is_some()
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
