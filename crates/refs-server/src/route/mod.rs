//! Which upstream a request means, and which of its repositories.

use refs_url::{Host, RepoName};

/// The way from names here to the repositories of one registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What the names begin with here, component by component, such as `hub` or `mirrors/ghcr`. `None` for those that begin
    /// with nobody's prefix.
    pub prefix: Option<RepoName>,
    /// The registry.
    pub host: Host,
    /// What the names begin with there, and no repository outside of it is reached; `None` for all repositories of the
    /// registry.
    pub beneath: Option<RepoName>,
    /// What comes before a name of one component where all repositories are reached: `library` on Docker Hub.
    pub official_namespace: Option<RepoName>,
}

/// Why routes can't stand beside each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// A name would lead to two upstreams.
    #[error("two upstreams have the prefix `{0}`")]
    SamePrefix(RepoName),
    /// A name without a known prefix would lead to two upstreams.
    #[error("two upstreams have no prefix")]
    TwoDefaults,
}

/// Routes that lead each name to one place at most.
#[derive(Debug, Clone)]
pub(crate) struct Routes {
    /// In the order in which they were given.
    given: Vec<Route>,
    /// Their indices, the one with the longest prefix first, so that the first that fits is the closest one.
    closest: Vec<usize>,
}

/// Where a name leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The index of the route.
    pub(crate) route: usize,
    /// The repository's name at the upstream.
    pub(crate) repository: RepoName,
}

impl Route {
    /// The route for names without a prefix to all repositories of `host`.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the text is a constant")]
    pub fn new(host: Host) -> Self {
        let official = || RepoName::parse("library").expect("`library` is a name");
        let official_namespace = host.is_docker_hub().then(official);
        Self { prefix: None, host, beneath: None, official_namespace }
    }

    /// The name at the upstream of what is called `name` here.
    fn by_prefix(&self, name: &RepoName) -> Option<RepoName> {
        match &self.prefix {
            Some(prefix) => self.there(below(name, prefix)?),
            None => self.there(name.as_str()),
        }
    }

    /// The name at the upstream of what is called `name` there, if that is reached.
    fn by_own_name(&self, name: &RepoName) -> Option<RepoName> {
        match &self.beneath {
            Some(beneath) => below(name, beneath).map(|_| name.clone()),
            None => self.there(name.as_str()),
        }
    }

    /// The name here of what is called `name` at the upstream: the longest one, where there are two.
    fn name_here(&self, name: &RepoName) -> Option<RepoName> {
        let rest = match &self.beneath {
            Some(beneath) => below(name, beneath)?,
            None => name.as_str(),
        };
        match &self.prefix {
            Some(prefix) => joined(prefix, rest),
            None => RepoName::parse(rest).ok(),
        }
    }

    fn there(&self, rest: &str) -> Option<RepoName> {
        let is_single = !rest.contains('/');
        match (&self.beneath, &self.official_namespace) {
            (Some(before), _) => joined(before, rest),
            (None, Some(before)) if is_single => joined(before, rest),
            (None, _) => RepoName::parse(rest).ok(),
        }
    }

    fn is_of(&self, host: &Host) -> bool {
        let same_name = self.host.as_str().eq_ignore_ascii_case(host.as_str());
        same_name || (self.host.is_docker_hub() && host.is_docker_hub())
    }
}

impl Routes {
    pub(crate) fn new(given: Vec<Route>) -> Result<Self, RouteError> {
        let mut closest: Vec<usize> = (0..given.len()).collect();
        closest.sort_by_key(|&index| std::cmp::Reverse(length(given[index].prefix.as_ref())));
        for (index, route) in given.iter().enumerate() {
            if given[..index].iter().any(|other| other.prefix == route.prefix) {
                return Err(route.prefix.clone().map_or(RouteError::TwoDefaults, RouteError::SamePrefix));
            }
        }
        Ok(Self { given, closest })
    }

    /// The registry that a route leads to.
    pub(crate) fn host(&self, route: usize) -> &Host {
        &self.given[route].host
    }

    /// Where `name` leads by its prefix. A prefix alone is no repository of its upstream.
    pub(crate) fn by_prefix(&self, name: &RepoName) -> Option<Destination> {
        self.closest.iter().find_map(|&route| {
            let repository = self.given[route].by_prefix(name)?;
            Some(Destination { route, repository })
        })
    }

    /// The name that leads to `destination` by its prefix; `None` where that name leads elsewhere, as another prefix is
    /// closer.
    pub(crate) fn name_here(&self, destination: &Destination) -> Option<RepoName> {
        let name = self.given[destination.route].name_here(&destination.repository)?;
        (self.by_prefix(&name).as_ref() == Some(destination)).then_some(name)
    }

    /// Where `name` leads as a repository of `host`: nowhere, unless one of the upstreams is that host and has it.
    pub(crate) fn by_host(&self, host: &Host, name: &RepoName) -> Option<Destination> {
        let routes = self.given.iter().enumerate().filter(|(_, route)| route.is_of(host));
        let reached = routes.filter_map(|(index, route)| {
            let repository = route.by_own_name(name)?;
            Some((length(route.beneath.as_ref()), std::cmp::Reverse(index), repository))
        });
        let (_, std::cmp::Reverse(route), repository) = reached.max()?;
        Some(Destination { route, repository })
    }
}

fn length(name: Option<&RepoName>) -> usize {
    name.map_or(0, |name| name.as_str().len())
}

/// What comes after `prefix` in `name`, component by component.
fn below<'a>(name: &'a RepoName, prefix: &RepoName) -> Option<&'a str> {
    name.as_str().strip_prefix(prefix.as_str())?.strip_prefix('/')
}

/// `None` when the whole is too long for a name.
fn joined(before: &RepoName, rest: &str) -> Option<RepoName> {
    RepoName::parse(&format!("{before}/{rest}")).ok()
}

#[cfg(test)]
mod tests;
