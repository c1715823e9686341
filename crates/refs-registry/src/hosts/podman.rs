//! podman's [`registries.conf`](https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md), its
//! second format, and the files in `registries.conf.d` that go on top of it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use refs_url::{Host, RepoName};

use super::{
    certs_d,
    document::{Document, Table, Value},
    mirror::{Mirror, Moved, Serves},
    settings::{HostSettings, Security, Set},
};
use crate::Result;

/// All that a `registries.conf` says, by prefix.
#[derive(Debug, Default)]
pub(super) struct Registries(BTreeMap<Prefix, Registry>);

/// The beginning of a reference: a host, or `*.example.com`, and the beginning of a repository's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Prefix {
    host: String,
    of: String,
}

#[derive(Debug)]
struct Registry {
    plain: Option<Set<Security>>,
    blocked: Option<Set<()>>,
    moved: Option<Set<(Host, String)>>,
    mirrors: Vec<Set<Mirror>>,
}

impl Registries {
    /// The file at `path` and those in the folder beside it. No file says nothing.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let mut folder = path.as_os_str().to_owned();
        folder.push(".d");
        let dropped = certs_d::files(Path::new(&folder))?;
        let dropped = dropped.into_iter().filter(|file| file.extension().is_some_and(|it| it == "conf"));
        let files: Vec<PathBuf> = std::iter::once(path.to_owned()).chain(dropped).collect();
        let mut registries = Self::default();
        for file in files {
            if let Some(document) = Document::read(&file)? {
                document.table(|table| registries.take(table))?;
            }
        }
        Ok(registries)
    }

    /// What it says of `host`.
    pub(super) fn of(&self, host: &Host) -> HostSettings {
        let mut settings = HostSettings::default();
        for (prefix, registry) in self.0.iter().filter(|(prefix, _)| prefix.matches(host)) {
            if prefix.of.is_empty() {
                settings.security = settings.security.or_else(|| registry.plain.clone());
            }
            let of = || prefix.of.clone();
            if let Some(Set { from, .. }) = registry.blocked.clone() {
                settings.blocked.push(Set { value: of(), from });
            }
            if let Some(Set { value: (host, to), from }) = registry.moved.clone() {
                settings.moved.push(Set { value: Moved { of: of(), host, to }, from });
            }
            let mirrors = registry.mirrors.iter().cloned();
            settings.mirrors.extend(mirrors.map(|set| Set { value: Mirror { of: of(), ..set.value }, from: set.from }));
        }
        settings
    }

    fn take(&mut self, table: Table<'_>) -> Result<()> {
        let Some(list) = table.get("registry") else { return Ok(()) };
        for value in list.as_list().ok_or_else(|| list.expected("tables: `[[registry]]`"))? {
            let table = value.as_table().ok_or_else(|| list.expected("tables: `[[registry]]`"))?;
            let location = text(table, "location")?;
            let named = text(table, "prefix")?.or(location);
            let named = named.ok_or_else(|| value.expected("tables, each with a `location` or a `prefix`"))?;
            // A prefix may be longer than a repository's name; nothing that is spoken of here is.
            let Some(prefix) = Prefix::parse(named.as_str().unwrap_or_default()) else { continue };
            // What comes later says it anew.
            self.0.insert(prefix.clone(), registry(table, &prefix, location)?);
        }
        Ok(())
    }
}

impl Prefix {
    fn parse(text: &str) -> Option<Self> {
        let (host, of) = text.split_once('/').unwrap_or((text, ""));
        Host::parse(host.strip_prefix("*.").unwrap_or(host)).ok()?;
        if !of.is_empty() {
            RepoName::parse(of).ok()?;
        }
        Some(Self { host: host.to_ascii_lowercase(), of: of.to_owned() })
    }

    fn matches(&self, host: &Host) -> bool {
        let name = host.as_str().to_ascii_lowercase();
        match self.host.strip_prefix('*') {
            Some(end) => name.ends_with(end),
            None => name == self.host,
        }
    }
}

fn registry(table: Table<'_>, prefix: &Prefix, location: Option<Value<'_>>) -> Result<Registry> {
    let serves = match flag(table, "mirror-by-digest-only")? {
        Some(Set { value: true, .. }) => Serves::Digests,
        _ => Serves::All,
    };
    let mut mirrors = Vec::new();
    if let Some(list) = table.get("mirror") {
        let expected = || list.expected("tables: `[[registry.mirror]]`");
        for value in list.as_list().ok_or_else(expected)? {
            mirrors.push(mirror(value.as_table().ok_or_else(expected)?, &value, serves)?);
        }
    }
    let on = |key| Ok::<_, crate::Error>(flag(table, key)?.filter(|set| set.value));
    Ok(Registry {
        plain: on("insecure")?.map(|set| Set { value: Security::Plain, from: set.from }),
        blocked: on("blocked")?.map(|set| Set { value: (), from: set.from }),
        moved: location.map(|location| moved(&location, prefix)).transpose()?.flatten(),
        mirrors,
    })
}

/// Where the registry is, if that is not where its prefix says.
fn moved(location: &Value<'_>, prefix: &Prefix) -> Result<Option<Set<(Host, String)>>> {
    let (host, to) = place(location)?;
    let is_same = host.as_str().eq_ignore_ascii_case(&prefix.host) && to == prefix.of;
    Ok((!is_same).then(|| location.set((host, to))))
}

