use proptest::prelude::*;

use super::*;

fn name(text: &str) -> RepoName {
    RepoName::parse(text).unwrap()
}

/// `PREFIX=HOST[/BENEATH]`
fn route(text: &str) -> Route {
    let (prefix, place) = text.split_once('=').unwrap();
    let (host, beneath) = place.split_once('/').unwrap_or((place, ""));
    let some = |text: &str| (!text.is_empty()).then(|| name(text));
    Route { prefix: some(prefix), beneath: some(beneath), ..Route::new(Host::parse(host).unwrap()) }
}

fn routes() -> Routes {
    let texts = [
        "hub=docker.io",
        "ecr=ecr.test",
        "ecr-public=public.ecr.test",
        "mirrors/ghcr=ghcr.io",
        "mirrors/ghcr/deep=ghcr.io/owner/deep",
        "mirrors=any.test:5000/all",
        "ghcr.io=ghcr.io",
    ];
    Routes::new(texts.map(route).to_vec()).unwrap()
}

fn shown(routes: &Routes, found: Option<Destination>) -> String {
    found.map_or_else(String::new, |found| format!("{}/{}", routes.given[found.route].host, found.repository))
}

#[track_caller]
fn check(asked: &str, expect: &str) {
    let routes = routes();
    assert_eq!(shown(&routes, routes.by_prefix(&name(asked))), expect, "{asked}");
}

#[track_caller]
fn check_host(host: &str, asked: &str, expect: &str) {
    let routes = routes();
    assert_eq!(shown(&routes, routes.by_host(&Host::parse(host).unwrap(), &name(asked))), expect, "{host} {asked}");
}

#[test]
fn names_lead_by_their_prefix() {
    check("hub/org/app", "docker.io/org/app");
    check("hub/alpine", "docker.io/library/alpine");
    check("hub/library/alpine", "docker.io/library/alpine");
    check("ecr/a", "ecr.test/a");
    check("ecr-public/a", "public.ecr.test/a");
    check("ghcr.io/o/r", "ghcr.io/o/r");
}

#[test]
fn the_longest_prefix_wins() {
    check("mirrors/ghcr/o/r", "ghcr.io/o/r");
    check("mirrors/ghcr/deep/r", "ghcr.io/owner/deep/r");
    check("mirrors/ghcr/deeper/r", "ghcr.io/deeper/r");
    check("mirrors/other", "any.test:5000/all/other");
    // The prefix of another, whole: it is a repository of the shorter one.
    check("mirrors/ghcr", "any.test:5000/all/ghcr");
}

#[test]
fn a_name_without_a_prefix_leads_nowhere_unless_there_is_a_default() {
    ["hub", "ecr", "hubs/app", "ec/r", "app", "evil.test/o/r"].iter().for_each(|name| check(name, ""));
    let routes = Routes::new(vec![route("hub=docker.io"), route("=registry.test:443")]).unwrap();
    let lead = |text| shown(&routes, routes.by_prefix(&name(text)));
    assert_eq!(lead("app"), "registry.test:443/app");
    assert_eq!(lead("hub"), "registry.test:443/hub");
    assert_eq!(lead("hub/app"), "docker.io/library/app");
    assert_eq!(shown(&routes, Routes::new(vec![]).unwrap().by_prefix(&name("hub/app"))), "");
}

#[test]
fn a_host_leads_to_an_upstream_and_to_nothing_else() {
    check_host("docker.io", "library/alpine", "docker.io/library/alpine");
    check_host("registry-1.docker.io", "alpine", "docker.io/library/alpine");
    check_host("GHCR.io", "o/r", "ghcr.io/o/r");
    check_host("any.test:5000", "all/r", "any.test:5000/all/r");
    for (host, name) in [
        ("any.test:5000", "other/r"),
        ("any.test:5000", "all"),
        ("any.test:5000", "allow/r"),
        ("any.test", "all/r"),
        ("evil.test", "o/r"),
        ("169.254.169.254", "latest/meta-data"),
        ("localhost:5000", "o/r"),
    ] {
        check_host(host, name, "");
    }
}

#[test]
fn the_route_with_the_closest_place_reads_a_repository() {
    let routes = routes();
    let found = |text| routes.by_host(&Host::parse("ghcr.io").unwrap(), &name(text)).map(|found| found.route);
    assert_eq!(found("owner/deep/r"), Some(4));
    assert_eq!(found("owner/r"), Some(3));
}

#[test]
fn two_routes_never_claim_the_same_names() {
    let fails = |texts: [&str; 2]| Routes::new(texts.map(route).to_vec()).unwrap_err();
    assert_eq!(fails(["a/b=x.test", "a/b=y.test"]), RouteError::SamePrefix(name("a/b")));
    assert_eq!(fails(["=x.test", "=y.test"]), RouteError::TwoDefaults);
    assert_eq!(fails(["=x.test", "=y.test"]).to_string(), "two upstreams have no prefix");
}

#[test]
fn a_name_that_is_too_long_upstream_leads_nowhere() {
    let long = "a".repeat(250);
    check(&format!("ecr/{long}"), &format!("ecr.test/{long}"));
    check(&format!("hub/{long}"), "");
}

const NAME: &str = "[a-c]{1,2}(/[a-c]{1,2}){0,3}";

proptest! {
    #[test]
    fn nothing_is_reached_but_what_is_beneath_an_upstream(
        prefixes in prop::collection::btree_set(NAME, 1..5),
        beneath in prop::option::of(NAME),
        asked in NAME,
    ) {
        let route = |prefix: &String| Route {
            prefix: Some(name(prefix)),
            beneath: beneath.as_deref().map(name),
            ..Route::new(Host::parse("up.test").unwrap())
        };
        let routes = Routes::new(prefixes.iter().map(route).collect()).unwrap();
        let fits = |prefix: &&String| asked.starts_with(&format!("{prefix}/"));
        let longest = prefixes.iter().filter(fits).max_by_key(|prefix| prefix.len());
        let expect = longest.map(|prefix| {
            let rest = &asked[prefix.len() + 1..];
            beneath.as_ref().map_or_else(|| rest.to_owned(), |beneath| format!("{beneath}/{rest}"))
        });
        let found = routes.by_prefix(&name(&asked)).map(|found| found.repository.to_string());
        prop_assert_eq!(found, expect);
        let by_host = routes.by_host(&Host::parse("up.test").unwrap(), &name(&asked));
        let is_beneath = beneath.as_ref().is_none_or(|beneath| asked.starts_with(&format!("{beneath}/")));
        prop_assert_eq!(by_host.map(|found| found.repository.to_string()), is_beneath.then_some(asked));
    }
}
