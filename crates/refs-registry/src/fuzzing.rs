//! What holds of every input of the parsers that read strangers' words: each function takes any bytes, and panics where it
//! does not. The fuzz targets in `fuzz/` call them, and the tests below with what those have found.

use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use refs_url::{Digest, Host, RepoName};
use serde_json::Value;

use crate::{
    Manifest, MediaType,
    auth::{Credentials, Demand, DockerConfig, Programs, Scopes, Secret},
    error::Error,
    hosts::{HostSettings, Origin, containerd, document, own::Own},
    repository::{content_range::ContentRange, link},
    spec::{Descriptor, Document},
};

/// No more is said of any input, however long that is.
const ERROR_BYTES: usize = 2048;

/// `WWW-Authenticate`, a header a line.
pub fn challenge(lines: &[u8]) {
    let mut headers = headers(&header::WWW_AUTHENTICATE, lines);
    let demand = Demand::of(&headers);
    let Some(Demand::Bearer { realm, service, scope, .. }) = &demand else { return };
    assert!(!realm.is_empty());
    let read = realm.len() + service.as_ref().map_or(0, String::len) + scope.len();
    assert!(read <= longest(lines), "{read} bytes were read from {}", lines.len());
    // A password is not shown where a token will do, wherever that is offered.
    headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"x\""));
    assert_eq!(Demand::of(&headers), demand);
    let error = if demand.as_ref().is_some_and(Demand::is_for_more) { "insufficient_scope" } else { "invalid_token" };
    let service = service.as_deref().unwrap_or_default();
    let parameters = [("realm", realm.as_str()), ("service", service), ("scope", scope), ("error", error)];
    let written = parameters.map(|(name, value)| format!("{name}={}", quoted(value))).join(",");
    assert_eq!(Demand::of(&one(&header::WWW_AUTHENTICATE, &format!("Bearer {written}"))), demand);
}

/// `Link`, a header a line.
pub fn link(lines: &[u8]) {
    let mut headers = headers(&header::LINK, lines);
    let next = link::next(&headers);
    let Some(target) = &next else { return };
    assert!(target.len() <= longest(lines) && !target.contains('>') && target.trim() == target);
    assert!(lines.to_ascii_lowercase().windows(4).any(|word| word == b"next"));
    headers.append(header::LINK, HeaderValue::from_static("</other>; rel=next"));
    assert_eq!(link::next(&headers), next);
    let written = format!("</first>; rel=\"first\"; title=\"a, b\", <{target}>; rel=\"next\"");
    assert_eq!(link::next(&one(&header::LINK, &written)), next);
}

/// `Content-Range`.
pub fn content_range(text: &[u8]) {
    let Some(read) = std::str::from_utf8(text).ok().and_then(ContentRange::parse) else { return };
    assert!(read.range.start < read.range.end && read.range.end <= read.total, "{read:?}");
    assert_eq!(ContentRange::parse(&read.to_string()), Some(read));
}

/// Three sets of scopes, one a line.
pub fn scope(lines: &[u8]) {
    let mut lines = lines.split(|byte| *byte == b'\n').map(String::from_utf8_lossy);
    let [a, b, c] = std::array::from_fn(|_| {
        let text = lines.next().unwrap_or_default();
        let read = Scopes::parse(&text);
        let written = read.to_string();
        assert!(written.len() <= text.len(), "{written} is longer than {text}");
        assert_eq!(Scopes::parse(&written), read);
        read
    });
    let both = a.clone().union(&b);
    assert!(both.contains(&a) && both.contains(&b));
    assert_eq!(both, b.clone().union(&a));
    assert_eq!(both.clone().union(&b), both);
    assert_eq!(both.clone().union(&c), a.clone().union(&b.clone().union(&c)));
    assert_eq!(c.contains(&both), c.contains(&a) && c.contains(&b));
    assert_eq!(a.contains(&b), both == a);
    assert!(both.breadth() >= a.breadth().max(b.breadth()));
    // What is asked for instead of a set leads to an end.
    let last = std::iter::successors(Some(both), Scopes::instead).take(4).count();
    assert!(last < 4);
}