/// A mirror, which serves what it says, or else what is said of all.
fn mirror(table: Table<'_>, value: &Value<'_>, all_serve: Serves) -> Result<Set<Mirror>> {
    let location = text(table, "location")?.ok_or_else(|| value.expected("tables, each with a `location`"))?;
    let (host, to) = place(&location)?;
    let security = match flag(table, "insecure")? {
        Some(Set { value: true, .. }) => Security::Plain,
        Some(_) => Security::Tls,
        None if host.is_loopback() => Security::Plain,
        None => Security::Tls,
    };
    let serves = match text(table, "pull-from-mirror")? {
        None => all_serve,
        Some(value) => match value.as_str() {
            Some("all") => Serves::All,
            Some("digest-only") => Serves::Digests,
            Some("tag-only") => Serves::Tags,
            _ => return Err(value.expected("\"all\", \"digest-only\" or \"tag-only\"")),
        },
    };
    Ok(location.set(Mirror { to, serves, ..Mirror::new(host, security) }))
}

/// A host and the beginning of a repository's name there.
fn place(value: &Value<'_>) -> Result<(Host, String)> {
    let text = value.as_str().unwrap_or_default();
    let (host, path) = text.split_once('/').unwrap_or((text, ""));
    let path_is_name = path.is_empty() || RepoName::parse(path).is_ok();
    let host = Host::parse(host).ok().filter(|_| path_is_name);
    let expected = "a host and a path, such as \"mirror.example/prefix\"";
    host.map(|host| (host, path.to_owned())).ok_or_else(|| value.expected(expected))
}

fn text<'a>(table: Table<'a>, key: &str) -> Result<Option<Value<'a>>> {
    match table.get(key) {
        Some(value) if value.as_str().is_none() => Err(value.expected("text")),
        // Both are written where nothing is meant.
        value => Ok(value.filter(|value| value.as_str() != Some(""))),
    }
}

fn flag(table: Table<'_>, key: &str) -> Result<Option<Set<bool>>> {
    let Some(value) = table.get(key) else { return Ok(None) };
    let flag = value.as_bool().ok_or_else(|| value.expected("true or false"))?;
    Ok(Some(value.set(flag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<Registries> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("registries.conf.d")).unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Registries::read(&folder.path().join("registries.conf"))
    }

    fn of(registries: &Registries, host: &str) -> HostSettings {
        registries.of(&Host::parse(host).unwrap())
    }

    #[test]
    fn registries_are_plain_blocked_moved_and_mirrored() {
        let text = "unqualified-search-registries = ['docker.io']\n\
             [[registry]]\nlocation = 'plain.test:5000'\ninsecure = true\n\
             [[registry]]\nprefix = 'docker.io/library'\nlocation = 'hub.test/mirror'\n\
             [[registry]]\nprefix = '*.bad.test'\nblocked = true\n\
             [[registry]]\nlocation = 'r.test'\nmirror-by-digest-only = true\n\
             [[registry.mirror]]\nlocation = 'm.test/r'\n\
             [[registry.mirror]]\nlocation = 'n.test'\npull-from-mirror = 'tag-only'\ninsecure = true\n";
        let registries = read(&[("registries.conf", text)]).unwrap();
        assert_eq!(of(&registries, "plain.test:5000").security.unwrap().value, Security::Plain);
        assert_eq!(of(&registries, "x.bad.test").blocked[0].value, "");
        assert_eq!(of(&registries, "bad.test"), HostSettings::default());
        let moved = &of(&registries, "docker.io").moved[0];
        let name = moved.value.name(&RepoName::parse("library/alpine").unwrap()).unwrap();
        assert_eq!((moved.value.host.as_str(), name.as_str()), ("hub.test", "mirror/alpine"));
        assert_eq!(moved.from.to_string().rsplit('/').next(), Some("registries.conf:7"));
        let mirrors = of(&registries, "r.test").mirrors;
        let shown: Vec<_> = mirrors.iter().map(|set| (set.value.to_string(), set.value.serves)).collect();
        assert_eq!(
            shown,
            [("https://m.test/v2/r".to_owned(), Serves::Digests), ("http://n.test/v2/".to_owned(), Serves::Tags)]
        );
    }

    #[test]
    fn a_file_that_was_dropped_in_says_it_anew() {
        let first = "[[registry]]\nlocation = 'r.test'\ninsecure = true\n";
        let second = "[[registry]]\nlocation = 'r.test'\n[[registry.mirror]]\nlocation = 'm.test'\n";
        let files =
            [("registries.conf", first), ("registries.conf.d/50-x.conf", second), ("registries.conf.d/README", "?")];
        let settings = of(&read(&files).unwrap(), "r.test");
        assert_eq!((settings.security, settings.mirrors.len()), (None, 1));
    }

    #[test]
    fn the_first_format_says_nothing_and_faults_have_their_lines() {
        read(&[("registries.conf", "[registries.search]\nregistries = ['docker.io']\n")]).unwrap();
        for (text, line) in [
            ("registry = 1\n", 1),
            ("[[registry]]\nlocation = 1\n", 2),
            ("[[registry]]\nlocation = 'a.test'\ninsecure = 'yes'\n", 3),
            ("[[registry]]\nlocation = 'a.test'\n[[registry.mirror]]\nlocation = 'https://m.test'\n", 4),
        ] {
            let error = read(&[("registries.conf", text)]).unwrap_err();
            assert!(error.to_string().ends_with(&format!("registries.conf:{line}`")), "{error}");
        }
    }
}
