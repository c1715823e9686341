//! A cache on disk: an image layout, and notes beside it.

mod debris;
mod fill;
mod found;
mod home;
mod images;
mod indexes;
mod known;
mod notes;
mod opening;
mod order;
mod origins;
mod partials;
mod parts;
mod prune;
mod relist;
mod removal;
mod steps;
mod store;
mod survey;
mod verify;

pub use images::ListedImage;
pub(crate) use origins::is_note;
#[cfg(feature = "object-store")]
pub(crate) use origins::wire_name;
pub use partials::Left;
pub use prune::{PruneOptions, Pruned};
pub(crate) use relist::{known_images, put_index_aside};
pub use store::{DiskOptions, DiskStore};
pub use survey::{Held, StoreInfo};
pub use verify::{Verified, Verifying};

/// Notes on where content came from, by wire, host and repository.
pub(crate) const ORIGINS_FOLDER: &str = "origins";
/// Of an origin, the digests of what it has. No part of a repository's name begins with `_`, so that no repository can be
/// in the way of another's notes.
pub(crate) const MEMBERS_FOLDER: &str = "_members";
/// Of an origin, what its tags lead to.
pub(crate) const TAGS_FOLDER: &str = "_tags";
/// Of an origin, the parts of what is not here as a whole.
pub(crate) const PARTS_FOLDER: &str = "_parts";
/// Of an origin, the beginnings of what was not read to its end.
pub(crate) const PARTIALS_FOLDER: &str = "_partials";
/// What was in the place of content, and damaged.
pub(crate) const QUARANTINE_FOLDER: &str = "quarantine";
/// Notes on how to read parts of content, of all origins.
pub(crate) const INDEXES_FOLDER: &str = "indexes";
/// The digests of what is to stay.
pub(crate) const PINS_FOLDER: &str = "pins";
/// Journals of uploads.
pub(crate) const UPLOADS_FOLDER: &str = "uploads";
