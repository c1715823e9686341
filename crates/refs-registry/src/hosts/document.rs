//! A TOML file whose faults have lines.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    fault::SettingsFault,
    settings::{Origin, Set},
};
use crate::{Error, Result, error::Setting};

/// No file of settings is longer.
const MAX_BYTES: u64 = 1 << 20;

/// The text of a file, and where it is.
#[derive(Debug)]
pub(crate) struct Document {
    pub(super) path: PathBuf,
    text: String,
}

/// A table of a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    document: &'a Document,
    entries: &'a DeTable<'a>,
}

/// A value of a table, by the name of its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a> {
    document: &'a Document,
    pub(super) key: &'a str,
    key_at: usize,
    value: &'a Spanned<DeValue<'a>>,
}

impl Document {
    /// The file at `path`, which holds `text`.
    pub(crate) const fn new(path: PathBuf, text: String) -> Self {
        Self { path, text }
    }

    /// The file at `path`; `None` when there is none.
    ///
    /// # Errors
    /// `Settings` when it can't be read, is no text, or longer than any settings are.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        let unreadable = |error| Error::Settings {
            what: Setting::File { path: path.to_owned(), line: None },
            source: Arc::<io::Error>::new(error),
        };
        let mut text = String::new();
        match File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text)) {
            Ok(read) if read as u64 > MAX_BYTES => Err(SettingsFault::TooLarge(MAX_BYTES).at(path, None)),
            Ok(_) => Ok(Some(Self::new(path.to_owned(), text))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(unreadable(error)),
        }
    }

    /// Reads the table that the document is, and hands it to `read`.
    ///
    /// # Errors
    /// `Settings` with the line of what is no TOML; those of `read`.
    pub(super) fn table<T>(&self, read: impl FnOnce(Table<'_>) -> Result<T>) -> Result<T> {
        match DeTable::parse(&self.text) {
            Ok(entries) => read(Table { document: self, entries: entries.get_ref() }),
            Err(error) => {
                // The message alone: the line itself may hold a password.
                let fault = SettingsFault::Syntax(error.message().lines().collect::<Vec<_>>().join(" "));
                Err(fault.at(&self.path, error.span().map(|span| self.line(span.start))))
            }
        }
    }

    /// The line, from 1, of the byte at `offset`.
    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }
}

impl<'a> Table<'a> {
    /// The values, in the order of the file.
    pub(super) fn values(self) -> Vec<Value<'a>> {
        let mut values: Vec<_> = self.entries.iter().map(|(key, value)| self.value(key, value)).collect();
        values.sort_by_key(|value| value.key_at);
        values
    }

    /// The value of `key`.
    pub(super) fn get(self, key: &str) -> Option<Value<'a>> {
        let (key, value) = self.entries.get_key_value(key)?;
        Some(self.value(key, value))
    }

    fn value(self, key: &'a Spanned<std::borrow::Cow<'a, str>>, value: &'a Spanned<DeValue<'a>>) -> Value<'a> {
        Value { document: self.document, key: key.get_ref(), key_at: key.span().start, value }
    }
}

impl<'a> Value<'a> {
    /// Where it is.
    pub(super) fn origin(&self) -> Origin {
        Origin::File { path: self.document.path.clone(), line: Some(self.document.line(self.key_at)) }
    }

    /// `value`, set here.
    pub(super) fn set<T>(&self, value: T) -> Set<T> {
        Set { value, from: self.origin() }
    }

    /// `fault`, here.
    pub(super) fn fault(&self, fault: SettingsFault) -> Error {
        fault.at(&self.document.path, Some(self.document.line(self.key_at)))
    }

    /// The error of a value that is not what its key takes.
    pub(super) fn expected(&self, expected: &'static str) -> Error {
        self.fault(SettingsFault::Value { key: self.shown_key(), expected })
    }

    /// The beginning of the key, as an error may show it: one that is a URL may hold a login.
    pub(super) fn shown_key(&self) -> String {
        let bare = self.key.rsplit_once('@').map(|(login, rest)| {
            let scheme = login.split_once("://").map(|(scheme, _)| format!("{scheme}://")).unwrap_or_default();
            format!("{scheme}***@{rest}")
        });
        bare.as_deref().unwrap_or(self.key).chars().take(64).collect()
    }

    pub(super) fn as_str(&self) -> Option<&'a str> {
        self.value.get_ref().as_str()
    }

    pub(super) fn as_bool(&self) -> Option<bool> {
        self.value.get_ref().as_bool()
    }

    /// A number from 1.
    pub(super) fn as_count(&self) -> Option<u64> {
        let number = self.value.get_ref().as_integer()?;
        u64::from_str_radix(number.as_str(), number.radix()).ok().filter(|count| *count > 0)
    }

    pub(super) fn as_table(&self) -> Option<Table<'a>> {
        Some(Table { document: self.document, entries: self.value.get_ref().as_table()? })
    }

    /// The elements of a list.
    pub(super) fn as_list(&self) -> Option<Vec<Self>> {
        let list = self.value.get_ref().as_array()?;
        Some(list.iter().map(|value| Self { value, key_at: value.span().start, ..*self }).collect())
    }

    /// The elements of a list, or the value alone.
    pub(super) fn one_or_more(&self) -> Vec<Self> {
        self.as_list().unwrap_or_else(|| vec![*self])
    }

    /// A path; one that is relative begins in the document's folder.
    pub(super) fn as_path(&self) -> Option<PathBuf> {
        let path = Path::new(self.as_str().filter(|path| !path.is_empty())?);
        Some(self.document.path.parent().unwrap_or_else(|| Path::new("")).join(path))
    }
}
