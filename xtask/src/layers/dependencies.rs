//! Rules about who depends on what.

use super::rules::{BARRED, DISABLED, EXACTLY, FOR_TESTS, RESERVED, ROOMS};
use super::violation::Violation;
use crate::workspace::{Package, Special, Workspace};

/// Every broken rule about dependencies and package metadata.
pub(crate) fn violations(workspace: &Workspace) -> Vec<Violation> {
    let mut found = Vec::new();
    for room in workspace.members() {
        found.extend(direction(workspace, room));
        found.extend(reserved(room));
        found.extend(rust_version(workspace, room));
        found.extend(metadata(room));
    }
    found.extend(barred(workspace));
    found.extend(exactly(workspace));
    found.extend(disabled(workspace));
    found
}

fn direction(workspace: &Workspace, room: &Package) -> Vec<Violation> {
    let Some(rule) = ROOMS.iter().find(|rule| rule.name == room.name) else {
        return vec![Violation::UnknownRoom { room: room.name.clone() }];
    };
    let ours = room.dependencies.iter().filter(|used| workspace.member(&used.name).is_some());
    let wrong = ours.filter(|used| {
        let for_tests = used.kind == Some(Special::Dev) && used.name == FOR_TESTS;
        !for_tests && !rule.may_use.contains(&used.name.as_str())
    });
    wrong.map(|used| Violation::Direction { room: room.name.clone(), used: used.name.clone() }).collect()
}

fn reserved(room: &Package) -> Vec<Violation> {
    let normal = room.dependencies.iter().filter(|used| used.kind.is_none());
    let rules = normal.filter_map(|used| RESERVED.iter().find(|rule| rule.krate == used.name));
    let broken = rules.filter(|rule| !rule.users.contains(&room.name.as_str()));
    broken
        .map(|rule| Violation::Reserved {
            room: room.name.clone(),
            krate: rule.krate.to_owned(),
            users: rule.users.join(", "),
        })
        .collect()
}

fn rust_version(workspace: &Workspace, room: &Package) -> Vec<Violation> {
    let Some(promised) = &room.rust_version else {
        return vec![Violation::Metadata { room: room.name.clone(), field: "rust-version" }];
    };
    let tree = workspace.tree(room);
    let newer = tree.iter().filter_map(|krate| {
        let needs = krate.rust_version.as_ref()?;
        (version(needs) > version(promised)).then(|| Violation::RustVersion {
            room: room.name.clone(),
            krate: krate.name.clone(),
            version: krate.version.clone(),
            needs: needs.clone(),
            promised: promised.clone(),
        })
    });
    newer.collect()
}

/// `1.89` and `1.89.0` are the same version.
fn version(text: &str) -> [u32; 3] {
    let mut numbers = text.split('.').map(|number| number.parse().unwrap_or(0));
    [(); 3].map(|()| numbers.next().unwrap_or(0))
}

fn metadata(room: &Package) -> Vec<Violation> {
    let fields = [("readme", &room.readme), ("license", &room.license), ("description", &room.description)].into_iter();
    let absent = fields.filter(|(_, value)| value.as_ref().is_none_or(|value| value.trim().is_empty()));
    absent.map(|(field, _)| Violation::Metadata { room: room.name.clone(), field }).collect()
}

fn barred(workspace: &Workspace) -> Vec<Violation> {
    let mut found = Vec::new();
    for rule in BARRED {
        let Some(room) = workspace.member(rule.room) else { continue };
        let wrong = workspace.tree(room).into_iter().filter(|krate| rule.krates.contains(&krate.name.as_str()));
        found.extend(wrong.map(|krate| Violation::Barred { room: room.name.clone(), krate: krate.name.clone() }));
    }
    found
}

fn exactly(workspace: &Workspace) -> Vec<Violation> {
    let mut found = Vec::new();
    for rule in EXACTLY {
        let Some(room) = workspace.member(rule.room) else { continue };
        let has_default = room.features.get("default").is_some_and(|features| !features.is_empty());
        let always = room.dependencies.iter().filter(|used| used.kind != Some(Special::Dev) && !used.optional);
        let always: Vec<&str> = always.map(|used| used.name.as_str()).collect();
        if has_default || always != rule.dependencies {
            let found_text = if has_default { "default features".to_owned() } else { always.join(", ") };
            let promised = rule.dependencies.join(", ");
            found.push(Violation::NotExactly { room: room.name.clone(), found: found_text, promised });
        }
    }
    found
}

