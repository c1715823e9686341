//! What is wrong with a manifest file, and where.

use std::fmt;

/// All that is wrong with a manifest file, in the order of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Finding>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, finding) in self.0.iter().enumerate() {
            write!(f, "{}{finding}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Something about a field of a manifest file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it is; of a missing field, where the mapping begins that it should be in.
    pub position: Option<Position>,
    /// The field's path, such as `content.classifications[1].type`; empty for the file as a whole.
    pub field: String,
    /// What it is about.
    pub kind: FindingKind,
}

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: u64,
    /// The character in the line, from 1.
    pub column: u64,
}

/// What there is to say about a field.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindingKind {
    /// The file is no YAML, or goes beyond what is read of it; in the parser's words.
    Syntax(String),
    /// The file has more bytes than are read.
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The field must be there.
    Missing {
        /// What belongs there.
        allowed: &'static str,
    },
    /// The schema has no such field.
    Unknown {
        /// The fields that it has there.
        allowed: &'static [&'static str],
    },
    /// The schema has no such field, but one much like it.
    Misspelt {
        /// The field that was meant, most likely.
        meant: &'static str,
    },
    /// The field can't have this value.
    Invalid {
        /// The value, shortened.
        found: String,
        /// What it may be.
        allowed: String,
    },
    /// The field may have this value, but better had not.
    Unfit {
        /// The value, in a word or two.
        found: String,
        /// What it had better be.
        recommended: &'static str,
    },
}

impl Finding {
    /// This, as it is told behind the name of the file: `NAME:LINE:COLUMN: …`, or `NAME: …`.
    #[must_use]
    pub fn behind_name(&self) -> String {
        let space = if self.position.is_some() { "" } else { " " };
        format!(":{space}{self}")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        match &self.kind {
            FindingKind::Syntax(message) => f.write_str(message),
            FindingKind::TooLarge { limit } => write!(f, "it has more than {limit} bytes"),
            FindingKind::Missing { allowed } => write!(f, "nothing is given; it needs {allowed}"),
            FindingKind::Unknown { allowed } => {
                write!(f, "found a field that is not known, allowed: {}", allowed.join(", "))
            }
            FindingKind::Misspelt { meant } => write!(f, "found a field that is not known; did you mean `{meant}`?"),
            FindingKind::Invalid { found, allowed } => write!(f, "found {found}, allowed: {allowed}"),
            FindingKind::Unfit { found, recommended } => write!(f, "found {found}, recommended: {recommended}"),
        }
    }
}
