//! The one model of what may be set for a host.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use url::Url;

use super::mirror::{Mirror, Moved};
use crate::{Mounts, Page, Pieces, Quirks, Ranges, ReferrersAt};

/// What is set for one host. What nobody set is `None` or empty, and refs chooses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostSettings {
    /// Whether TLS is spoken. Unless set: not with loopback, unless certificates are set for it; with all others.
    pub security: Option<Set<Security>>,
    /// Certificates (PEM) to trust besides the system's: files, and folders with files that end in `.crt`, `.pem` or `.cer`.
    pub ca: Vec<Set<PathBuf>>,
    /// The certificate to show when the host asks who we are.
    pub client: Option<Set<ClientCertificate>>,
    /// The proxy. Unless set, the one that the system's variables name; none for loopback.
    pub proxy: Option<Set<Proxy>>,
    /// Where else reads may go, in the order in which they are tried.
    pub mirrors: Vec<Set<Mirror>>,
    /// Repositories that are kept elsewhere.
    pub moved: Vec<Set<Moved>>,
    /// Repositories, by the beginning of their names, that must not be used; empty for all of the host's.
    pub blocked: Vec<Set<String>>,
    /// How many requests at once.
    pub concurrency: Option<Set<usize>>,
    /// How uploads are cut into requests.
    pub pieces: Option<Set<Pieces>>,
    /// What the host makes of a request for a part of a blob.
    pub ranges: Option<Set<Ranges>>,
    /// Where the list of referrers is.
    pub referrers: Option<Set<ReferrersAt>>,
    /// Whether blobs are mounted.
    pub mounts: Option<Set<Mounts>>,
    /// How many entries of a list to ask for.
    pub page: Option<Set<Page>>,
}

/// A value and where it was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set<T> {
    /// The value.
    pub value: T,
    /// Who set it.
    pub from: Origin,
}

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The caller of this library; with the name of a flag, for one.
    Given(&'static str),
    /// A file, at a line from 1 where it has lines.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: Option<usize>,
    },
}

/// Whether TLS is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// HTTP as it is, for all to read.
    Plain,
    /// HTTP in TLS.
    Tls,
}

/// A certificate for a server that wants to know who asks, and its key, both files of PEM.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// The certificate, with those that vouch for it.
    pub certificate: PathBuf,
    /// The private key. It may be in the same file.
    pub key: PathBuf,
}

/// How a host is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Proxy {
    /// Without a proxy, whatever the system says.
    Direct,
    /// Through this one.
    Through(ProxyUrl),
}

/// The URL of a proxy. The password that may be in it shows nowhere.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProxyUrl(Url);

impl HostSettings {
    /// Fills what is not set here with what `lower` has. Certificates to trust are added to each other; of mirrors, the
    /// first layer that has any decides.
    #[must_use]
    pub fn over(mut self, lower: Self) -> Self {
        let more: Vec<_> = lower.ca.into_iter().filter(|ca| !self.ca.contains(ca)).collect();
        self.ca.extend(more);
        Self {
            security: self.security.or(lower.security),
            ca: self.ca,
            client: self.client.or(lower.client),
            proxy: self.proxy.or(lower.proxy),
            mirrors: if self.mirrors.is_empty() { lower.mirrors } else { self.mirrors },
            moved: if self.moved.is_empty() { lower.moved } else { self.moved },
            blocked: if self.blocked.is_empty() { lower.blocked } else { self.blocked },
            concurrency: self.concurrency.or(lower.concurrency),
            pieces: self.pieces.or(lower.pieces),
            ranges: self.ranges.or(lower.ranges),
            referrers: self.referrers.or(lower.referrers),
            mounts: self.mounts.or(lower.mounts),
            page: self.page.or(lower.page),
        }
    }

    /// Plain HTTP, and `from` says so.
    #[must_use]
    pub fn plain(from: Origin) -> Self {
        Self { security: Some(Set { value: Security::Plain, from }), ..Self::default() }
    }

    /// `quirks`, as they are set here.
    #[must_use]
    pub fn overriding(&self, quirks: Quirks) -> Quirks {
        Quirks {
            pieces: value(self.pieces.as_ref(), quirks.pieces),
            ranges: value(self.ranges.as_ref(), quirks.ranges),
            referrers: value(self.referrers.as_ref(), quirks.referrers),
            mounts: value(self.mounts.as_ref(), quirks.mounts),
            page: value(self.page.as_ref(), quirks.page),
            ..quirks
        }
    }
}

fn value<T: Copy>(set: Option<&Set<T>>, otherwise: T) -> T {
    set.map_or(otherwise, |set| set.value)
}

impl Origin {
    /// The whole of the file at `path`.
    pub(crate) fn file(path: &Path) -> Self {
        Self::File { path: path.to_owned(), line: None }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(flag) => f.write_str(flag),
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain HTTP",
            Self::Tls => "TLS",
        })
    }
}

impl ProxyUrl {
    /// A proxy by its URL: `http://` or `https://`, with a login if it wants one. `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let is_known = matches!(url.scheme(), "http" | "https");
        (is_known && url.has_host()).then_some(Self(url))
    }

    pub(crate) const fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login = if self.0.username().is_empty() && self.0.password().is_none() { "" } else { "***@" };
        let port = self.0.port().map(|port| format!(":{port}")).unwrap_or_default();
        write!(f, "{}://{login}{}{port}", self.0.scheme(), self.0.host_str().unwrap_or_default())
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({self})")
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("none"),
            Self::Through(url) => url.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m172_the_login_of_a_proxy_shows_nowhere() {
        let url = ProxyUrl::parse("http://user:hunter2@proxy.test:3128/x?token=hunter2").unwrap();
        assert_eq!(url.to_string(), "http://***@proxy.test:3128");
        assert_eq!(format!("{:?}", Proxy::Through(url)), "Through(ProxyUrl(http://***@proxy.test:3128))");
        for text in ["", "proxy:3128", "ftp://proxy.test", "http://"] {
            assert_eq!(ProxyUrl::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_set_higher_up_wins_and_certificates_add_up() {
        fn given<T>(value: T) -> Set<T> {
            Set { value, from: Origin::Given("--x") }
        }
        let ca = |path: &str| vec![given(PathBuf::from(path))];
        let high = HostSettings { ca: ca("a"), concurrency: Some(given(1)), ..HostSettings::default() };
        let low = HostSettings { ca: ca("b"), concurrency: Some(given(2)), ..HostSettings::plain(Origin::Given("y")) };
        let both = high.over(low);
        assert_eq!(both.concurrency, Some(given(1)));
        assert_eq!(both.ca, [ca("a"), ca("b")].concat());
        assert_eq!(both.security.map(|set| set.value), Some(Security::Plain));
    }

    #[test]
    fn quirks_that_are_set_are_not_learnt() {
        let from = Origin::Given("test");
        let set = HostSettings { mounts: Some(Set { value: Mounts::Never, from }), ..HostSettings::default() };
        let learnt = Quirks { ranges: Ranges::Honoured, ..Quirks::default() };
        let quirks = set.overriding(learnt);
        assert_eq!((quirks.mounts, quirks.ranges), (Mounts::Never, Ranges::Honoured));
    }
}