fn disabled(workspace: &Workspace) -> Vec<Violation> {
    let rules = DISABLED.iter().flat_map(|rule| {
        let wrong = workspace.enabled_features(rule.krate).filter(|feature| rule.features.contains(feature));
        wrong.map(|feature| Violation::Feature { krate: rule.krate.to_owned(), feature: feature.to_owned() })
    });
    rules.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A workspace whose every package is in `packages`; those without a `source` are ours.
    fn workspace(packages: &[Value]) -> Workspace {
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let nodes = packages.iter().map(|package| {
            let deps = package["dependencies"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|used| json!({"pkg": used["name"], "dep_kinds": [{"kind": used["kind"]}]}));
            json!({"id": package["id"], "deps": deps.collect::<Vec<_>>(), "features": package["enabled"]})
        });
        let ours = packages.iter().filter(|package| package["source"].is_null()).map(|package| text(package, "id"));
        let metadata = json!({
            "packages": packages,
            "workspace_members": ours.collect::<Vec<_>>(),
            "workspace_root": "/",
            "resolve": {"nodes": nodes.collect::<Vec<_>>()},
        });
        Workspace::parse(metadata.to_string().as_bytes()).unwrap()
    }

    fn package(name: &str, dependencies: &[Value]) -> Value {
        json!({
            "id": name, "name": name, "version": "0.1.0", "license": "MIT", "description": "d", "readme": "README.md",
            "rust_version": "1.89", "manifest_path": "/Cargo.toml", "dependencies": dependencies, "enabled": [],
        })
    }

    fn outside(name: &str, dependencies: &[Value]) -> Value {
        with(package(name, dependencies), "source", json!("registry"))
    }

    fn with(mut package: Value, field: &str, value: Value) -> Value {
        package[field] = value;
        package
    }

    fn on(name: &str) -> Value {
        json!({"name": name, "kind": null})
    }

    fn in_tests_on(name: &str) -> Value {
        json!({"name": name, "kind": "dev"})
    }

    fn url() -> Value {
        package("refs-url", &[on("thiserror")])
    }

    #[track_caller]
    fn check(packages: &[Value], expected: &[&str]) {
        let found: Vec<String> = violations(&workspace(packages)).iter().map(Violation::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn arrows_up_the_page_pass() {
        let estargz = package("refs-estargz", &[on("refs-url"), in_tests_on("refs-testkit")]);
        let testkit = package("refs-testkit", &[on("refs-url"), on("wiremock")]);
        check(&[url(), estargz, testkit, outside("wiremock", &[]), outside("thiserror", &[])], &[]);
    }

    #[test]
    fn an_arrow_down_the_page_is_found() {
        let registry = package("refs-registry", &[on("refs-store")]);
        let expected = ["refs-registry: may not use refs-store; arrows point up the page"];
        check(&[registry, package("refs-store", &[])], &expected);
    }

    #[test]
    fn the_testkit_in_a_normal_dependency_is_found() {
        let client = package("refs-client", &[on("refs-testkit")]);
        let expected = ["refs-client: may not use refs-testkit; arrows point up the page"];
        check(&[client, package("refs-testkit", &[])], &expected);
    }

    #[test]
    fn a_crate_outside_the_table_is_found() {
        let expected = ["refs-new: not in the table of rooms (xtask/src/layers/rules.rs)"];
        check(&[package("refs-new", &[])], &expected);
    }

    #[test]
    fn a_reserved_crate_elsewhere_is_found_unless_only_tests_use_it() {
        let expected = ["refs-client: may not depend on reqwest, which is reserved for refs-registry"];
        check(&[package("refs-client", &[on("reqwest")]), outside("reqwest", &[])], &expected);
        check(&[package("refs-client", &[in_tests_on("reqwest")]), outside("reqwest", &[])], &[]);
        check(&[package("refs-registry", &[on("reqwest")]), outside("reqwest", &[])], &[]);
    }

    #[test]
    fn a_barred_crate_is_found_at_any_depth_but_not_behind_tests() {
        let deep = [outside("tar", &[on("net")]), outside("net", &[on("mio")]), outside("mio", &[])];
        let estargz = package("refs-estargz", &[on("tar")]);
        check(&[&[estargz], &deep[..]].concat(), &["refs-estargz: pulls in mio"]);
        let estargz = package("refs-estargz", &[in_tests_on("tar")]);
        check(&[&[estargz], &deep[..]].concat(), &[]);
    }

    #[test]
    fn refs_url_with_more_or_less_than_thiserror_is_found() {
        let promise = "it promises thiserror and nothing else";
        let more = package("refs-url", &[on("regex"), on("thiserror")]);
        check(&[more], &[&format!("refs-url: without features it depends on regex, thiserror; {promise}")]);
        let default = with(url(), "features", json!({"default": ["hash"], "hash": []}));
        check(&[default], &[&format!("refs-url: without features it depends on default features; {promise}")]);
        let optional = json!({"name": "sha2", "kind": null, "optional": true});
        check(&[package("refs-url", &[on("thiserror"), optional])], &[]);
    }

    #[test]
    fn another_backend_of_flate2_is_found() {
        let flate2 = with(outside("flate2", &[]), "enabled", json!(["zlib-rs", "miniz_oxide"]));
        check(&[flate2], &["flate2: feature `miniz_oxide` is enabled somewhere in the build"]);
    }

    #[test]
    fn a_dependency_that_needs_a_newer_rust_is_found() {
        let store = package("refs-store", &[on("new")]);
        let new = |version: &str| with(outside("new", &[]), "rust_version", json!(version));
        check(&[store.clone(), new("1.89.0")], &[]);
        check(&[store.clone(), new("1.90")], &["refs-store: new 0.1.0 needs Rust 1.90, we promise 1.89"]);
        check(&[store, new("1.100")], &["refs-store: new 0.1.0 needs Rust 1.100, we promise 1.89"]);
    }

    #[test]
    fn a_package_without_readme_license_or_description_is_found() {
        for field in ["readme", "license", "description"] {
            let bare = with(package("refs-store", &[]), field, Value::Null);
            check(&[bare], &[&format!("refs-store: has no {field}")]);
        }
    }
}
