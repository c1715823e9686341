//! What to do next where that depends on the places that the command names.

use std::io;

use refs_client::{Client, Error, Location, Side};
use refs_registry::{Error as Registry, ErrorKind, Platform, error::Wanted};
use refs_url::{Digest, Target};

use super::{
    FETCH, cache,
    client::{damaged_hint, damaged_layer_hint, is_refused, listed_hint, wrong_blob, wrong_layer},
    place::directory_hint,
    registry::{not_cached_hint, registry_hint},
};
use crate::{args::Command, commands::Failure};

/// What a command names.
pub(crate) struct Asked {
    /// The places that it reads, and that which it writes.
    pub(crate) places: Vec<Location>,
    /// Which image of an index it reads.
    pub(crate) platform: Option<Platform>,
}

impl Asked {
    pub(crate) fn of(command: &Command) -> Self {
        Self { places: command.locations().into_iter().cloned().collect(), platform: command.platform().cloned() }
    }

    /// How the cache comes by all that was asked for. Without the platform it would get another image.
    fn fetch(&self) -> String {
        let Some(platform) = &self.platform else { return FETCH.to_owned() };
        let images = self.places.iter().filter(|at| matches!(at, Location::Registry(_)));
        let images = images.map(|at| if at.target().is_some() { at.to_string() } else { "REF".to_owned() });
        format!("refs cache fetch {} --platform {platform}", images.collect::<Vec<_>>().join(" "))
    }
}

/// What to do next about the failure of a command that was `asked` something, where that tells. `client` was what failed, and
/// `offline` reads the cache alone, if the command could.
pub(crate) async fn hint_by_place(
    failure: &Failure,
    asked: &Asked,
    client: &Client,
    offline: Option<&Client>,
) -> Option<String> {
    let places = asked.places.as_slice();
    if let Some(hint) = lost_hint(failure, places, client).await {
        return Some(hint);
    }
    match failure {
        Failure::Comparing(failure) => Box::pin(hint_by_place(failure, asked, client, offline)).await,
        Failure::Kept(failure) => {
            let hint = Box::pin(hint_by_place(failure, asked, client, offline)).await;
            Some(hint.unwrap_or_else(|| cache::of_damaged(&asked.fetch())))
        }
        Failure::Client(Error::Registry(error @ Registry::NotCached { .. })) => not_cached_hint(error, &asked.fetch()),
        Failure::Client(Error::Registry(error)) | Failure::Registry(error) => match offline {
            Some(offline) if is_down(error.kind()) => kept_hint(error, places, offline).await,
            _ => first_hint(places, client, wrong_blob(error), |at| hint_at(at, error)).await,
        },
        Failure::Client(error) => {
            let hint = |at: &Location| damaged_layer_hint(&at.to_string(), error);
            first_hint(places, client, wrong_layer(error), hint).await
        }
        _ => None,
    }
}

/// The first of the hints about `places`. Where several are named, one about a layout is for that in which `wrong` is damaged:
/// who removed it from another would lose what is sound.
async fn first_hint(
    places: &[Location],
    client: &Client,
    wrong: Option<&Digest>,
    hint: impl Fn(&Location) -> Option<String>,
) -> Option<String> {
    for (at, hint) in places.iter().filter_map(|at| Some((at, hint(at)?))) {
        let is_meant = match (at, wrong) {
            (Location::Layout { .. }, Some(wrong)) if places.len() > 1 => is_damaged(at, wrong, client).await,
            _ => true,
        };
        if is_meant {
            return Some(hint);
        }
    }
    None
}

/// Whether what the layout of `at` has as `blob` is something else.
async fn is_damaged(at: &Location, blob: &Digest, client: &Client) -> bool {
    let read = client.read_blob(&at.clone().at_digest(blob.clone()), io::sink()).await;
    matches!(read, Err(Error::Registry(error)) if matches!(error.kind(), ErrorKind::Digest | ErrorKind::Size))
}

/// What to do about a layout among `places` that lists a tag whose manifest is gone, or that has a longer name there, which is
/// to be told to change it.
async fn lost_hint(failure: &Failure, places: &[Location], client: &Client) -> Option<String> {
    let error = match failure {
        Failure::Registry(error) | Failure::Client(Error::Registry(error)) => error,
        Failure::Client(Error::Copy { side: Side::Source, source, .. }) => source,
        _ => return None,
    };
    let Registry::NotFound { wanted: Wanted::Manifest(Target::Tag(tag)), at: place, .. } = error else { return None };
    let is_of = |at: &&Location| at.tag() == Some(tag) && at.repository().to_string() == place.to_string();
    let at = places.iter().filter(|at| matches!(at, Location::Layout { .. })).find(is_of)?;
    if !client.list_tags(at).await.is_ok_and(|tags| tags.contains(tag)) {
        return None;
    }
    let is_there = client.resolve_tag(at).await.is_ok();
    Some(if is_there {
        let repository = at.repository();
        format!("it is listed with its repository before it: `refs tags {repository}` tells how it is named")
    } else {
        format!("the layout has lost it: copy the artifact to {at} again, from where it came")
    })
}

fn hint_at(at: &Location, error: &Registry) -> Option<String> {
    match at {
        Location::Registry(reference) => directory_hint(&reference.to_string()).filter(|_| is_refused(error.kind())),
        Location::Layout { .. } => {
            let at_text = at.to_string();
            damaged_hint(&at_text, error).or_else(|| listed_hint(&at_text, error).filter(|_| is_missing_at(at, error)))
        }
        Location::File(_) => None,
    }
}

/// Whether the repository of `at` is what lacks something.
fn is_missing_at(at: &Location, error: &Registry) -> bool {
    matches!(error, Registry::NotFound { at: place, .. } if at.repository().to_string() == place.to_string())
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
