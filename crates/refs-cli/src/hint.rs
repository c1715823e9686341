//! What to do next about an error, where that is not plain from its message.

use std::{io, path::Path};

use refs_client::{ArchiveFault, DestinationFault, Error, LocationFault, SourceFault};
use refs_store::Layout;
use refs_url::{Host, ParseError, ParseErrorKind, Reference, redacted};

use crate::{
    cache_hint,
    codes::{INTEGRITY, client_code},
    commands::Failure,
    machine_hint,
};

/// What to do next, where that is not plain from the message.
pub(crate) fn hint(failure: &Failure) -> Option<String> {
    machine_hint::of(failure).map(str::to_owned).or_else(|| hint_of(failure))
}

fn hint_of(failure: &Failure) -> Option<String> {
    match failure {
        Failure::Client(error) | Failure::Fetch { source: error, .. } => client_hint(error),
        Failure::Offline(_) => Some(
            "only the tags that the cache knows were looked at; without `--offline` the registry is asked for all"
                .to_owned(),
        ),
        Failure::Registry(error) => registry_hint(error),
        Failure::Cache(error) => Some(cache_hint::for_keeper(error)),
        Failure::Credentials(fault) => fault.hint(),
        Failure::Deadline(_) => Some("allow more with `--timeout TIME`".to_owned()),
        Failure::Deleting(fault) => fault.hint(),
        Failure::Api(fault) => fault.hint(),
        Failure::Serve { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
            Some("stop what listens there, or take a free port with `--listen 127.0.0.1:0`".to_owned())
        }
        Failure::Serve { source, .. } if source.kind() == io::ErrorKind::InvalidInput => {
            Some("name an address and a port, such as `--listen 127.0.0.1:5000`".to_owned())
        }
        Failure::PackToStdout => Some("name a file; one that is called `-` is `./-`".to_owned()),
        Failure::Root { root, .. } if root.is_file() => {
            Some("`--root` is a directory, which need not be there yet".to_owned())
        }
        _ => None,
    }
}

pub(crate) fn client_hint(error: &Error) -> Option<String> {
    Some(match error {
        Error::Reference(error) => reference_hint(error)?,
        Error::Location { fault: LocationFault::NoTarget, input } => format!("add a tag, such as `{input}:latest`"),
        Error::Location { fault: LocationFault::DigestAsTarget, .. } => {
            "push to a tag; the digest is printed".to_owned()
        }
        Error::Location { fault: LocationFault::Transport(name), input } => transport_hint(name, input),
        Error::Location { fault: LocationFault::NoDigest, .. } => {
            "add the digest, as in HOST/REPO@sha256:…; `refs manifest REF` shows those of the layers".to_owned()
        }
        Error::Location { fault: LocationFault::Directory, .. } => {
            "`refs pack DIR FILE` makes a file of it, `refs push DIR REF` an artifact".to_owned()
        }
        Error::Location { fault: LocationFault::File, .. } => {
            "`refs pack DIR FILE` writes a layer into a file".to_owned()
        }
        Error::NotArchive { .. } => {
            "a layer is a tar archive, as it is or compressed with gzip or zstd, such as `refs pack DIR FILE` makes"
                .to_owned()
        }
        Error::InvalidGlob { .. } => "`*` stops at `/`, `**` does not; quote the pattern for the shell".to_owned(),
        Error::InvalidRange { .. } => {
            "bytes are counted from 0: `0-99` are the first hundred, `100-` the others, `-100` the last hundred"
                .to_owned()
        }
        Error::NoMatch { .. } => "`refs ls` shows the paths; `*` stops at `/`, `**` does not".to_owned(),
        Error::FileNotFound { nearest: Some(nearest), .. } => format!("there is `{nearest}`"),
        Error::FileNotFound { nearest: None, .. } => "`refs ls` shows the paths".to_owned(),
        Error::PlatformNotFound { .. } => "choose one of these with `--platform`".to_owned(),
        Error::NoImage { .. } => {
            "`refs manifest REF` shows what it lists; `refs tags REPO` lists the other tags".to_owned()
        }
        Error::PlatformUnknown { .. } => {
            "name one by its digest, as in REPO@sha256:…; `refs inspect` lists them".to_owned()
        }
        Error::NoMatchingVersion { .. } => "`refs tags REPO --semver` lists the versions".to_owned(),
        Error::NoVersions { .. } => {
            "a version has three numbers, such as 1.2.3 or v1.2.3-rc.1; `refs tags REPO` lists the tags".to_owned()
        }
        Error::TagViolates { .. } => "leave out the tag to choose among all versions".to_owned(),
        Error::FileTooLarge { .. } => "allow more with `--max-file-size BYTES`, 0 for any".to_owned(),
        Error::TotalTooLarge { .. } => "allow more with `--max-total-size BYTES`, 0 for any".to_owned(),
        Error::TooManyEntries { .. } => "allow more with `--max-files N`, 0 for any".to_owned(),
        Error::Destination {
            fault: DestinationFault::NotEmpty | DestinationFault::Exists | DestinationFault::Taken,
            ..
        } => "name another destination, or replace this one with `--force`".to_owned(),
        Error::Destination { fault: DestinationFault::NoName | DestinationFault::MountPoint, .. } => {
            "name a new directory in it".to_owned()
        }
        Error::Destination { fault: DestinationFault::InSource, .. } => {
            "name a file outside of it: in it, it would be packed the next time".to_owned()
        }
        Error::Destination { .. } => "name another destination".to_owned(),
        Error::Source { fault: SourceFault::EscapingLink(_) | SourceFault::SpecialFile(_), .. } => {
            "leave it out with `--exclude PATTERN`".to_owned()
        }
        error if error.leads_out() => OF_AN_IMAGE.to_owned(),
        Error::SpecialFile { .. } => OF_AN_IMAGE.to_owned(),
        Error::Registry(error) => registry_hint(error)?,
        Error::Copy { source, .. } if is_incomplete(source) => {
            "the registry wants all that a manifest leads to; of an index without all its images `--rewrite-index` makes \
             one that it takes"
                .to_owned()
        }
        Error::Copy { source, .. } => registry_hint(source)?,
        Error::OtherDigest { .. } => "leave the digest out to copy what is there now".to_owned(),
        Error::Config { .. } => {
            "`refs inspect` tells what it is; `refs pull` extracts what is no container image".to_owned()
        }
        Error::Corrupt { fault: ArchiveFault::Changed, .. } => return None,
        Error::Corrupt { .. } if client_code(error) == INTEGRITY => {
            "the layer is as its manifest says, and was made wrong: make it anew, or ask its owner to".to_owned()
        }
        Error::Estargz { .. } | Error::FileDigest { .. } | Error::DiffId { .. } if client_code(error) == INTEGRITY => {
            "the layer is not what its manifest says; do not trust it, push it again or ask its owner".to_owned()
        }
        _ => return None,
    })
}

