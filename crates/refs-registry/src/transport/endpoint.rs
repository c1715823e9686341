//! Every URL of the [distribution API](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#endpoints),
//! built from values.

use std::sync::Arc;

use refs_url::{Digest, Host, RepoName, Tag, Target};
use url::Url;

use crate::{
    Error, MediaType, Page, Result,
    error::Setting,
    hosts::{Mirror, Security},
};

/// The URLs of one registry.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints {
    base: Url,
    /// What stands before `/v2`; empty but at some mirrors.
    root: String,
}

impl Endpoints {
    /// The URLs of `host`, Docker Hub's under the name that serves them.
    pub(crate) fn of(host: &Host, security: Security) -> Result<Self> {
        let scheme = match security {
            Security::Plain => "http",
            Security::Tls => "https",
        };
        let served_by = if host.is_docker_hub() { "registry-1.docker.io" } else { host.as_str() };
        let unusable = |source| Error::Settings { what: Setting::Host(host.to_string()), source };
        let base = Url::parse(&format!("{scheme}://{served_by}/")).map_err(|error| unusable(Arc::new(error)))?;
        // URLs read some names as numbers: `2130706433` would become 127.0.0.1.
        let name = base.host_str().unwrap_or_default().trim_matches(['[', ']']);
        if host.is_docker_hub() || name.eq_ignore_ascii_case(host.name()) || host.as_str().starts_with('[') {
            Ok(Self { base, root: String::new() })
        } else {
            Err(unusable(Arc::new(url::ParseError::InvalidDomainCharacter)))
        }
    }

    /// The URLs of `mirror`.
    pub(crate) fn of_mirror(mirror: &Mirror) -> Result<Self> {
        Ok(Self { root: mirror.root.clone(), ..Self::of(&mirror.host, mirror.security)? })
    }

    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    pub(crate) fn ping(&self) -> Url {
        self.at("/v2/")
    }

    pub(crate) fn catalog(&self, page: Page) -> Url {
        sized(self.at("/v2/_catalog"), page)
    }

    pub(crate) fn manifest(&self, repository: &RepoName, target: &Target) -> Url {
        self.at(&format!("/v2/{repository}/manifests/{target}"))
    }

    pub(crate) fn blob(&self, repository: &RepoName, digest: &Digest) -> Url {
        self.at(&format!("/v2/{repository}/blobs/{digest}"))
    }

    pub(crate) fn uploads(&self, repository: &RepoName) -> Url {
        self.at(&format!("/v2/{repository}/blobs/uploads/"))
    }

    /// Where to begin an upload that is to be hashed by `algorithm`
    /// (`end-4c` of the [endpoints](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#endpoints)).
    pub(crate) fn uploads_by(&self, repository: &RepoName, algorithm: &str) -> Url {
        with_query(self.uploads(repository), &[("digest-algorithm", algorithm)])
    }

    pub(crate) fn mount(&self, repository: &RepoName, digest: &Digest, from: &RepoName) -> Url {
        with_query(self.uploads(repository), &[("mount", digest.as_str()), ("from", from.as_str())])
    }

    pub(crate) fn tags(&self, repository: &RepoName, after: Option<&Tag>, page: Page) -> Url {
        let mut url = sized(self.at(&format!("/v2/{repository}/tags/list")), page);
        if let Some(after) = after {
            url = with_query(url, &[("last", after.as_str())]);
        }
        url
    }

    pub(crate) fn referrers(&self, repository: &RepoName, subject: &Digest, only: Option<&MediaType>) -> Url {
        let url = self.at(&format!("/v2/{repository}/referrers/{subject}"));
        match only {
            Some(only) => with_query(url, &[("artifactType", only.as_str())]),
            None => url,
        }
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.root));
        url
    }
}

/// The end of an upload session: its own URL, its query kept, and the digest.
pub(crate) fn commit(session: Url, digest: &Digest) -> Url {
    with_query(session, &[("digest", digest.as_str())])
}

/// The manifest at `url`, to be put under `tags` as well.
pub(crate) fn tagged(url: Url, tags: &[Tag]) -> Url {
    if tags.is_empty() {
        return url;
    }
    let pairs: Vec<_> = tags.iter().map(|tag| ("tag", tag.as_str())).collect();
    with_query(url, &pairs)
}

/// The list at `url`, in pages of `page`.
pub(crate) fn sized(url: Url, page: Page) -> Url {
    let url = without(url, "n");
    match page {
        Page::Of(n) => with_query(url, &[("n", &n.to_string())]),
        Page::Unasked => url,
    }
}

/// The list at `url`, from the entry after `last` on.
pub(crate) fn after(url: Url, last: &str) -> Url {
    with_query(without(url, "last"), &[("last", last)])
}

/// `url` without the parameter `name`.
fn without(mut url: Url, name: &str) -> Url {
    let kept: Vec<_> =
        url.query_pairs().filter(|(key, _)| key != name).map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
    url
}

fn with_query(mut url: Url, pairs: &[(&str, &str)]) -> Url {
    // A session's URL is opaque: what it holds is kept as it is, byte for byte.
    url.query_pairs_mut().extend_pairs(pairs);
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::HostSettings;

    #[track_caller]
    fn check_base(host: &str, expect: &str) {
        let host = Host::parse(host).unwrap();
        let endpoints = Endpoints::of(&host, HostSettings::default().security_of(&host));
        assert_eq!(endpoints.map(|endpoints| endpoints.base.to_string()).unwrap_or_default(), expect);
    }

    #[test]
    fn hosts_become_urls_or_are_refused() {
        check_base("ghcr.io", "https://ghcr.io/");
        check_base("GHCR.io:8443", "https://ghcr.io:8443/");
        check_base("docker.io", "https://registry-1.docker.io/");
        check_base("localhost:5000", "http://localhost:5000/");
        check_base("[::1]:5000", "http://[::1]:5000/");
        check_base("127.0.0.1", "http://127.0.0.1/");
        check_base("2130706433", "");
        check_base("0x7f.1", "");
        check_base("1.2.3.4.5", "");
    }

    #[test]
    fn urls_hold_the_values_they_are_built_from() {
        let endpoints = Endpoints::of(&Host::parse("r.test").unwrap(), Security::Tls).unwrap();
        let name = RepoName::parse("a/b").unwrap();
        let digest = Digest::sha256(b"");
        assert_eq!(
            endpoints.mount(&name, &digest, &RepoName::parse("c/d").unwrap()).as_str(),
            format!("https://r.test/v2/a/b/blobs/uploads/?mount={}&from=c%2Fd", digest.as_str().replace(':', "%3A"))
        );
        let session = Url::parse("https://r.test/up?_state=a%2Bb==").unwrap();
        let committed = commit(session, &digest);
        assert!(committed.as_str().starts_with("https://r.test/up?_state=a%2Bb==&digest=sha256%3A"), "{committed}");
        assert_eq!(
            endpoints.tags(&name, Some(&Tag::parse("v1").unwrap()), Page::default()).as_str(),
            "https://r.test/v2/a/b/tags/list?n=1000&last=v1"
        );
    }
}
