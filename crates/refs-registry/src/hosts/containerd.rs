//! containerd's [`hosts.toml`](https://github.com/containerd/containerd/blob/main/docs/hosts.md), one folder a host.

use std::path::{Path, PathBuf};

use refs_url::Host;
use url::Url;

use super::{
    certs_d,
    document::{Document, Table, Value},
    mirror::{Mirror, Serves},
    settings::{ClientCertificate, HostSettings, Security, Set},
};
use crate::Result;

/// What the folders beneath `root` say of `host`; where there is none for it, the one that is for all.
pub(super) fn read(root: &Path, host: &Host) -> Result<HostSettings> {
    let of_host = folders(host).map(|name| root.join(name));
    for folder in of_host.into_iter().chain([root.join("_default")]) {
        if let Some(document) = Document::read(&folder.join("hosts.toml"))? {
            return parse(&document, host);
        }
        if folder.is_dir() {
            return certs_d::read(&folder);
        }
    }
    Ok(HostSettings::default())
}

/// What a `hosts.toml` says of `host`.
pub(crate) fn parse(document: &Document, host: &Host) -> Result<HostSettings> {
    document.table(|table| settings(table, host))
}

/// The names that the folder of a host may have: file systems may not take a colon.
fn folders(host: &Host) -> [String; 2] {
    let name = host.as_str();
    let without_colon = match (host.port(), name.rsplit_once(':')) {
        (Some(port), Some((name, _))) => format!("{name}_{port}_"),
        _ => name.to_owned(),
    };
    [name.to_owned(), without_colon]
}

fn settings(table: Table<'_>, host: &Host) -> Result<HostSettings> {
    let mut settings = endpoint(table)?;
    if let Some(server) = table.get("server") {
        match server.as_str().and_then(url) {
            Some(url) if is(&url, host) => settings.security = security(&url).map(|security| server.set(security)),
            Some(url) => settings.mirrors.extend(mirror(&server, &url, table)?),
            None => return Err(server.expected("a URL, such as \"https://registry.example\"")),
        }
    }
    let mut mirrors = Vec::new();
    if let Some(hosts) = table.get("host") {
        let hosts = hosts.as_table().ok_or_else(|| hosts.expected("tables: `[host.\"https://mirror.example\"]`"))?;
        for value in hosts.values() {
            let expected = "the URL of a mirror, such as \"https://mirror.example\"";
            let url = url(value.key).ok_or_else(|| value.expected(expected))?;
            let table = value.as_table().ok_or_else(|| value.expected("a table"))?;
            if is(&url, host) {
                // Everything is asked of the host itself in the end, whatever stands behind it here.
                let own = HostSettings { security: security(&url).map(|it| value.set(it)), ..endpoint(table)? };
                settings = own.over(settings);
            } else {
                mirrors.extend(mirror(&value, &url, table)?);
            }
        }
    }
    mirrors.append(&mut settings.mirrors);
    Ok(HostSettings { mirrors, ..settings })
}

/// Certificates, which stand in the same way for the host and for each mirror.
fn endpoint(table: Table<'_>) -> Result<HostSettings> {
    let mut settings = HostSettings::default();
    if let Some(ca) = table.get("ca") {
        let expected = || ca.expected("a path, or a list of paths");
        let paths = ca.one_or_more().into_iter();
        settings.ca =
            paths.map(|one| one.as_path().map(|path| one.set(path)).ok_or_else(expected)).collect::<Result<_>>()?;
    }
    if let Some(client) = table.get("client") {
        let pair =
            pair(&client).ok_or_else(|| client.expected("a path, or pairs of paths: [[\"cert.pem\", \"key.pem\"]]"))?;
        settings.client = Some(client.set(pair));
    }
    Ok(settings)
}

/// The first pair of a certificate and a key; a path alone is a file with both.
fn pair(value: &Value<'_>) -> Option<ClientCertificate> {
    let both = |path: PathBuf| ClientCertificate { certificate: path.clone(), key: path };
    if let Some(path) = value.as_path() {
        return Some(both(path));
    }
    let list = value.as_list()?;
    let first = list.first()?;
    let Some(pair) = first.as_list() else { return first.as_path().map(both) };
    match pair.as_slice() {
        [one] => one.as_path().map(both),
        [certificate, key] => Some(ClientCertificate { certificate: certificate.as_path()?, key: key.as_path()? }),
        _ => None,
    }
}

/// The mirror at `url`; `None` for one that may not be read, or has no `/v2` in its URLs.
fn mirror(value: &Value<'_>, url: &Url, table: Table<'_>) -> Result<Option<Set<Mirror>>> {
    let Some(serves) = serves(table)? else { return Ok(None) };
    let is_whole = table.get("override_path").and_then(|value| value.as_bool()).unwrap_or_default();
    let Some(mirror) = Mirror::of_api(url, is_whole.then_some(url.path())) else { return Ok(None) };
    Ok(Some(value.set(Mirror { serves, settings: Box::new(endpoint(table)?), ..mirror })))
}

