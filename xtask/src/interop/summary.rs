//! What came of the scenarios.

use std::env;
use std::time::Duration;

use crate::error::{Error, Result};

/// Whether a program that is not installed may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Fails,
    Skips,
}

impl Missing {
    /// `CI=true` means that everything must be there.
    pub(crate) fn from_environment() -> Self {
        if env::var_os("CI").is_some_and(|value| value == "true") { Self::Fails } else { Self::Skips }
    }
}

/// Counts, and prints a line for each scenario as it ends.
#[derive(Debug)]
pub(crate) struct Summary {
    missing: Missing,
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Summary {
    pub(crate) fn new(missing: Missing) -> Self {
        Self { missing, passed: 0, failed: 0, skipped: 0 }
    }

    /// Notes the end of `name` after `took`.
    pub(crate) fn note(&mut self, name: &str, result: &Result<()>, took: Duration) {
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("ok {name} {}", took.as_millis());
            }
            Err(Error::MissingTool(tool)) if self.missing == Missing::Skips => {
                self.skipped += 1;
                println!("skip {name}: {tool} is not installed");
            }
            Err(error @ Error::NotRoot(_)) if self.missing == Missing::Skips => {
                self.skipped += 1;
                println!("skip {name}: {error}");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAILED {name} {}\n  {}", took.as_millis(), chain(error).replace('\n', "\n  "));
            }
        }
    }

    /// Prints the last line; one failure fails the whole.
    pub(crate) fn close(&self) -> Result<()> {
        println!("\n{}", self.line());
        if self.failed == 0 { Ok(()) } else { Err(Error::Interop { count: self.failed }) }
    }

    fn line(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// The error and its causes in one text.
fn chain(error: &Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(missing: Missing, results: &[Result<()>]) -> Summary {
        let mut summary = Summary::new(missing);
        for result in results {
            summary.note("name", result, Duration::ZERO);
        }
        summary
    }

    #[test]
    fn a_missing_tool_is_a_skip_that_is_counted() {
        let summary = note(Missing::Skips, &[Ok(()), Err(Error::MissingTool("crane"))]);
        assert_eq!(summary.line(), "1 passed, 0 failed, 1 skipped");
        assert!(summary.close().is_ok());
    }

    #[test]
    fn a_missing_tool_in_ci_is_a_failure() {
        let summary = note(Missing::Fails, &[Ok(()), Err(Error::MissingTool("crane"))]);
        assert_eq!(summary.line(), "1 passed, 1 failed, 0 skipped");
        assert!(matches!(summary.close(), Err(Error::Interop { count: 1 })));
    }

    #[test]
    fn one_failure_fails_the_whole() {
        let summary = note(Missing::Skips, &[Ok(()), Err(Error::Usage("x")), Ok(())]);
        assert_eq!(summary.line(), "2 passed, 1 failed, 0 skipped");
        assert!(matches!(summary.close(), Err(Error::Interop { count: 1 })));
    }
}
