//! What a token allows
//! ([token scopes](https://distribution.github.io/distribution/spec/auth/scope/)).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use refs_url::RepoName;

/// A set of scopes: resources, and for each the actions on it. The action `*` is all of them, so that none is beside it.
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
                    absorb(known);
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
            let known = self.resources.entry(resource.clone()).or_default();
            known.extend(actions.iter().cloned());
            absorb(known);
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

    /// How much it allows, to tell a wider set from a narrower one.
    pub(crate) fn breadth(&self) -> usize {
        let of = |actions: &BTreeSet<String>| if actions.contains("*") { usize::from(u8::MAX) } else { actions.len() };
        self.resources.values().map(of).sum::<usize>() + self.resources.len() + self.other.len()
    }

    /// What to ask for instead where this set is refused: leave to do everything where leave to delete is not known
    /// of, as at Quay, or the first of several scopes where only one is taken. `None` when there is nothing else.
    pub(crate) fn instead(&self) -> Option<Self> {
        if self.resources.values().any(|actions| actions.contains("delete")) {
            let mut instead = self.clone();
            let deleted = instead.resources.values_mut().filter(|actions| actions.contains("delete"));
            deleted.for_each(|actions| *actions = BTreeSet::from(["*".to_owned()]));
            return Some(instead);
        }
        match &self.each()[..] {
            [first, _, ..] => Some(Self::parse(first)),
            _ => None,
        }
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

/// Drops what `*` says already.
fn absorb(actions: &mut BTreeSet<String>) {
    if actions.contains("*") {
        actions.retain(|action| action == "*");
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
        check("repository:a:push,*,pull repository:a:delete", "repository:a:*");
        check("repository(plugin):a:pull", "repository(plugin):a:pull");
        check("repository:a:", "repository:a:");
        check("aws odd:thing", "aws odd:thing");
    }

    #[track_caller]
    fn check_instead(text: &str, expect: Option<&str>) {
        assert_eq!(Scopes::parse(text).instead(), expect.map(Scopes::parse), "{text}");
    }

    #[test]
    fn a_set_that_is_refused_has_a_simpler_one_in_its_place() {
        check_instead("repository:a:pull", None);
        check_instead("", None);
        check_instead("repository:a:pull repository:b:pull,push", Some("repository:b:pull,push"));
        check_instead("repository:a:delete,pull", Some("repository:a:*"));
        check_instead("repository:a:*", None);
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

        #[test]
        fn a_union_is_the_least_set_that_contains_both(a in scopes(), b in scopes(), c in scopes()) {
            let both = a.clone().union(&b);
            prop_assert!(both.contains(&a) && both.contains(&b));
            prop_assert_eq!(&both, &b.clone().union(&a));
            prop_assert_eq!(both.clone().union(&c), a.clone().union(&b.clone().union(&c)));
            prop_assert_eq!(&a.clone().union(&a), &a);
            prop_assert_eq!(&a.clone().union(&Scopes::default()), &a);
            prop_assert_eq!(c.contains(&both), c.contains(&a) && c.contains(&b));
            prop_assert_eq!(a.contains(&b), both == a);
        }

        #[test]
        fn containing_is_an_order(a in scopes(), b in scopes(), c in scopes()) {
            prop_assert!(a.contains(&a));
            prop_assert_eq!(a.contains(&b) && b.contains(&a), a == b);
            prop_assert!(!(a.contains(&b) && b.contains(&c)) || a.contains(&c));
        }
    }

    /// Few enough that they often meet.
    fn scopes() -> impl Strategy<Value = Scopes> {
        let actions = prop::sample::subsequence(vec!["pull", "push", "*", "delete"], 0..3);
        let one = (prop::sample::select(vec!["repository:a", "repository:b", "registry:catalog"]), actions)
            .prop_map(|(resource, actions)| format!("{resource}:{}", actions.join(",")));
        prop::collection::vec(prop_oneof![4 => one, 1 => Just("other".to_owned())], 0..4)
            .prop_map(|scopes| Scopes::parse(&scopes.join(" ")))
    }
}
