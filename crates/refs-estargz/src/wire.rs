//! The table of contents as JSON, key by key; nothing is checked here but types.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;

/// The version of the format.
pub(crate) const VERSION: u64 = 1;

/// One element of `entries`: a file, a further chunk of one, or anything else.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireEntry<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    #[serde(rename = "type")]
    pub(crate) kind: WireKind,
    #[serde(default)]
    pub(crate) size: u64,
    #[serde(default, rename = "modtime", borrow)]
    pub(crate) mtime: Cow<'a, str>,
    #[serde(default, borrow)]
    pub(crate) link_name: Cow<'a, str>,
    #[serde(default)]
    pub(crate) mode: i64,
    #[serde(default)]
    pub(crate) uid: i64,
    #[serde(default)]
    pub(crate) gid: i64,
    #[serde(default)]
    pub(crate) offset: u64,
    #[serde(default)]
    pub(crate) inner_offset: u64,
    #[serde(default)]
    pub(crate) dev_major: u32,
    #[serde(default)]
    pub(crate) dev_minor: u32,
    #[serde(default)]
    pub(crate) xattrs: Option<BTreeMap<String, String>>,
    #[serde(default, borrow)]
    pub(crate) digest: Cow<'a, str>,
    #[serde(default)]
    pub(crate) chunk_offset: u64,
    #[serde(default)]
    pub(crate) chunk_size: u64,
    #[serde(default, borrow)]
    pub(crate) chunk_digest: Cow<'a, str>,
}

/// The values of `type`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WireKind {
    Dir,
    #[default]
    Reg,
    Symlink,
    Hardlink,
    Char,
    Block,
    Fifo,
    Chunk,
}
