//! What an image says of a file beyond its content: mode, time, owner, extended attributes.

use std::{
    borrow::Cow,
    collections::HashMap,
    os::fd::{AsFd, BorrowedFd},
    sync::atomic::{AtomicU64, Ordering},
};

use refs_estargz::Entry;
use rustix::{
    fs::{Mode, RawMode, Timespec, Timestamps, UTIME_OMIT, XattrFlags},
    io::Errno,
};

/// Where the owner is written down that a file can't be given to
/// ([rootlesscontainers](https://github.com/rootless-containers/proto)).
const OWNER: &str = "user.rootlesscontainers";
/// What belongs to the machine that an image was made on, and means nothing or something else on this one.
const FOREIGN: [&str; 2] = ["security.selinux", "system.nfs4_acl"];
/// How the record of an owner says that the file is the caller's.
const OWN: u32 = u32::MAX;

/// How a file system says that it, or this user, may not have an attribute. One that is longer than it takes is no space left
/// to some.
const UNSETTABLE: [Errno; 7] =
    [Errno::PERM, Errno::ACCESS, Errno::NOTSUP, Errno::INVAL, Errno::RANGE, Errno::TOOBIG, Errno::NOSPC];

/// What the files of an image have beside what their entries say, and what could not be given to them.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// What modification times have beyond whole seconds, by path.
    nanos: HashMap<String, u32>,
    unset: AtomicU64,
}

impl Attributes {
    /// Notes that the modification time of `path` has `nanos` beyond whole seconds.
    pub(super) fn note(&mut self, path: &str, nanos: u32) {
        if nanos > 0 {
            self.nanos.insert(path.to_owned(), nanos);
        }
    }

    /// The modification time of an entry; the time of access stays.
    pub(super) fn times(&self, entry: &Entry) -> Timestamps {
        let nanos = self.nanos.get(&entry.path).copied().unwrap_or_default();
        Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: entry.mtime, tv_nsec: nanos.into() },
        }
    }

    /// Gives a file that has mode `made` all that `entry` says: the mode last but for the time, since setting an attribute
    /// takes the permission to write, and writing takes capabilities and setuid away.
    pub(super) fn set(&self, file: impl AsFd, entry: &Entry, made: Mode) -> rustix::io::Result<()> {
        let file = file.as_fd();
        for (name, value) in xattrs(entry) {
            self.set_xattr(file, &entry.path, &name, &value)?;
        }
        let mode = mode(entry);
        if mode != made {
            rustix::fs::fchmod(file, mode)?;
        }
        rustix::fs::futimens(file, &self.times(entry))
    }

    /// Notes that a symbolic link, which has none, got no attributes.
    pub(super) fn leave(&self, entry: &Entry) {
        for (name, _) in xattrs(entry).filter(|(name, _)| name != OWNER) {
            self.miss(&entry.path, &name, Errno::NOTSUP);
        }
    }

    /// How many attributes could not be set.
    pub(super) fn unset(&self) -> u64 {
        self.unset.load(Ordering::Relaxed)
    }

    fn set_xattr(&self, file: BorrowedFd<'_>, path: &str, name: &str, value: &[u8]) -> rustix::io::Result<()> {
        match rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()) {
            Err(errno) if UNSETTABLE.contains(&errno) => self.miss(path, name, errno),
            other => other?,
        }
        Ok(())
    }

    /// A file without it is of use: most attributes are for root, or for another file system.
    fn miss(&self, path: &str, attribute: &str, error: Errno) {
        if self.unset.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(path, attribute, %error, "an extended attribute cannot be set; so it may be with others");
        }
    }
}

/// The mode of an entry: all twelve bits.
pub(super) fn mode(entry: &Entry) -> Mode {
    Mode::from_raw_mode((entry.mode & 0o7777) as RawMode)
}

/// Whether an entry is given attributes, which takes the permission to write.
pub(super) fn has_xattrs(entry: &Entry) -> bool {
    xattrs(entry).next().is_some()
}

/// The attributes that are to be set: those of the layer, and the owner if it is another than root.
fn xattrs(entry: &Entry) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, [u8]>)> {
    let given = entry.xattrs.iter().filter(|(name, _)| *name != OWNER && !FOREIGN.contains(&name.as_str()));
    let given = given.map(|(name, value)| (name.as_str().into(), value.as_slice().into()));
    given.chain(owner(entry.uid, entry.gid).map(|record| (OWNER.into(), record.into())))
}

/// The record of an owner, a protobuf message of two numbers; `None` for root, whose files are the caller's.
fn owner(uid: u32, gid: u32) -> Option<Vec<u8>> {
    let id = |id| if id == 0 { OWN } else { id };
    let (uid, gid) = (id(uid), id(gid));
    if (uid, gid) == (OWN, OWN) {
        return None;
    }
    let mut record = Vec::new();
    for (field, mut value) in [(1, uid), (2, gid)] {
        record.push(field << 3);
        while value >= 0x80 {
            record.push(value as u8 | 0x80);
            value >>= 7;
        }
        record.push(value as u8);
    }
    Some(record)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use refs_estargz::Kind;

    use super::*;

    #[track_caller]
    fn check(uid: u32, gid: u32, expected: Option<&[u8]>) {
        assert_eq!(owner(uid, gid).as_deref(), expected, "{uid}:{gid}");
    }

    #[test]
    fn owners_are_written_down_as_protobuf() {
        const NONE: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 0x0f];
        check(0, 0, None);
        check(u32::MAX, 0, None);
        check(1, 2, Some(&[8, 1, 16, 2]));
        check(1000, 127, Some(&[8, 0xe8, 0x07, 16, 127]));
        check(1000, 0, Some(&[&[8, 0xe8, 0x07, 16][..], &NONE].concat()));
        check(0, 128, Some(&[&[8][..], &NONE, &[16, 0x80, 0x01]].concat()));
    }

    #[test]
    fn attributes_of_another_machine_are_dropped() {
        let names = ["security.selinux", "security.capability", "system.nfs4_acl", OWNER, "user.a"];
        let xattrs = names.map(|name| (name.to_owned(), vec![1]));
        let entry = Entry {
            path: "a".to_owned(),
            kind: Kind::Directory,
            mode: 0o755,
            mtime: 0,
            uid: 0,
            gid: 0,
            xattrs: BTreeMap::from(xattrs),
            digest: None,
        };
        let set: Vec<String> = super::xattrs(&entry).map(|(name, _)| name.into_owned()).collect();
        assert_eq!(set, ["security.capability", "user.a"]);
    }
}
