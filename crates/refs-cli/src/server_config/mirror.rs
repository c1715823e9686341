//! `[[mirror]]`

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use refs_registry::auth::{Credential, Secret, Static};
use refs_server::{Route, TagOptions};
use refs_url::{Host, RepoName};
use serde::Deserialize;
use toml::Spanned;

use super::{
    Fault,
    fault::Text,
    values::{Hidden, TimeOrNone},
};
use crate::mirror_args::{self, Mirrored};

/// A registry that is mirrored, with all that is set for it.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) mirrored: Mirrored,
    pub(crate) tags: TagOptions,
    /// Who the mirror is there; whoever the user is elsewhere, when nobody says so.
    pub(crate) login: Option<Login>,
}

/// A name and a password.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) password: Secret,
}

impl Login {
    /// Who the mirror is to `host`, and nobody besides: what another may read there is not for those who come to the mirror.
    pub(crate) fn only(&self, host: &Host) -> Static {
        let Self { username, password } = self.clone();
        Static::new(host.clone(), "the server's file", Credential::Basic { username, password })
    }
}

/// The table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Mirror {
    prefix: Option<Spanned<String>>,
    url: Spanned<Hidden>,
    default: Option<Spanned<bool>>,
    official_namespace: Option<Spanned<String>>,
    tag_ttl: Option<TimeOrNone>,
    stale_for: Option<TimeOrNone>,
    patience: Option<TimeOrNone>,
    username: Option<Spanned<Hidden>>,
    password: Option<Spanned<Hidden>>,
    password_file: Option<Spanned<PathBuf>>,
}

/// What the tables ask for, which no two of them do for the same names; two of one that is the default besides having a prefix.
pub(super) fn plan(tables: Vec<Spanned<Mirror>>, folder: &Path, place: &Text<'_>) -> Result<Vec<Planned>, Fault> {
    let mut planned: Vec<Planned> = Vec::new();
    let mut default = None;
    for table in tables {
        let span = table.span();
        let default_here = table.get_ref().default.as_ref().map(Spanned::span);
        for one in planned_of(table, folder, place)? {
            if planned.iter().any(|other| is_another_for_the_same(other, &one)) {
                let message = "two logins for the same repositories: what one may read, the mirror would give to both";
                return Err(place.wrong(Some(span), message));
            }
            if one.mirrored.route.prefix.is_none()
                && let Some(before) = default.replace(default_here.clone().unwrap_or_default())
            {
                let before = place.named(before);
                let message = "already: one mirror alone has the names without a prefix";
                return Err(place.wrong(default_here, format!("`default = true` is at `{before}` {message}")));
            }
            let has_its_prefix = |other: &&Planned| other.mirrored.route.prefix == one.mirrored.route.prefix;
            if let Some(other) = planned.iter().find(has_its_prefix) {
                let message = format!("the names of `{}` lead to `{}` already", one.mirrored, other.mirrored);
                return Err(place.wrong(Some(span), message));
            }
            planned.push(one);
        }
    }
    Ok(planned)
}

fn planned_of(table: Spanned<Mirror>, folder: &Path, place: &Text<'_>) -> Result<Vec<Planned>, Fault> {
    let span = table.span();
    let table = table.into_inner();
    let expected = "expected a URL, such as \"https://docker.io\" or \"https://ghcr.io/org\"";
    let url = table.url.get_ref();
    let base = mirror_args::parse_url(&url.0).ok_or_else(|| place.wrong(Some(table.url.span()), expected))?;
    let official = match &table.official_namespace {
        None => base.route.official_namespace.clone(),
        Some(text) => name(text, place)?,
    };
    let prefix = table.prefix.as_ref().map(|text| name(text, place)).transpose()?.flatten();
    let tags = TagOptions::default();
    let tags = TagOptions {
        freshness: table.tag_ttl.map_or(tags.freshness, |TimeOrNone(ttl)| mirror_args::believed_for(ttl)),
        stale: table.stale_for.map_or(tags.stale, |TimeOrNone(stale)| stale),
        patience: table.patience.map_or(tags.patience, |TimeOrNone(patience)| patience),
        ..tags
    };
    let login = table.login(folder, place)?;
    let is_default = table.default.is_some_and(Spanned::into_inner);
    let routes = match (prefix, is_default) {
        (None, false) => return Err(place.wrong(Some(span), "a mirror needs a `prefix`, or `default = true`")),
        (None, true) => vec![None],
        (Some(prefix), false) => vec![Some(prefix)],
        (Some(prefix), true) => vec![Some(prefix), None],
    };
    let planned = routes.into_iter().map(|prefix| {
        let route = Route { prefix, official_namespace: official.clone(), ..base.route.clone() };
        Planned { mirrored: Mirrored { route, ..base.clone() }, tags, login: login.clone() }
    });
    Ok(planned.collect())
}

