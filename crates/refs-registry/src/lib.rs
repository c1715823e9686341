#![doc = include_str!("../README.md")]

pub mod auth;
mod context;
pub mod error;
mod farewells;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod hosts;
mod notes;
mod options;
mod payload;
mod probe;
mod quirks;
mod rate_limit;
mod raw;
mod registries;
mod registry;
mod repository;
mod resolver;
mod source;
pub mod spec;
mod trail;
mod transport;
mod verify;
mod warning;

pub use error::{Error, ErrorKind, Result};
pub use farewells::Farewells;
pub use notes::{Noted, Notes};
pub use options::{Options, Proxies, Retry, Timeouts};
pub use payload::{Payload, Replay};
pub use probe::{Aspect, Finding, Outcome, Uploads};
pub use quirks::{Mounts, Page, Pieces, Quirks, Ranges, ReferrersAt, Tagging, WholeBy};
pub use rate_limit::RateLimit;
pub use raw::{Method, RawAnswer, RawRequest};
pub use registries::Registries;
pub use registry::Registry;
pub use repository::Repository;
pub use resolver::{ChainResolver, Resolver, StaticResolver, Wire, Writable};
pub use source::{
    Blob, ByteStream, Filter, Mounted, Part, Resume, Sent, Sink, Source, Stored, Upload, UploadState, fill,
};
pub use spec::{Descriptor, Manifest, MediaType, Platform};
pub use transport::{Clock, Dns, SystemClock, SystemDns};
pub use verify::{Verify, verified};
pub use warning::{Warning, Warnings};
