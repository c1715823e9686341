//! The one loop that every upload goes through: send, and when that fails, find out how far it came and go on from there.

use std::ops::Range;

use refs_url::Digest;

use super::{
    Repository,
    blobs::PROGRESS_BYTES,
    held::{Goal, Held},
    noting::Noting,
    pieces::{Lesson, Limits, Seen, Step, lesson},
    session::{Session, Standing},
};
use crate::{
    Error, ErrorKind, Noted, Pieces, Result, WholeBy,
    auth::Scopes,
    error::Wanted,
    quirks::MIB,
    transport::{Answer, Body, Budget, Call, Failure},
};

/// An upload under way: its session, and what may still be spent on it.
#[derive(Debug)]
pub(super) struct Sending {
    repository: Repository,
    session: Session,
    budget: Budget,
    /// The bytes acknowledged since the last failure.
    progress: u64,
    /// How much the session had when its progress was last counted.
    counted: u64,
    /// How many sessions were lost to failures.
    lost: u32,
    /// The bytes that the registry takes of a longer piece, if it has been seen to.
    taken: Option<u64>,
    /// The bytes of a piece as the user wants them.
    asked: Option<u64>,
    /// Where it is written down how far it has come, if it is.
    noting: Option<Noting>,
    whole_by: WholeBy,
    /// The piece that was refused last.
    refused: Option<Range<u64>>,
    /// Why the registry has to be asked how much it has.
    cause: Option<Error>,
}

/// Whether the goal has been reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Further,
    There,
}

impl Sending {
    pub(super) fn new(repository: &Repository, session: Session) -> Self {
        Self {
            repository: repository.clone(),
            budget: repository.remote.budget(),
            progress: 0,
            counted: session.offset(),
            lost: 0,
            taken: None,
            session,
            asked: repository.remote.piece_bytes(),
            noting: None,
            whole_by: repository.remote.quirks().whole_by,
            refused: None,
            cause: None,
        }
    }

    /// One that is written down.
    pub(super) fn noting(repository: &Repository, session: Session, noted: &Noted) -> Self {
        Self { noting: Some(Noting::new(noted)), ..Self::new(repository, session) }
    }

    /// The bytes of a piece when the end is not known; `None` to send all in one request. Pieces stay of that size.
    pub(super) fn stream_by(&mut self) -> Option<u64> {
        self.asked = self.limits().of_stream();
        self.asked
    }

    pub(super) const fn session(&self) -> &Session {
        &self.session
    }

    pub(super) const fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    pub(super) fn limits(&self) -> Limits {
        let mut quirks = self.repository.remote.quirks();
        quirks.whole_by = self.whole_by;
        let noted = || self.noting.as_ref().and_then(|noting| noting.piece(&quirks));
        Limits { asked: self.asked.or_else(noted), quirks, taken: self.taken, least: self.session.least() }
    }

    /// Whether any session is written down that was this upload's.
    pub(super) fn has_noted(&self) -> bool {
        self.noting.as_ref().is_some_and(Noting::has_any)
    }

    /// Whether nothing but its being written down has it sent in pieces.
    pub(super) fn is_in_pieces(&self) -> bool {
        self.asked.is_none() && self.limits().asked.is_some()
    }

    /// Sends what is `held` until the `goal` is reached. After an error the session is where it was, or gone.
    pub(super) async fn drive(&mut self, held: &Held<'_>, goal: Goal<'_>) -> Result<()> {
        loop {
            if let Some(noting) = &mut self.noting {
                noting.note(&self.session).await;
            }
            let step = self.next(held, goal);
            if step == Step::Begin
                && let Some(cause) = self.cause.take()
            {
                self.lose(cause)?;
            }
            let taken = match self.take(&step, held, goal).await {
                Ok(taken) => taken,
                // Boxed: it is seldom, and large.
                Err(failure) => Box::pin(self.overcome(failure, &step, held, goal)).await?,
            };
            if taken == Taken::There {
                return Ok(());
            }
        }
    }

