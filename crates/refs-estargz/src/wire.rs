//! The table of contents as JSON, key by key; nothing is checked here but types.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Serialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::{Kind, NewEntry, header, time};

/// The version of the format.
pub(crate) const VERSION: u64 = 1;

/// The whole table as it is written.
#[derive(Debug, Serialize)]
pub(crate) struct WireToc<'a> {
    pub(crate) version: u64,
    pub(crate) entries: &'a [WireEntry<'a>],
}

/// One element of `entries`: a file, a further chunk of one, or anything else.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireEntry<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    #[serde(rename = "type")]
    pub(crate) kind: WireKind,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) size: u64,
    #[serde(default, rename = "modtime", borrow, skip_serializing_if = "str::is_empty")]
    pub(crate) mtime: Cow<'a, str>,
    #[serde(default, borrow, skip_serializing_if = "str::is_empty")]
    pub(crate) link_name: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) mode: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) uid: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) gid: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) offset: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) inner_offset: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) dev_major: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) dev_minor: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) xattrs: Option<BTreeMap<String, String>>,
    #[serde(default, borrow, skip_serializing_if = "str::is_empty")]
    pub(crate) digest: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) chunk_offset: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) chunk_size: u64,
    #[serde(default, borrow, skip_serializing_if = "str::is_empty")]
    pub(crate) chunk_digest: Cow<'a, str>,
}

impl WireEntry<'static> {
    /// The element of an entry that is to be written; what concerns its content comes later.
    pub(crate) fn of(entry: &NewEntry) -> Self {
        let mut element = Self {
            name: header::tar_name(&entry.path, &entry.kind).into(),
            kind: WireKind::of(&entry.kind),
            mode: i64::from(entry.mode & 0o7777),
            ..Self::default()
        };
        if entry.mtime != 0 {
            element.mtime = time::format(entry.mtime).into();
        }
        match &entry.kind {
            Kind::File { size } => element.size = *size,
            Kind::Symlink { target } | Kind::Hardlink { target } => element.link_name = target.clone().into(),
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
                (element.dev_major, element.dev_minor) = (*major, *minor);
            }
            Kind::Directory | Kind::Fifo => {}
        }
        element
    }

    /// The element of a further chunk of a file, which starts at `offset` in it.
    pub(crate) fn chunk_of(entry: &NewEntry, offset: u64) -> Self {
        Self { name: entry.path.clone().into(), kind: WireKind::Chunk, chunk_offset: offset, ..Self::default() }
    }
}

/// The values of `type`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

impl WireKind {
    fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Directory => Self::Dir,
            Kind::File { .. } => Self::Reg,
            Kind::Symlink { .. } => Self::Symlink,
            Kind::Hardlink { .. } => Self::Hardlink,
            Kind::CharDevice { .. } => Self::Char,
            Kind::BlockDevice { .. } => Self::Block,
            Kind::Fifo => Self::Fifo,
        }
    }
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What parsing gives: the entries are there only as far as the limit.
#[derive(Debug, Default)]
pub(crate) struct ParsedToc<'a> {
    pub(crate) version: u64,
    pub(crate) entries: Entries<'a>,
}

/// The entries of a table, counted while they are read so that no table can make more of them than wanted.
#[derive(Debug)]
pub(crate) enum Entries<'a> {
    Within(Vec<WireEntry<'a>>),
    TooMany,
}

impl Default for Entries<'_> {
    fn default() -> Self {
        Self::Within(Vec::new())
    }
}

/// Parses a table of at most `limit` entries.
pub(crate) fn parse(json: &[u8], limit: usize) -> serde_json::Result<ParsedToc<'_>> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let toc = TocSeed { limit }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(toc)
}

struct TocSeed {
    limit: usize,
}

impl<'de> DeserializeSeed<'de> for TocSeed {
    type Value = ParsedToc<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TocSeed {
    type Value = ParsedToc<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `version` and `entries`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut version, mut entries) = (None, None);
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match &*key {
                "version" if version.is_some() => return Err(serde::de::Error::duplicate_field("version")),
                "entries" if entries.is_some() => return Err(serde::de::Error::duplicate_field("entries")),
                "version" => version = Some(map.next_value()?),
                "entries" => entries = Some(map.next_value_seed(EntriesSeed { limit: self.limit })?),
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        let version = version.ok_or_else(|| serde::de::Error::missing_field("version"))?;
        let entries = entries.ok_or_else(|| serde::de::Error::missing_field("entries"))?;
        Ok(ParsedToc { version, entries })
    }
}

struct EntriesSeed {
    limit: usize,
}

impl<'de> DeserializeSeed<'de> for EntriesSeed {
    type Value = Entries<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EntriesSeed {
    type Value = Entries<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of entries")
    }

    /// Go writes an empty list that was never made as `null`.
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Entries::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            if entries.len() == self.limit {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Entries::TooMany);
            }
            entries.push(entry);
        }
        Ok(Entries::Within(entries))
    }
}
