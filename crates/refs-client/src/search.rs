//! Looks for the image of a platform in an index, and in those that it lists.

use std::{
    collections::{HashSet, VecDeque},
    mem,
};

use refs_registry::{
    Descriptor, ErrorKind, Platform, Source,
    spec::{Document, Index},
};
use refs_url::{Digest, Target};

use crate::{
    Error, Result, config,
    layer::Purpose,
    platform::{Fit, distinct, fit, is_attestation, is_nameless},
};

/// The outermost index counts.
const MAX_INDEX_DEPTH: u32 = 4;
/// Each costs a request; nobody nests more than a handful.
const MAX_INDEXES: usize = 32;
/// So many images that nobody names a platform for are looked into: each costs two requests.
const MAX_UNNAMED: usize = 32;
/// What marks attestations, whatever platform they name.
const ATTESTATION: &str = "vnd.docker.reference.type";

/// The image that was looked for.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its descriptor, in the index that lists it.
    pub(crate) descriptor: Descriptor,
    /// Its platform, or that of the index that lists it, if they name one; else that of its config, if that was read.
    pub(crate) platform: Option<Platform>,
    /// How many indexes lead to it.
    pub(crate) depth: u32,
    /// Those of them that the outermost one leads to, from there down.
    pub(crate) through: Vec<Digest>,
}

/// Looks for the image that suits `wanted` best in `index`, to which `depth` others have led, and in those that it lists:
/// from the outermost to the innermost, until there can be no better one. Of an index that names a platform, the images
/// that name none are for that one. An image without a platform is taken when it is the only one, and nothing else is there
/// but attestations. Of several things, where nothing that is named suits, the first 32 images that nobody names a platform
/// for are asked for theirs: containerd reads their configs, too, after all that is named.
///
/// # Errors
/// `PlatformNotFound` with all platforms there are; `PlatformUnknown` when there are several images, and none names or tells
/// one; `NoImage` when there is none;
/// `IndexTooDeep` and `IndexTooWide` when nothing was found within the bounds, and there is more beyond; those of the source.
pub(crate) async fn search(
    source: &dyn Source,
    at: &str,
    index: Index,
    depth: u32,
    wanted: &Platform,
) -> Result<Found> {
    if depth >= MAX_INDEX_DEPTH {
        return Err(Error::IndexTooDeep { at: at.to_owned(), limit: MAX_INDEX_DEPTH });
    }
    let mut search = Search { wanted, best: None, unnamed: Vec::new(), others: Vec::new(), beneath: VecDeque::new() };
    let (mut seen, mut bound) = (HashSet::new(), None);
    search.index(index, None, depth + 1, &[]);
    while let Some(Found { descriptor, platform, depth, mut through }) = search.next() {
        if depth >= MAX_INDEX_DEPTH {
            bound.get_or_insert(Error::IndexTooDeep { at: at.to_owned(), limit: MAX_INDEX_DEPTH });
        } else if seen.len() == MAX_INDEXES {
            bound = Some(Error::IndexTooWide { at: at.to_owned(), limit: MAX_INDEXES });
            break;
        } else if seen.insert(descriptor.digest.clone()) {
            let document = match source.manifest(&Target::Digest(descriptor.digest.clone())).await {
                // A copy of an index need not have all that it lists.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    bound.get_or_insert_with(|| error.into());
                    continue;
                }
                manifest => manifest?.parse()?,
            };
            match document {
                Document::Index(index) => {
                    through.push(descriptor.digest);
                    search.index(*index, platform.as_ref(), depth + 1, &through);
                }
                Document::Image(_) => search.image(Found { descriptor, platform, depth, through }),
            }
        }
    }
    if search.best.is_none() && !search.is_lone() {
        search.ask_unnamed(source).await?;
    }
    search.finish(at, bound)
}

struct Search<'a> {
    wanted: &'a Platform,
    best: Option<(Fit, Found)>,
    /// Images that nobody names a platform for.
    unnamed: Vec<Found>,
    /// The platforms that do not suit.
    others: Vec<Platform>,
    /// The indexes that may hold something better.
    beneath: VecDeque<Found>,
}