/// A name that may be empty, for none.
fn name(text: &Spanned<String>, place: &Text<'_>) -> Result<Option<RepoName>, Fault> {
    (!text.get_ref().is_empty()).then(|| place.name(text)).transpose()
}

/// Whether both reach some repository of a registry, and are somebody else there. Content is kept by the registry and the
/// repository, not by who fetched it.
fn is_another_for_the_same(one: &Planned, other: &Planned) -> bool {
    let login = |planned: &Planned| {
        planned.login.as_ref().map(|login| (login.username.clone(), login.password.reveal().to_owned()))
    };
    let (a, b) = (&one.mirrored.route, &other.mirrored.route);
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let meet = match (&a.beneath, &b.beneath) {
        (Some(a), Some(b)) => within(a.as_str(), b.as_str()) || within(b.as_str(), a.as_str()),
        _ => true,
    };
    a.host == b.host && meet && login(one) != login(other)
}

impl Mirror {
    fn login(&self, folder: &Path, place: &Text<'_>) -> Result<Option<Login>, Fault> {
        let password = match (&self.password, &self.password_file) {
            (None, None) => None,
            (Some(text), None) => Some((resolved(text, folder, place)?, text.span())),
            (None, Some(file)) => {
                let text = in_file(&folder.join(file.get_ref()), place, file.span())?;
                Some((text, file.span()))
            }
            (Some(_), Some(file)) => {
                return Err(place.wrong(Some(file.span()), "there is a `password` and a `password-file`"));
            }
        };
        match (&self.username, password) {
            (None, None) => Ok(None),
            (Some(username), Some((password, _))) => {
                let username = resolved(username, folder, place)?;
                Ok(Some(Login { username, password: Secret::new(password) }))
            }
            (None, Some((_, span))) => Err(place.wrong(Some(span), "a password goes with a `username`")),
            (Some(username), None) => {
                Err(place.wrong(Some(username.span()), "a `username` goes with a `password` or a `password-file`"))
            }
        }
    }
}

/// What `text` says, or what is where it points: `${env:NAME}`, `file:PATH`.
fn resolved(text: &Spanned<Hidden>, folder: &Path, place: &Text<'_>) -> Result<String, Fault> {
    let Hidden(said) = text.get_ref();
    if let Some(path) = said.strip_prefix("file:") {
        return in_file(&folder.join(path), place, text.span());
    }
    let Some(name) = said.strip_prefix("${env:").and_then(|rest| rest.strip_suffix('}')) else {
        return Ok(said.clone());
    };
    let value = env::var(name).ok().filter(|value| !value.is_empty());
    value.ok_or_else(|| place.wrong(Some(text.span()), format!("the variable `{name}` is not set")))
}

/// The first line of a file.
fn in_file(path: &Path, place: &Text<'_>, span: std::ops::Range<usize>) -> Result<String, Fault> {
    let secret = |source| Fault::Secret {
        path: place.path.to_owned(),
        at: place.place(Some(span.clone())),
        secret: path.to_owned(),
        source,
    };
    let text = fs::read_to_string(path).map_err(&secret)?;
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => Ok(line.to_owned()),
        None => Err(secret(io::Error::new(io::ErrorKind::InvalidData, "the file is empty"))),
    }
}
