//! The table of contents as JSON, key by key; nothing is checked here but types.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

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
