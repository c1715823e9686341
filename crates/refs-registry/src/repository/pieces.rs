//! How an upload is cut into requests. Nothing is sent here.

use std::ops::Range;

use http::StatusCode;

use crate::{
    Pieces, Quirks,
    quirks::{LEAST_PIECE, MIB, WholeBy},
};

/// What an upload needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A session.
    Begin,
    /// The registry's word on how much it has.
    Ask,
    /// One request with everything, which also ends the session.
    Whole,
    /// One request with everything, before the one that ends the session.
    Patch,
    /// These bytes.
    Piece(Range<u64>),
    /// The request that ends the session; all bytes are there.
    End,
    /// More bytes from the caller.
    Wait,
    /// Another session: this one can't be gone on with.
    Anew,
}

impl Step {
    /// How many bytes its request carries, of an upload that has `end` bytes in all.
    pub(super) const fn bytes(&self, end: u64) -> u64 {
        match self {
            Self::Whole | Self::Patch => end,
            Self::Piece(range) => range.end - range.start,
            Self::Begin | Self::Ask | Self::End | Self::Wait | Self::Anew => 0,
        }
    }
}

/// What bounds the requests of an upload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The bytes of a piece as the user wants them.
    pub(super) asked: Option<u64>,
    pub(super) quirks: Quirks,
    /// The bytes that the registry takes of a longer piece, if it has been seen to.
    pub(super) taken: Option<u64>,
    /// What every piece but the last one must have at least.
    pub(super) least: u64,
}

/// Whether the bytes in hand reach to the end of the blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    ToTheEnd,
    SoFar,
}

impl Limits {
    /// What to do when the registry has `at` bytes of the `end` that are known.
    pub(super) fn next(&self, at: u64, end: u64, reach: Reach) -> Step {
        let left = end.saturating_sub(at);
        match (reach, self.piece()) {
            (Reach::ToTheEnd, _) if left == 0 && (end > 0 || self.quirks.whole_by == WholeBy::Patch) => Step::End,
            (Reach::ToTheEnd, _) if at == 0 && self.is_whole(end) => self.whole(),
            (Reach::ToTheEnd, None) => Step::Anew,
            (Reach::SoFar, None) => Step::Wait,
            (Reach::SoFar, Some(piece)) if left < piece => Step::Wait,
            (_, Some(piece)) => Step::Piece(at..at + piece.min(left)),
        }
    }

    /// The bytes of a piece of a stream; `None` when the stream is one request.
    pub(super) fn of_stream(&self) -> Option<u64> {
        /// Pieces are kept in memory until the registry has them.
        const MOST: u64 = 16 * MIB;
        let wanted = self.asked.or_else(|| self.quirks.longest_body.map(|longest| longest.min(MOST)))?;
        Self { asked: Some(wanted), ..*self }.piece()
    }

    const fn whole(&self) -> Step {
        match self.quirks.whole_by {
            WholeBy::Put => Step::Whole,
            WholeBy::Patch => Step::Patch,
        }
    }

    fn is_whole(&self, end: u64) -> bool {
        let most = self.asked.into_iter().chain(self.quirks.longest_body).min();
        self.quirks.pieces == Pieces::Never || most.is_none_or(|most| end <= most)
    }

    /// The bytes of every piece but the last; `None` when there can be none.
    pub(super) fn piece(&self) -> Option<u64> {
        let at_most = match self.quirks.pieces {
            Pieces::Never => return None,
            Pieces::AtMost(most) => Some(most),
            Pieces::Any => None,
        };
        let most = self.asked.into_iter().chain(self.quirks.longest_body).chain(at_most).chain(self.taken).min();
        Some(most.unwrap_or(u64::MAX).max(self.least).max(1))
    }
}

