//! One check of a blob for all whom its bytes pass, as often as they do.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use refs_url::{Digest, Hasher};

use crate::{Result, Resume, Verify};

/// So many bytes are hashed once more at most, to go on anywhere. A mark takes some hundred bytes.
const BETWEEN_MARKS: u64 = 1 << 20;

/// The check of a blob whose bytes may be read again from the middle, when it has to be known that they are the same as
/// before.
#[derive(Debug, Clone)]
struct Trail {
    verify: Verify,
    /// What the bytes before each of these offsets hash to. Whoever passes there again must find the same.
    marks: BTreeMap<u64, Hasher>,
}

impl Trail {
    fn new(verify: Verify) -> Self {
        let marks = BTreeMap::from([here(&verify)]);
        Self { verify, marks }
    }

    /// The check by somebody who needs the bytes from `start` on, from the mark before it.
    fn fork(&self, start: u64) -> Self {
        let mut marks = self.marks.clone();
        marks.extend([here(&self.verify)]);
        let mark = marks.range(..=start).next_back().map(|(at, hasher)| (*at, hasher.clone()));
        let verify = mark.map_or_else(|| self.verify.clone(), |(at, hasher)| self.verify.from(at, hasher));
        Self { verify, marks }
    }

    fn take_in(&mut self, at: u64, chunk: &[u8]) -> Result<()> {
        let known = usize::try_from(self.verify.seen().saturating_sub(at)).unwrap_or(usize::MAX);
        let mut rest = chunk.get(known..).unwrap_or_default();
        while !rest.is_empty() {
            let room = usize::try_from(self.next_mark() - self.verify.seen()).unwrap_or(usize::MAX);
            let (first, later) = rest.split_at(room.min(rest.len()));
            self.verify.update(first)?;
            if first.len() == room {
                self.mark()?;
            }
            rest = later;
        }
        Ok(())
    }

    /// The offset beyond what was seen that comes first of those with a mark, and those that are to have one.
    fn next_mark(&self) -> u64 {
        let seen = self.verify.seen();
        let own = (seen / BETWEEN_MARKS + 1).saturating_mul(BETWEEN_MARKS);
        self.marks.range(seen + 1..own).next().map_or(own, |(at, _)| *at)
    }

    fn mark(&mut self) -> Result<()> {
        let (at, hasher) = here(&self.verify);
        let found = self.marks.entry(at).or_insert(hasher);
        if found.clone().finish() == self.verify.so_far() { Ok(()) } else { Err(self.verify.changed()) }
    }
}

fn here(verify: &Verify) -> (u64, Hasher) {
    (verify.seen(), verify.hasher())
}

/// The check of one blob for all whom its bytes pass: who sees them first has them hashed, who comes next finds them known.
/// Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Shared(Arc<Mutex<Trail>>);

impl Shared {
    pub(crate) fn new(verify: Verify) -> Self {
        Self(Arc::new(Mutex::new(Trail::new(verify))))
    }

    /// A check of its own for bytes that are read again, from `start` on or from a little before. They must be the same as
    /// those that went before, as far as these came.
    pub(crate) fn again(&self, start: u64) -> Self {
        Self(Arc::new(Mutex::new(self.lock().fork(start))))
    }

    /// Takes in `chunk`, which begins at `at`, as far as it is new.
    ///
    /// # Errors
    /// `Size` when there are more bytes than promised, `Digest` when they are not those that were read before.
    pub(crate) fn take_in(&self, at: u64, chunk: &[u8]) -> Result<()> {
        self.lock().take_in(at, chunk)
    }

    /// The verdict on the bytes so far.
    pub(crate) fn verdict(&self) -> Result<()> {
        self.snapshot().finish()
    }

    /// The check as it stands, by itself.
    pub(crate) fn snapshot(&self) -> Verify {
        self.lock().verify.clone()
    }

    /// Where a read goes on that has its bytes checked here.
    pub(crate) fn resume(&self) -> Resume {
        Resume { shared: Some(self.clone()), ..self.snapshot().resume() }
    }

    /// Whether it has seen the bytes before `at`, and maybe more.
    pub(crate) fn has_seen(&self, at: u64) -> bool {
        self.lock().verify.seen() >= at
    }

    /// Whether it is about `size` bytes of `digest`, and has seen those before `at` and no others.
    pub(crate) fn is_at(&self, at: u64, digest: &Digest, size: u64) -> bool {
        let trail = self.lock();
        trail.verify.seen() == at && trail.verify.is_of(digest, size)
    }

