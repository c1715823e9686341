//! A mirror in front of registries.

mod access;
mod crowded;
mod hidden;
mod hostile;
mod ranges;
mod reads;
pub(crate) mod rig;
mod shared;
mod silent;
mod tags;
mod unheard;
