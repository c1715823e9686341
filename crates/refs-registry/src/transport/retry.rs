//! What is worth a second attempt, and when to make it. No time passes here.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};

use crate::{Error, Retry};

/// An error, and whether the same request may fare better later.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) retryable: Retryable,
}

/// Whether, and when, to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retryable {
    Never,
    /// At once, a single time: what we were sent to is gone, and asking again leads elsewhere.
    Anew,
    /// At once, a few times, and without its counting as an attempt: the other side says that it has not looked at the
    /// request.
    Unseen,
    /// After a wait of our own.
    Soon,
    /// Not before the time that the registry named.
    After(Duration),
}

impl Failure {
    pub(crate) const fn last(error: Error) -> Self {
        Self { error, retryable: Retryable::Never }
    }

    /// A failure that is worth another attempt if its error says so; not before the time that the registry named.
    pub(crate) fn of(error: Error, hint: Option<Duration>) -> Self {
        let retryable = match hint {
            _ if !error.is_retryable() => Retryable::Never,
            Some(hint) => Retryable::After(hint),
            None => Retryable::Soon,
        };
        Self { error, retryable }
    }

    /// A failure that is worth another attempt whatever its error says by itself.
    pub(crate) const fn passing(error: Error) -> Self {
        Self { error, retryable: Retryable::Soon }
    }

    /// Whether the other side says that it has not looked at the request: it had no effect.
    pub(crate) const fn is_unseen(&self) -> bool {
        matches!(self.retryable, Retryable::Unseen)
    }

    /// Whether it may pass, which also means that the request may have had its effect.
    pub(crate) const fn is_passing(&self) -> bool {
        !matches!(self.retryable, Retryable::Never)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::last(error)
    }
}

/// A server that sheds load refuses a stream or two; one that refuses more is in trouble.
const MAX_UNSEEN: u32 = 3;

/// What one operation may still spend on attempts and on waiting.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    policy: Retry,
    failed: u32,
    waited: Duration,
    /// How often a request has come back unseen.
    unseen: u32,
    is_renewed: bool,
    is_touched: bool,
    has_progress: bool,
    /// The first error since progress was made.
    first: Option<Error>,
}

impl Budget {
    pub(crate) const fn new(policy: Retry) -> Self {
        let (is_renewed, is_touched, has_progress) = (false, false, false);
        Self { policy, failed: 0, waited: Duration::ZERO, unseen: 0, is_renewed, is_touched, has_progress, first: None }
    }

    /// Whether an attempt was made again.
    pub(crate) const fn is_touched(&self) -> bool {
        self.is_touched
    }

    /// Whether so many failures leave another attempt.
    pub(crate) const fn outlasts(&self, failures: u32) -> bool {
        failures < self.policy.attempts
    }

    /// Progress was made, so that what follows counts as a first attempt. Waiting stays spent.
    pub(crate) fn renew(&mut self) {
        self.failed = 0;
        self.has_progress = true;
        self.first = None;
    }

    /// Whether progress was made since this was last asked.
    pub(crate) const fn take_progress(&mut self) -> bool {
        std::mem::replace(&mut self.has_progress, false)
    }

    /// The first error of this row of failures, which `error` is the latest of.
    pub(crate) fn first_of(&mut self, error: &Error) -> &Error {
        self.first.get_or_insert_with(|| error.clone())
    }

