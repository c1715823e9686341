//! Connections as they come, and what the log is told when they can't be taken.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};

/// The next connection, and where it is from. Whoever calls again with the same `failures` is told of them once a minute.
pub(crate) async fn next(listener: &TcpListener, failures: &mut Failures) -> (TcpStream, SocketAddr) {
    const PAUSE: Duration = Duration::from_millis(100);
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // Out of descriptors, or the client has left already. At once, the former would only fail again.
            Err(error) => {
                match failures.note(&error, Instant::now()) {
                    Some(Warning { message, attempts: 1 }) => tracing::warn!(%error, "{message}"),
                    Some(Warning { message, attempts }) => tracing::warn!(%error, attempts, "{message}"),
                    None => {}
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// How accepting has failed. What is short may be so for long, and each attempt would fill the log with one more line.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    files: Since,
    other: Since,
}

/// What the log is to be told.
#[derive(Debug, PartialEq)]
struct Warning {
    message: &'static str,
    /// How many have failed since the last warning, this one included.
    attempts: u64,
}

impl Failures {
    fn note(&mut self, error: &io::Error, now: Instant) -> Option<Warning> {
        const FILES: &str = "a connection could not be accepted, as the process has as many files open as it may; raise \
             `ulimit -n` (`LimitNOFILE` of a systemd unit), or allow fewer `connections`";
        let (since, message) = match Errno::from_io_error(error) {
            Some(Errno::MFILE) => (&mut self.files, FILES),
            _ => (&mut self.other, "a connection could not be accepted"),
        };
        since.another(now).map(|attempts| Warning { message, attempts })
    }
}

/// When one kind of failure was last told, and how often there was one since.
#[derive(Debug, Default)]
struct Since {
    told: Option<Instant>,
    attempts: u64,
}

impl Since {
    /// Counts one more. How many there were, where it is time to tell.
    fn another(&mut self, now: Instant) -> Option<u64> {
        const EVERY: Duration = Duration::from_secs(60);
        self.attempts += 1;
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < EVERY) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.attempts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_that_last_are_told_once_a_minute() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        let told: Vec<_> = (0..=1500)
            .filter_map(|tenth| {
                let now = start + Duration::from_millis(100) * tenth;
                failures.note(&Errno::MFILE.into(), now).map(|warning| (tenth, warning.attempts))
            })
            .collect();
        assert_eq!(told, [(0, 1), (600, 600), (1200, 600)]);
    }

    #[test]
    fn a_lack_of_files_is_told_with_its_remedy_whatever_was_told_before() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        let mut check = |errno: Errno, expected: Option<bool>| {
            let warning = failures.note(&errno.into(), now);
            let told = warning.map(|warning| warning.message);
            assert_eq!(told.map(|told| told.contains("`ulimit -n`") && told.contains("`LimitNOFILE`")), expected);
        };
        check(Errno::CONNABORTED, Some(false));
        check(Errno::MFILE, Some(true));
        check(Errno::MFILE, None);
        check(Errno::NOBUFS, None);
    }
}
