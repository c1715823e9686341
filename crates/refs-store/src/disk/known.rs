//! Content that this process has hashed a while ago, in a file that is still as it was then.

use std::{
    collections::HashMap,
    fs::File,
    os::unix::fs::MetadataExt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use refs_url::Digest;
use rustix::fs::{Timespec, futimens};

use crate::times::{Since, times};

/// Smaller content is hashed faster than it is remembered.
pub(super) const LEAST_BYTES: u64 = 1 << 20;
/// How long it counts that content was hashed: what goes bad on the disk itself leaves no mark on a file.
const LASTS: Duration = Duration::from_secs(10 * 60);
/// More is forgotten: to hash it once more costs little.
const MOST: usize = 10_000;

/// The files that hold content, as they were when this process looked last, and when each was hashed.
///
/// A file is known by the time of its last change, which each look sets anew: whoever writes into the file after
/// that leaves another one, and what was known counts no more. Who may write there may also set the time: the folder is its
/// user's alone.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(Arc<Mutex<HashMap<Digest, Entry>>>);

#[derive(Debug)]
struct Entry {
    stamp: Stamp,
    hashed: Option<Instant>,
    /// Another for each state of the file.
    state: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

/// What is known of a file that is about to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// It was hashed, and has not changed.
    Hashed,
    /// It has to be hashed, in the state of this number.
    Unknown(u64),
}

impl Known {
    /// What is known of the file of `digest`, which counts as read from now on. `None` when its time can't be set.
    pub(super) fn look(&self, digest: &Digest, file: &File, now: Instant) -> Option<Look> {
        let mut known = self.known();
        let before = Stamp::of(file)?;
        let stamp = before.touched(file)?;
        let last = known.get(digest);
        let entry = match last {
            Some(last) if last.stamp == before => Entry { stamp, ..*last },
            _ => Entry { stamp, hashed: None, state: last.map_or(0, |last| last.state + 1) },
        };
        let is_hashed = entry.hashed.is_some_and(|hashed| now.saturating_duration_since(hashed) < LASTS);
        let look = if is_hashed { Look::Hashed } else { Look::Unknown(entry.state) };
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(digest.clone(), entry);
        Some(look)
    }

    /// Notes that all bytes of the file were hashed, which was in this state before.
    pub(super) fn note(&self, digest: &Digest, state: u64, file: &File, now: Instant) {
        let mut known = self.known();
        if let Some(entry) = known.get_mut(digest)
            && entry.state == state
            && Stamp::of(file) == Some(entry.stamp)
        {
            entry.hashed = Some(now);
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Digest, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stamp {
    fn of(file: &File) -> Option<Self> {
        let about = file.metadata().ok()?;
        let changed = (about.mtime(), about.mtime_nsec());
        Some(Self { device: about.dev(), inode: about.ino(), bytes: about.len(), changed })
    }

    /// The same with the time of a reading now, which the file gets, too.
    fn touched(self, file: &File) -> Option<Self> {
        let times = times(Since::Read);
        futimens(file, &times).ok()?;
        let Timespec { tv_sec, tv_nsec } = times.last_modification;
        Some(Self { changed: (tv_sec, tv_nsec), ..self })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn what_was_hashed_counts_until_the_file_changes_or_the_time_is_over() {
        let (known, digest, now) = (Known::default(), Digest::sha256(b"content"), Instant::now());
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"content", 0).unwrap();
        let look = |later: u64| known.look(&digest, &file, now + Duration::from_secs(later)).unwrap();
        assert_eq!((look(0), look(0)), (Look::Unknown(0), Look::Unknown(0)));
        known.note(&digest, 0, &file, now);
        assert_eq!((look(0), look(599), look(600)), (Look::Hashed, Look::Hashed, Look::Unknown(0)));
        file.write_all_at(b"x", 0).unwrap();
        assert_eq!(look(0), Look::Unknown(1));
        known.note(&digest, 0, &file, now);
        assert_eq!(look(0), Look::Unknown(1), "what was hashed was in another state");
        file.write_all_at(b"y", 0).unwrap();
        known.note(&digest, 1, &file, now);
        assert_eq!(look(0), Look::Unknown(2), "it changed while it was hashed");
        let other = tempfile::tempfile().unwrap();
        known.note(&digest, 2, &file, now);
        assert_eq!(known.look(&digest, &other, now), Some(Look::Unknown(3)), "another file has its place");
    }
}
