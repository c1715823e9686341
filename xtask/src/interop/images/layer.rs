//! What a layer of an image does, as rows that become an archive, or changes of a directory.

use std::fs::File;
use std::io;
use std::path::Path;

use tar::{Builder, EntryType, Header};

use crate::error::{Error, Result};

/// One entry of a layer.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) path: String,
    pub(crate) what: What,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    /// Seconds since 1970, and nanoseconds.
    pub(crate) mtime: (u64, u32),
    pub(crate) attributes: Vec<(&'static str, &'static [u8])>,
}

/// The kind of an entry, with what belongs to it.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Directory,
    File(Vec<u8>),
    Symlink(String),
    /// One more name of what is at this path.
    Hardlink(String),
    /// With its major and minor number.
    Char(u32, u32),
    Block(u32, u32),
    Fifo,
    /// The path below is deleted.
    Gone,
    /// What lower layers have in the directory is deleted.
    Opaque,
}

/// What has no time of its own has this one.
const MTIME: u64 = 1_600_000_000;

pub(crate) fn dir(path: &str) -> Item {
    item(path, What::Directory, 0o755)
}

pub(crate) fn file(path: &str, text: &str) -> Item {
    bytes(path, text.as_bytes().to_vec())
}

pub(crate) fn bytes(path: &str, bytes: Vec<u8>) -> Item {
    item(path, What::File(bytes), 0o644)
}

pub(crate) fn symlink(path: &str, target: &str) -> Item {
    item(path, What::Symlink(target.to_owned()), 0o777)
}

/// Another name for `first`.
pub(crate) fn link(path: &str, first: &str) -> Item {
    item(path, What::Hardlink(first.to_owned()), 0o644)
}

pub(crate) fn other(path: &str, what: What) -> Item {
    item(path, what, 0o644)
}

/// Deletes `path` of the layers below.
pub(crate) fn gone(path: &str) -> Item {
    item(path, What::Gone, 0)
}

/// Deletes what the layers below have in `path`.
pub(crate) fn opaque(path: &str) -> Item {
    item(path, What::Opaque, 0)
}

fn item(path: &str, what: What, mode: u32) -> Item {
    Item { path: path.to_owned(), what, mode, owner: (0, 0), mtime: (MTIME, 0), attributes: Vec::new() }
}

impl Item {
    pub(crate) fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    pub(crate) fn owner(self, uid: u32, gid: u32) -> Self {
        Self { owner: (uid, gid), ..self }
    }

    pub(crate) fn at(self, seconds: u64, nanoseconds: u32) -> Self {
        Self { mtime: (seconds, nanoseconds), ..self }
    }

    pub(crate) fn attribute(mut self, name: &'static str, value: &'static [u8]) -> Self {
        self.attributes.push((name, value));
        self
    }

    /// Its name in an archive, where what deletes is a file, too.
    fn name(&self) -> String {
        match self.what {
            What::Gone => match self.path.rsplit_once('/') {
                Some((parent, name)) => format!("{parent}/.wh.{name}"),
                None => format!(".wh.{}", self.path),
            },
            What::Opaque => format!("{}/.wh..wh..opq", self.path),
            What::Directory => format!("{}/", self.path),
            _ => self.path.clone(),
        }
    }
}

/// Writes `items` as an archive, in their order.
pub(crate) fn archive(items: &[Item], path: &Path) -> Result<()> {
    let write = || {
        let mut archive = Builder::new(File::create(path)?);
        items.iter().try_for_each(|item| append(&mut archive, item))?;
        archive.into_inner()?.sync_data()
    };
    write().map_err(Error::file("write", path))
}

fn append(archive: &mut Builder<File>, item: &Item) -> io::Result<()> {
    let mut header = Header::new_ustar();
    let content = content(item, &mut header);
    header.set_mode(item.mode);
    header.set_uid(item.owner.0.into());
    header.set_gid(item.owner.1.into());
    header.set_mtime(item.mtime.0);
    header.set_size(content.len() as u64);
    let mut records = Vec::new();
    if item.mtime.1 != 0 {
        records.push(("mtime".to_owned(), format!("{}.{:09}", item.mtime.0, item.mtime.1).into_bytes()));
    }
    let name = item.name();
    if header.set_path(&name).is_err() {
        header.set_path("long")?;
        records.push(("path".to_owned(), name.into_bytes()));
    }
    if let What::Symlink(target) | What::Hardlink(target) = &item.what
        && header.set_link_name_literal(target).is_err()
    {
        records.push(("linkpath".to_owned(), target.clone().into_bytes()));
    }
    let attributes = item.attributes.iter();
    records.extend(attributes.map(|(name, value)| (format!("SCHILY.xattr.{name}"), value.to_vec())));
    header.set_cksum();
    if !records.is_empty() {
        archive.append_pax_extensions(records.iter().map(|(key, value)| (key.as_str(), value.as_slice())))?;
    }
    archive.append(&header, content)
}

/// The bytes of an entry; its type is set in `header`.
fn content<'a>(item: &'a Item, header: &mut Header) -> &'a [u8] {
    let (kind, content): (_, &[u8]) = match &item.what {
        What::Directory => (EntryType::Directory, &[]),
        What::File(bytes) => (EntryType::Regular, bytes),
        What::Symlink(_) => (EntryType::Symlink, &[]),
        What::Hardlink(_) => (EntryType::Link, &[]),
        What::Char(..) => (EntryType::Char, &[]),
        What::Block(..) => (EntryType::Block, &[]),
        What::Fifo => (EntryType::Fifo, &[]),
        What::Gone | What::Opaque => (EntryType::Regular, &[]),
    };
    header.set_entry_type(kind);
    if let What::Char(major, minor) | What::Block(major, minor) = item.what {
        // A header of this form has room for both.
        let _ = header.set_device_major(major).and_then(|()| header.set_device_minor(minor));
    }
    content
}
