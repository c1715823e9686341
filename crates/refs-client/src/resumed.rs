//! An output that is written to once more, and goes on where it was left.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// An output for content that may have to be read again from its start. What an earlier reading has written is not written
/// again: each reading is verified, so that it begins with the same bytes.
#[derive(Debug)]
pub(crate) struct Resumed<W>(Arc<Mutex<Written<W>>>);

#[derive(Debug)]
struct Written<W> {
    output: W,
    bytes: u64,
}

/// The output, for one reading.
#[derive(Debug)]
pub(crate) struct Reading<W> {
    resumed: Resumed<W>,
    /// How many bytes of those to come are written already.
    skip: u64,
}

impl<W> Resumed<W> {
    pub(crate) fn new(output: W) -> Self {
        Self(Arc::new(Mutex::new(Written { output, bytes: 0 })))
    }

    /// The output for a reading from the start.
    pub(crate) fn reading(&self) -> Reading<W> {
        let skip = self.written().bytes;
        Reading { resumed: Self(Arc::clone(&self.0)), skip }
    }

    /// The output itself; `None` while somebody reads.
    pub(crate) fn into_inner(self) -> Option<W> {
        let written = Arc::into_inner(self.0)?.into_inner().unwrap_or_else(PoisonError::into_inner);
        Some(written.output)
    }

    fn written(&self) -> MutexGuard<'_, Written<W>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Write> Write for Reading<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.skip > 0 {
            let skipped = bytes.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            self.skip -= skipped as u64;
            return Ok(skipped);
        }
        let mut written = self.resumed.written();
        let len = written.output.write(bytes)?;
        written.bytes += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.resumed.written().output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_not_written_again() {
        let output = Resumed::new(Vec::new());
        for part in ["", "ab", "abc", "ab", "abcde"] {
            output.reading().write_all(part.as_bytes()).unwrap();
        }
        assert_eq!(output.into_inner().unwrap(), b"abcde");
    }
}
