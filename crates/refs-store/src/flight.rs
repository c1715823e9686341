//! One fetch of content at a time, across tasks and processes: others wait for it, as long as it gets on.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use refs_registry::{Error, Result, error::Doing};
use refs_url::Digest;
use tokio::sync::OwnedMutexGuard;

use crate::{
    file::is_absent,
    ingest::{Ingest, make_folder},
};

/// The files of flights in a store's folder, flat. Each is as long as what has come so far.
pub(crate) const LOCKS_FOLDER: &str = "locks";

/// The right to be the one who fetches content into a [`Store`](crate::Store), until it is dropped, or its process ends in
/// whatever way.
#[derive(Debug)]
pub struct Flight(Right);

#[derive(Debug)]
enum Right {
    /// Among all processes.
    OfAll(Box<Ingest>),
    /// Among the tasks of this one.
    OfTasks { bytes: Arc<AtomicU64>, _held: OwnedMutexGuard<()> },
}

/// Where the one stands who fetches content.
#[derive(Debug)]
pub(crate) enum Turn {
    Ours(Flight),
    /// Another has brought so many bytes.
    Theirs(u64),
}

/// How long it is waited for another without progress, in small steps.
#[derive(Debug)]
pub(crate) struct Patience {
    most: Duration,
    waited: Duration,
    seen: u64,
    step: Duration,
}

impl Flight {
    /// Takes the right to fetch `digest` into the store at `root`, if nobody has it.
    pub(crate) fn take(root: &Path, digest: &Digest) -> Result<Turn> {
        let folder = root.join(LOCKS_FOLDER);
        let path = folder.join(format!("{}-{}", digest.algorithm_str(), digest.encoded()));
        make_folder(&folder)?;
        match Ingest::claim(&path)? {
            Some(file) => {
                file.go_when_dropped();
                file.stretch(0)?;
                Ok(Turn::Ours(Self(Right::OfAll(file.into()))))
            }
            None => match fs::symlink_metadata(&path) {
                Ok(metadata) => Ok(Turn::Theirs(metadata.len())),
                // Where there is no folder, nobody is waited for.
                Err(error) if is_absent(&error) && folder.is_dir() => Ok(Turn::Theirs(0)),
                Err(error) => Err(Error::io(Doing::Lock, path, error)),
            },
        }
    }

    /// The right that `held` stands for, to those who wait for which `bytes` tells how many have come.
    pub(crate) fn among_tasks(held: OwnedMutexGuard<()>, bytes: Arc<AtomicU64>) -> Self {
        bytes.store(0, Ordering::Relaxed);
        Self(Right::OfTasks { bytes, _held: held })
    }

    /// Tells those who wait that `bytes` have come.
    pub(crate) fn note(&self, bytes: u64) {
        match &self.0 {
            Right::OfAll(file) => {
                if let Err(error) = file.stretch(bytes) {
                    tracing::debug!(%error, "those who wait do not see that more has come");
                }
            }
            Right::OfTasks { bytes: seen, .. } => seen.store(bytes, Ordering::Relaxed),
        }
    }
}

impl Patience {
    /// The first step of waiting; each is longer than the one before, up to the last.
    const FIRST_STEP: Duration = Duration::from_millis(2);
    const LAST_STEP: Duration = Duration::from_millis(50);
    /// Fewer bytes a second are no progress.
    const MIN_RATE: u64 = 64 << 10;

    pub(crate) fn new(most: Duration) -> Self {
        Self { most, waited: Duration::ZERO, seen: 0, step: Self::FIRST_STEP }
    }

    /// How long to wait before looking again, when another has brought `bytes` by now; `None` when it is enough.
    ///
    /// What counts is the steps, not the clock: a machine that is too busy for the other is for us, too.
    pub(crate) fn next_step(&mut self, bytes: u64) -> Option<Duration> {
        let due = Self::MIN_RATE.saturating_mul(self.waited.as_secs().max(1));
        // A file that is shorter than it was is of another flight.
        if bytes < self.seen || bytes - self.seen >= due {
            self.seen = bytes;
            self.waited = Duration::ZERO;
        }
        if self.waited >= self.most {
            return None;
        }
        let step = self.step;
        self.waited += step;
        self.step = (step * 2).min(Self::LAST_STEP);
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flight_is_of_one_until_it_is_dropped() -> Result<()> {
        let root = tempfile::tempdir().unwrap();
        let digest = Digest::sha256(b"content");
        let Turn::Ours(flight) = Flight::take(root.path(), &digest)? else { panic!("nobody else is here") };
        flight.note(5);
        assert!(matches!(Flight::take(root.path(), &digest)?, Turn::Theirs(5)));
        assert!(matches!(Flight::take(root.path(), &Digest::sha256(b"other"))?, Turn::Ours(_)));
        drop(flight);
        assert_eq!(fs::read_dir(root.path().join(LOCKS_FOLDER)).unwrap().count(), 0);
        assert!(matches!(Flight::take(root.path(), &digest)?, Turn::Ours(_)));
        Ok(())
    }

    #[test]
    fn m149_what_a_killed_process_left_is_taken_at_once() -> Result<()> {
        let root = tempfile::tempdir().unwrap();
        let digest = Digest::sha256(b"content");
        fs::create_dir(root.path().join(LOCKS_FOLDER)).unwrap();
        fs::write(root.path().join(format!("{LOCKS_FOLDER}/sha256-{}", digest.encoded())), "12345").unwrap();
        assert!(matches!(Flight::take(root.path(), &digest)?, Turn::Ours(_)));
        Ok(())
    }

    /// Waits for one who brings `rate` bytes at each step; gives the steps until it is enough, of at most 10,000.
    fn steps(rate: u64) -> usize {
        let (mut patience, mut bytes, mut steps) = (Patience::new(Duration::from_secs(1)), 0, 0);
        while steps < 10_000 && patience.next_step(bytes).is_some() {
            bytes += rate;
            steps += 1;
        }
        steps
    }

    #[test]
    fn patience_ends_without_progress() {
        // 2, 4, 8, 16, 32 and then 50 ms each.
        assert_eq!(steps(0), 24);
        assert_eq!(steps(1024), 24);
        assert_eq!(steps(64 << 10), 10_000);
        assert_eq!(Patience::new(Duration::ZERO).next_step(0), None);
    }
}
