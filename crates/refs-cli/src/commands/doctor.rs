//! `refs doctor`

use std::fmt;

use refs_client::Location;
use refs_registry::{
    Aspect, Error, Finding, Outcome, Page, Pieces, Quirks, Ranges, ReferrersAt, Registry, Uploads,
    auth::{Credential, Credentials},
    hosts::{HostSettings, Serves, Set},
};
use refs_url::{Host, RepoName, Target};
use serde::Serialize;

use super::Failure;
use crate::{args, exit, hint, output::escape, place::Place, wiring::Session};

/// What a host, or a repository of it, was found to be.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    host: String,
    settings: Vec<Setting>,
    credentials: Vec<Source>,
    findings: Vec<Told>,
    quirks: Vec<Setting>,
    usable: bool,
}

/// A value that is set, or was found.
#[derive(Serialize)]
struct Setting {
    name: &'static str,
    value: String,
    from: String,
}

/// Where something to show to the registry was found. What it is, is not told.
#[derive(Serialize)]
struct Source {
    from: String,
    kind: &'static str,
}

#[derive(Serialize)]
struct Told {
    name: &'static str,
    /// `ok`, `failed` or `unknown`.
    result: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// Prints what was found; fails with the first failure that keeps the registry from being of use.
pub(super) async fn run(session: &Session, args: args::Doctor) -> Result<(), Failure> {
    let (host, repository, target) = parts(&args.at)?;
    if args.uploads && repository.is_none() {
        return Err(Failure::Usage(format!("uploads are tried in a repository: name one, such as `{host}/REPO`")));
    }
    let registry = session.registries(session.credentials()).registry(&host)?;
    let mut findings = registry.probe().await;
    let is_reached = findings.iter().all(|finding| !matches!(finding.outcome, Outcome::Fails(_)));
    if let Some(name) = repository.as_ref().filter(|_| is_reached) {
        let uploads = if args.uploads { Uploads::Tried } else { Uploads::Untouched };
        findings.extend(registry.probe_repository(name, target.as_ref(), uploads).await);
    }
    let failure = findings.iter().find_map(failure);
    let report = Report {
        host: host.to_string(),
        settings: settings(&host, registry.settings()),
        credentials: sources(&*session.credentials(), &host, repository.as_ref()).await,
        findings: findings.iter().map(told).collect(),
        quirks: if is_reached { quirks(&registry) } else { Vec::new() },
        usable: failure.is_none(),
    };
    let mut output = session.output();
    output.result(&report)?;
    output.flush()?;
    failure.map_or(Ok(()), |failure| Err(failure.into()))
}

fn parts(at: &Place) -> Result<(Host, Option<RepoName>, Option<Target>), Failure> {
    match at {
        Place::Host(host) => Ok((host.clone(), None, None)),
        Place::At(Location::Registry(reference)) => {
            let target = reference.digest().cloned().map(Target::Digest);
            let target = target.or_else(|| reference.tag().cloned().map(Target::Tag));
            Ok((reference.host().clone(), Some(reference.repository().clone()), target))
        }
        Place::At(_) => {
            Err(Failure::Usage("a registry's host, or a reference to one, is what is looked at".to_owned()))
        }
    }
}

/// A failure without which the registry, or the artifact that was named, would be of use.
fn failure(finding: &Finding) -> Option<Error> {
    match (&finding.outcome, finding.of) {
        (Outcome::Fails(_), Aspect::Ranges | Aspect::Referrers | Aspect::Uploads | Aspect::Rate) => None,
        (Outcome::Fails(error), _) => Some(error.clone()),
        _ => None,
    }
}

fn told(finding: &Finding) -> Told {
    let name = match finding.of {
        Aspect::Connection => "connection",
        Aspect::Api => "api",
        Aspect::Login => "login",
        Aspect::Manifest => "manifest",
        Aspect::Rate => "rate limit",
        Aspect::Ranges => "ranges",
        Aspect::Referrers => "referrers",
        Aspect::Uploads => "uploads",
        _ => "other",
    };
    let (result, detail, hint) = match &finding.outcome {
        Outcome::Works(how) => ("ok", how.clone(), None),
        Outcome::Fails(error) => ("failed", exit::chain(error).join(": "), hint(finding.of, error)),
        Outcome::Unknown(why) if finding.of == Aspect::Uploads => {
            ("unknown", (*why).to_owned(), Some("`--uploads` tries one, and cancels it".to_owned()))
        }
        Outcome::Unknown(why) => ("unknown", (*why).to_owned(), None),
        _ => ("unknown", String::new(), None),
    };
    Told { name, result, detail, hint }
}

/// What to do about it, or what it means.
fn hint(of: Aspect, error: &Error) -> Option<String> {
    match (of, error) {
        (Aspect::Api, Error::NotFound { .. }) => Some("something else than a registry answers there".to_owned()),
        (Aspect::Ranges, Error::Unsupported { .. }) => Some("whole layers are fetched where parts would do".to_owned()),
        (Aspect::Referrers, Error::Unsupported { .. }) => {
            Some("clients keep the list under a tag, which refs reads".to_owned())
        }
        _ => hint::registry_hint(error),
    }
}

/// What there is to show to the registry, by where it comes from.
async fn sources(credentials: &dyn Credentials, host: &Host, repository: Option<&RepoName>) -> Vec<Source> {
    let mut found = Vec::new();
    if credentials.parts().is_empty() {
        match credentials.candidates(host, repository).await {
            Ok(candidates) => found.extend(candidates.into_iter().map(|candidate| Source {
                from: candidate.from,
                kind: match candidate.credential {
                    Credential::Anonymous => "nothing",
                    Credential::Basic { .. } => "name and password",
                    Credential::Bearer(_) => "token",
                    Credential::Identity(_) => "refresh token",
                    _ => "other",
                },
            })),
            Err(error) => found.push(Source { from: exit::chain(&error).join(": "), kind: "error" }),
        }
    }
    for part in credentials.parts() {
        found.extend(Box::pin(sources(&**part, host, repository)).await);
    }
    found
}

fn settings(host: &Host, settings: &HostSettings) -> Vec<Setting> {
    fn row<T>(name: &'static str, set: &Set<T>, value: impl fmt::Display) -> Setting {
        Setting { name, value: value.to_string(), from: set.from.to_string() }
    }
    let security = settings.security_of(host).to_string();
    let from = settings.security.as_ref().map_or_else(|| "default".to_owned(), |set| set.from.to_string());
    let mut rows = vec![Setting { name: "security", value: security, from }];
    rows.extend(settings.ca.iter().map(|set| row("ca", set, set.value.display())));
    rows.extend(settings.client.iter().map(|set| row("client-cert", set, set.value.certificate.display())));
    rows.extend(settings.client.iter().map(|set| row("client-key", set, set.value.key.display())));
    rows.extend(settings.proxy.iter().map(|set| row("proxy", set, &set.value)));
    rows.extend(settings.mirrors.iter().map(|set| {
        let serves = match set.value.serves {
            Serves::Digests => "digests",
            Serves::Tags => "tags",
            Serves::All => "digests and tags",
        };
        row("mirror", set, format!("{} for {serves}", set.value))
    }));
    rows.extend(settings.moved.iter().map(|set| {
        let moved = &set.value;
        row("moved", set, format!("{host}/{} is {}/{}", moved.of, moved.host, moved.to))
    }));
    rows.extend(settings.blocked.iter().map(|set| row("blocked", set, format!("{host}/{}", set.value))));
    rows.extend(settings.concurrency.iter().map(|set| row("concurrency", set, set.value)));
    rows
}

/// Said of a quirk that nothing has shown yet.
const UNASKED: &str = "not asked yet";

/// The quirks in force, and where those come from that were set.
fn quirks(registry: &Registry) -> Vec<Setting> {
    let (settings, quirks, known) = (registry.settings(), registry.quirks(), Quirks::of_host(registry.host()));
    let usual = Quirks::default();
    fn from<T: PartialEq>(set: Option<&Set<T>>, is: &T, known: &T, usual: &T) -> String {
        match set {
            Some(set) => set.from.to_string(),
            None if is != known => "learnt".to_owned(),
            None if known != usual => "known of the host".to_owned(),
            None => "default".to_owned(),
        }
    }
    let row = |name, value: String, from| Setting { name, value, from };
    let pieces = match quirks.pieces {
        Pieces::Any => "any".to_owned(),
        Pieces::AtMost(bytes) => format!("at most {bytes} bytes"),
        Pieces::Never => "never".to_owned(),
        _ => "other".to_owned(),
    };
    let ranges = match quirks.ranges {
        Ranges::Unknown => UNASKED,
        Ranges::Honoured => "honoured",
        Ranges::Ignored => "ignored",
        _ => "other",
    };
    let referrers = match quirks.referrers {
        ReferrersAt::Unknown => UNASKED,
        ReferrersAt::Api => "kept by the registry",
        ReferrersAt::Tag => "kept under a tag",
        _ => "other",
    };
    let page = match quirks.page {
        Page::Of(entries) => format!("{entries} entries"),
        _ => "as the registry likes".to_owned(),
    };
    let mounts = format!("{:?}", quirks.mounts).to_lowercase();
    let mut rows = vec![
        row("pieces", pieces, from(settings.pieces.as_ref(), &quirks.pieces, &known.pieces, &usual.pieces)),
        row("ranges", ranges.to_owned(), from(settings.ranges.as_ref(), &quirks.ranges, &known.ranges, &usual.ranges)),
        row(
            "referrers",
            referrers.to_owned(),
            from(settings.referrers.as_ref(), &quirks.referrers, &known.referrers, &usual.referrers),
        ),
        row("mounts", mounts, from(settings.mounts.as_ref(), &quirks.mounts, &known.mounts, &usual.mounts)),
        row("page", page, from(settings.page.as_ref(), &quirks.page, &known.page, &usual.page)),
    ];
    rows.retain(|row| row.value != UNASKED);
    rows
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n\nsettings", self.host)?;
        self.settings.iter().try_for_each(|row| row.fmt(f))?;
        write!(f, "\n\ncredentials")?;
        for Source { from, kind } in &self.credentials {
            write!(f, "\n  {kind:<18} {}", escape(from))?;
        }
        write!(f, "\n\nfindings")?;
        for Told { name, result, detail, hint } in &self.findings {
            write!(f, "\n  {result:<8} {name:<11} {}", escape(detail))?;
            if let Some(hint) = hint {
                write!(f, "\n  {:<20} hint: {}", "", escape(hint))?;
            }
        }
        if !self.quirks.is_empty() {
            write!(f, "\n\nquirks")?;
        }
        self.quirks.iter().try_for_each(|row| row.fmt(f))
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n  {:<12} {}  ({})", self.name, escape(&self.value), escape(&self.from))
    }
}