/// What is to be thought of a registry that has refused `step`, its body having had `bytes` bytes, with these words. `None`
/// when smaller requests would fare no better.
pub(super) fn lesson(status: u16, words: Option<&str>, step: &Step, bytes: u64, seen: Seen) -> Option<Lesson> {
    let named = words.and_then(|words| named_limit(words, bytes));
    match (StatusCode::from_u16(status).ok()?, step) {
        (StatusCode::RANGE_NOT_SATISFIABLE, Step::Piece(range)) => match (named, seen) {
            (Some(limit), _) => Some(Lesson::Pieces(Pieces::AtMost(limit))),
            // It may have been the range, and not the length: the session is asked first.
            (None, Seen::First) => None,
            (None, Seen::Again) if bytes > GHCR => Some(Lesson::Pieces(Pieces::AtMost(GHCR))),
            (None, Seen::Again) => (range.start == 0).then_some(Lesson::Pieces(Pieces::Never)),
        },
        (StatusCode::RANGE_NOT_SATISFIABLE, Step::Whole | Step::Patch) => named.map(Lesson::LongestBody),
        (StatusCode::PAYLOAD_TOO_LARGE, _) => {
            let halved = (bytes / 2).min(64 * MIB);
            named.or_else(|| (halved >= LEAST_PIECE).then_some(halved)).map(Lesson::LongestBody)
        }
        _ => None,
    }
}

/// The one limit for pieces that is known of a registry.
const GHCR: u64 = 4 * MIB;

/// Whether the same step was refused before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    First,
    Again,
}

/// What a refusal teaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lesson {
    Pieces(Pieces),
    LongestBody(u64),
}

impl Lesson {
    pub(super) fn note(self, quirks: &mut Quirks) {
        match self {
            Self::Pieces(pieces) => quirks.pieces = pieces,
            Self::LongestBody(longest) => {
                quirks.longest_body = Some(quirks.longest_body.map_or(longest, |known| known.min(longest)));
            }
        }
    }
}

/// The limit that a refusal of `bytes` bytes names: the largest size in `words` that is smaller. GHCR's are
/// `chunk size … 4.00MiB`.
pub(super) fn named_limit(words: &str, bytes: u64) -> Option<u64> {
    let starts = words.char_indices().filter(|(at, c)| {
        let before = words[..*at].chars().next_back();
        c.is_ascii_digit() && !before.is_some_and(|before| before.is_ascii_digit() || before == '.')
    });
    starts.filter_map(|(at, _)| size(&words[at..])).filter(|size| (LEAST_PIECE..bytes).contains(size)).max()
}

/// The size that `text` begins with: a number and a unit.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a size beyond u64 becomes its largest value, and none is negative"
)]
fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.trim_end_matches('.').parse().ok()?;
    let unit = unit.trim_start();
    let unit = unit[..unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len())].to_ascii_lowercase();
    let factor = match unit.as_str() {
        "b" | "byte" | "bytes" => 1.0,
        "k" | "kb" => 1e3,
        "kib" => 1024.0,
        "m" | "mb" => 1e6,
        "mib" => 1_048_576.0,
        "g" | "gb" => 1e9,
        "gib" => 1_073_741_824.0,
        _ => return None,
    };
    Some((number * factor) as u64)
}

