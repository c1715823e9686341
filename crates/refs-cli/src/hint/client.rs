//! What to do next about the error of a verb.

use std::path::{Path, PathBuf};

use refs_client::{ArchiveFault, DestinationFault, Error, Location, LocationFault, Portion, Side, SourceFault};
use refs_registry::{Error as Registry, ErrorKind, error::Wanted};
use refs_url::{Digest, Target, version::semver_tags};

use super::{
    place::{directory_hint, reference_hint, repository_of, transport_hint},
    registry::{is_incomplete, registry_hint},
};
use crate::codes::{INTEGRITY, client_code};

const OF_AN_IMAGE: &str = "if it is a container image, `refs unpack` writes its root filesystem";

pub(crate) fn client_hint(error: &Error) -> Option<String> {
    Some(match error {
        Error::Reference(error) => reference_hint(error)?,
        Error::Location { fault, input } => location_hint(fault, input)?,
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
        Error::NoImage { at } => {
            format!("`refs manifest {at}` shows what it lists; `refs tags {}` lists the other tags", repository_of(at))
        }
        Error::PlatformUnknown { at, .. } => {
            format!("name one by its digest, as in {}@sha256:…; `refs inspect {at}` lists them", repository_of(at))
        }
        Error::NoMatchingVersion { .. }
        | Error::NoVersions { .. }
        | Error::TagViolates { .. }
        | Error::TagMoved { .. } => version_hint(error)?,
        Error::FileTooLarge { .. } => "allow more with `--max-file-size BYTES`, 0 for any".to_owned(),
        Error::TotalTooLarge { .. } => "allow more with `--max-total-size BYTES`, 0 for any".to_owned(),
        Error::TooManyEntries { .. } => "allow more with `--max-files N`, 0 for any".to_owned(),
        Error::Destination { fault, .. } => destination_fault_hint(fault).to_owned(),
        Error::Source { fault: SourceFault::EscapingLink(_) | SourceFault::SpecialFile(_), .. } => {
            "leave it out with `--exclude PATTERN`".to_owned()
        }
        error if error.leads_out() => OF_AN_IMAGE.to_owned(),
        Error::SpecialFile { .. } => OF_AN_IMAGE.to_owned(),
        Error::Registry(error) => registry_hint(error)?,
        Error::Copy { side, what, at, source } => copy_hint(*side, *what, at, source)?,
        Error::GraphTooLarge { .. } => {
            "`--no-referrers` leaves behind what refers to it, `--platform` what is not for this one".to_owned()
        }
        Error::OtherDigest { .. } => "leave the digest out to copy what is there now".to_owned(),
        Error::Config { .. } => {
            "`refs inspect` tells what it is; `refs pull` extracts what is no container image".to_owned()
        }
        Error::Corrupt { .. } | Error::Estargz { .. } | Error::FileDigest { .. } | Error::DiffId { .. } => {
            layer_hint(error)?
        }
        _ => return None,
    })
}

/// What to do next about a tag that was to be chosen, or to be what it was.
fn version_hint(error: &Error) -> Option<String> {
    Some(match error {
        Error::NoMatchingVersion { left_out: Some(left_out), .. } => left_out.to_string(),
        Error::NoMatchingVersion { at, .. } => format!("`refs tags {} --semver` lists the versions", repository_of(at)),
        Error::NoVersions { at, others: 0 } => {
            format!("check the name; `refs push DIR {}:1.0.0` pushes a first version", repository_of(at))
        }
        Error::NoVersions { at, .. } => format!(
            "a version has three numbers, such as 1.2.3 or v1.2.3-rc.1; `refs tags {}` lists the tags",
            repository_of(at)
        ),
        Error::TagViolates { at, .. } => violation_hint(at),
        Error::TagMoved { .. } => {
            "leave out the tag to go by the digest, and the digest to take what the tag leads to now".to_owned()
        }
        _ => return None,
    })
}