/// What to do next about a place that is to be copied to. A file is none: what is on the disk is meant as a layout.
pub(crate) fn destination_hint(error: &Error) -> Option<String> {
    match error {
        Error::Reference(error) if is_path(error.input()) => Some(layout_at(error.input())),
        error => client_hint(error),
    }
}

/// Whether `text` is written as a path is, or is there.
fn is_path(text: &str) -> bool {
    ["/", "./", "../"].iter().any(|start| text.starts_with(start)) || Path::new(text).exists()
}

/// How refs reads what `input` names by skopeo's transport `name`. What is quoted is without a password.
fn transport_hint(name: &str, input: &str) -> String {
    let path = input.strip_prefix(name).and_then(|rest| rest.strip_prefix(':')).unwrap_or_default();
    match name {
        "oci" => layout_at(path),
        "oci-archive" => "unpack it with tar: the directory is an image layout, `ocidir://DIR:TAG`".to_owned(),
        _ => format!("`skopeo copy {input} oci:DIR:TAG` makes an image layout of it, which is `ocidir://DIR:TAG`"),
    }
}

const OF_AN_IMAGE: &str = "if it is a container image, `refs unpack` writes its root filesystem";

/// What was meant by a text that is no reference.
///
/// # Security
/// Nothing of the text is quoted that could hold a password: only what is a reference behind `docker://`, or is on the disk.
fn reference_hint(error: &ParseError) -> Option<String> {
    let input = error.input();
    if ["http://", "https://"].iter().any(|scheme| input.starts_with(scheme)) {
        return Some("leave out the scheme; for plain HTTP there is `--plain-http HOST`".to_owned());
    }
    on_disk(input).or_else(|| layout_hint(input)).or_else(|| host_alone(input)).or_else(|| {
        match (error.kind(), format!("docker://{input}")) {
            (ParseErrorKind::MissingRegistry, familiar) if Reference::parse_familiar(&familiar).is_ok() => {
                Some(format!("put the registry's host first; on Docker Hub this is `{familiar}`"))
            }
            _ => error.hint(),
        }
    })
}

/// How to write a layout, where another scheme was put before its path, or half of ours.
fn layout_hint(input: &str) -> Option<String> {
    let path = ["oci-layout://", "oci-layout:", "ocidir:"].iter().find_map(|scheme| input.strip_prefix(scheme))?;
    Some(format!("an image layout on the disk is `ocidir://{}`", redacted(path)))
}

/// What can be asked of a registry, where nothing but its host was named.
fn host_alone(input: &str) -> Option<String> {
    // `debian:12` could be a host with a port as well, but is not likely to be meant so.
    let host = Host::parse(input).ok().filter(|host| host.is_loopback() || host.name().contains(['.', ':']))?;
    Some(format!("`refs repos {host}` lists its repositories; name one of them as in `{host}/app`"))
}

/// How to write what lies at `path` on the disk, which may have a tag behind it.
fn on_disk(path: &str) -> Option<String> {
    if Path::new(path).is_file() {
        return Some(format!("a file on the disk is `file://{path}`"));
    }
    let directory = path.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(path, |(before, _)| before);
    if [path, directory].iter().any(|directory| Layout::is_at(Path::new(directory))) {
        return Some(layout_at(path));
    }
    None
}