    /// Ends the session after a failure, unless somebody may go on with it or the registry can't be spoken to.
    pub(super) async fn cancel_after(&mut self, error: &Error) {
        let is_wrong = error.kind() == ErrorKind::Digest;
        let is_deaf = matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Timeout);
        if (self.session.is_told() || is_deaf) && !is_wrong {
            return;
        }
        self.give_up().await;
    }

    /// Ends the session, which nobody is to go on with.
    pub(super) async fn give_up(&mut self) {
        if let Err(error) = self.session.cancel().await {
            // The first failure is the one to report; a session that can't be cancelled expires by itself.
            tracing::debug!(%error, "the session is left to expire");
        }
    }

    fn next(&self, held: &Held<'_>, goal: Goal<'_>) -> Step {
        match self.session.standing() {
            Standing::Gone => Step::Begin,
            Standing::InDoubt | Standing::Told => Step::Ask,
            Standing::Sure => self.limits().next(self.session.offset(), held.end(), goal.reach()),
        }
    }

    async fn take(&mut self, step: &Step, held: &Held<'_>, goal: Goal<'_>) -> Result<Taken, Failure> {
        let end = held.end();
        match (step, goal) {
            (Step::Begin, _) => {
                let digest = if let Goal::Blob(digest) = goal { Some(digest) } else { None };
                self.session = Session::begin(&self.repository, digest).await?;
                self.counted = self.session.offset();
            }
            (Step::Ask, _) => self.ask(held).await?,
            (Step::Anew, _) => self.anew(held)?,
            (Step::Patch, _) => self.append(0..end, &self.session.patch(held.body(0..end))).await?,
            (Step::Piece(range), _) => {
                self.append(range.clone(), &self.session.piece(range, held.body(range.clone()))?).await?;
            }
            (Step::Whole, Goal::Blob(digest)) => {
                self.session.finish(digest, held.body(0..end)).await?;
                return Ok(Taken::There);
            }
            (Step::End, Goal::Blob(digest)) => {
                self.session.finish(digest, Body::Empty).await?;
                if self.whole_by == WholeBy::Patch {
                    self.repository.remote.learn(|quirks| quirks.whole_by = WholeBy::Patch);
                }
                return Ok(Taken::There);
            }
            (Step::Wait | Step::Whole | Step::End, _) => return Ok(Taken::There),
        }
        Ok(Taken::Further)
    }

    async fn append(&mut self, sent: Range<u64>, call: &Call) -> Result<(), Failure> {
        let answer = self.repository.remote.once(call).await?;
        self.session.acknowledged(&answer, &sent)?;
        self.count();
        self.measure(&sent, &answer)
    }

    /// Has what comes next sent in shorter pieces when less than a quarter of what was `sent` has been taken: what is taken is
    /// progress, and no failed attempt, unless it is less than a sixteenth of the shortest piece, at which an upload would
    /// take for ever.
    fn measure(&mut self, sent: &Range<u64>, answer: &Answer) -> Result<(), Failure> {
        const SHORTEST: u64 = MIB;
        let (taken, bytes) = (self.session.offset() - sent.start, sent.end - sent.start);
        if taken < bytes / 4 {
            self.taken = Some(taken.max(SHORTEST));
            self.session.question();
        }
        // What a registry without pieces does not take at once is sent anew.
        let is_in_vain = taken < bytes && self.limits().piece().is_none();
        if is_in_vain || taken < bytes.min(SHORTEST) / 16 {
            return Err(Failure::passing(Error::LittleTaken { at: answer.at.clone(), sent: bytes, taken }));
        }
        self.cause = None;
        Ok(())
    }

    async fn ask(&mut self, held: &Held<'_>) -> Result<(), Failure> {
        let (before, was) = (self.session.offset(), self.session.standing());
        match self.session.ask(held.end()).await? {
            Some(offset) => {
                if was == Standing::Told && offset > before {
                    // Its word had been late, and the piece not too long.
                    self.taken = None;
                }
                self.count();
            }
            None if self.session.trust() => {}
            None => self.anew(held)?,
        }
        Ok(())
    }

    /// Counts what the session has come on by as progress.
    fn count(&mut self) {
        let offset = self.session.offset();
        self.progress += offset.saturating_sub(self.counted);
        self.counted = offset;
    }

    /// Keeps what the session may be lost to. What was not looked at costs no attempt, and so no session.
    fn blame(&mut self, failure: &Failure) {
        self.cause = Some(failure.error.clone()).filter(|_| !failure.is_unseen());
    }

    /// Allows as many sessions to be lost to failures as attempts may be made: by what comes in each of them, those would be
    /// renewed for ever.
    fn lose(&mut self, cause: Error) -> Result<()> {
        self.cause = None;
        self.lost += 1;
        if self.budget.outlasts(self.lost) { Ok(()) } else { Err(cause) }
    }

    /// Gives the session up for another one, where all bytes can be sent once more.
    fn anew(&mut self, held: &Held<'_>) -> Result<(), Failure> {
        self.session.abandon();
        self.replayable(held)
    }

    fn replayable(&self, held: &Held<'_>) -> Result<(), Failure> {
        if held.start() == 0 {
            return Ok(());
        }
        Err(Failure::last(Error::unsupported(Wanted::Resume, self.repository.place())))
    }
}

