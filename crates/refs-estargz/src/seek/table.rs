//! The entries of an archive as bytes.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    SeekFault,
    index::Located,
    wire::{Values, put_number, put_text},
};
use crate::{Entry, Kind, Limits, normal_path};

/// An archive with more entries has no index.
const MAX_ENTRIES: usize = 1 << 20;
const MAX_MODE: u32 = 0o7777;
const NANOS_OF_SECOND: u32 = 1_000_000_000;

/// `None` for more entries than a table may have.
pub(super) fn to_bytes(entries: &[Located]) -> Option<Vec<u8>> {
    if entries.len() > MAX_ENTRIES {
        return None;
    }
    let mut bytes = Vec::new();
    put_number(entries.len() as u64, &mut bytes);
    for located in entries {
        put_entry(located, &mut bytes);
    }
    Some(bytes)
}

pub(super) fn parse(bytes: Bytes) -> Result<Vec<Located>, SeekFault> {
    let mut values = Values(bytes);
    let count: usize = values.small("number of entries")?;
    if count > MAX_ENTRIES {
        return Err(SeekFault::Large);
    }
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(entry(&mut values)?);
    }
    values.finish("table").map(|()| entries)
}

fn put_entry(Located { entry, nanos, offset }: &Located, bytes: &mut Vec<u8>) {
    let Entry { path, kind, mode, mtime, uid, gid, xattrs, digest } = entry;
    put_text(path.as_bytes(), bytes);
    put_number(*offset, bytes);
    put_kind(kind, bytes);
    put_number(u64::from(*mode), bytes);
    bytes.extend_from_slice(&mtime.to_le_bytes());
    put_number(u64::from(*nanos), bytes);
    put_number(u64::from(*uid), bytes);
    put_number(u64::from(*gid), bytes);
    put_number(xattrs.len() as u64, bytes);
    for (name, value) in xattrs {
        put_text(name.as_bytes(), bytes);
        put_text(value, bytes);
    }
    put_text(digest.as_ref().map_or("", |digest| digest.as_str()).as_bytes(), bytes);
}

fn entry(values: &mut Values) -> Result<Located, SeekFault> {
    let path = path(values, "path")?;
    let offset = values.number("offset")?;
    let kind = kind(values)?;
    let mode = values.small("mode")?;
    let (mtime, nanos) = (values.number_of_eight_bytes("time")?, values.small("time")?);
    let (uid, gid) = (values.small("owner")?, values.small("group")?);
    let xattrs = xattrs(values)?;
    let digest = match values.text("digest")? {
        none if none.is_empty() => None,
        text => Some(text.parse().ok().ok_or(SeekFault::Field("digest"))?),
    };
    if mode > MAX_MODE || nanos >= NANOS_OF_SECOND {
        return Err(SeekFault::Field("mode or time"));
    }
    Ok(Located { entry: Entry { path, kind, mode, mtime, uid, gid, xattrs, digest }, nanos, offset })
}

/// A path in its normal form, which is empty for the root: what readers of entries rely on is not left to whoever wrote the index.
fn path(values: &mut Values, field: &'static str) -> Result<String, SeekFault> {
    let path = values.text(field)?;
    let is_normal = normal_path(&path, &Limits::default()).is_ok_and(|normal| normal == path);
    if is_normal { Ok(path) } else { Err(SeekFault::Field(field)) }
}

fn xattrs(values: &mut Values) -> Result<BTreeMap<String, Vec<u8>>, SeekFault> {
    const FIELD: &str = "extended attributes";
    let mut xattrs = BTreeMap::new();
    for _ in 0..values.number(FIELD)? {
        let name = values.text(FIELD)?;
        xattrs.insert(name, values.bytes(FIELD)?.into());
    }
    Ok(xattrs)
}

fn put_kind(kind: &Kind, bytes: &mut Vec<u8>) {
    match kind {
        Kind::Directory => bytes.push(0),
        Kind::File { size } => {
            bytes.push(1);
            put_number(*size, bytes);
        }
        Kind::Symlink { target } => {
            bytes.push(2);
            put_text(target.as_bytes(), bytes);
        }
        Kind::Hardlink { target } => {
            bytes.push(3);
            put_text(target.as_bytes(), bytes);
        }
        Kind::CharDevice { major, minor } => put_device(4, *major, *minor, bytes),
        Kind::BlockDevice { major, minor } => put_device(5, *major, *minor, bytes),
        Kind::Fifo => bytes.push(6),
    }
}

fn put_device(kind: u8, major: u32, minor: u32, bytes: &mut Vec<u8>) {
    bytes.push(kind);
    put_number(u64::from(major), bytes);
    put_number(u64::from(minor), bytes);
}

fn kind(values: &mut Values) -> Result<Kind, SeekFault> {
    Ok(match values.byte("kind")? {
        0 => Kind::Directory,
        1 => Kind::File { size: values.number("size")? },
        2 => Kind::Symlink { target: values.text("target")? },
        3 => Kind::Hardlink { target: path(values, "target")? },
        4 => Kind::CharDevice { major: values.small("device")?, minor: values.small("device")? },
        5 => Kind::BlockDevice { major: values.small("device")?, minor: values.small("device")? },
        6 => Kind::Fifo,
        _ => return Err(SeekFault::Field("kind")),
    })
}