impl Search<'_> {
    /// Takes note of all that `index` lists, which is for `platform`, if it is for one, and was found `through` others and
    /// itself.
    fn index(&mut self, index: Index, platform: Option<&Platform>, depth: u32, through: &[Digest]) {
        for descriptor in index.manifests {
            let own = descriptor.platform.as_ref().filter(|own| !is_nameless(own));
            let platform = own.or(platform).cloned();
            if descriptor.annotations.contains_key(ATTESTATION) || platform.as_ref().is_some_and(is_attestation) {
                continue;
            }
            let is_index = descriptor.media_type.is_index();
            let found = Found { descriptor, platform, depth, through: through.to_vec() };
            match &found.platform {
                Some(other) if is_index && fit(other, self.wanted).is_none() => self.others.push(other.clone()),
                _ if is_index => self.beneath.push_back(found),
                _ => self.image(found),
            }
        }
    }

    fn image(&mut self, found: Found) {
        let Some(platform) = &found.platform else {
            self.unnamed.push(found);
            return;
        };
        match fit(platform, self.wanted) {
            None => self.others.push(platform.clone()),
            // Of equals the first.
            Some(fit) if self.best.as_ref().is_none_or(|(best, _)| fit < *best) => self.best = Some((fit, found)),
            Some(_) => {}
        }
    }

    /// The next index to look into.
    fn next(&mut self) -> Option<Found> {
        if self.is_settled() { None } else { self.beneath.pop_front() }
    }

    /// Whether there can be nothing better than what was found.
    fn is_settled(&self) -> bool {
        self.best.as_ref().is_some_and(|(fit, _)| fit.is_unsurpassed(self.wanted))
    }

    /// Whether there is but one image, of which nothing tells what it is for.
    fn is_lone(&self) -> bool {
        self.others.is_empty() && self.unnamed_manifests() == 1
    }

    fn unnamed_manifests(&self) -> usize {
        self.unnamed.iter().map(|found| &found.descriptor.digest).collect::<HashSet<&Digest>>().len()
    }

    /// Looks into the images that nobody names a platform for.
    async fn ask_unnamed(&mut self, source: &dyn Source) -> Result<()> {
        let mut asked = HashSet::new();
        for found in mem::take(&mut self.unnamed) {
            let is_asked =
                !self.is_settled() && asked.len() < MAX_UNNAMED && asked.insert(found.descriptor.digest.clone());
            let platform = if is_asked { told(source, &found.descriptor.digest).await? } else { None };
            self.image(Found { platform, ..found });
        }
        Ok(())
    }

    /// What was found; `bound` is what has kept this from looking at all there is.
    fn finish(mut self, at: &str, bound: Option<Error>) -> Result<Found> {
        if let Some((_, best)) = self.best {
            return Ok(best);
        }
        if let Some(bound) = bound {
            return Err(bound);
        }
        let (at, is_lone, manifests) = (at.to_owned(), self.is_lone(), self.unnamed_manifests());
        match self.unnamed.pop() {
            Some(only) if is_lone => Ok(only),
            Some(_) if self.others.is_empty() => Err(Error::PlatformUnknown { at, manifests }),
            None if self.others.is_empty() => Err(Error::NoImage { at }),
            _ => {
                let (wanted, available) = (Box::new(self.wanted.clone()), distinct(self.others));
                Err(Error::PlatformNotFound { at, wanted, available })
            }
        }
    }
}

/// The platform that the config of the image `digest` tells; `None` when it tells none, and of what is no image.
async fn told(source: &dyn Source, digest: &Digest) -> Result<Option<Platform>> {
    let manifest = match source.manifest(&Target::Digest(digest.clone())).await {
        // A copy of an index need not have all that it lists.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        manifest => manifest?,
    };
    // What can't be read must not hide what else there is, which is why nothing here is an error but that of the source.
    let Ok(Document::Image(image)) = manifest.parse() else { return Ok(None) };
    if Purpose::of(&image) == Purpose::Artifact {
        return Ok(None);
    }
    let config = config::fetch(source, &image.config).await?;
    Ok(config.and_then(|config| config::platform(&config, &image.config).ok().flatten()))
}
