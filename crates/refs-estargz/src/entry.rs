//! One file model for every kind of layer.

use std::{cmp::Ordering, collections::BTreeMap};

use refs_url::Digest;

/// What a layer holds under one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path below the root of the layer, with `/` between components; no leading `/`, no `.` or `..`, never empty.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Permissions, with setuid, setgid and sticky: the low twelve bits.
    pub mode: u32,
    /// Modification time, in seconds since 1970-01-01T00:00:00Z.
    pub mtime: i64,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Extended attributes: names and values.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// The digest of a file's content, where the layer says it.
    pub digest: Option<Digest>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// How many bytes it has.
        size: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, as it was written: it may be absolute, or lead outside the layer.
        target: String,
    },
    /// A further name of a file.
    Hardlink {
        /// The path of the file in the same layer, in the form of [`Entry::path`].
        target: String,
    },
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

impl Entry {
    /// How many bytes of content a file has; 0 for everything else.
    pub fn size(&self) -> u64 {
        match self.kind {
            Kind::File { size } => size,
            _ => 0,
        }
    }

    /// Whether this is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// Whether this is a regular file (not a link to one).
    pub fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File { .. })
    }
}

/// Orders paths as a walk of the sorted tree meets them: component by component, so that what is below a directory
/// follows it at once (`a`, `a/b`, `a-b`).
pub fn path_order(left: &str, right: &str) -> Ordering {
    // What ends a component sorts before whatever may be in one.
    let rank = |byte: u8| if byte == b'/' { 0 } else { u16::from(byte) + 1 };
    let differing = left.bytes().zip(right.bytes()).find(|(left, right)| left != right);
    differing.map_or_else(|| left.len().cmp(&right.len()), |(left, right)| rank(left).cmp(&rank(right)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn path_order_is_that_of_components(left in "[-ab/]{0,6}", right in "[-ab/]{0,6}") {
            prop_assert_eq!(path_order(&left, &right), left.split('/').cmp(right.split('/')));
        }
    }
}
