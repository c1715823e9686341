//! Lists, places and times, as messages tell them.

use std::{fmt, time::Duration};

use super::{Lost, Place, Wanted};

pub(super) struct Absent<'a>(pub(super) &'a Wanted, pub(super) &'a Place);

impl fmt::Display for Absent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(Wanted::Host(host), _) => write!(f, "`{host}` does not answer as a registry"),
            Self(wanted, at) => write!(f, "{wanted} not found in {at}"),
        }
    }
}

pub(super) struct Unable<'a>(pub(super) &'a Wanted, pub(super) &'a Place);

impl fmt::Display for Unable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A repository as such is wanted by none but an upload that begins.
            Self(Wanted::Repository(_) | Wanted::Upload, at) => write!(f, "uploads are not supported by {at}"),
            Self(wanted, at) => write!(f, "{wanted} is not supported by {at}"),
        }
    }
}

pub(super) struct Tried<'a>(pub(super) &'a [String]);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none were given");
        }
        write!(f, "tried: {}", self.0.join(", "))
    }
}

pub(super) struct WithTried<'a>(pub(super) &'a [String]);

impl fmt::Display for WithTried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " ({})", Tried(self.0)) }
    }
}

pub(super) struct Of<'a>(pub(super) &'a Option<Place>);

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|place| write!(f, " of {place}"))
    }
}

pub(super) struct Having<'a>(pub(super) &'a Option<Lost>);

impl fmt::Display for Having<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|lost| write!(f, ": {lost}"))
    }
}

pub(super) struct RetryAfter<'a>(pub(super) &'a Option<Duration>);

impl fmt::Display for RetryAfter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(wait) => write!(f, " and asks to wait {} s", wait.as_secs()),
            None => Ok(()),
        }
    }
}

pub(super) struct Asking<'a>(pub(super) &'a Option<Duration>);

impl fmt::Display for Asking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|wait| write!(f, ", asking to wait {} s", wait.as_secs()))
    }
}
