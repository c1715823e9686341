#![doc = include_str!("../README.md")]

mod context;
pub mod error;
mod resolver;
mod source;
pub mod spec;
mod verify;

pub use error::{Error, ErrorKind, Result};
pub use resolver::{Resolver, Writable};
pub use source::{
    Blob, ByteStream, Filter, Mounted, Part, Payload, Replay, Resume, Sink, Source, Stored, Upload, UploadState,
};
pub use spec::{Descriptor, Manifest, MediaType, Platform};
pub use verify::{Verify, verified};
