#![doc = include_str!("../README.md")]

mod error;
mod layer;
mod location;
mod platform;
mod receive;
mod select;
mod unpack;

pub use error::{ArchiveFault, DestinationFault, Error, LocationFault, Result, SourceFault};
pub use location::Location;
