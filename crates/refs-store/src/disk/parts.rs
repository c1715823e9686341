//! Parts of content that are kept without the rest: files
//! `origins/WIRE/HOST/NAME/_parts/ALGORITHM/DIGITS/START-END-TOTAL`.

use std::{
    fs::{self, File, OpenOptions},
    ops::Range,
    path::{Path, PathBuf},
};

use refs_registry::{Error, Result, error::Doing};
use refs_url::Digest;

use super::PARTS_FOLDER;
use crate::{
    evict::names,
    file::{is_absent, open_file},
};

/// A part that is kept: which bytes of how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) range: Range<u64>,
    pub(super) total: u64,
}

/// The folder of the parts of `digest` that came from the origin whose notes are in `notes`.
pub(super) fn folder(notes: &Path, digest: &Digest) -> PathBuf {
    notes.join(PARTS_FOLDER).join(digest.algorithm_str()).join(digest.encoded())
}

/// Opens a part in `folder` that has all of `range`; with its path. A file that is shorter than its name says was cut off by
/// a crash, and counts as none.
pub(super) fn find(folder: &Path, range: &Range<u64>) -> Result<Option<(File, PathBuf, Kept)>> {
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(Error::io(Doing::List, folder, error)),
    };
    for entry in listed {
        let path = entry.map_err(|error| Error::io(Doing::List, folder, error))?.path();
        let Some(kept) = path.file_name().and_then(|name| Kept::parse(name.to_str()?)) else { continue };
        if kept.range.start > range.start || kept.range.end < range.end {
            continue;
        }
        if let Some((file, bytes)) = open_file(OpenOptions::new().read(true), &path)?
            && bytes == kept.range.end - kept.range.start
        {
            return Ok(Some((file, path, kept)));
        }
    }
    Ok(None)
}

/// Whether `folder` has as many parts as it may: each takes a block of the disk, however short it is, and who looks for one
/// looks through all.
pub(super) fn is_full(folder: &Path) -> Result<bool> {
    const MOST: usize = 1024;
    Ok(names(folder)?.len() >= MOST)
}

/// Removes the parts in `folder` of content that had another size than `total`; says whether there were any.
pub(super) fn drop_others(folder: &Path, total: u64) -> Result<bool> {
    let mut had_any = false;
    for path in names(folder)? {
        let kept = path.file_name().and_then(|name| Kept::parse(name.to_str()?));
        if kept.is_some_and(|kept| kept.total != total) {
            fs::remove_file(&path).or_else(|error| match error {
                error if is_absent(&error) => Ok(()),
                error => Err(Error::io(Doing::Remove, &path, error)),
            })?;
            had_any = true;
        }
    }
    Ok(had_any)
}

impl Kept {
    pub(super) fn file_name(&self) -> String {
        format!("{}-{}-{}", self.range.start, self.range.end, self.total)
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut numbers = name.split('-').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        let kept = Self { range: next()?..next()?, total: next()? };
        (kept.range.start <= kept.range.end && kept.range.end <= kept.total && kept.file_name() == name).then_some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<(Range<u64>, u64)>) {
        assert_eq!(Kept::parse(name), expected.map(|(range, total)| Kept { range, total }));
    }

    #[test]
    fn only_names_of_parts_are_parts() {
        check("5-10-10", Some((5..10, 10)));
        check("0-0-0", Some((0..0, 0)));
        check("5-10", None);
        check("5-10-10-10", None);
        check("10-5-10", None);
        check("5-11-10", None);
        check("05-10-10", None);
        check("upload-x", None);
        check("18446744073709551616-1-1", None);
    }
}
