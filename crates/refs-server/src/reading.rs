//! A repository to read, and whose fault it is where what it gives is not what it should be.

use std::ops::Deref;

use refs_registry::{Error, Source};

use crate::Refusal;

/// A repository, and what is behind it.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    source: &'a dyn Source,
    behind: Behind,
}

/// What gives what is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behind {
    Store,
    /// A registry elsewhere. What its mirror keeps is mended where it is damaged, and is no reason to refuse anything.
    Upstream,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(source: &'a dyn Source, behind: Behind) -> Self {
        Self { source, behind }
    }

    /// What to tell a client whose read failed with `error`.
    pub(crate) fn refused(self, error: &Error) -> Refusal {
        self.behind.refused(error)
    }

    pub(crate) const fn behind(self) -> Behind {
        self.behind
    }
}

impl Behind {
    /// What to tell a client whose read failed with `error`.
    pub(crate) fn refused(self, error: &Error) -> Refusal {
        match self {
            Self::Store => Refusal::of_read(error),
            Self::Upstream => Refusal::of_upstream(error),
        }
    }
}

impl<'a> Deref for Reading<'a> {
    type Target = dyn Source + 'a;

    fn deref(&self) -> &Self::Target {
        self.source
    }
}