/// Docker's `config.json`.
pub fn docker_config(text: &[u8]) {
    const HOSTS: [&str; 4] = ["r.test", "r.test:5000", "docker.io", "127.0.0.1:443"];
    let Ok(json) = std::str::from_utf8(text) else { return };
    let secrets = secrets(json);
    let config = DockerConfig::inline("X", Secret::new(json));
    let config = config.with_programs(Programs { search: None, ..Programs::default() });
    let repository = RepoName::parse("a/b").ok();
    for host in HOSTS.iter().flat_map(|host| Host::parse(host)) {
        // No program is found, and none is waited for.
        let found = config.candidates(&host, repository.as_ref()).now_or_never().into_iter();
        let shown = match found.map(|found| found.map_err(|error| chain(&error))).collect::<Result<Vec<_>, _>>() {
            Err(error) => error,
            Ok(found) => {
                let keys = found.iter().flatten().map(|candidate| candidate.from.as_str());
                keys.for_each(|from| assert!(is_for(from, &host), "{from} is not for {host}"));
                format!("{found:?}")
            }
        };
        let leaked = secrets.iter().find(|secret| shown.contains(*secret));
        assert_eq!(leaked, None, "{shown}");
    }
}

/// A manifest; its media type by the first byte.
pub fn manifest(data: &[u8]) {
    let Some((kind, raw)) = data.split_first() else { return };
    let announced = MediaType::MANIFESTS.get(usize::from(*kind % 5)).cloned().unwrap_or(MediaType::OCI_CONFIG);
    let manifest = Manifest::new(announced.clone(), raw.to_vec().into());
    let document = match manifest.parse() {
        Ok(document) => document,
        Err(error) => return assert!(chain(&error).len() <= ERROR_BYTES, "{}", chain(&error).len()),
    };
    let (written, descriptors) = match &document {
        Document::Image(image) => {
            assert!(announced.is_image());
            let pointers = [&image.config].into_iter().chain(&image.layers).chain(&image.subject);
            (Manifest::image(image), pointers.collect::<Vec<_>>())
        }
        Document::Index(index) => {
            assert!(announced.is_index());
            (Manifest::index(index), index.manifests.iter().chain(&index.subject).collect())
        }
    };
    // A path or a URL is made of each, so none may be more than an algorithm and an encoded hash.
    let is_digest = |pointer: &Descriptor| Digest::parse(pointer.digest.as_str()).is_ok_and(|it| it == pointer.digest);
    assert!(descriptors.into_iter().all(is_digest));
    let Ok(written) = written else { panic!("what was read has no JSON form: {document:?}") };
    assert!(written.raw.len() <= 8 * raw.len());
    // The parser of JSON reads a fraction to the nearest but one.
    if !has_fraction(raw) {
        assert_eq!(Manifest::new(announced, written.raw).parse().ok(), Some(document));
    }
}

/// containerd's `hosts.toml`, and our own `config.toml`.
pub fn hosts_toml(text: &[u8]) {
    const HOSTS: [&str; 4] = ["r.test", "r.test:5000", "docker.io", "127.0.0.1:443"];
    let Ok(text) = std::str::from_utf8(text) else { return };
    let file = document::Document::new("/x/X".into(), text.to_owned());
    for host in HOSTS.iter().flat_map(|host| Host::parse(host)) {
        let theirs = containerd::parse(&file, &host);
        assert_eq!(shown(&theirs), shown(&containerd::parse(&file, &host)));
        let ours = Own::parse(&file).map(|own| own.of(&host));
        assert_eq!(shown(&ours), shown(&Own::parse(&file).map(|own| own.of(&host))));
        for read in [theirs, ours] {
            match read {
                Ok(settings) => are_of(text, &settings),
                Err(error) => is_discreet(text, &chain(&error)),
            }
        }
    }
}

fn shown(read: &crate::Result<HostSettings>) -> String {
    match read {
        Ok(settings) => format!("{settings:?}"),
        Err(error) => chain(error),
    }
}

/// Each setting comes from a line of `text`, and what is dialled for it was written there.
fn are_of(text: &str, settings: &HostSettings) {
    let HostSettings { security, ca, client, proxy, mirrors, concurrency, pieces, .. } = settings;
    let mirrored = mirrors.iter().flat_map(|set| {
        let of_mirror = &set.value.settings;
        [&set.from].into_iter().chain(of_mirror.ca.iter().map(|set| &set.from))
    });
    let quirks = [concurrency.as_ref().map(|set| &set.from), pieces.as_ref().map(|set| &set.from)];
    let others = [security.as_ref().map(|set| &set.from), client.as_ref().map(|set| &set.from)];
    let from = ca.iter().map(|set| &set.from).chain(proxy.as_ref().map(|set| &set.from)).chain(mirrored);
    let lines = 1 + text.matches('\n').count();
    for from in from.chain(quirks.into_iter().chain(others).flatten()) {
        let Origin::File { line: Some(line), .. } = from else { panic!("{from:?} is no line") };
        assert!((1..=lines).contains(line), "{line} of {lines}");
    }
    assert!(mirrors.len() <= lines + text.matches(['.', '{', ',']).count(), "{} mirrors", mirrors.len());
    for mirror in mirrors {
        let shown = mirror.value.to_string();
        // A path may have an `@`.
        assert!(!mirror.value.host.as_str().contains('@') && !shown.contains('?'), "{shown}");
        assert!(mirror.value.settings.mirrors.is_empty(), "{shown} has mirrors of its own");
    }
}

