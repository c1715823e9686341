//! What came of the checks.

use std::fmt;

use refs_registry::{Error, ErrorKind};

/// What came of a run: every check that ran, by name.
#[derive(Debug, Default)]
#[must_use]
pub struct Report {
    /// Those that passed, in the order in which they ran.
    pub passed: Vec<&'static str>,
    /// Those that did not.
    pub failed: Vec<Failure>,
}

/// A check that failed.
#[derive(Debug)]
pub struct Failure {
    /// Its name: the promise.
    pub check: &'static str,
    /// Why.
    pub broken: Broken,
}

/// Why a check failed.
#[derive(Debug)]
pub enum Broken {
    /// What was promised is not so.
    Promise(String),
    /// An operation failed that no promise lets fail.
    Failed(Error),
}

pub(super) type Outcome = Result<(), Broken>;

impl Report {
    /// # Panics
    /// When a check has failed; the message names each with its reason.
    #[track_caller]
    pub fn require(&self) {
        assert!(self.failed.is_empty(), "{self}");
    }

    pub(super) fn note(&mut self, check: &'static str, outcome: Outcome) {
        match outcome {
            Ok(()) => self.passed.push(check),
            Err(broken) => self.failed.push(Failure { check, broken }),
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.passed.extend(other.passed);
        self.failed.extend(other.failed);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} checks passed", self.passed.len(), self.passed.len() + self.failed.len())?;
        self.failed.iter().try_for_each(|Failure { check, broken }| write!(f, "\nfailed: {check}: {broken}"))
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promise(found) => f.write_str(found),
            Self::Failed(error) => {
                write!(f, "{:?}", error.kind())?;
                let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
                causes.into_iter().try_for_each(|cause| write!(f, ": {cause}"))
            }
        }
    }
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Requires that `found` is what was expected of `what`.
pub(super) fn same<T, E>(what: &str, found: &T, expect: &E) -> Outcome
where
    T: fmt::Debug + PartialEq<E>,
    E: fmt::Debug,
{
    holds(found == expect, || format!("{what}: {found:?}, not {expect:?}"))
}

/// Requires that two contents are the same, of which only the lengths are told.
pub(super) fn same_bytes(what: &str, found: &[u8], expect: &[u8]) -> Outcome {
    holds(found == expect, || format!("{what}: {} bytes, not the {} expected", found.len(), expect.len()))
}

/// Requires a failure of one of these kinds.
pub(super) fn fails<T>(what: &str, result: Result<T, Error>, kinds: &[ErrorKind]) -> Outcome {
    match result {
        Ok(_) => Err(Broken::Promise(format!("{what}: it succeeded"))),
        Err(error) if kinds.contains(&error.kind()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn holds(promise: bool, broken: impl FnOnce() -> String) -> Outcome {
    if promise { Ok(()) } else { Err(Broken::Promise(broken())) }
}