fn serves(table: Table<'_>) -> Result<Option<Serves>> {
    let Some(capabilities) = table.get("capabilities") else { return Ok(Some(Serves::All)) };
    let expected = || capabilities.expected("a list of \"pull\", \"resolve\" and \"push\"");
    let words = capabilities.as_list().ok_or_else(expected)?;
    let has = |word| words.iter().any(|value| value.as_str() == Some(word));
    Ok(match (has("pull"), has("resolve")) {
        (true, true) => Some(Serves::All),
        (true, false) => Some(Serves::Digests),
        (false, true) => Some(Serves::Tags),
        (false, false) => None,
    })
}

/// A URL, which has TLS unless it says otherwise.
fn url(text: &str) -> Option<Url> {
    let url = if text.contains("://") { Url::parse(text) } else { Url::parse(&format!("https://{text}")) };
    url.ok().filter(|url| security(url).is_some() && url.has_host())
}

fn security(url: &Url) -> Option<Security> {
    match url.scheme() {
        "http" => Some(Security::Plain),
        "https" => Some(Security::Tls),
        _ => None,
    }
}

/// Whether `url` is where `host` itself is.
fn is(url: &Url, host: &Host) -> bool {
    super::mirror::host_of(url).is_some_and(|there| {
        there.as_str().eq_ignore_ascii_case(host.as_str())
            || host.is_docker_hub() && (there.is_docker_hub() || there.as_str() == "registry-1.docker.io")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_for(host: &str, folder: &str, text: &str) -> Result<HostSettings> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(folder)).unwrap();
        std::fs::write(root.path().join(folder).join("hosts.toml"), text).unwrap();
        read(root.path(), &Host::parse(host).unwrap())
    }

    #[track_caller]
    fn check_mirrors(text: &str, expect: &[(&str, Serves)]) {
        let mirrors = read_for("docker.io", "docker.io", text).unwrap().mirrors;
        let shown: Vec<_> = mirrors.iter().map(|set| (set.value.to_string(), set.value.serves)).collect();
        assert_eq!(shown, expect.iter().map(|(url, serves)| ((*url).to_owned(), *serves)).collect::<Vec<_>>());
    }

    #[test]
    fn mirrors_come_in_the_order_of_the_file_and_the_server_last() {
        let text = "server = 'https://registry-1.docker.io'\n\
             [host.'https://z.test']\ncapabilities = ['pull', 'resolve']\n\
             [host.'http://a.test:5000/artifactory/']\ncapabilities = ['pull']\n\
             [host.'https://h.test/v2/proxy']\noverride_path = true\n\
             [host.'https://odd.test/api']\noverride_path = true\n\
             [host.'https://push.test']\ncapabilities = ['push']\n\
             [host.'t.test/v2']\ncapabilities = ['resolve']\nunheard_of = 1\n";
        let expect = [
            ("https://z.test/v2/", Serves::All),
            ("http://a.test:5000/artifactory/v2/", Serves::Digests),
            ("https://h.test/v2/proxy", Serves::All),
            ("https://t.test/v2/", Serves::Tags),
        ];
        check_mirrors(text, &expect);
        let elsewhere = "server = 'https://other.test'\n[host.'https://m.test']\n";
        check_mirrors(elsewhere, &[("https://m.test/v2/", Serves::All), ("https://other.test/v2/", Serves::All)]);
    }

    #[test]
    fn certificates_are_those_of_the_server_and_of_each_mirror() {
        let text = "server = 'http://r.test:5000'\nca = '/ca.pem'\nclient = [['/c.pem', '/k.pem']]\n\
             [host.'https://m.test']\nca = ['/m.pem']\nclient = '/both.pem'\n";
        let settings = read_for("r.test:5000", "r.test_5000_", text).unwrap();
        assert_eq!(settings.security.unwrap().value, Security::Plain);
        assert_eq!(settings.ca[0].value, Path::new("/ca.pem"));
        assert_eq!(settings.client.unwrap().value.key, Path::new("/k.pem"));
        let mirror = &settings.mirrors[0].value.settings;
        assert_eq!(mirror.ca[0].value, Path::new("/m.pem"));
        assert_eq!(mirror.client.as_ref().unwrap().value.key, Path::new("/both.pem"));
    }

    #[test]
    fn a_host_without_a_folder_has_what_is_for_all() {
        let text = "[host.'https://m.test']\n";
        assert_eq!(read_for("r.test", "_default", text).unwrap().mirrors.len(), 1);
        assert_eq!(read_for("r.test", "s.test", text).unwrap(), HostSettings::default());
    }

    #[test]
    fn faults_have_their_lines() {
        for (text, line) in
            [("server = 1\n", 1), ("\n[host.'ftp://x']\n", 2), ("\n\nca = 3\n", 3), ("client = []\n", 1)]
        {
            let error = read_for("r.test", "r.test", text).unwrap_err();
            assert!(error.to_string().ends_with(&format!("hosts.toml:{line}`")), "{error}");
        }
    }
}
