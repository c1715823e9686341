//! A mirror: repositories of registries elsewhere, read through one store.

mod asked;
mod crowd;
mod heads;
mod hearing;
mod refused;
mod repository;
mod silence;
mod sizes;
mod upstreams;

pub(crate) use asked::Trail;
pub(crate) use repository::Mirrored;
pub use upstreams::{Mirror, MirrorOptions, TagOptions, Upstream};