    fn lock(&self) -> MutexGuard<'_, Trail> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn shared(content: &[u8]) -> Shared {
        Shared::new(Verify::new(&Digest::sha256(content), content.len() as u64, Resume::START).unwrap())
    }

    #[track_caller]
    fn check(steps: &[(u64, &str)], is_right: bool) {
        let shared = shared(b"abcdef");
        let taken = steps.iter().try_for_each(|(at, chunk)| shared.take_in(*at, chunk.as_bytes()));
        assert_eq!(taken.and_then(|()| shared.verdict()).is_ok(), is_right, "{steps:?}");
    }

    #[test]
    fn what_is_known_is_not_taken_in_again() {
        check(&[(0, "abcdef")], true);
        check(&[(0, "abc"), (0, "abc"), (3, "def"), (3, "def")], true);
        check(&[(0, "abc"), (1, "bcd"), (2, "cdef")], true);
        check(&[(0, "abc"), (0, "xyz"), (3, "def")], true);
    }

    #[test]
    fn what_is_wrong_missing_or_too_much_is_found() {
        check(&[(0, "abcdeX")], false);
        check(&[(0, "abc")], false);
        check(&[(0, "abc"), (4, "ef")], false);
        check(&[(0, "abcdefg")], false);
        check(&[(0, "abcdef"), (6, "g")], false);
    }

    #[test]
    fn a_check_is_where_its_last_byte_was() {
        let shared = shared(b"abc");
        let digest = Digest::sha256(b"abc");
        assert!(shared.is_at(0, &digest, 3));
        assert!(!shared.is_at(0, &digest, 4) && !shared.is_at(0, &Digest::sha256(b""), 3));
        shared.take_in(0, b"a").unwrap();
        assert!(shared.is_at(1, &digest, 3) && !shared.is_at(0, &digest, 3));
    }

    const MARK: usize = 1 << 20;

    fn blob() -> Vec<u8> {
        (0..3 * MARK + 7).map(|at| (at % 251) as u8).collect()
    }

    /// What is read, up to an offset, by one after the other: each from an offset on, with a byte changed where one is named.
    /// `begins` is where each of them reads from.
    #[track_caller]
    fn check_again(reads: &[(usize, usize, Option<usize>)], begins: &[usize], is_right: bool) {
        let blob = blob();
        let mut shared = shared(&blob);
        let mut begun = Vec::new();
        let read = reads.iter().try_for_each(|(start, end, changed)| {
            shared = shared.again(*start as u64);
            let mut blob = blob.clone();
            changed.iter().for_each(|at| blob[*at] ^= 1);
            let from = shared.resume().offset();
            begun.push(usize::try_from(from).unwrap());
            shared.take_in(from, &blob[usize::try_from(from).unwrap()..*end])
        });
        let verdict = read.and_then(|()| shared.verdict());
        assert!(matches!(&verdict, Ok(()) | Err(Error::Digest { .. })), "{verdict:?}");
        assert_eq!((&begun[..], verdict.is_ok()), (begins, is_right), "{reads:?}");
    }

    #[test]
    fn bytes_are_read_again_from_the_mark_before_them() {
        let end = blob().len();
        check_again(&[(0, end, None)], &[0], true);
        check_again(&[(0, 900, None), (0, end, None)], &[0, 0], true);
        check_again(&[(0, 900, None), (900, end, None)], &[0, 900], true);
        check_again(&[(0, 900, None), (899, end, None)], &[0, 0], true);
        check_again(&[(0, MARK + 9, None), (MARK + 8, end, None)], &[0, MARK], true);
        check_again(
            &[(0, 3 * MARK, None), (MARK, 2 * MARK + 1, None), (2 * MARK, end, None)],
            &[0, MARK, 2 * MARK],
            true,
        );
        // More than has been read.
        check_again(&[(0, 900, None), (2 * MARK, end, None)], &[0, 900], true);
    }

    #[test]
    fn bytes_that_are_others_than_before_are_found() {
        let end = blob().len();
        // Where they are read again, before and after the offset that is gone on at.
        check_again(&[(0, MARK + 9, None), (MARK + 5, end, Some(MARK + 4))], &[0, MARK], false);
        check_again(&[(0, MARK + 9, None), (MARK + 5, end, Some(MARK + 6))], &[0, MARK], false);
        check_again(&[(0, MARK + 9, None), (MARK + 5, end, Some(end - 1))], &[0, MARK], false);
        // Where they were wrong at first, and have been sent so.
        check_again(&[(0, MARK + 9, Some(MARK + 4)), (MARK + 5, end, None)], &[0, MARK], false);
        check_again(&[(0, MARK + 9, Some(4)), (MARK + 5, end, None)], &[0, MARK], false);
        check_again(
            &[(0, MARK + 9, Some(MARK + 4)), (MARK + 5, MARK + 6, None), (MARK + 5, end, None)],
            &[0, MARK, MARK],
            false,
        );
    }
}
