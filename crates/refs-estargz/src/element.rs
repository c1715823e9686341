//! One element of the table of contents, as it is written.

use std::borrow::Cow;

use refs_url::Digest;
use serde::Serialize;

use crate::{Kind, NewEntry, header};

/// The keys of an element, in the order in which they are written. Those without a value are left out, and so is what is
/// the same for all entries that are written: owner, group and attributes.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line<'a> {
    name: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    #[serde(rename = "modtime", skip_serializing_if = "Option::is_none")]
    mtime: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_name: Option<&'a str>,
    #[serde(skip_serializing_if = "is_zero")]
    mode: u64,
    #[serde(skip_serializing_if = "is_zero")]
    offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    dev_major: u64,
    #[serde(skip_serializing_if = "is_zero")]
    dev_minor: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
    #[serde(skip_serializing_if = "is_zero")]
    chunk_offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    chunk_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_digest: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// The element of an entry; what concerns its content is set later. `mtime` is its time as text.
    pub(crate) fn of(entry: &'a NewEntry, mtime: &'a str) -> Self {
        let line = Self {
            name: header::tar_name(&entry.path, &entry.kind),
            mtime: (entry.mtime != 0).then_some(mtime),
            mode: u64::from(entry.mode & 0o7777),
            ..Self::default()
        };
        match &entry.kind {
            Kind::Directory => Self { kind: "dir", ..line },
            Kind::File { size } => Self { kind: "reg", size: *size, ..line },
            Kind::Symlink { target } => Self { kind: "symlink", link_name: Some(target), ..line },
            Kind::Hardlink { target } => Self { kind: "hardlink", link_name: Some(target), ..line },
            Kind::CharDevice { major, minor } => line.device("char", *major, *minor),
            Kind::BlockDevice { major, minor } => line.device("block", *major, *minor),
            Kind::Fifo => Self { kind: "fifo", ..line },
        }
    }

    /// The element of a further chunk of the file at `path`.
    pub(crate) fn of_chunk(path: &'a str) -> Self {
        Self { name: path.into(), kind: "chunk", ..Self::default() }
    }

    /// Sets the digest of a file.
    pub(crate) fn set_digest(&mut self, digest: Option<&'a Digest>) {
        self.digest = digest.map(Digest::as_str);
    }

    /// Says where a chunk lies in the blob and in its file. `bytes` is 0 when it reaches to the end of the file.
    pub(crate) fn set_chunk(&mut self, offset: u64, file_offset: u64, bytes: u64, digest: &'a Digest) {
        (self.offset, self.chunk_offset, self.chunk_size) = (offset, file_offset, bytes);
        self.chunk_digest = Some(digest.as_str());
    }

    fn device(self, kind: &'static str, major: u32, minor: u32) -> Self {
        Self { kind, dev_major: u64::from(major), dev_minor: u64::from(minor), ..self }
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
