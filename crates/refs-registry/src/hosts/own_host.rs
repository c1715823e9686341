//! The table of one host in our own file.

use std::path::PathBuf;

use super::{
    document::{Table, Value},
    fault::SettingsFault,
    mirror::{Mirror, Serves},
    settings::{ClientCertificate, HostSettings, Proxy, ProxyUrl, Security, Set},
};
use crate::{Error, Mounts, Page, Pieces, Ranges, ReferrersAt, Result};

const MIRROR: &[&str] = &["url", "priority", "digests", "tags"];
const HOST: &[&str] = &[
    "plain-http",
    "ca",
    "client-cert",
    "client-key",
    "proxy",
    "mirrors",
    "concurrency",
    "pieces",
    "ranges",
    "referrers",
    "mounts",
    "page",
];

/// What a table says of the hosts that it is for.
pub(super) fn host(table: Table<'_>) -> Result<HostSettings> {
    let mut settings = HostSettings::default();
    for value in table.values() {
        match value.key {
            "plain-http" => settings.security = Some(value.set(security(&value)?)),
            "ca" => settings.ca = paths(&value)?,
            "client-cert" => settings.client = Some(client(table, &value)?),
            "client-key" if table.get("client-cert").is_some() => {}
            "client-key" => return Err(value.fault(SettingsFault::Half { missing: "client-cert".to_owned() })),
            "proxy" => settings.proxy = Some(value.set(proxy(&value)?)),
            "mirrors" => settings.mirrors = mirrors(&value)?,
            "concurrency" => settings.concurrency = Some(value.set(concurrency(&value)?)),
            _ => quirk(&mut settings, &value)?,
        }
    }
    Ok(settings)
}

/// The overrides of what is known of a host and learnt from it.
fn quirk(settings: &mut HostSettings, value: &Value<'_>) -> Result<()> {
    let (word, count) = (value.as_str(), value.as_count());
    match value.key {
        "pieces" => {
            settings.pieces = Some(value.set(match (word, count) {
                (Some("any"), _) => Pieces::Any,
                (Some("never"), _) => Pieces::Never,
                (_, Some(bytes)) => Pieces::AtMost(bytes),
                _ => return Err(value.expected("a number of bytes, \"any\" or \"never\"")),
            }));
        }
        "ranges" => {
            settings.ranges = Some(value.set(match word {
                Some("honoured") => Ranges::Honoured,
                Some("ignored") => Ranges::Ignored,
                _ => return Err(value.expected("\"honoured\" or \"ignored\"")),
            }));
        }
        "referrers" => {
            settings.referrers = Some(value.set(match word {
                Some("api") => ReferrersAt::Api,
                Some("tag") => ReferrersAt::Tag,
                _ => return Err(value.expected("\"api\" or \"tag\"")),
            }));
        }
        "mounts" => {
            settings.mounts = Some(value.set(match word {
                Some("allowed") => Mounts::Allowed,
                Some("never") => Mounts::Never,
                _ => return Err(value.expected("\"allowed\" or \"never\"")),
            }));
        }
        "page" => {
            settings.page = Some(value.set(match (word, count.and_then(|count| u32::try_from(count).ok())) {
                (Some("unasked"), _) => Page::Unasked,
                (_, Some(entries)) => Page::Of(entries),
                _ => return Err(value.expected("a number of entries, or \"unasked\"")),
            }));
        }
        _ => return Err(unknown(value, HOST)),
    }
    Ok(())
}

fn security(value: &Value<'_>) -> Result<Security> {
    let is_plain = value.as_bool().ok_or_else(|| value.expected("true or false"))?;
    Ok(if is_plain { Security::Plain } else { Security::Tls })
}

fn paths(value: &Value<'_>) -> Result<Vec<Set<PathBuf>>> {
    let expected = || value.expected("a path, or a list of paths");
    value.one_or_more().iter().map(|one| one.as_path().map(|path| one.set(path)).ok_or_else(expected)).collect()
}

fn client(table: Table<'_>, value: &Value<'_>) -> Result<Set<ClientCertificate>> {
    let path = |value: &Value<'_>| value.as_path().ok_or_else(|| value.expected("a path"));
    let certificate = path(value)?;
    let half = || value.fault(SettingsFault::Half { missing: "client-key".to_owned() });
    let key = path(&table.get("client-key").ok_or_else(half)?)?;
    Ok(value.set(ClientCertificate { certificate, key }))
}

fn proxy(value: &Value<'_>) -> Result<Proxy> {
    match value.as_str() {
        Some("none") => Some(Proxy::Direct),
        text => text.and_then(ProxyUrl::parse).map(Proxy::Through),
    }
    .ok_or_else(|| value.expected("a URL, such as \"http://proxy.example:3128\", or \"none\""))
}

fn concurrency(value: &Value<'_>) -> Result<usize> {
    let count = value.as_count().and_then(|count| usize::try_from(count).ok());
    count.ok_or_else(|| value.expected("a number from 1"))
}

/// Mirrors in the order of their priorities, the lowest first; those of one priority as they stand in the file.
fn mirrors(value: &Value<'_>) -> Result<Vec<Set<Mirror>>> {
    let expected = || value.expected("tables, each with a `url`");
    let mut mirrors = Vec::new();
    for one in value.as_list().ok_or_else(expected)? {
        mirrors.push(mirror(&one, one.as_table().ok_or_else(expected)?)?);
    }
    mirrors.sort_by_key(|(priority, _)| *priority);
    Ok(mirrors.into_iter().map(|(_, mirror)| mirror).collect())
}

fn mirror(value: &Value<'_>, table: Table<'_>) -> Result<(u64, Set<Mirror>)> {
    let (mut priority, mut digests, mut tags, mut found) = (u64::MAX, true, false, None);
    for value in table.values() {
        let flag = || value.as_bool().ok_or_else(|| value.expected("true or false"));
        match value.key {
            "url" => {
                let expected = "a URL, such as \"https://mirror.example/prefix\"";
                let mirror = value.as_str().and_then(Mirror::of_repositories);
                found = Some(value.set(mirror.ok_or_else(|| value.expected(expected))?));
            }
            "priority" => priority = value.as_count().ok_or_else(|| value.expected("a number from 1"))?,
            "digests" => digests = flag()?,
            "tags" => tags = flag()?,
            _ => return Err(unknown(&value, MIRROR)),
        }
    }
    let mut found = found.ok_or_else(|| value.expected("tables, each with a `url`"))?;
    found.value.serves = match (digests, tags) {
        (true, true) => Serves::All,
        (true, false) => Serves::Digests,
        (false, true) => Serves::Tags,
        (false, false) => return Err(value.expected("of use: `digests` or `tags`")),
    };
    Ok((priority, found))
}

/// The error of a key that is not among `known`.
pub(super) fn unknown(value: &Value<'_>, known: &'static [&'static str]) -> Error {
    let given = value.key.replace('_', "-").to_ascii_lowercase();
    let nearest = known.iter().map(|key| (distance(key, &given), *key)).min();
    let nearest = nearest.filter(|(distance, key)| *distance <= 1 + key.len() / 4).map(|(_, key)| key);
    value.fault(SettingsFault::UnknownKey { key: value.shown_key(), nearest })
}

/// How many letters have to be put, dropped or changed to make `b` of `a` (Levenshtein). What is far longer is far.
fn distance(a: &str, b: &str) -> usize {
    if b.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.chars().count()]
}