fn layout_at(path: &str) -> String {
    format!("an image layout on the disk is `ocidir://{path}`")
}

/// What was meant by a text that is no host.
pub(crate) fn host_hint(error: &ParseError) -> Option<String> {
    let input = error.input();
    let rest = input.split_once("://").map_or(input, |(_scheme, rest)| rest);
    let host =
        rest.split('/').next().and_then(|host| Host::parse(host).ok()).filter(|_| rest != input || rest.contains('/'));
    host.map(|host| format!("give only the host: `{host}`")).or_else(|| error.hint())
}

pub(crate) fn registry_hint(error: &refs_registry::Error) -> Option<String> {
    use refs_registry::{Error as Registry, error::Wanted};
    Some(match error {
        Registry::NotFound { wanted: Wanted::Layout, .. } => {
            "check the path; `refs push DIR ocidir://PATH:TAG` begins a layout".to_owned()
        }
        Registry::NotFound { wanted: Wanted::Manifest(_), at } if at.to_string().starts_with("ocidir://") => {
            format!("`refs tags {at}` lists what is there")
        }
        Registry::NotFound { wanted: Wanted::Tags, at } if at.to_string().starts_with("ocidir://") => {
            "`refs tags ocidir://PATH`, without a name behind the path, lists all that is there".to_owned()
        }
        Registry::NotFound { wanted: Wanted::Manifest(_), at } => {
            format!("`refs tags {at}` lists what is there; a private repository looks like this, too, without a login")
        }
        Registry::NotFound { wanted: Wanted::LayerFile, .. } => {
            "check the path: it begins in the directory that you are in, or at the root with `file:///`".to_owned()
        }
        Registry::NotFound { wanted: Wanted::Host(host), .. } => {
            format!("check the name of the host; a registry answers at `/v2/` of `{host}`")
        }
        Registry::NotFound { .. } => {
            "check the name; a private repository looks like this, too, without a login".to_owned()
        }
        Registry::Unauthorized { host, tried, .. } if tried.is_empty() => format!("log in with `refs login {host}`"),
        Registry::Unauthorized { host, .. } => format!("check the password, and log in with `refs login {host}`"),
        Registry::Denied { host, .. } => {
            format!("the credentials for {host} do not allow this: ask its owner for access")
        }
        Registry::RateLimited { .. } => "wait, or log in: most registries allow more to those they know".to_owned(),
        Registry::Unreachable { source, .. } if says(source.as_ref(), &["fatal alert", "CertificateRequired"]) => {
            "the registry ended TLS: where it wants to know who you are, show it with `--client-cert` and `--client-key`"
                .to_owned()
        }
        Registry::Unreachable { host, source } if says(source.as_ref(), &["InvalidContentType"]) => {
            format!("what listens there does not speak TLS; where that is right, there is `--plain-http {host}`")
        }
        Registry::Unreachable { host, source } if says(source.as_ref(), &["certificate"]) => format!(
            "check the certificate; for a registry without TLS there is `--plain-http {host}`, for one of your own CA \
             `--ca FILE`"
        ),
        Registry::Unreachable { host, .. } if host.is_loopback() => format!("check that a registry listens on {host}"),
        Registry::Unreachable { .. } => "check the name of the registry, and the network".to_owned(),
        Registry::Refused { status: 500..=599, .. } => "the registry has a problem: try again later".to_owned(),
        Registry::Settings { what, .. } if what.contains(".json`") => {
            "correct the file, or log in anew with `refs login HOST`".to_owned()
        }
        Registry::Settings { what, .. } if what.starts_with("the header ") => {
            "credentials come from `refs login`, `--token-stdin` or `--username`, and the length from the body"
                .to_owned()
        }
        Registry::Digest { .. } | Registry::Size { .. } => {
            "the bytes are not what their digest says; nothing was kept of them: try again, then ask the owner"
                .to_owned()
        }
        Registry::Unsupported { wanted: Wanted::Delete, .. } => {
            "the registry's owner may have switched deleting off, or has another way to do it".to_owned()
        }
        Registry::NotCached { wanted: Wanted::Tags | Wanted::Referrers(_), .. } => {
            "without `--offline` the registry is asked".to_owned()
        }
        Registry::NotCached { .. } => {
            "it is fetched without `--offline`; `refs cache fetch REF` keeps all of an image".to_owned()
        }
        Registry::Full { .. } => "make space and run it again".to_owned(),
        Registry::Busy { .. } => "wait for the other process, or stop it".to_owned(),
        _ => return None,
    })
}

/// Whether a manifest was refused because of what it leads to and is not there.
fn is_incomplete(error: &refs_registry::Error) -> bool {
    const CODE: &str = "MANIFEST_BLOB_UNKNOWN";
    let refs_registry::Error::Refused { detail, .. } = error else { return false };
    detail.words().is_some_and(|words| words.contains(CODE))
}

/// Whether an error or one of its causes has one of these words.
fn says(error: &(dyn std::error::Error + 'static), words: &[&str]) -> bool {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    causes.any(|error| words.iter().any(|word| error.to_string().contains(word)))
}
