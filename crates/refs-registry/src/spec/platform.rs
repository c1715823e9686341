//! What a program runs on.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::config::or_default;

/// An operating system and a processor, in Go's names
/// ([image index](https://github.com/opencontainers/image-spec/blob/main/image-index.md)). What an index leaves out of it, or
/// has as `null`, is empty: one such entry does not make the others unreadable.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// The processor, such as `amd64`.
    #[serde(default, deserialize_with = "or_default")]
    pub architecture: String,
    /// The operating system, such as `linux`.
    #[serde(default, deserialize_with = "or_default")]
    pub os: String,
    /// The version of the operating system; for Windows.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features that the operating system must have.
    #[serde(rename = "os.features", default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// The variant of the processor, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// The platform `os/architecture`, without more.
    #[must_use]
    pub fn new(os: &str, architecture: &str) -> Self {
        Self {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            os_version: None,
            os_features: Vec::new(),
            variant: None,
        }
    }

    /// Linux on the processor of this machine, whatever system runs here: images are Linux's nearly always.
    #[must_use]
    pub fn linux_here() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "x86" => "386",
            "aarch64" => "arm64",
            "powerpc64" if cfg!(target_endian = "big") => "ppc64",
            "powerpc64" => "ppc64le",
            "loongarch64" => "loong64",
            other => other,
        };
        Self::new("linux", architecture)
    }

    /// Reads `os/architecture[/variant]`; behind the system its version and features may stand, as in
    /// `windows(10.0.20348+win32k)/amd64`. `None` when `text` is something else. Words are kept as they are: `x86_64` means
    /// `amd64` to who chooses, but is not changed into it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let (system, architecture) = (parts.next()?, parts.next()?);
        let variant = parts.next();
        let (os, options) = match system.split_once('(') {
            Some((os, options)) => (os, options.strip_suffix(')')?),
            None => (system, ""),
        };
        let (version, features) = match options.split_once('+') {
            Some((version, features)) => (version, features.split('+').collect()),
            None => (options, Vec::new()),
        };
        let version = Some(version).filter(|version| !version.is_empty());
        let words = [Some(os), Some(architecture), variant, version].into_iter().flatten();
        let well_formed = words.chain(features.iter().copied()).all(is_word) && (os == system || !options.is_empty());
        if !well_formed || parts.next().is_some() {
            return None;
        }
        Some(Self {
            variant: variant.map(str::to_owned),
            os_version: version.map(str::to_owned),
            os_features: features.into_iter().map(str::to_owned).collect(),
            ..Self::new(os, architecture)
        })
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// As [`parse`](Platform::parse) reads it.
impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.os)?;
        let version = self.os_version.as_deref().unwrap_or_default();
        if !version.is_empty() || !self.os_features.is_empty() {
            write!(f, "({version}")?;
            self.os_features.iter().try_for_each(|feature| write!(f, "+{feature}"))?;
            f.write_str(")")?;
        }
        write!(f, "/{}", self.architecture)?;
        match self.variant.as_deref() {
            Some(variant) if !variant.is_empty() => write!(f, "/{variant}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, &str, &[&str], &str, &str)>) {
        let read = Platform::parse(text);
        let parts = read.as_ref().map(|platform| {
            let features: Vec<_> = platform.os_features.iter().map(String::as_str).collect();
            let option = |field: &Option<String>| field.clone().unwrap_or_default();
            let (version, variant) = (option(&platform.os_version), option(&platform.variant));
            (platform.os.clone(), version, features, platform.architecture.clone(), variant)
        });
        let expected = expected.map(|(os, version, features, architecture, variant)| {
            (os.to_owned(), version.to_owned(), features.to_vec(), architecture.to_owned(), variant.to_owned())
        });
        assert_eq!(parts, expected, "{text}");
        if let Some(platform) = read {
            assert_eq!(platform.to_string(), text);
        }
    }

    #[test]
    fn system_and_processor_are_read() {
        check("linux/amd64", Some(("linux", "", &[], "amd64", "")));
        check("linux/arm/v7", Some(("linux", "", &[], "arm", "v7")));
        check("Linux/x86_64", Some(("Linux", "", &[], "x86_64", "")));
        for text in ["", "linux", "linux/", "/amd64", "linux/arm/", "linux/arm/v7/x", "linux /amd64", "linux/a*"] {
            check(text, None);
        }
    }

    #[test]
    fn what_an_index_leaves_out_is_empty() {
        for json in [
            "{}",
            r#"{"os":"","architecture":""}"#,
            r#"{"os":null,"architecture":null,"variant":null,"os.version":null,"os.features":null}"#,
        ] {
            assert_eq!(serde_json::from_str::<Platform>(json).unwrap(), Platform::new("", ""), "{json}");
        }
        assert!(serde_json::from_str::<Platform>(r#"{"os":5}"#).is_err());
    }

    #[test]
    fn version_and_features_stand_behind_the_system() {
        check("windows(10.0.20348.1)/amd64", Some(("windows", "10.0.20348.1", &[], "amd64", "")));
        check("windows(10.0.1+win32k)/amd64", Some(("windows", "10.0.1", &["win32k"], "amd64", "")));
        check("linux(+gpu+sse4)/arm64/v8", Some(("linux", "", &["gpu", "sse4"], "arm64", "v8")));
        for text in ["linux()/a", "linux(/a", "linux)/a", "(1)/a", "linux(1/a", "linux(+)/a", "linux(1)x/a"] {
            check(text, None);
        }
    }
}
