//! Lists and places, as messages tell them.

use std::fmt;

pub(super) struct Quoted<'a>(pub(super) &'a [String]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, pattern) in self.0.iter().enumerate() {
            write!(f, "{}`{pattern}`", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Where links lead, and nothing is.
pub(super) struct Behind<'a>(pub(super) &'a Option<String>);

impl fmt::Display for Behind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |path| write!(f, ": it leads to `{path}`, where nothing is"))
    }
}

/// No image is built for more platforms, and a stranger could name any number, of repositories as well.
const MOST_LISTED: usize = 64;

pub(super) struct Listed<'a, T>(pub(super) &'a [T]);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, one) in self.0.iter().take(MOST_LISTED).enumerate() {
            write!(f, "{}{one}", if i == 0 { "" } else { ", " })?;
        }
        match self.0.len().checked_sub(MOST_LISTED) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, " and {more} more"),
        }
    }
}

/// The tags of a repository, none of which is a version.
pub(super) struct NoneOf<'a>(pub(super) &'a str, pub(super) usize);

impl fmt::Display for NoneOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(at, 0) => write!(f, "{at} has no tags"),
            Self(at, others) => write!(f, "none of the {others} tags of {at} is a version"),
        }
    }
}
