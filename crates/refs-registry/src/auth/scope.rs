//! What a token allows
//! ([token scopes](https://distribution.github.io/distribution/spec/auth/scope/)).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use refs_url::RepoName;

/// A set of scopes: resources, and for each the actions on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Scopes {
    /// `repository:library/debian` to `pull`, `push`.
    resources: BTreeMap<String, BTreeSet<String>>,
    /// What has another form than `type:name:actions`, kept whole.
    other: BTreeSet<String>,
}

impl Scopes {
    pub(crate) fn pull(repository: &RepoName) -> Self {
        Self::on(repository, &["pull"])
    }

    /// Writing asks for reading as well, so that the look before the write is covered by the same token.
    pub(crate) fn push(repository: &RepoName) -> Self {
        Self::on(repository, &["pull", "push"])
    }

    pub(crate) fn delete(repository: &RepoName) -> Self {
        Self::on(repository, &["delete", "pull"])
    }

    pub(crate) fn catalog() -> Self {
        Self::parse("registry:catalog:*")
    }

    fn on(repository: &RepoName, actions: &[&str]) -> Self {
        let actions = actions.iter().map(|&action| action.to_owned()).collect();
        Self { resources: BTreeMap::from([(format!("repository:{repository}"), actions)]), other: BTreeSet::new() }
    }

    /// Reads scopes divided by spaces. Any text is some set.
    pub(crate) fn parse(text: &str) -> Self {
        let mut scopes = Self::default();
        for scope in text.split_ascii_whitespace() {
            match scope.rsplit_once(':').filter(|(resource, _)| resource.contains(':')) {
                Some((resource, actions)) => {
                    let known = scopes.resources.entry(resource.to_owned()).or_default();
                    known.extend(actions.split(',').filter(|action| !action.is_empty()).map(str::to_owned));
                }
                None => {
                    scopes.other.insert(scope.to_owned());
                }
            }
        }
        scopes
    }

    /// Both sets.
    pub(crate) fn union(mut self, more: &Self) -> Self {
        for (resource, actions) in &more.resources {
            self.resources.entry(resource.clone()).or_default().extend(actions.iter().cloned());
        }
        self.other.extend(more.other.iter().cloned());
        self
    }

    /// Whether a token for this set is good for `less`, too.
    pub(crate) fn contains(&self, less: &Self) -> bool {
        let covers = |(resource, actions): (&String, &BTreeSet<String>)| {
            self.resources.get(resource).is_some_and(|known| known.contains("*") || known.is_superset(actions))
        };
        less.resources.iter().all(covers) && less.other.is_subset(&self.other)
    }

    /// The scopes one by one, as a token service takes them. Those for writing come first: some services look at the
    /// first one only.
    pub(crate) fn each(&self) -> Vec<String> {
        let writes = |actions: &BTreeSet<String>| actions.contains("push");
        let mut resources: Vec<_> = self.resources.iter().collect();
        resources.sort_by_key(|(_, actions)| !writes(actions));
        let written = resources.into_iter().map(|(resource, actions)| {
            let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
            format!("{resource}:{}", actions.join(","))
        });
        written.chain(self.other.iter().cloned()).collect()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.each().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        assert_eq!(Scopes::parse(text).to_string(), expect);
    }

    #[test]
    fn scopes_are_merged_and_normalised() {
        check("", "");
        check("repository:foo:push,pull", "repository:foo:pull,push");
        check("repository:a/b:pull repository:a/b:push", "repository:a/b:pull,push");
        check("repository:a:pull  repository:z:push,pull\tother", "repository:z:pull,push repository:a:pull other");
        check("repository:host:5000/a:pull,pull,", "repository:host:5000/a:pull");
        check("registry:catalog:*", "registry:catalog:*");
        check("aws odd:thing", "aws odd:thing");
    }

    #[track_caller]
    fn check_contains(more: &str, less: &str, expect: bool) {
        assert_eq!(Scopes::parse(more).contains(&Scopes::parse(less)), expect, "{more} ⊇ {less}");
    }

    #[test]
    fn a_wider_token_serves_and_a_narrower_does_not() {
        check_contains("repository:a:pull,push", "repository:a:pull", true);
        check_contains("repository:a:pull", "repository:a:pull,push", false);
        check_contains("repository:a:*", "repository:a:pull,push", true);
        check_contains("repository:a:pull repository:b:pull", "repository:b:pull", true);
        check_contains("repository:a:pull", "repository:ab:pull", false);
        check_contains("repository:a:pull", "", true);
        check_contains("repository:a:pull", "other", false);
    }

    proptest! {
        #[test]
        fn parsing_what_was_written_gives_the_same_set(text in "[a-z:*, /]{0,60}") {
            let scopes = Scopes::parse(&text);
            prop_assert_eq!(Scopes::parse(&scopes.to_string()), scopes);
        }

        #[test]
        fn any_text_parses(text in any::<String>()) {
            let scopes = Scopes::parse(&text);
            prop_assert!(scopes.clone().union(&scopes).contains(&scopes));
        }
    }
}
