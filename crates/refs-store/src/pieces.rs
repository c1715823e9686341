//! The memory of what is read from files, until its readers let it go: used again, and less for each while they hold much.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

/// The largest piece.
pub(crate) const MOST_BYTES: usize = 256 << 10;
/// What a piece may have however much is held.
pub(crate) const LEAST_BYTES: usize = 32 << 10;
/// When readers hold so much, each gets the least.
const PLENTY_BYTES: usize = 32 << 20;
/// Pieces get smaller when so many more of them would be too much.
const TO_COME: usize = 64;
/// How many buffers wait for the next piece.
const SPARE: usize = 32;

/// What all readers in this process hold. A thousand of them who are slow hold two pieces each, the one that they take and
/// the one that was read ahead, however large a file is.
static HELD: AtomicUsize = AtomicUsize::new(0);
/// Buffers of the largest size. Memory that was written lately is at hand, and fresh memory is not.
static SPARES: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A piece, which counts for as long as it is held.
struct Piece {
    buffer: Vec<u8>,
    len: usize,
}

/// A piece of `wanted` bytes or fewer, as many as there may be now, which `fill` fills.
pub(crate) fn filled<E>(wanted: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Bytes, E> {
    let mut piece = Piece::of(wanted.min(most(HELD.load(Ordering::Relaxed))));
    let len = piece.len;
    fill(&mut piece.buffer[..len])?;
    Ok(Bytes::from_owner(piece))
}

/// How large a piece may be while so much is held.
fn most(held: usize) -> usize {
    (PLENTY_BYTES.saturating_sub(held) / TO_COME).clamp(LEAST_BYTES, MOST_BYTES)
}

impl Piece {
    fn of(len: usize) -> Self {
        let spare = if len == MOST_BYTES { spares(Vec::pop) } else { None };
        let buffer = spare.unwrap_or_else(|| vec![0; len]);
        HELD.fetch_add(buffer.len(), Ordering::Relaxed);
        Self { buffer, len }
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        HELD.fetch_sub(buffer.len(), Ordering::Relaxed);
        if buffer.len() == MOST_BYTES {
            spares(|spares| {
                if spares.len() < SPARE {
                    spares.push(buffer);
                }
            });
        }
    }
}

fn spares<T>(work: impl FnOnce(&mut Vec<Vec<u8>>) -> T) -> T {
    work(&mut SPARES.lock().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(held: usize, expected: usize) {
        assert_eq!(most(held), expected, "{held}");
    }

    #[test]
    fn the_more_is_held_the_smaller_a_piece_is() {
        check(0, MOST_BYTES);
        check(PLENTY_BYTES / 2, MOST_BYTES);
        check(PLENTY_BYTES * 3 / 4, MOST_BYTES / 2);
        check(PLENTY_BYTES, LEAST_BYTES);
        check(usize::MAX, LEAST_BYTES);
    }

    #[test]
    fn a_piece_holds_what_was_filled_in() {
        let piece = filled(3, |bytes| {
            bytes.copy_from_slice(b"abc");
            Ok::<_, ()>(())
        });
        assert_eq!(piece.unwrap(), "abc");
        assert_eq!(filled(3, |_| Err("no")), Err("no"));
        assert!(filled(MOST_BYTES * 9, |_| Ok::<_, ()>(())).unwrap().len() <= MOST_BYTES);
    }
}
