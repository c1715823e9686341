//! Other places that have the repositories of a registry.

use std::fmt;

use refs_url::{Host, RepoName, Target};
use url::Url;

use super::settings::{HostSettings, Security};

/// A place that has what a registry has, or some of it. It is asked first, and only for what it may be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Its host.
    pub host: Host,
    /// Whether TLS is spoken with it.
    pub security: Security,
    /// The path before `/v2` in its URLs; empty, mostly.
    pub root: String,
    /// The beginning of the names of the repositories that it has; empty for all.
    pub of: String,
    /// What the beginning is at the mirror; empty for the same names without it.
    pub to: String,
    /// What it may be asked for.
    pub serves: Serves,
    /// What is set for it beside it, such as its certificates.
    pub settings: Box<HostSettings>,
}

/// What a mirror may be asked for. A digest vouches for what it brings; for a tag there is the mirror's word only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serves {
    /// What is named by its digest.
    Digests,
    /// Manifests that are named by a tag.
    Tags,
    /// Both.
    All,
}

/// Repositories of a registry that are kept at another place, for reading and writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The beginning of their names; empty for all.
    pub of: String,
    /// The host that keeps them.
    pub host: Host,
    /// What the beginning is there.
    pub to: String,
}

impl Mirror {
    /// The mirror at `host` that has all repositories under their own names, vouched for by their digests.
    #[must_use]
    pub fn new(host: Host, security: Security) -> Self {
        Self {
            host,
            security,
            root: String::new(),
            of: String::new(),
            to: String::new(),
            serves: Serves::Digests,
            settings: Box::default(),
        }
    }

    /// The mirror that has repositories beneath the path of `url`; `None` when that is no URL of a registry.
    pub(super) fn of_repositories(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let to = url.path().trim_matches('/');
        if !to.is_empty() {
            RepoName::parse(to).ok()?;
        }
        Some(Self { to: to.to_owned(), ..Self::at(&url)? })
    }

    /// The mirror whose API is at `url`, with `/v2` after it unless it ends so; or exactly at the path `api`.
    pub(super) fn of_api(url: &Url, api: Option<&str>) -> Option<Self> {
        let mirror = Self::at(url)?;
        let path = url.path().trim_end_matches('/');
        let Some(api) = api.map(|api| api.trim_end_matches('/')) else {
            return Some(Self { root: path.strip_suffix("/v2").unwrap_or(path).to_owned(), ..mirror });
        };
        let (root, to) = match api.strip_suffix("/v2") {
            Some(root) => (root, ""),
            None => api.split_once("/v2/")?,
        };
        if !to.is_empty() {
            RepoName::parse(to).ok()?;
        }
        Some(Self { root: root.to_owned(), to: to.to_owned(), ..mirror })
    }

    fn at(url: &Url) -> Option<Self> {
        let security = match url.scheme() {
            "http" => Security::Plain,
            "https" => Security::Tls,
            _ => return None,
        };
        // A login in a URL ends up in logs; it belongs where the logins of its host are.
        let is_bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        Some(Self::new(host_of(url).filter(|_| is_bare)?, security))
    }

    /// The name that `repository` has at the mirror; `None` when it isn't there.
    #[must_use]
    pub fn name(&self, repository: &RepoName) -> Option<RepoName> {
        renamed(repository, &self.of, &self.to)
    }
}

impl Serves {
    /// Whether `target` may be asked for.
    #[must_use]
    pub const fn covers(self, target: &Target) -> bool {
        match target {
            Target::Digest(_) => self.has_digests(),
            Target::Tag(_) => matches!(self, Self::Tags | Self::All),
        }
    }

    /// Whether what is named by its digest may be asked for.
    #[must_use]
    pub const fn has_digests(self) -> bool {
        matches!(self, Self::Digests | Self::All)
    }
}

impl Moved {
    /// The name that `repository` has there; `None` when it was not moved.
    #[must_use]
    pub fn name(&self, repository: &RepoName) -> Option<RepoName> {
        renamed(repository, &self.of, &self.to)
    }
}

/// `name` with `to` in place of `of` at its beginning; `None` when it does not begin so.
fn renamed(name: &RepoName, of: &str, to: &str) -> Option<RepoName> {
    let rest = beneath(name, of)?;
    let parts: Vec<&str> = [to, rest].into_iter().filter(|part| !part.is_empty()).collect();
    RepoName::parse(&parts.join("/")).ok()
}

/// The host of a URL, with its port where that is not its scheme's own.
pub(crate) fn host_of(url: &Url) -> Option<Host> {
    let name = url.host_str()?;
    let text = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
    Host::parse(&text).ok()
}

/// What follows `of` in `name`; `None` when it does not begin so.
pub(crate) fn beneath<'a>(name: &'a RepoName, of: &str) -> Option<&'a str> {
    let name = name.as_str();
    if of.is_empty() {
        return Some(name);
    }
    let rest = name.strip_prefix(of)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.security {
            Security::Plain => "http",
            Security::Tls => "https",
        };
        write!(f, "{scheme}://{}{}/v2/{}", self.host, self.root, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(of: &str, to: &str, name: &str, expect: Option<&str>) {
        let mut mirror = Mirror::new(Host::parse("m.test").unwrap(), Security::Tls);
        (mirror.of, mirror.to) = (of.to_owned(), to.to_owned());
        let name = mirror.name(&RepoName::parse(name).unwrap());
        assert_eq!(name.as_ref().map(RepoName::as_str), expect);
    }

    #[test]
    fn repositories_have_their_names_at_a_mirror() {
        check("", "", "a/b", Some("a/b"));
        check("", "proxy", "a/b", Some("proxy/a/b"));
        check("a", "", "a/b", Some("b"));
        check("a", "x/y", "a/b", Some("x/y/b"));
        check("a/b", "c", "a/b", Some("c"));
        check("a/b", "", "a/b", None);
        check("a", "x", "ab/c", None);
        check("b", "x", "a/b", None);
    }
}
