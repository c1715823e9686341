//! What is wrong with a file of settings.

use std::{path::Path, sync::Arc};

use crate::{Error, error::Setting};

/// What is wrong at a line of a file of settings. The file and the line are in the
/// [`Settings`](Error::Settings) error that this is the cause of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsFault {
    /// The file is no TOML.
    #[error("it is not valid TOML: {0}")]
    Syntax(String),
    /// Nothing has such a name.
    #[error("there is no setting `{key}`{}", DidYouMean(.nearest))]
    UnknownKey {
        /// The name.
        key: String,
        /// A setting that is called almost so.
        nearest: Option<&'static str>,
    },
    /// The value is not what the setting takes.
    #[error("`{key}` has to be {expected}")]
    Value {
        /// The setting.
        key: String,
        /// What belongs there, with an example.
        expected: &'static str,
    },
    /// A client certificate without its key, or a key without its certificate.
    #[error("a client certificate and its key go together: `{missing}` is missing")]
    Half {
        /// What has to be there, too.
        missing: String,
    },
    /// A client certificate for all hosts, which any registry could send us to.
    #[error("a client certificate is for hosts that are named, not for `*`")]
    ForEveryHost,
    /// The settings forbid the use of a registry.
    #[error("it blocks `{0}`")]
    Blocked(String),
    /// The file is longer than any settings are.
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
    /// A file that was named is not there.
    #[error("there is no such file")]
    Missing,
    /// A folder of certificates that has none.
    #[error("no file in it ends in `.crt`, `.pem` or `.cer`")]
    NoCertificates,
    /// A file that is to be trusted has no certificate.
    #[error("it has no certificate in PEM")]
    NoCertificate,
}

impl SettingsFault {
    /// This fault, at `line` (from 1) of the file at `path`.
    pub(crate) fn at(self, path: &Path, line: Option<usize>) -> Error {
        Error::Settings { what: Setting::File { path: path.to_owned(), line }, source: Arc::new(self) }
    }
}

struct DidYouMean<'a>(&'a Option<&'static str>);

impl std::fmt::Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |nearest| write!(f, "; did you mean `{nearest}`?"))
    }
}
