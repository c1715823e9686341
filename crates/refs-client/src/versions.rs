//! The versions of an artifact: which there are, and which is the best that will do.

use futures_util::{FutureExt, StreamExt, stream};
use refs_registry::{Descriptor, Platform};
use refs_url::{
    Tag, Target,
    version::{ChoiceError, ChoiceOptions, Constraint, best_tag, matching_tags, semver_tags},
};

use crate::{
    Client, Error, FetchOptions, Fetched, Location, Result,
    error::LocationFault,
    named,
    whole::{Extent, extent},
};

/// Where a version may come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// The client's store, as [`Client::offline`] reads it: no socket is opened, and the choice is among the tags that the
    /// store has. One that it has all of comes before those of which something is missing, however high: of an index the
    /// image for [the platform](VersionOptions::platform), with its layers, and with its config where it is a container's
    /// image or has no layers. After these come images that lack no more than the config: they can be pulled, but not
    /// unpacked.
    LocalOnly,
    /// Wherever the client reads.
    #[default]
    RemoteAllowed,
}

/// How a version is chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionOptions {
    /// Where it may come from; wherever the client reads unless set.
    pub mode: Mode,
    /// What counts as a version.
    pub choice: ChoiceOptions,
    /// The platform that the version will be read for, where the store alone may be asked; Linux on this machine's processor,
    /// and any for an image that is in no index, when not set.
    pub platform: Option<Platform>,
}

/// Which versions to fetch, and what of each.
#[derive(Debug, Clone, Default)]
pub struct FetchAllOptions {
    /// What they must satisfy; all versions unless set, prereleases included.
    pub constraint: Option<Constraint>,
    /// What counts as a version, where there is a constraint.
    pub choice: ChoiceOptions,
    /// What to fetch of each.
    pub fetch: FetchOptions,
}

/// A version, and what it led to when it was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedVersion {
    /// Where it is, by its digest: whoever reads it there reads this very version, wherever its tag has moved since. It has
    /// the tag beside the digest.
    pub at: Location,
    /// The tag, unless a digest was asked for by itself.
    pub tag: Option<Tag>,
    /// Its manifest or index.
    pub descriptor: Descriptor,
}

/// What came of fetching one version.
#[derive(Debug)]
pub struct FetchedVersion {
    /// Its tag.
    pub tag: Tag,
    /// What the store has of it now, or why it does not.
    pub fetched: Result<Fetched>,
}

/// So many versions come at once; each brings several blobs at once.
const MAX_CONCURRENT: usize = 4;

impl Client {
    /// The tags of the repository at `at` that are versions, from the highest down.
    ///
    /// # Errors
    /// As [`list_candidates`](Client::list_candidates).
    pub async fn list_versions(&self, at: &Location) -> Result<Vec<Tag>> {
        Ok(semver_tags(&self.list_candidates(at).await?))
    }

    /// The tags that a version of what is at `at` is chosen among, whether or not they are versions: those of its repository. Of
    /// a layout that names none they are those without a repository's name, and where there are none such those of the only
    /// repository. What a store has put an image's platform behind, as in `1.0.0--linux-arm64`, is a tag of none.
    ///
    /// # Errors
    /// `Location` with [`SeveralRepositories`](LocationFault::SeveralRepositories) for a layout that lists several, of which
    /// `at` names none; else as [`list_tags`](Client::list_tags).
    pub async fn list_candidates(&self, at: &Location) -> Result<Vec<Tag>> {
        let Location::Layout { path, .. } = at else { return self.list_tags(at).await };
        let listed = named::open(path).await?.repositories().await?;
        // What has no name comes first.
        if listed.len() < 2 || listed[0].name.is_none() {
            return Ok(listed.into_iter().next().map(|repository| repository.tags).unwrap_or_default());
        }
        let names = listed.into_iter().filter_map(|repository| repository.name).collect();
        Err(at.repository().fault(LocationFault::SeveralRepositories(names)))
    }

    /// `at`, if it names a tag or a digest; else the repository at the tag of its highest version that satisfies
    /// `constraint`, or of its highest version that is no prerelease. Nothing is asked in the first case.
    ///
    /// # Errors
    /// `TagViolates` when `at` names a tag that does not satisfy `constraint`, as one that is no version can't;
    /// `NoMatchingVersion`; `NoVersions`; `Location` for a file, which has no tags, and for a layout that lists several
    /// repositories, of which none is named; `Registry` when the tags can't be listed, with the kind `NotCached` when only the
    /// store may be asked and has none of them.
    pub async fn resolve_ref(
        &self,
        at: &Location,
        constraint: Option<&Constraint>,
        options: &VersionOptions,
    ) -> Result<Location> {
        self.within(options.mode).choose(at, constraint, options).await
    }

