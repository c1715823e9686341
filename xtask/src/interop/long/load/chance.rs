//! Chance that can be had again.

use std::time::{SystemTime, UNIX_EPOCH};

/// Numbers of a seed (xorshift).
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// Another seed in each run, which is printed.
    pub(super) fn seeded(what: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // The state must not be zero.
        let seed = (u64::from(now.subsec_nanos()) << 20 ^ now.as_secs()) | 1;
        println!("interop: {what} by seed {seed}");
        Self(seed)
    }

    /// One for another task, which goes its own way.
    pub(super) fn branch(&mut self) -> Self {
        Self(self.next() | 1)
    }

    /// A number from `from` to below `to`.
    pub(super) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from)
    }

    /// So many bytes.
    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.next().to_le_bytes()).flatten().take(len).collect()
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
