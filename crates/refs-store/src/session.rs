//! What uploads are called.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

const DIGITS: usize = 32;

/// A name that no other upload has and that a stranger can't guess: 128 bits as hexadecimal digits, which only who has the keys
/// that the system gave this process could have computed.
pub(crate) fn new_session() -> String {
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static BEGUN: AtomicU64 = AtomicU64::new(0);
    let nth = BEGUN.fetch_add(1, Ordering::Relaxed);
    let [high, low] = [0_u8, 1].map(|half| KEYS.hash_one((nth, half)));
    format!("{high:016x}{low:016x}")
}

/// Whether `text`, which may come from anyone, has the shape of such a name.
pub(crate) fn is_session(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_made_here_is_a_session() {
        let (first, second) = (new_session(), new_session());
        assert_ne!(first, second);
        assert!(is_session(&first) && is_session(&second));
        let upper = first.to_uppercase().replace(|digit: char| digit.is_ascii_digit(), "A");
        for text in ["", "..", &upper, &first[1..], &format!("{first}0"), &format!("{}/", &first[1..])] {
            assert!(!is_session(text), "{text}");
        }
    }
}