/// What is said of `text` has an end, and no login of a URL in it.
fn is_discreet(text: &str, said: &str) {
    assert!(said.len() <= ERROR_BYTES, "{} bytes: {said}", said.len());
    let logins =
        text.split("://").skip(1).filter_map(|rest| rest.split(['"', '\'', '/', '\n']).next()?.rsplit_once('@'));
    let is_secret = |login: &&str| login.len() >= 8 && text.matches(login).count() == 1;
    let leaked = logins.map(|(login, _)| login).filter(is_secret).find(|login| said.contains(login));
    assert_eq!(leaked, None, "{said}");
}

fn headers(name: &HeaderName, lines: &[u8]) -> HeaderMap {
    let values = lines.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok());
    values.map(|value| (name.clone(), value)).collect()
}

fn one(name: &HeaderName, value: &str) -> HeaderMap {
    let headers = headers(name, value.as_bytes());
    assert_eq!(headers.len(), 1, "{value:?} is no header");
    headers
}

/// The most that text read of `lines` takes: each byte that is not UTF-8 is replaced by a character of three.
const fn longest(lines: &[u8]) -> usize {
    lines.len().saturating_mul(3)
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The words of `error` and of all that caused it.
fn chain(error: &Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The strings in the `auths` of a file that nobody may see, but for those that also stand where they may be seen.
fn secrets(json: &str) -> Vec<String> {
    let file: Value = serde_json::from_str(json).unwrap_or_default();
    let logins = file["auths"].as_object().into_iter().flatten();
    let of = |(_, login): (_, &Value)| {
        let fields = ["auth", "password", "identitytoken", "registrytoken"];
        fields.map(|field| login[field].as_str().unwrap_or_default().to_owned())
    };
    let shown = |secret: &String| json.matches(secret.as_str()).count() > 1 || "`X` in `auths` is not".contains(secret);
    logins.flat_map(of).filter(|secret| secret.len() >= 8 && !shown(secret)).collect()
}

/// Whether what a candidate is `from` names `host`, with its port and no other, or any of Docker Hub's names.
fn is_for(from: &str, host: &Host) -> bool {
    let Some((key, _)) = from.strip_prefix('`').and_then(|from| from.rsplit_once("` in `X`")) else { return false };
    let named = ["https://", "http://"].iter().find_map(|scheme| key.strip_prefix(scheme)).unwrap_or(key);
    let authority = named.split('/').next().unwrap_or_default();
    let port = if key.starts_with("http://") { ":80" } else { ":443" };
    let bare = authority.strip_suffix(port).filter(|_| key.contains("://")).unwrap_or(authority);
    let is_named = |host: &str| host.eq_ignore_ascii_case(authority) || host.eq_ignore_ascii_case(bare);
    let hub = ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];
    is_named(host.as_str()) || host.is_docker_hub() && hub.into_iter().any(is_named)
}

fn has_fraction(raw: &[u8]) -> bool {
    fn is_fraction(value: &Value) -> bool {
        match value {
            Value::Number(number) => number.is_f64(),
            Value::Array(values) => values.iter().any(is_fraction),
            Value::Object(fields) => fields.values().any(is_fraction),
            _ => false,
        }
    }
    serde_json::from_slice(raw).is_ok_and(|value| is_fraction(&value))
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use super::replay::replay;

    #[test]
    fn what_was_found_in_challenges_holds() {
        replay("challenge", super::challenge);
    }

    #[test]
    fn what_was_found_in_links_holds() {
        replay("link", super::link);
    }

    #[test]
    fn what_was_found_in_ranges_holds() {
        replay("content_range", super::content_range);
    }

    #[test]
    fn what_was_found_in_scopes_holds() {
        replay("scope", super::scope);
    }

    #[test]
    fn what_was_found_in_logins_holds() {
        replay("docker_config", super::docker_config);
    }

    #[test]
    fn what_was_found_in_manifests_holds() {
        replay("manifest", super::manifest);
    }

    #[test]
    fn what_was_found_in_settings_of_hosts_holds() {
        replay("hosts_toml", super::hosts_toml);
    }
}
