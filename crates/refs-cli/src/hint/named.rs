//! What to do next where that depends on the places that the command names.

use refs_client::{Client, Error, Location};
use refs_registry::{Error as Registry, ErrorKind};

use super::{
    client::{damaged_hint, damaged_layer_hint, is_refused},
    place::directory_hint,
    registry::registry_hint,
};
use crate::commands::Failure;

/// What to do next about the failure of a command that names `places`, where they tell. `offline` reads the cache alone, if the
/// command could.
pub(crate) async fn hint_by_place(failure: &Failure, places: &[Location], offline: Option<&Client>) -> Option<String> {
    match failure {
        Failure::Comparing(failure) => Box::pin(hint_by_place(failure, places, offline)).await,
        Failure::Client(Error::Registry(error)) | Failure::Registry(error) => match offline {
            Some(offline) if is_down(error.kind()) => kept_hint(error, places, offline).await,
            _ => places.iter().find_map(|at| hint_at(at, error)),
        },
        Failure::Client(error) => places.iter().find_map(|at| damaged_layer_hint(&at.to_string(), error)),
        _ => None,
    }
}

fn hint_at(at: &Location, error: &Registry) -> Option<String> {
    match at {
        Location::Registry(reference) => directory_hint(&reference.to_string()).filter(|_| is_refused(error.kind())),
        Location::Layout { .. } => damaged_hint(&at.to_string(), error),
        Location::File(_) => None,
    }
}

/// Whether the registry does not answer, or not as a registry that is well.
const fn is_down(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unreachable | ErrorKind::Timeout)
}

/// How to do without a registry that is down, as `error` says, where the cache has something of all `places`.
async fn kept_hint(error: &Registry, places: &[Location], offline: &Client) -> Option<String> {
    for at in places {
        if !is_kept(at, offline).await {
            return places.iter().find_map(|at| hint_at(at, error));
        }
    }
    let other = registry_hint(error).map(|hint| format!("{hint}; ")).unwrap_or_default();
    Some(format!("{other}what the cache has of it is read with `--offline`"))
}

/// Whether the manifest at `at` is kept, or, where none is named, some tag is.
async fn is_kept(at: &Location, offline: &Client) -> bool {
    if !matches!(at, Location::Registry(_)) {
        return true;
    }
    match at.target() {
        Some(target) => match offline.source(at).await {
            Ok(source) => source.manifest(&target).await.is_ok(),
            Err(_) => false,
        },
        None => offline.list_tags(at).await.is_ok(),
    }
}
