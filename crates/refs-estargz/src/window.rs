//! A part of a long text that moves over it, so that values are read from a slice and never all of it is in memory.

use std::io::{self, Read};

/// What is known of a text that is read from the front.
#[derive(Debug)]
pub(crate) struct Window<R> {
    source: R,
    portion: usize,
    buffer: Vec<u8>,
    /// What comes before is done with.
    start: usize,
    /// Bytes before the buffer.
    passed: u64,
    /// Whether the buffer goes to the end of the text.
    is_last: bool,
}

impl<R: Read> Window<R> {
    /// A window that moves by about `portion` bytes at a time, and grows for a value that is longer.
    pub(crate) fn new(source: R, portion: usize) -> Self {
        Self { source, portion, buffer: Vec::new(), start: 0, passed: 0, is_last: false }
    }

    /// The bytes at hand.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Whether [`Window::bytes`] go to the end of the text.
    pub(crate) fn is_last(&self) -> bool {
        self.is_last
    }

    /// Is done with so many bytes of those at hand.
    pub(crate) fn pass(&mut self, bytes: usize) {
        self.start += bytes;
    }

    /// Where in the text [`Window::bytes`] start.
    pub(crate) fn position(&self) -> u64 {
        self.passed + self.start as u64
    }

    /// Gets at least one byte more, or finds that there is none. When many bytes are at hand already, it gets about as many
    /// more, so that looking at all of them again costs little.
    pub(crate) fn extend(&mut self) -> io::Result<()> {
        self.passed += self.start as u64;
        self.buffer.drain(..self.start);
        self.start = 0;
        let more = self.buffer.len().max(self.portion);
        let taken = (&mut self.source).take(more as u64).read_to_end(&mut self.buffer)?;
        self.is_last = taken < more;
        Ok(())
    }
}

impl Window<io::Empty> {
    /// A window over all of a text.
    pub(crate) fn whole(text: Vec<u8>) -> Self {
        Self { source: io::empty(), portion: 0, buffer: text, start: 0, passed: 0, is_last: true }
    }
}
