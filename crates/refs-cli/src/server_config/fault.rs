//! What is wrong with the file of `--server-config`.

use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
};

use refs_url::{ParseError, RepoName};
use toml::Spanned;

/// Why the file can't be served by.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("cannot read `{}`", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("`{}` has more than {limit} bytes", .path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("`{}{at}`: {message}", .path.display())]
    Wrong { path: PathBuf, at: Place, message: String },
    #[error("`{}{at}`: this cannot be the name of a repository", .path.display())]
    Name { path: PathBuf, at: Place, source: ParseError },
    #[error("`{}{at}`: cannot read the secret in `{}`", .path.display(), .secret.display())]
    Secret { path: PathBuf, at: Place, secret: PathBuf, source: io::Error },
}

/// A line and a column, from 1, where they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(Option<(usize, usize)>);

/// The text of the file, to tell where in it something is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl Text<'_> {
    /// Where the byte at `span`'s start is.
    pub(super) fn place(&self, span: Option<Range<usize>>) -> Place {
        let before = span.and_then(|span| self.text.get(..span.start));
        Place(before.map(|before| {
            let line = before.rsplit('\n').next().unwrap_or_default();
            (1 + before.matches('\n').count(), 1 + line.chars().count())
        }))
    }

    /// The same with the file's name before it.
    pub(super) fn named(&self, span: Range<usize>) -> String {
        format!("{}{}", self.path.display(), self.place(Some(span)))
    }

    /// The name of a repository, which may be the beginning of others'.
    pub(super) fn name(&self, text: &Spanned<String>) -> Result<RepoName, Fault> {
        let fault = |source| Fault::Name { path: self.path.to_owned(), at: self.place(Some(text.span())), source };
        RepoName::parse(text.get_ref()).map_err(fault)
    }

    /// The fault that `message` tells, at `span`.
    pub(super) fn wrong(&self, span: Option<Range<usize>>, message: impl Into<String>) -> Fault {
        Fault::Wrong { path: self.path.to_owned(), at: self.place(span), message: message.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |(line, column)| write!(f, ":{line}:{column}"))
    }
}
