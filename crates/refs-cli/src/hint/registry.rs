//! What to do next about the error of a registry, or of a store on this machine.

use std::{io, path::Path};

use refs_registry::{
    Error as Registry,
    error::{Code, Doing, Fault, Lost, Place, Setting, TlsFault, Wanted},
};
use refs_store::Layout;
use refs_url::Host;

use super::{FETCH, cache::absent};
use crate::{recorded::ago, wiring::cache_folder};

pub(crate) fn registry_hint(error: &Registry) -> Option<String> {
    Some(match error {
        Registry::NotFound { wanted, at, .. } => not_found_hint(wanted, at),
        Registry::Unauthorized { host, tried, .. } if tried.is_empty() => format!("log in with `refs login {host}`"),
        Registry::Unauthorized { host, .. } => format!("check the password, and log in with `refs login {host}`"),
        Registry::Denied { host, tried, .. } if tried.is_empty() => {
            format!("it was asked without credentials: log in with `refs login {host}`, or ask its owner for access")
        }
        Registry::Denied { host, .. } => {
            format!("the credentials for {host} do not allow this: ask its owner for access")
        }
        Registry::RateLimited { .. } => "wait, or log in: most registries allow more to those they know".to_owned(),
        Registry::Unreachable { .. } if error.proxy().is_some() && error.tls_fault().is_none() => {
            "look at the proxy, which may be down, want a login, or not let this through: `HTTPS_PROXY` and its like name it, or \
             the configuration does, which `refs doctor REF` shows; it is not asked for hosts that `NO_PROXY` names"
                .to_owned()
        }
        Registry::Unreachable { host, .. } if error.was_connected() && error.tls_fault().is_none() => {
            unanswered_hint(host)
        }
        Registry::Unreachable { host, .. } => unreachable_hint(host, error.tls_fault()),
        Registry::Refused { status: 507, .. } => "the registry is full: ask its operator to make space".to_owned(),
        Registry::Refused { status: 500..=599, retry_after: Some(wait), .. } => {
            format!("the registry has a problem: try again in {} s", wait.as_secs())
        }
        Registry::Refused { status: 500..=599, .. } => "the registry has a problem: try again later".to_owned(),
        Registry::Refused { at, status: 400..=499, .. } if at.is_to_token_service() => {
            "the registry's token service gives no token: check the name of the repository, for which one is asked, and the \
             credentials; `refs doctor REF` shows which are used, `refs login HOST` keeps others"
                .to_owned()
        }
        Registry::Settings { what, .. } => setting_hint(what)?.to_owned(),
        Registry::Size { .. } => {
            "what lists it says another size; nothing was kept of it: try again, then ask the owner".to_owned()
        }
        Registry::Sizes { .. } => "what lists it is wrong: ask its owner to push it again".to_owned(),
        Registry::Io { doing, path, source } => io_hint(*doing, path, source.kind())?,
        Registry::Digest { .. } => {
            "the bytes are not what their digest says; nothing was kept of them: try again, then ask the owner"
                .to_owned()
        }
        Registry::Unsupported { wanted: Wanted::Delete, .. } => {
            "the registry's owner may have switched deleting off, or has another way to do it".to_owned()
        }
        Registry::Unsupported { wanted: Wanted::Upload | Wanted::Repository(_) | Wanted::Manifest(_), detail, .. }
            if detail.codes().contains(&Code::Unsupported) =>
        {
            "it may be a server that only reads, as a mirror does: write to the registry that it reads from".to_owned()
        }
        Registry::Protocol { fault: Fault::Page, .. } => {
            "something else than a registry answers, such as a network that wants a login first: look at it in a browser"
                .to_owned()
        }
        Registry::NotCached { .. } => not_cached_hint(error, FETCH)?,
        Registry::Full { .. } => "make space and run it again".to_owned(),
        Registry::Busy { .. } => "wait for the other process, or stop it".to_owned(),
        _ => return None,
    })
}

/// What to do next about what the cache does not have, and `fetch`, a command, brings there.
pub(super) fn not_cached_hint(error: &Registry, fetch: &str) -> Option<String> {
    let Registry::NotCached { wanted, of, lost } = error else { return None };
    Some(absent().unwrap_or_else(|| match (wanted, lost) {
        (Wanted::Tags | Wanted::Referrers(_), _) => "without `--offline` the registry is asked".to_owned(),
        (_, Some(Lost::Damaged(_))) => {
            format!("`{fetch}` fetches it anew, and keeps all of it, as a pull need not do")
        }
        (_, Some(Lost::Gone { seen, was })) => {
            let place = of.as_ref().map_or_else(|| "REPO".to_owned(), ToString::to_string);
            format!("it said so {}; what is kept of what the tag led to is `{place}@{was}`", ago(*seen))
        }
        _ => format!(
            "it is fetched without `--offline`; `{fetch}` keeps all of an image, which a pull of some files or over an older \
             version does not"
        ),
    }))
}

