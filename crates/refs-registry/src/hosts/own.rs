//! Our own file: `config.toml`.

use std::path::{Path, PathBuf};

use refs_url::Host;

use super::{
    document::{Document, Value},
    fault::SettingsFault,
    lookup::usual,
    own_host::{host, unknown},
    settings::HostSettings,
};
use crate::Result;

/// What our own file says.
#[derive(Debug, Default)]
pub(crate) struct Own {
    hosts: Vec<(Pattern, HostSettings)>,
    /// Where the files of others are, if it says so.
    pub(super) containerd: Option<Vec<PathBuf>>,
    pub(super) docker: Option<Vec<PathBuf>>,
    pub(super) podman: Option<Vec<PathBuf>>,
}

/// The hosts that a table is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Pattern {
    /// `*`
    Every,
    /// `*.example.com`
    Beneath(String),
    /// `registry.example.com:5000`
    One(String),
}

const READ: &[&str] = &["containerd", "docker", "podman"];

impl Own {
    /// The file at `path`.
    ///
    /// # Errors
    /// `Settings` with the file, the line and what to write there; when there is no such file, too.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let Some(document) = Document::read(path)? else {
            return Err(SettingsFault::Missing.at(path, None));
        };
        Self::parse(&document)
    }

    /// What the file holds.
    ///
    /// # Errors
    /// `Settings` with the file, the line and what to write there.
    pub(crate) fn parse(document: &Document) -> Result<Self> {
        document.table(|table| {
            let mut own = Self::default();
            for value in table.values() {
                match value.key {
                    "hosts" => own.hosts = hosts(value)?,
                    "read" => own.take_places(value)?,
                    _ => return Err(unknown(&value, &["hosts", "read"])),
                }
            }
            Ok(own)
        })
    }

    /// What it says of `host`: under its name, then under what its name ends with, then for all.
    pub(crate) fn of(&self, host: &Host) -> HostSettings {
        let mut matching: Vec<_> = self.hosts.iter().filter(|(pattern, _)| pattern.matches(host)).collect();
        // The one that says most of the name is first: a whole name, then the longest end.
        matching.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.len()));
        matching.into_iter().fold(HostSettings::default(), |settings, (pattern, lower)| {
            settings.over(match pattern {
                Pattern::Every => lower.clone(),
                _ => lower.clone().with_tls_for_certificates(),
            })
        })
    }

    /// The hosts that it names.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, &HostSettings)> {
        self.hosts.iter().filter_map(|(pattern, settings)| match pattern {
            Pattern::One(host) => Some((host.as_str(), settings)),
            _ => None,
        })
    }

    fn take_places(&mut self, value: Value<'_>) -> Result<()> {
        let places = value.as_table().ok_or_else(|| value.expected("a table: `[read]`"))?;
        for value in places.values() {
            let folders = value.as_list().and_then(|list| list.iter().map(Value::as_path).collect());
            let folders =
                Some(folders.ok_or_else(|| value.expected("a list of paths, such as [\"/etc/docker/certs.d\"]"))?);
            match value.key {
                "containerd" => self.containerd = folders,
                "docker" => self.docker = folders,
                "podman" => self.podman = folders,
                _ => return Err(unknown(&value, READ)),
            }
        }
        Ok(())
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix('*') {
            Some("") => Some(Self::Every),
            Some(end) => {
                let host = Host::parse(end.strip_prefix('.')?).ok()?;
                Some(Self::Beneath(format!(".{}", host.as_str().to_ascii_lowercase())))
            }
            None => Host::parse(text).ok().map(|host| Self::One(usual(&host).as_str().to_ascii_lowercase())),
        }
    }

    fn matches(&self, host: &Host) -> bool {
        let name = host.as_str().to_ascii_lowercase();
        match self {
            Self::Every => true,
            Self::Beneath(end) => name.ends_with(end.as_str()),
            Self::One(one) => *one == name,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Every => 0,
            Self::Beneath(end) => end.len(),
            Self::One(_) => usize::MAX,
        }
    }
}

