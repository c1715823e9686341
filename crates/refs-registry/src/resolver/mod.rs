//! From a host and a repository name to somewhere that can be read or written.

mod chain;
mod fixed;
mod traits;

pub use chain::ChainResolver;
pub use fixed::StaticResolver;
pub use traits::{Resolver, Wire, Writable};