/// What to do next about a place on the disk that failed.
fn io_hint(doing: Doing, path: &Path, kind: io::ErrorKind) -> Option<String> {
    use io::ErrorKind::{DirectoryNotEmpty, NotADirectory, PermissionDenied, ReadOnlyFilesystem};
    let written = layout_of(path).filter(|_layout| !matches!(doing, Doing::Read | Doing::List));
    Some(match (kind, written) {
        (DirectoryNotEmpty, _) => "it is no image layout: name one, or a directory that is new or empty".to_owned(),
        (NotADirectory, _) if doing == Doing::List => {
            "a file is there, and an image layout is a directory: name another place".to_owned()
        }
        (PermissionDenied | ReadOnlyFilesystem, Some(layout)) => format!(
            "the layout `{}` can't be written to: get the right to write in it, or name another place",
            layout.display()
        ),
        _ if is_beginning(doing, path) && is_no_place(kind) => {
            "nothing can be made there: name another place, or get the right to write in this one".to_owned()
        }
        _ => return None,
    })
}

/// The layout that `path` is in. The cache has hints of its own.
fn layout_of(path: &Path) -> Option<&Path> {
    path.ancestors().find(|folder| Layout::is_at(folder)).filter(|layout| cache_folder().as_deref() != Some(layout))
}

/// Whether something was to be made at `path`: the first thing in a new layout is its lock. The cache has hints of its own.
fn is_beginning(doing: Doing, path: &Path) -> bool {
    match doing {
        Doing::Create => true,
        Doing::Lock => !cache_folder().is_some_and(|cache| path.starts_with(cache)),
        _ => false,
    }
}

/// Whether nothing can be made at a path, be the disk as it may.
const fn is_no_place(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    matches!(kind, NotFound | PermissionDenied | ReadOnlyFilesystem | NotADirectory)
}

/// What to do next about a setting that can't be used.
const fn setting_hint(what: &Setting) -> Option<&'static str> {
    match what {
        Setting::LoginFile { .. } => Some("correct the file, or log in anew with `refs login HOST`"),
        Setting::LoginVariable { .. } => Some("correct what the variable holds"),
        Setting::Header(_) => {
            Some("credentials come from `refs login`, `--token-stdin` or `--username`, and the length from the body")
        }
        _ => None,
    }
}

/// What to do next about what is not there.
fn not_found_hint(wanted: &Wanted, at: &Place) -> String {
    let is_layout = at.is_layout();
    match wanted {
        Wanted::Layout => "check the path; `refs push DIR ocidir://PATH:TAG` begins a layout".to_owned(),
        Wanted::Manifest(_) if is_layout => format!("`refs tags {at}` lists what is there"),
        Wanted::Blob(_) | Wanted::BlobPart(_) if is_layout => {
            format!("the layout has lost it: copy the artifact to {at} again, from where it came")
        }
        Wanted::Tags if is_layout => {
            "`refs tags ocidir://PATH`, without a name behind the path, lists all that is there".to_owned()
        }
        Wanted::Manifest(_) => {
            format!("`refs tags {at}` lists what is there; a private repository looks like this, too, without a login")
        }
        Wanted::Repositories => {
            "this registry gives no list of its repositories; `refs tags HOST/REPO` lists what is in one that is known"
                .to_owned()
        }
        Wanted::LayerFile => {
            "check the path: it begins in the directory that you are in, or at the root with `file:///`".to_owned()
        }
        Wanted::Upload => {
            "the registry has lost what was sent: run it again; if that is so each time, tell its owner".to_owned()
        }
        Wanted::Host(host) => format!("check the name of the host; a registry answers at `/v2/` of `{host}`"),
        _ => "check the name; a private repository looks like this, too, without a login".to_owned(),
    }
}

/// What to do next about a host that takes connections and gives no answer.
fn unanswered_hint(host: &Host) -> String {
    let hint = format!("{host} gave no answer that can be read: run it again, or look at what listens there");
    let tls =
        if host.is_loopback() { "; a host on this machine is spoken to by TLS if `--ca FILE` is given" } else { "" };
    format!("{hint}{tls}")
}

/// What to do next about a host that can't be spoken with.
fn unreachable_hint(host: &Host, tls: Option<TlsFault>) -> String {
    match tls {
        Some(TlsFault::Ended) => {
            "the registry ended TLS: where it wants to know who you are, show it with `--client-cert` and `--client-key`"
                .to_owned()
        }
        Some(TlsFault::NotTls) => {
            format!("what listens there does not speak TLS; where that is right, there is `--plain-http {host}`")
        }
        Some(TlsFault::Certificate) => format!(
            "check the certificate; for a registry without TLS there is `--plain-http {host}`, for one of your own CA \
             `--ca FILE`"
        ),
        Some(TlsFault::Form) => "the registry's certificate is none for a server: one that signs itself is made with \
             `openssl req -x509 -addext basicConstraints=critical,CA:FALSE` and its name in `subjectAltName`"
            .to_owned(),
        _ if host.is_loopback() => format!("check that a registry listens on {host}"),
        _ => "check the name of the registry, and the network".to_owned(),
    }
}

/// Whether a manifest was refused because of what it leads to and is not there.
pub(super) fn is_incomplete(error: &Registry) -> bool {
    matches!(error, Registry::Refused { detail, .. } if detail.codes().contains(&Code::ManifestBlobUnknown))
}
