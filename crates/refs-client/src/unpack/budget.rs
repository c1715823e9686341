//! Limits on what a pull may write, and the one count against them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{Error, Meter, Result};

/// How much a pull may write. A figure equal to its limit passes; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The size of one file, in bytes. 100 MiB unless set.
    pub file_bytes: u64,
    /// The size of all files together, in bytes. 1 GiB unless set.
    pub total_bytes: u64,
    /// How many files, directories and links. 10,000 unless set.
    ///
    /// Directories that an artifact has things in without naming them are not among them, and may be as many again.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file_bytes: 100 << 20, total_bytes: 1 << 30, entries: 10_000 }
    }
}

/// What has been used up of [`Limits`], by all who write at once.
///
/// Sizes that a layer declares are counted apart from bytes that were produced: the first refuse early what is honest,
/// the second hold against a layer that lies. A plan made before anything is fetched has a budget of its own.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    entries: AtomicU64,
    implied: AtomicU64,
    declared: AtomicU64,
    produced: AtomicU64,
    /// What tells others of what was produced.
    meter: Option<Arc<Meter>>,
}

impl Budget {
    /// All of `limits` left.
    pub(crate) fn new(limits: Limits) -> Self {
        let zero = || AtomicU64::new(0);
        Self { limits, entries: zero(), implied: zero(), declared: zero(), produced: zero(), meter: None }
    }

    /// The same, which tells `meter` what is produced.
    pub(crate) fn metered(limits: Limits, meter: &Arc<Meter>) -> Self {
        Self { meter: Some(Arc::clone(meter)), ..Self::new(limits) }
    }

    /// Counts an entry.
    ///
    /// # Errors
    /// `TooManyEntries`.
    pub(crate) fn entry(&self) -> Result<()> {
        self.one_more(&self.entries)
    }

    /// Counts a directory that no entry names.
    ///
    /// # Errors
    /// `TooManyEntries`.
    pub(crate) fn implied(&self) -> Result<()> {
        self.one_more(&self.implied)
    }

    /// Counts the size in bytes that an entry says its file has.
    ///
    /// # Errors
    /// `FileTooLarge`, `TotalTooLarge`.
    pub(crate) fn declared(&self, path: &str, size: u64) -> Result<()> {
        self.file(path, size)?;
        self.total(&self.declared, size)
    }

    /// Counts `bytes` more of the file at `path`, which has `file_bytes` so far, before they are written.
    ///
    /// # Errors
    /// `FileTooLarge`, `TotalTooLarge`.
    pub(crate) fn produced(&self, path: &str, file_bytes: &mut u64, bytes: u64) -> Result<()> {
        *file_bytes = file_bytes.saturating_add(bytes);
        self.file(path, *file_bytes)?;
        self.total(&self.produced, bytes)?;
        self.meter.iter().for_each(|meter| meter.add_written(bytes));
        Ok(())
    }

    /// How many bytes were produced.
    pub(crate) fn bytes(&self) -> u64 {
        self.produced.load(Ordering::Relaxed)
    }

    fn one_more(&self, counter: &AtomicU64) -> Result<()> {
        let limit = self.limits.entries;
        let count = add(counter, 1);
        if exceeds(count, limit) { Err(Error::TooManyEntries { count, limit }) } else { Ok(()) }
    }

    fn file(&self, path: &str, size: u64) -> Result<()> {
        let limit = self.limits.file_bytes;
        if exceeds(size, limit) { Err(Error::FileTooLarge { path: path.to_owned(), size, limit }) } else { Ok(()) }
    }

    fn total(&self, counter: &AtomicU64, bytes: u64) -> Result<()> {
        let limit = self.limits.total_bytes;
        let total = add(counter, bytes);
        if exceeds(total, limit) { Err(Error::TotalTooLarge { total, limit }) } else { Ok(()) }
    }
}

fn exceeds(count: u64, limit: u64) -> bool {
    limit != 0 && count > limit
}

/// The new value. It never wraps: a declared size can be anything up to `u64::MAX`.
fn add(counter: &AtomicU64, more: u64) -> u64 {
    let mut before = counter.load(Ordering::Relaxed);
    loop {
        let after = before.saturating_add(more);
        match counter.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return after,
            Err(now) => before = now,
        }
    }
}