    /// How long to wait before the next attempt; `None` when there is none. `draw`, from 0 to 1, spreads the waits of
    /// many clients.
    pub(crate) fn wait(&mut self, retryable: Retryable, draw: f64) -> Option<Duration> {
        if retryable == Retryable::Unseen && self.unseen < MAX_UNSEEN {
            self.unseen += 1;
            return Some(Duration::ZERO);
        }
        let doublings = self.failed.min(16);
        self.failed += 1;
        if self.failed >= self.policy.attempts {
            return None;
        }
        let bound = self.policy.first_wait.saturating_mul(1 << doublings).min(self.policy.longest_wait);
        let own = bound.mul_f64(draw.clamp(0.0, 1.0));
        let wait = match retryable {
            Retryable::Never => return None,
            Retryable::Anew if self.is_renewed => return None,
            Retryable::Anew => {
                self.is_renewed = true;
                Duration::ZERO
            }
            Retryable::Soon | Retryable::Unseen => own,
            Retryable::After(hint) if hint > self.policy.longest_hint => return None,
            Retryable::After(hint) => hint.max(own),
        };
        self.waited = self.waited.saturating_add(wait);
        if self.waited > self.policy.waiting {
            return None;
        }
        self.is_touched = true;
        Some(wait)
    }
}

/// The wait that `Retry-After` asks for, in either of its forms
/// ([RFC 9110, 10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)). Junk and dates that have passed are
/// `None`: GHCR has been seen to answer `1.889377ms`.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let hint = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = hint.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = http_date(hint)?;
    // The registry's own clock, where it shows it: ours may differ.
    let now = headers.get(header::DATE).and_then(date_header).unwrap_or_else(Timestamp::now);
    let wait = until.duration_since(now);
    Duration::try_from(wait).ok().filter(|wait| !wait.is_zero())
}

fn date_header(value: &HeaderValue) -> Option<Timestamp> {
    http_date(value.to_str().ok()?)
}

fn http_date(text: &str) -> Option<Timestamp> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    PARSER.parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_hint(headers: &[(&'static str, &'static str)], expect: Option<u64>) {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).parse().unwrap(), HeaderValue::from_static(value)))
            .collect::<HeaderMap>();
        assert_eq!(retry_after(&headers), expect.map(Duration::from_secs));
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_junk_is_not() {
        check_hint(&[], None);
        check_hint(&[("retry-after", "7")], Some(7));
        check_hint(&[("retry-after", " 0 ")], Some(0));
        check_hint(&[("retry-after", "1.889377ms, allowed: 2000/minute")], None);
        check_hint(&[("retry-after", "-3")], None);
        check_hint(&[("retry-after", "99999999999999999999999")], None);
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        check_hint(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"), date], Some(30));
        check_hint(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"), date], None);
        check_hint(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT"), date], None);
        check_hint(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")], None);
    }

    #[track_caller]
    fn check_waits(policy: Retry, asked: &[Retryable], expect_ms: &[Option<u64>]) {
        let mut budget = Budget::new(policy);
        let waits: Vec<_> = asked.iter().map(|retryable| budget.wait(*retryable, 1.0)).collect();
        assert_eq!(waits, expect_ms.iter().map(|ms| ms.map(Duration::from_millis)).collect::<Vec<_>>());
    }

    #[test]
    fn waits_double_up_to_their_bound_and_end_with_the_attempts() {
        use Retryable::{After, Anew, Never, Soon, Unseen};
        let policy = Retry::default();
        check_waits(policy, &[Soon; 5], &[Some(250), Some(500), Some(1000), Some(2000), None]);
        check_waits(policy, &[Never], &[None]);
        check_waits(policy, &[Anew, Anew], &[Some(0), None]);
        let unseen = [0, 0, 0, 250, 500, 1000, 2000].map(Some);
        check_waits(policy, &[Unseen; 8], &[&unseen[..], &[None]].concat());
        let seconds = Duration::from_secs;
        check_waits(policy, &[After(seconds(60)), Soon], &[Some(60_000), Some(500)]);
        check_waits(policy, &[After(seconds(61))], &[None]);
        check_waits(policy, &[After(seconds(60)); 3], &[Some(60_000), Some(60_000), None]);
        check_waits(policy, &[After(Duration::ZERO)], &[Some(250)]);
        let eager = Retry { attempts: 9, ..policy };
        let doubled = [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000].map(Some);
        check_waits(eager, &[Soon; 8], &doubled);
        check_waits(Retry { attempts: 1, ..policy }, &[Soon], &[None]);
    }
}
