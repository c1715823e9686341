//! One thing that `cargo xtask layers` found.

use std::path::PathBuf;

/// What breaks the layers, where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("{room}: not in the table of rooms (xtask/src/layers/rules.rs)")]
    UnknownRoom { room: String },
    #[error("{room}: may not use {used}; arrows point up the page")]
    Direction { room: String, used: String },
    #[error("{room}: may not depend on {krate}, which is reserved for {users}")]
    Reserved { room: String, krate: String, users: String },
    #[error("{room}: pulls in {krate}")]
    Barred { room: String, krate: String },
    #[error("{room}: without features it depends on {found}; it promises {promised} and nothing else")]
    NotExactly { room: String, found: String, promised: String },
    #[error("{krate}: feature `{feature}` is enabled somewhere in the build")]
    Feature { krate: String, feature: String },
    #[error("{room}: {krate} {version} needs Rust {needs}, we promise {promised}")]
    RustVersion { room: String, krate: String, version: String, needs: String, promised: String },
    #[error("{room}: has no {field}")]
    Metadata { room: String, field: &'static str },
    #[error("{path}: {lines} lines of code outside its tests; at most {most}")]
    LongFile { path: PathBuf, lines: usize, most: usize },
    #[error("{path}:{line}: `{what}` has no place in {room}")]
    Source { path: PathBuf, line: usize, what: String, room: String },
}
