//! When files were added and read.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};

/// Since when a file is as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    Added,
    Read,
}

/// The time of the last change, as that of the last reading is not kept by every file system, says when a file was read last.
/// Whether it ever was is said by the nanoseconds behind the last microsecond: none in what was only added. Where the file
/// system keeps no such, the first reading goes uncounted unless something was evicted in between.
pub(crate) fn note_time(path: &Path, since: Since) {
    if let Err(error) = utimensat(CWD, path, &times(since), AtFlags::SYMLINK_NOFOLLOW) {
        tracing::debug!(path = %path.display(), %error, "it is not noted that this was added, or read");
    }
}

/// The times that a file is to have, as [`note_time`] says.
pub(crate) fn times(since: Since) -> Timestamps {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let nanoseconds = now.subsec_nanos() / NANOSECONDS * NANOSECONDS + u32::from(since == Since::Read);
    let last_modification = Timespec { tv_sec: now.as_secs().cast_signed(), tv_nsec: nanoseconds.into() };
    Timestamps { last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }, last_modification }
}

/// In a microsecond.
const NANOSECONDS: u32 = 1000;

/// Whether a file of this time of change was ever read.
pub(crate) fn was_read(time: Duration) -> bool {
    !time.subsec_nanos().is_multiple_of(NANOSECONDS)
}