fn hosts(value: Value<'_>) -> Result<Vec<(Pattern, HostSettings)>> {
    let tables = value.as_table().ok_or_else(|| value.expected("tables: `[hosts.\"registry.example\"]`"))?;
    let read = |value: Value<'_>| {
        let expected = "the name of a host with its port, `*.example.com` or `*`";
        let pattern = Pattern::parse(value.key).ok_or_else(|| value.expected(expected))?;
        let table = value.as_table().ok_or_else(|| value.expected("a table"))?;
        let settings = host(table)?;
        if pattern == Pattern::Every && settings.client.is_some() {
            return Err(value.fault(SettingsFault::ForEveryHost));
        }
        Ok((pattern, settings))
    };
    tables.values().into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Page, hosts::Serves};

    fn read(text: &str) -> Result<Own> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        Own::read(&path)
    }

    #[track_caller]
    fn check_fault(text: &str, line: usize, expect: &str) {
        let error = read(text).unwrap_err();
        assert!(error.to_string().ends_with(&format!("config.toml:{line}`")), "{error}");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), expect);
    }

    #[test]
    fn faults_have_their_lines_and_say_what_to_write() {
        check_fault("\n[host.x]\n", 2, "there is no setting `host`; did you mean `hosts`?");
        let for_all = "[hosts.'*']\nclient-cert = 'c'\nclient-key = 'k'\n";
        check_fault(for_all, 1, "a client certificate is for hosts that are named, not for `*`");
        check_fault(
            "[hosts.x]\nplain_http = true\n",
            2,
            "there is no setting `plain_http`; did you mean `plain-http`?",
        );
        check_fault(
            "[hosts.x]\n\nclient-crt = 'a'\n",
            3,
            "there is no setting `client-crt`; did you mean `client-cert`?",
        );
        check_fault("[hosts.x]\nfrobnicate = 1\n", 2, "there is no setting `frobnicate`");
        check_fault("[hosts.x]\nplain-http = 'yes'\n", 2, "`plain-http` has to be true or false");
        check_fault(
            "[hosts.x]\nproxy = 'proxy:3128'\n",
            2,
            "`proxy` has to be a URL, such as \"http://proxy.example:3128\", or \"none\"",
        );
        check_fault("[hosts.x]\npieces = 0\n", 2, "`pieces` has to be a number of bytes, \"any\" or \"never\"");
        check_fault("[hosts.x]\npage = 99999999999\n", 2, "`page` has to be a number of entries, or \"unasked\"");
        check_fault(
            "[hosts.x]\nclient-cert = 'c'\n",
            2,
            "a client certificate and its key go together: `client-key` is missing",
        );
        check_fault(
            "[hosts.x]\nclient-key = 'c'\n",
            2,
            "a client certificate and its key go together: `client-cert` is missing",
        );
        check_fault("[hosts.'a b']\n", 1, "`a b` has to be the name of a host with its port, `*.example.com` or `*`");
        check_fault(
            "[hosts.'https://u:hunter2@r']\n",
            1,
            "`https://***@r` has to be the name of a host with its port, `*.example.com` or `*`",
        );
        check_fault("[hosts.x]\n'u:hunter2@r' = 1\n", 2, "there is no setting `***@r`");
        check_fault("[[hosts.x.mirrors]]\ntags = true\n", 1, "`mirrors` has to be tables, each with a `url`");
        check_fault(
            "[[hosts.x.mirrors]]\nurl = 'm.test'\n",
            2,
            "`url` has to be a URL, such as \"https://mirror.example/prefix\"",
        );
        check_fault("[read]\ndokcer = []\n", 2, "there is no setting `dokcer`; did you mean `docker`?");
    }

    #[test]
    fn what_is_no_toml_is_told_without_the_line_itself() {
        let error = read("[hosts.x]\nproxy = \"http://u:hunter2@p\n").unwrap_err();
        let told = format!("{error}: {}", std::error::Error::source(&error).unwrap());
        assert!(told.contains("config.toml:2`: it is not valid TOML"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }

    #[test]
    fn a_host_has_what_its_name_its_domain_and_all_hosts_have() {
        let own = read(
            "[hosts.'*']\nconcurrency = 2\npage = 10\n[hosts.'*.corp.test']\nconcurrency = 3\nmounts = 'never'\n\
             [hosts.'R.corp.test']\nconcurrency = 4\n",
        )
        .unwrap();
        let of = |host| {
            let settings = own.of(&Host::parse(host).unwrap());
            (settings.concurrency.map(|set| set.value), settings.mounts.is_some(), settings.page.map(|set| set.value))
        };
        assert_eq!(of("r.corp.test"), (Some(4), true, Some(Page::Of(10))));
        assert_eq!(of("x.corp.test"), (Some(3), true, Some(Page::Of(10))));
        assert_eq!(of("corp.test"), (Some(2), false, Some(Page::Of(10))));
    }

    #[test]
    fn mirrors_stand_in_the_order_of_their_priorities() {
        let own = read(
            "[[hosts.x.mirrors]]\nurl = 'https://c.test'\n[[hosts.x.mirrors]]\nurl = 'https://b.test:1/p/q'\npriority = 2\n\
             tags = true\n[[hosts.x.mirrors]]\nurl = 'http://a.test/'\npriority = 1\n",
        )
        .unwrap();
        let mirrors = own.of(&Host::parse("x").unwrap()).mirrors;
        let shown: Vec<_> = mirrors.iter().map(|set| (set.value.to_string(), set.value.serves)).collect();
        let expect = [
            ("http://a.test/v2/", Serves::Digests),
            ("https://b.test:1/v2/p/q", Serves::All),
            ("https://c.test/v2/", Serves::Digests),
        ];
        assert_eq!(shown, expect.map(|(url, serves)| (url.to_owned(), serves)));
    }

    #[test]
    fn paths_begin_in_the_folder_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "[hosts.x]\nca = ['a.pem', '/b']\nclient-cert = 'c'\nclient-key = 'k'\n").unwrap();
        let settings = Own::read(&path).unwrap().of(&Host::parse("x").unwrap());
        let ca: Vec<_> = settings.ca.iter().map(|set| set.value.clone()).collect();
        assert_eq!(ca, [folder.path().join("a.pem"), PathBuf::from("/b")]);
        assert_eq!(settings.client.unwrap().value.key, folder.path().join("k"));
    }
}
