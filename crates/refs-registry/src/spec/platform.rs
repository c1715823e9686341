//! What a program runs on.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use serde::{Deserialize, Serialize};

use super::config::or_default;

/// An operating system and a processor, in Go's names
/// ([image index](https://github.com/opencontainers/image-spec/blob/main/image-index.md)). What an index leaves out of it, or
/// has as `null`, is empty: one such entry does not make the others unreadable.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// The processor, such as `amd64`.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    /// The operating system, such as `linux`.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
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
    /// Fields that this library does not know, kept as they are.
    #[serde(flatten)]
    pub extra: BTreeMap<String, serde_json::Value>,
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
            extra: BTreeMap::new(),
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

    /// Reads `os/architecture[/variant]` as containerd does; behind the system its version and features may stand, as in
    /// `windows(10.0.20348+win32k)/amd64`, with `%28` and the like for what is punctuation here. A lone processor that is
    /// known, such as `arm64`, is Linux's; a lone system, such as `windows`, is that on the processor of this machine.
    /// `None` when `text` is something else.
    ///
    /// # Deviation
    /// From containerd: a lone processor is Linux's whatever system runs here, and words are kept as they are. `x86_64`
    /// means `amd64` to who chooses, but is not changed into it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let first = parts.next()?;
        let system = system(first)?;
        let Some(architecture) = parts.next() else { return alone(first, system) };
        let variant = parts.next();
        let well_formed = is_word(architecture) && variant.is_none_or(is_word) && parts.next().is_none();
        well_formed.then(|| Self {
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
            ..system
        })
    }
}

/// The systems that may stand alone; in Go's names, and Apple's.
const SYSTEMS: [&str; 18] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "macos",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];
/// The processors that may stand alone; in Go's names, and in others.
const PROCESSORS: [&str; 30] = [
    "386",
    "aarch64",
    "amd64",
    "amd64p32",
    "arm",
    "arm64",
    "arm64be",
    "armbe",
    "armel",
    "armhf",
    "i386",
    "loong64",
    "mips",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "mipsle",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
    "x86-64",
    "x86_64",
];

/// The platform that `word` means, which stands alone: a processor, or what `system` was read of it.
fn alone(word: &str, system: Platform) -> Option<Platform> {
    let is_among = |known: &[&str], word: &str| known.iter().any(|known| known.eq_ignore_ascii_case(word));
    if is_among(&SYSTEMS, &system.os) {
        return Some(Platform { architecture: Platform::linux_here().architecture, ..system });
    }
    is_among(&PROCESSORS, word).then(|| Platform::new("linux", word))
}

/// Reads a system, with its version and features if they stand there.
fn system(text: &str) -> Option<Platform> {
    let (os, options) = match text.split_once('(') {
        Some((os, options)) => (os, options.strip_suffix(')')?),
        None => (text, ""),
    };
    let (version, features) = match options.split_once('+') {
        Some((version, features)) => (version, Some(features)),
        None => (options, None),
    };
    let features = features.map(|features| features.split('+').map(option)).into_iter().flatten();
    let os_version = if version.is_empty() { None } else { Some(option(version)?) };
    let platform = Platform { os_version, os_features: features.collect::<Option<_>>()?, ..Platform::new(os, "") };
    (is_word(os) && !os.contains('.')).then_some(platform)
}

/// Reads a version or a feature, in which `%` and two digits stand for a byte.
fn option(text: &str) -> Option<String> {
    if !is_word(&text.replace('%', "_")) {
        return None;
    }
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
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
            write!(f, "({}", Escaped(version))?;
            self.os_features.iter().try_for_each(|feature| write!(f, "+{}", Escaped(feature)))?;
            f.write_str(")")?;
        }
        write!(f, "/{}", self.architecture)?;
        match self.variant.as_deref() {
            Some(variant) if !variant.is_empty() => write!(f, "/{variant}"),
            _ => Ok(()),
        }
    }
}

/// A version or a feature, without what is punctuation around it.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '%' | '+' | '(' | ')' | '/' => write!(f, "%{:02X}", u32::from(c)),
            other => f.write_char(other),
        })
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
        for text in ["", "linux/", "/amd64", "linux/arm/", "linux/arm/v7/x", "linux /amd64", "linux/a*"] {
            check(text, None);
        }
    }

    #[test]
    fn lone_words_are_completed() {
        #[track_caller]
        fn check(text: &str, expected: Option<&Platform>) {
            assert_eq!(Platform::parse(text).as_ref(), expected, "{text}");
        }
        let here = |os| Platform { os, ..Platform::linux_here() };
        check("arm64", Some(&Platform::new("linux", "arm64")));
        check("X86_64", Some(&Platform::new("linux", "X86_64")));
        check("linux", Some(&Platform::linux_here()));
        check("macOS", Some(&here("macOS".to_owned())));
        let windows = Some("10.0.20348".to_owned());
        check("windows(10.0.20348)", Some(&Platform { os_version: windows, ..here("windows".to_owned()) }));
        ["x86", "ubuntu", "arm64(1)", "amd64/", "v8", "arm/v7/"].iter().for_each(|text| check(text, None));
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
        check("linux(1%2B1+a%2Fb)/a", Some(("linux", "1+1", &["a/b"], "a", "")));
        assert_eq!(Platform::parse("linux()/a"), Some(Platform::new("linux", "a")));
        for text in [
            "linux(/a",
            "linux)/a",
            "(1)/a",
            "linux(1/a",
            "linux(+)/a",
            "linux(1)x/a",
            "li.nux/a",
            "linux(%2)/a",
            "linux(%ff)/a",
            "linux(%+1)/a",
            "linux(1 )/a",
        ] {
            check(text, None);
        }
    }
}
