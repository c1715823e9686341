//! How many requests may be repeated: a bucket that operations fill and retries empty. No time passes here.

use std::sync::atomic::{AtomicU32, Ordering};

/// So many retries are made at any time, however few operations there have been.
const BURST: u32 = 30;

/// An operation pays for this part of a retry.
const OPERATIONS_A_RETRY: u32 = 10;

const FULL: u32 = BURST * OPERATIONS_A_RETRY;

/// What all operations together may still spend on retries: a tenth of their number, and a small burst. Without it, a
/// registry that fails would get five times the requests that it failed under.
#[derive(Debug)]
pub(crate) struct Bucket(AtomicU32);

impl Default for Bucket {
    fn default() -> Self {
        Self(AtomicU32::new(FULL))
    }
}

impl Bucket {
    /// An operation begins.
    pub(crate) fn begin(&self) {
        self.change(|level| Some((level + 1).min(FULL)));
    }

    /// Whether one more retry may be made, which is then paid for.
    pub(crate) fn take(&self) -> bool {
        self.change(|level| level.checked_sub(OPERATIONS_A_RETRY))
    }

    fn change(&self, to: impl FnMut(u32) -> Option<u32>) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, to).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(operations: u32, expect: u32) {
        let bucket = Bucket(AtomicU32::new(0));
        (0..operations).for_each(|_| bucket.begin());
        let retries = (0..).take_while(|_| bucket.take()).count();
        assert_eq!(u32::try_from(retries), Ok(expect), "{operations}");
    }

    #[test]
    fn ten_operations_pay_for_a_retry_and_the_burst_is_the_most() {
        check(0, 0);
        check(9, 0);
        check(10, 1);
        check(25, 2);
        check(BURST * 10, BURST);
        check(BURST * 10 + 1000, BURST);
    }

    #[test]
    fn operations_that_all_fail_are_repeated_a_tenth_as_often_as_there_are() {
        let bucket = Bucket::default();
        let retries = (0..10_000).map(|_| {
            bucket.begin();
            (0..4).take_while(|_| bucket.take()).count()
        });
        // The first operation finds the bucket full.
        assert_eq!(retries.sum::<usize>(), BURST as usize + 999);
    }

    proptest! {
        #[test]
        fn retries_are_a_tenth_of_the_operations_and_the_burst(steps in prop::collection::vec(any::<bool>(), 0..4000)) {
            let bucket = Bucket::default();
            let (mut operations, mut retries) = (0, 0);
            for is_retry in steps {
                match is_retry {
                    true => retries += u32::from(bucket.take()),
                    false => {
                        bucket.begin();
                        operations += 1;
                    }
                }
                prop_assert!(retries <= BURST + operations / OPERATIONS_A_RETRY);
            }
        }
    }
}