    /// The version that [`resolve_ref`](Client::resolve_ref) chooses, and what its tag leads to: asked once, so that what is
    /// read by the digest is what was chosen.
    ///
    /// # Errors
    /// As [`resolve_ref`](Client::resolve_ref); `TagMoved` when `at` names a tag and a digest that it does not lead to;
    /// `Registry` when the version is not there.
    pub async fn resolve_constrained(
        &self,
        at: &Location,
        constraint: Option<&Constraint>,
        options: &VersionOptions,
    ) -> Result<ResolvedVersion> {
        let client = self.within(options.mode);
        let chosen = client.choose(at, constraint, options).await?;
        let descriptor = client.resolve_unmoved(&chosen).await?;
        let tag = chosen.tag().cloned();
        Ok(ResolvedVersion { at: chosen.with_digest(descriptor.digest.clone()), tag, descriptor })
    }

    /// Fetches all versions of the repository at `at`, or those that satisfy a constraint, into the client's store, a few at
    /// once, and tells of each what came of it, from the highest down. One that fails does not stop the others.
    ///
    /// # Errors
    /// `NoStore` when the client has none; `Location` when `at` is not of a registry; `Registry` when the tags can't be
    /// listed.
    pub async fn fetch_all_versions(&self, at: &Location, options: &FetchAllOptions) -> Result<Vec<FetchedVersion>> {
        let Location::Registry(_) = at else { return Err(at.fault(LocationFault::NotRegistry)) };
        if self.store.is_none() {
            return Err(Error::NoStore { at: at.to_string() });
        }
        let tags = self.list_tags(at).await?;
        let wanted = match &options.constraint {
            Some(constraint) => matching_tags(&tags, constraint, &options.choice),
            None => semver_tags(&tags),
        };
        // Boxed, as the future of a fetch is.
        let fetches: Vec<_> =
            wanted.into_iter().map(|tag| self.fetch_version(at, tag, &options.fetch).boxed()).collect();
        Ok(stream::iter(fetches).buffered(MAX_CONCURRENT).collect().await)
    }

    async fn fetch_version(&self, at: &Location, tag: Tag, options: &FetchOptions) -> FetchedVersion {
        let fetched = self.fetch(&at.clone().at_tag(tag.clone()), options).await;
        FetchedVersion { tag, fetched }
    }

    /// This client, or what is left of it where only its store may be asked.
    fn within(&self, mode: Mode) -> Self {
        match mode {
            Mode::LocalOnly => self.clone().offline(),
            Mode::RemoteAllowed => self.clone(),
        }
    }

    async fn choose(
        &self,
        at: &Location,
        constraint: Option<&Constraint>,
        options: &VersionOptions,
    ) -> Result<Location> {
        if is_chosen(at) {
            return match (at.tag(), constraint) {
                (Some(tag), Some(constraint)) if !constraint.accepts(tag, &options.choice) => {
                    Err(Error::TagViolates { at: at.to_string(), constraint: constraint.clone() })
                }
                _ => Ok(at.clone()),
            };
        }
        let tags = self.list_candidates(at).await?;
        let best = best_tag(&tags, constraint, &options.choice).map_err(|fault| unmatched(at, &tags, fault))?;
        let is_kept = self.is_offline() && matches!(at, Location::Registry(_));
        let whole = if is_kept { self.best_whole(at, tags.clone(), constraint, options).await? } else { None };
        Ok(at.clone().at_tag(whole.unwrap_or_else(|| best.clone())))
    }

    /// The best of `tags` whose version the store has as a whole: of others it may have no more than a manifest that somebody
    /// looked at.
    async fn best_whole(
        &self,
        at: &Location,
        mut tags: Vec<Tag>,
        constraint: Option<&Constraint>,
        options: &VersionOptions,
    ) -> Result<Option<Tag>> {
        let (source, place) = (self.source(at).await?, at.to_string());
        let mut pullable = None;
        while let Ok(best) = best_tag(&tags, constraint, &options.choice).cloned() {
            tags.retain(|tag| *tag != best);
            match extent(&*source, &place, &Target::Tag(best.clone()), options.platform.as_ref()).await {
                Extent::All => return Ok(Some(best)),
                Extent::Files => drop(pullable.get_or_insert(best)),
                Extent::Part => {}
            }
        }
        Ok(pullable)
    }
}

/// Whether `at` names a tag or a digest itself: `docker://NAME` has a tag that nobody wrote.
fn is_chosen(at: &Location) -> bool {
    match at {
        Location::Registry(reference) => reference.has_explicit_tag(),
        Location::Layout { .. } => at.target().is_some(),
        Location::File(_) => false,
    }
}

/// Why none of the `tags` at `at` was chosen.
fn unmatched(at: &Location, tags: &[Tag], fault: ChoiceError) -> Error {
    let at = at.to_string();
    match fault {
        ChoiceError::NoMatch { constraint, available, left_out } => {
            Error::NoMatchingVersion { at, constraint, available, left_out: left_out.map(Box::new) }
        }
        ChoiceError::NoVersions { others } => Error::NoVersions { at, others },
        // A choice that fails in a way of its own has found no version either.
        _ => Error::NoVersions { at, others: tags.len() },
    }
}