/// How many bytes a session's `Range` tells of, when `known` have been acknowledged before. `None` when it tells nothing.
pub(super) fn told(range: Option<&str>, known: u64) -> Option<u64> {
    let range = range?.trim();
    let last = range.strip_prefix("bytes=").unwrap_or(range).strip_prefix("0-")?.trim();
    match last.bytes().all(|byte| byte.is_ascii_digit()).then(|| last.parse::<u64>().ok())?? {
        // Distribution says `0-0` for none and for one byte.
        0 => Some(known.min(1)),
        last => last.checked_add(1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn free() -> Limits {
        of(Quirks::default())
    }

    fn asked(piece: u64) -> Limits {
        Limits { asked: Some(piece), ..free() }
    }

    fn of(quirks: Quirks) -> Limits {
        Limits { asked: None, quirks, taken: None, least: 0 }
    }

    #[track_caller]
    fn check(limits: Limits, at: u64, end: u64, expect: &Step) {
        assert_eq!(limits.next(at, end, Reach::ToTheEnd), *expect);
    }

    #[test]
    fn a_blob_is_one_request_unless_something_speaks_against_it() {
        check(free(), 0, 9, &Step::Whole);
        check(free(), 0, 0, &Step::Whole);
        check(free(), 4, 9, &Step::Piece(4..9));
        check(free(), 9, 9, &Step::End);
        check(asked(4), 0, 4, &Step::Whole);
        check(asked(4), 0, 9, &Step::Piece(0..4));
        check(asked(4), 8, 9, &Step::Piece(8..9));
        check(Limits { least: 6, ..asked(4) }, 0, 9, &Step::Piece(0..6));
        check(Limits { least: 6, ..asked(4) }, 6, 9, &Step::Piece(6..9));
        check(Limits { least: 6, ..free() }, 0, 9, &Step::Whole);
        let ghcr = Quirks { pieces: Pieces::AtMost(4), ..Quirks::default() };
        check(of(ghcr), 0, 9, &Step::Whole);
        check(of(ghcr), 2, 9, &Step::Piece(2..6));
        check(Limits { asked: Some(8), ..of(ghcr) }, 0, 9, &Step::Piece(0..4));
        check(Limits { taken: Some(3), ..free() }, 0, 9, &Step::Whole);
        check(Limits { taken: Some(3), ..asked(4) }, 3, 9, &Step::Piece(3..6));
        check(Limits { taken: Some(3), least: 5, ..asked(4) }, 3, 9, &Step::Piece(3..8));
        let cloudflare = Quirks { longest_body: Some(4), ..Quirks::default() };
        check(of(cloudflare), 0, 4, &Step::Whole);
        check(of(cloudflare), 0, 9, &Step::Piece(0..4));
        let google = Quirks { pieces: Pieces::Never, ..Quirks::default() };
        check(Limits { asked: Some(4), ..of(google) }, 0, 9, &Step::Whole);
        check(of(google), 4, 9, &Step::Anew);
        check(of(google), 9, 9, &Step::End);
        let artifactory = Quirks { whole_by: WholeBy::Patch, ..Quirks::default() };
        check(of(artifactory), 0, 9, &Step::Patch);
        check(of(artifactory), 9, 9, &Step::End);
        check(of(artifactory), 0, 0, &Step::End);
    }

    #[track_caller]
    fn check_stream(limits: Limits, expect: Option<u64>) {
        assert_eq!(limits.of_stream(), expect);
    }

    #[test]
    fn a_stream_is_one_request_unless_pieces_are_wanted_and_taken() {
        check_stream(free(), None);
        check_stream(asked(4), Some(4));
        check_stream(Limits { least: 6, ..asked(4) }, Some(6));
        check_stream(of(Quirks { longest_body: Some(4), ..Quirks::default() }), Some(4));
        check_stream(of(Quirks { longest_body: Some(100 * MIB), ..Quirks::default() }), Some(16 * MIB));
        check_stream(of(Quirks { pieces: Pieces::AtMost(4), ..Quirks::default() }), None);
        check_stream(
            Limits { asked: Some(9), ..of(Quirks { pieces: Pieces::AtMost(4), ..Quirks::default() }) },
            Some(4),
        );
        check_stream(Limits { asked: Some(9), ..of(Quirks { pieces: Pieces::Never, ..Quirks::default() }) }, None);
        assert_eq!(asked(4).next(4, 7, Reach::SoFar), Step::Wait);
        assert_eq!(asked(4).next(4, 8, Reach::SoFar), Step::Piece(4..8));
        assert_eq!(of(Quirks { pieces: Pieces::Never, ..Quirks::default() }).next(0, 8, Reach::SoFar), Step::Wait);
    }

    #[track_caller]
    fn check_lesson(status: u16, words: &str, step: &Step, seen: Seen, expect: Option<Lesson>) {
        assert_eq!(lesson(status, Some(words), step, step.bytes(8 * MIB), seen), expect, "{status} {words}");
    }

    #[test]
    fn refusals_teach_what_is_taken() {
        use Lesson::{LongestBody, Pieces as Of};
        let piece = |end| Step::Piece(0..end);
        let ghcr = "REQUESTED_RANGE_NOT_SATISFIABLE: the chunk exceeds 4.00MiB";
        check_lesson(416, ghcr, &piece(8 * MIB), Seen::First, Some(Of(Pieces::AtMost(4 * MIB))));
        check_lesson(416, "", &piece(8 * MIB), Seen::First, None);
        check_lesson(416, "", &piece(8 * MIB), Seen::Again, Some(Of(Pieces::AtMost(4 * MIB))));
        check_lesson(416, ghcr, &piece(4 * MIB), Seen::Again, Some(Of(Pieces::Never)));
        check_lesson(416, "", &Step::Piece(7..9), Seen::Again, None);
        check_lesson(416, "", &Step::Whole, Seen::First, None);
        check_lesson(416, ghcr, &Step::Whole, Seen::First, Some(LongestBody(4 * MIB)));
        check_lesson(413, "", &Step::Whole, Seen::First, Some(LongestBody(4 * MIB)));
        check_lesson(413, "at most 5 MB", &Step::Patch, Seen::First, Some(LongestBody(5_000_000)));
        check_lesson(413, "", &piece(2 * LEAST_PIECE - 1), Seen::First, None);
        check_lesson(400, ghcr, &piece(8 * MIB), Seen::First, None);
    }

    #[track_caller]
    fn check_limit(words: &str, expect: Option<u64>) {
        assert_eq!(named_limit(words, 100 * MIB), expect, "{words}");
    }

    #[test]
    fn limits_are_read_from_words() {
        check_limit("4.00MiB", Some(4 * MIB));
        check_limit("max 4 MiB.", Some(4 * MIB));
        check_limit("upload of 200MiB exceeds 95 MB", Some(95_000_000));
        check_limit("at most 5242880 bytes, code 413", Some(5_242_880));
        check_limit("10kb", Some(10_000));
        check_limit("1.2.3MiB", None);
        check_limit("HTTP/1.1 413", None);
        check_limit("1 byte", None);
        check_limit("99999999999999999999999999GiB", None);
        check_limit("4 μs", None);
        check_limit("", None);
    }

    #[track_caller]
    fn check_told(range: &str, known: u64, expect: Option<u64>) {
        assert_eq!(told(Some(range), known), expect, "{range}");
    }

    #[test]
    fn a_range_tells_how_much_there_is() {
        check_told("0-99", 0, Some(100));
        check_told("bytes=0-99", 0, Some(100));
        check_told("0-0", 0, Some(0));
        check_told("0-0", 1, Some(1));
        check_told("0-0", 50, Some(1));
        check_told("1-99", 0, None);
        check_told("0-", 0, None);
        check_told("0-+5", 0, None);
        check_told("0-18446744073709551615", 0, None);
        check_told("0-99999999999999999999999", 0, None);
        assert_eq!(told(None, 7), None);
    }

    proptest! {
        #[test]
        fn any_words_are_read_or_not(words in any::<String>(), range in any::<String>()) {
            named_limit(&words, u64::MAX);
            told(Some(&range), 0);
        }

        #[test]
        fn steps_cover_the_blob_in_order(end in 0_u64..500, piece in 1_u64..60, most in 1_u64..60, least in 0_u64..60) {
            let quirks = Quirks { pieces: Pieces::AtMost(most), ..Quirks::default() };
            let limits = Limits { asked: Some(piece), least, ..of(quirks) };
            let (mut at, mut sizes) = (0, Vec::new());
            loop {
                match limits.next(at, end, Reach::ToTheEnd) {
                    Step::Piece(range) => {
                        prop_assert_eq!(range.start, at);
                        sizes.push(range.end - range.start);
                        at = range.end;
                    }
                    Step::Whole => {
                        prop_assert!(at == 0 && end <= piece);
                        break;
                    }
                    step => {
                        prop_assert_eq!(step, Step::End);
                        prop_assert_eq!(at, end);
                        break;
                    }
                }
            }
            let last = sizes.pop().unwrap_or(0);
            prop_assert!(sizes.iter().all(|size| *size == piece.min(most).max(least)));
            prop_assert!(last <= piece.min(most).max(least));
        }
    }
}