impl Sending {
    /// Makes up for a failure of `step`, as far as possible.
    async fn overcome(&mut self, failure: Failure, step: &Step, held: &Held<'_>, goal: Goal<'_>) -> Result<Taken> {
        if *step == Step::Ask && self.session.trust() {
            return Ok(Taken::Further);
        }
        if let Error::NotFound { wanted: Wanted::Upload, .. } = &failure.error {
            return self.lost(failure.error, step, held).await;
        }
        let seen = self.seen(&failure.error, step);
        if self.learn(&failure.error, step, held, goal, seen) {
            self.session.doubt();
            self.cause = None;
            return Ok(Taken::Further);
        }
        let failure = if is_out_of_step(&failure.error) { Failure::passing(failure.error) } else { failure };
        match (step, goal) {
            (Step::Begin, _) => self.pause(failure).await?,
            // A registry that does not tell is asked for another session.
            (Step::Ask, _) if !failure.is_passing() => {
                self.anew(held).map_err(|_unsent| self.cause.take().unwrap_or(failure.error))?;
            }
            (Step::Ask, _) => self.pause(failure).await?,
            (Step::Whole | Step::End, Goal::Blob(digest)) => return self.ended(failure, digest).await,
            _ => {
                self.blame(&failure);
                self.pause(failure).await?;
                // Refused where the registry's own word had it begin: ECR's word stays at the first piece.
                if seen == Seen::Again && self.replayable(held).is_ok() {
                    self.session.abandon();
                } else {
                    self.session.doubt();
                }
            }
        }
        Ok(Taken::Further)
    }

    /// The registry does not know the session.
    async fn lost(&mut self, error: Error, step: &Step, held: &Held<'_>) -> Result<Taken> {
        let offset = self.session.offset();
        self.session.forget();
        if *step == Step::Whole && self.whole_by == WholeBy::Put {
            // Old Artifactory does not know a session before a `PATCH` has been made in it.
            self.whole_by = WholeBy::Patch;
        } else if *step == Step::Ask && self.replayable(held).is_err() {
            // Distribution 2.8 forgets a session whose last request was cut: the cut is what to tell of.
            return Err(self.cause.take().unwrap_or(error));
        } else if offset == 0 && *step != Step::Ask || self.replayable(held).is_err() {
            return Err(error);
        } else if *step != Step::Ask {
            self.lose(error.clone())?;
            self.pause(Failure::passing(error)).await?;
        }
        Ok(Taken::Further)
    }

    /// The last request of a session has failed. Its answer may have been lost, and not the request; or somebody else was
    /// faster: Nexus refuses the slower one of two who upload the same blob.
    async fn ended(&mut self, failure: Failure, digest: &Digest) -> Result<Taken> {
        let is_answered = matches!(failure.error, Error::Refused { .. } | Error::Conflict { .. });
        let last = if failure.is_passing() {
            self.blame(&failure);
            self.pause(failure).await?;
            None
        } else if is_answered {
            Some(failure.error)
        } else {
            return Err(failure.error);
        };
        match (self.repository.head_blob(digest, Scopes::push(self.repository.name())).await, last) {
            (Ok(Some(_)), _) => {
                self.session.abandon();
                Ok(Taken::There)
            }
            (_, Some(refused)) => Err(refused),
            (Err(error), None) => Err(error),
            (Ok(None), None) => {
                self.session.doubt();
                Ok(Taken::Further)
            }
        }
    }

    /// Whether the same piece has been refused as out of order before.
    fn seen(&mut self, error: &Error, step: &Step) -> Seen {
        match step {
            Step::Piece(range) if is_out_of_step(error) => {
                let before = self.refused.replace(range.clone());
                if before.as_ref() == Some(range) { Seen::Again } else { Seen::First }
            }
            _ => Seen::First,
        }
    }

    /// Takes note of what a refusal teaches; whether it is worth going on otherwise.
    fn learn(&self, error: &Error, step: &Step, held: &Held<'_>, goal: Goal<'_>, seen: Seen) -> bool {
        let Error::Refused { status, detail, .. } = error else { return false };
        let (end, offset, bytes) = (held.end(), self.session.offset(), step.bytes(held.end()));
        let Some(lesson) = lesson(*status, detail.words(), step, bytes, seen) else { return false };
        let mut limits = self.limits();
        lesson.note(&mut limits.quirks);
        // What its owner has set is not unlearnt, and what is refused so is refused for good.
        limits.quirks = self.repository.remote.settings().overriding(limits.quirks);
        let is_smaller = limits.next(offset, end, goal.reach()).bytes(end) < bytes;
        let is_whole = matches!(lesson, Lesson::Pieces(Pieces::Never)) && limits.quirks.pieces == Pieces::Never;
        if is_smaller || is_whole {
            tracing::debug!(host = %self.repository.host(), ?lesson, "the registry takes other requests");
            self.repository.remote.learn(|quirks| lesson.note(quirks));
        }
        is_smaller || is_whole
    }

    /// Waits until the next attempt may be made. What was acknowledged meanwhile counts for it.
    async fn pause(&mut self, failure: Failure) -> Result<()> {
        if std::mem::take(&mut self.progress) >= PROGRESS_BYTES {
            self.budget.renew();
        }
        self.repository.remote.pause(failure, &mut self.budget).await
    }
}

/// Whether the two sides may think of different offsets, so that asking helps.
const fn is_out_of_step(error: &Error) -> bool {
    matches!(error, Error::Refused { status: 416, .. })
}