/// What to do next about a layer that is not what it should be.
fn layer_hint(error: &Error) -> Option<String> {
    Some(match error {
        Error::Corrupt { fault: ArchiveFault::Changed, .. } => return None,
        Error::Corrupt { fault: ArchiveFault::NoDigestInTable(_), .. } => {
            "`refs pull --path '**'` goes by the table of contents alone".to_owned()
        }
        Error::Corrupt { .. } if client_code(error) == INTEGRITY => {
            "the layer is as its manifest says, and was made wrong: make it anew, or ask its owner to".to_owned()
        }
        Error::Estargz { .. } | Error::FileDigest { .. } | Error::DiffId { .. } if client_code(error) == INTEGRITY => {
            "the layer is not what its manifest says; do not trust it, push it again or ask its owner".to_owned()
        }
        _ => return None,
    })
}

/// What to do next about a copy of which the side at `at` failed, over `what`.
fn copy_hint(side: Side, what: Portion, at: &str, source: &Registry) -> Option<String> {
    if let Some(hint) = directory_hint(at).filter(|_| is_refused(source.kind())) {
        return Some(hint);
    }
    if is_incomplete(source) {
        let hint = "the registry wants all that a manifest leads to; of an index without all its images `--rewrite-index` makes \
                    one that it takes, and layers that are kept elsewhere, by their URLs, it does not take";
        return Some(hint.to_owned());
    }
    if what == Portion::Referrers && is_about_content(source.kind()) {
        let hint = "what refers to an artifact, such as a signature, is copied before the tag is set; `--no-referrers` copies \
                    without it, and `--referrers-type` what is of one type";
        return Some(hint.to_owned());
    }
    let of_source = || listed_hint(at, source).or_else(|| damaged_hint(at, source));
    (side == Side::Source).then(of_source).flatten().or_else(|| registry_hint(source))
}

/// What mends the layout that `at` is in, over which `error` came. A copy brings what has another size than it should, and
/// takes what has the right one to be there.
pub(super) fn damaged_hint(at: &str, error: &Registry) -> Option<String> {
    let Ok(Location::Layout { path, .. }) = Location::parse(at) else { return None };
    if matches!(error, Registry::Size { .. }) {
        return Some(format!("the layout is damaged: copy the artifact to {at} again, from where it came"));
    }
    let file = blob_file(&path, wrong_blob(error)?);
    let file = file.display();
    Some(format!("`{file}` is damaged: remove it, and copy the artifact to {at} again, from where it came"))
}

/// The blob that is not what it should be, as `error` says.
pub(super) const fn wrong_blob(error: &Registry) -> Option<&Digest> {
    match error {
        Registry::Size { wanted, .. } | Registry::Digest { wanted, .. } => match wanted {
            Wanted::Blob(digest) | Wanted::BlobPart(digest) | Wanted::Manifest(Target::Digest(digest)) => Some(digest),
            _ => None,
        },
        _ => None,
    }
}

/// What would mend the layout that `at` is in, if `error` came of that and the layer was not made so.
pub(super) fn damaged_layer_hint(at: &str, error: &Error) -> Option<String> {
    let Ok(Location::Layout { path, .. }) = Location::parse(at) else { return None };
    let (file, hint) =
        (blob_file(&path, wrong_layer(error)?), layer_hint(error).filter(|_| client_code(error) == INTEGRITY)?);
    let file = file.display();
    Some(format!("{hint}; if `{file}` is damaged, remove it, and copy the artifact to {at} again, from where it came"))
}

/// The layer that is not what it should be, as `error` says.
pub(super) const fn wrong_layer(error: &Error) -> Option<&Digest> {
    match error {
        Error::Estargz { layer, .. } | Error::Corrupt { layer, .. } | Error::DiffId { layer, .. } => Some(layer),
        _ => None,
    }
}

