//! A mirror in front of registries.

mod hostile;
mod reads;
mod rig;
mod shared;
mod tags;
