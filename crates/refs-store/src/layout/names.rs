//! The names that a layout lists manifests by, and the tags that are in them.

use std::sync::Arc;

use refs_registry::{Descriptor, Platform};
use refs_url::{Digest, Reference, Tag};

/// The annotation that names a manifest in an image layout.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The annotation of an image that was chosen from an index: that one's digest.
const CHOSEN_FROM: &str = "io.github.refs-rs.index";

/// Which names of a layout are those of a repository's tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Names {
    /// Tags, and what ends in one.
    All,
    /// This, a colon and a tag.
    Of(Arc<str>),
}

/// How an entry comes by its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// Its name is how the repository writes the tag.
    Exact(Tag),
    /// Its name is a whole reference that ends in the tag.
    Reference(Tag),
}

/// What leads to a manifest by a tag.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim<'a> {
    /// The tag itself.
    Exact,
    /// References that end in it, all of this manifest.
    Of(&'a Digest),
    /// References that end in it, of several.
    Disputed,
}

impl<'a> Claim<'a> {
    /// One more reference that ends in the tag, to `digest`.
    pub(super) fn add(&mut self, digest: &'a Digest) {
        if matches!(self, Self::Of(other) if *other != digest) {
            *self = Self::Disputed;
        }
    }
}

impl Names {
    /// How `tag` is written.
    pub(super) fn of(&self, tag: &Tag) -> String {
        match self {
            Self::All => tag.to_string(),
            Self::Of(repository) => format!("{repository}:{tag}"),
        }
    }

    /// The tag of `entry`, if it has one in this repository.
    pub(super) fn read(&self, entry: &Descriptor) -> Option<Name> {
        let name = name(entry)?;
        match self {
            Self::Of(repository) => {
                let tag = name.strip_prefix(&**repository)?.strip_prefix(':')?;
                Tag::parse(tag).ok().map(Name::Exact)
            }
            Self::All => match Tag::parse(name) {
                Ok(tag) => Some(Name::Exact(tag)),
                Err(_) => {
                    let reference = Reference::parse_familiar(name).ok().filter(|found| !found.tag_is_default())?;
                    reference.tag().cloned().map(Name::Reference)
                }
            },
        }
    }

    /// The name of the repository that `entry` is listed for, and its tag there; what is listed by a tag alone is behind no name.
    pub(super) fn split(&self, entry: &Descriptor) -> Option<(Option<String>, Tag)> {
        let named = self.read(entry)?;
        let repository = match self {
            Self::Of(repository) => Some(repository.to_string()),
            Self::All => {
                let before_digest = name(entry)?.split('@').next()?;
                before_digest.rsplit_once(':').map(|(repository, _)| repository.to_owned())
            }
        };
        let (Name::Exact(tag) | Name::Reference(tag)) = named;
        Some((repository, tag))
    }

    /// Whether a whole reference that ends in `tag` is what `entry` is listed by.
    pub(super) fn refer(&self, entry: &Descriptor, tag: &Tag) -> bool {
        matches!(self.read(entry), Some(Name::Reference(named)) if named == *tag)
    }

    /// Whether `entry` is listed for this repository, and not only for another one.
    pub(super) fn include(&self, entry: &Descriptor) -> bool {
        let (Self::Of(repository), Some(name)) = (self, name(entry)) else { return true };
        name.strip_prefix(&**repository).is_some_and(|rest| rest.starts_with([':', '@']))
    }
}

/// What stands behind the tag of an image that is not for this machine, as in `v1--linux-arm64`.
pub(crate) fn platform_suffix(platform: &Platform) -> String {
    let words: String = platform.to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("--{words}")
}

/// What `entry` is listed by.
pub(super) fn name(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(REF_NAME).map(String::as_str)
}

/// Lists `entry` by `name`.
pub(super) fn set_name(entry: &mut Descriptor, name: String) {
    entry.annotations.insert(REF_NAME.to_owned(), name);
}

/// Takes the name from `entry`.
pub(super) fn take_name(entry: &mut Descriptor) {
    entry.annotations.remove(REF_NAME);
}

/// `manifest` as an index lists it under `name`, with the index that it was chosen from.
pub(crate) fn named(manifest: &Descriptor, name: &str, chosen_from: Option<&Digest>) -> Descriptor {
    let mut entry = manifest.clone();
    set_name(&mut entry, name.to_owned());
    entry.annotations.extend(chosen_from.map(|index| (CHOSEN_FROM.to_owned(), index.to_string())));
    entry
}

/// The name and the index of an entry that [`named`] made.
pub(crate) fn name_and_index(entry: &Descriptor) -> (Option<&str>, Option<Digest>) {
    (name(entry), chosen_from(entry))
}

/// The index that the image of `entry` was chosen from, where that was noted.
pub(super) fn chosen_from(entry: &Descriptor) -> Option<Digest> {
    entry.annotations.get(CHOSEN_FROM).and_then(|digest| Digest::parse(digest).ok())
}