/// The file of a blob. Behind the path of a layout, there may be a name in it: then it is told by its path in the layout.
fn blob_file(path: &Path, digest: &Digest) -> PathBuf {
    let blob = format!("blobs/{}/{}", digest.algorithm_str(), digest.encoded());
    Some(path.join(&blob)).filter(|file| file.exists()).unwrap_or_else(|| blob.into())
}

/// Whether there may be no such repository, as registries have it.
pub(super) const fn is_refused(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound
            | ErrorKind::Denied
            | ErrorKind::Unauthorized
            | ErrorKind::RateLimited
            | ErrorKind::Unreachable
    )
}

/// Whether it is one thing that can't be copied, and others may be.
const fn is_about_content(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::Digest | ErrorKind::Size | ErrorKind::Corrupt | ErrorKind::Protocol)
}

/// What to do next where what is at `at` leads to a manifest that is missing, as `error` says.
pub(super) fn listed_hint(at: &str, error: &Registry) -> Option<String> {
    let Registry::NotFound { wanted: Wanted::Manifest(Target::Digest(digest)), .. } = error else { return None };
    let hint = "an index lists it, as one does that was copied for some platforms: name these with `--platform`; `refs tree` \
                shows what is there";
    (!at.ends_with(digest.as_str())).then(|| hint.to_owned())
}

/// What to do next about the tag of `at`, which does not satisfy a constraint.
fn violation_hint(at: &str) -> String {
    const LEAVE_OUT: &str = "leave out the tag to choose among all versions";
    let tag = Location::parse(at).ok().and_then(|at| at.tag().cloned());
    match tag.filter(|tag| semver_tags(std::slice::from_ref(tag)).is_empty()) {
        Some(tag) => format!("`{tag}` is no version, which has three numbers, such as 1.2.3; {LEAVE_OUT}"),
        None => LEAVE_OUT.to_owned(),
    }
}

/// What to do next about a place that a verb can't use.
fn location_hint(fault: &LocationFault, input: &str) -> Option<String> {
    Some(match fault {
        LocationFault::BadTarget(error) => error.hint()?,
        LocationFault::NoTarget => format!("add a tag, such as `{input}:latest`"),
        LocationFault::DigestAsTarget => "push to a tag; the digest is printed".to_owned(),
        LocationFault::Transport(name) => transport_hint(name, input),
        LocationFault::NoDigest => {
            let repository = repository_of(input);
            format!("add the digest, as in {repository}@sha256:…; `refs manifest` shows those of the layers")
        }
        LocationFault::Directory => {
            "`refs pack DIR FILE` makes a file of it, `refs push DIR REF` an artifact".to_owned()
        }
        LocationFault::TargetNotAllowed => {
            let repository = repository_of(input);
            format!("`refs tags {repository}` lists them; `refs resolve {input}` prints what this one leads to")
        }
        LocationFault::SeveralRepositories(names) => {
            let place = |name: &String| format!("{input}:{name}");
            let is_repository = |place: &String| Location::parse(place).is_ok_and(|at| at.target().is_none());
            let place = names.iter().map(place).find(is_repository)?;
            format!("name the one that is meant, as in `{place}`")
        }
        LocationFault::File => "`refs pack DIR FILE` writes a layer into a file".to_owned(),
        _ => return None,
    })
}

/// What to do next about a destination where something is in the way.
const fn destination_fault_hint(fault: &DestinationFault) -> &'static str {
    match fault {
        DestinationFault::NotEmpty => {
            "name another destination, or replace this one with `--force`, which deletes all that is in it, files of \
             your own as well; an older pull is replaced in no other way"
        }
        DestinationFault::Exists | DestinationFault::Taken => {
            "name another destination, or replace this one with `--force`"
        }
        DestinationFault::NoName | DestinationFault::MountPoint => "name a new directory in it",
        DestinationFault::Cache => {
            "name another place: `refs cache fetch REF` is what keeps an image in the cache, `refs cache prune` what makes \
             room there"
        }
        DestinationFault::InSource => "name a file outside of it: in it, it would be packed the next time",
        _ => "name another destination",
    }
}
