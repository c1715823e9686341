//! The repositories that a store on disk has notes on, and what notes are called: `origins/WIRE/HOST/REPOSITORY`, and in it
//! folders of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use refs_registry::{Result, Wire};
use refs_url::{Digest, Host, RepoName, Tag};

use super::{
    MEMBERS_FOLDER, ORIGINS_FOLDER, PARTIALS_FOLDER, PARTS_FOLDER, TAGS_FOLDER, home, notes::read_record, parts,
    store::DiskStore,
};
use crate::{
    evict::{self, names},
    file::blocking,
    record::TagRecord,
    store::Origin,
};

impl DiskStore {
    /// The repositories of which anything is known here: tags, content, or what is left of it. Nothing is made by asking.
    ///
    /// # Errors
    /// `Io`.
    pub async fn origins(&self) -> Result<Vec<Origin>> {
        if !self.is_made() {
            return Ok(Vec::new());
        }
        let path = self.path().to_owned();
        blocking(self.path(), move || {
            home::check(&path)?;
            let mut known = Vec::new();
            for (notes, origin) in origins(&path)? {
                if has_notes(&notes)? {
                    known.push(origin);
                }
            }
            Ok(known)
        })
        .await
    }

    /// The folder of the notes on `origin`.
    pub(super) fn path_of(&self, origin: &Origin) -> PathBuf {
        self.path()
            .join(ORIGINS_FOLDER)
            .join(wire_name(origin.wire))
            .join(origin.host.as_str())
            .join(origin.repository.as_str())
    }

    pub(super) fn tag_path(&self, origin: &Origin, tag: &Tag) -> PathBuf {
        self.path_of(origin).join(TAGS_FOLDER).join(tag.as_str())
    }

    pub(super) fn member_path(&self, origin: &Origin, digest: &Digest) -> PathBuf {
        self.path_of(origin).join(MEMBERS_FOLDER).join(digest.algorithm_str()).join(digest.encoded())
    }

    pub(super) fn parts_of(&self, origin: &Origin, digest: &Digest) -> PathBuf {
        parts::folder(&self.path_of(origin), digest)
    }
}

/// The folders of notes in the store at `root`, and the origins that they are on.
pub(super) fn origins(root: &Path) -> Result<Vec<(PathBuf, Origin)>> {
    let folders = evict::origins(root)?;
    let root = root.join(ORIGINS_FOLDER);
    let with_origin = |notes: PathBuf| {
        let origin = parse(notes.strip_prefix(&root).ok()?)?;
        Some((notes, origin))
    };
    Ok(folders.into_iter().filter_map(with_origin).collect())
}

/// Whether there are notes in the folder of an origin: those of them stay when the last one goes. Other origins may be
/// beneath it.
fn has_notes(origin: &Path) -> Result<bool> {
    let folders = [TAGS_FOLDER, MEMBERS_FOLDER, PARTS_FOLDER, PARTIALS_FOLDER];
    folders.iter().try_fold(false, |found, folder| Ok(found || has_files(&origin.join(folder))?))
}

fn has_files(folder: &Path) -> Result<bool> {
    let is_folder = |path: &Path| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    names(folder)?.iter().try_fold(false, |found, path| Ok(found || !is_folder(path) || has_files(path)?))
}

/// A record of a tag, and where it is.
pub(super) struct Recorded {
    pub(super) path: PathBuf,
    pub(super) origin: Origin,
    pub(super) tag: Tag,
    pub(super) record: TagRecord,
}

/// What the store at `root` knows of the tags of all origins. What is no record is passed by.
pub(super) fn records(root: &Path) -> Result<Vec<Recorded>> {
    let mut records = Vec::new();
    for (notes, origin) in origins(root)? {
        for path in names(&notes.join(TAGS_FOLDER))? {
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(tag) = name.and_then(|name| Tag::parse(name).ok()) else { continue };
            if let Ok(Some(record)) = read_record(&path) {
                records.push(Recorded { path, origin: origin.clone(), tag, record });
            }
        }
    }
    Ok(records)
}

/// The origin whose notes are in the folder `inside` that of all.
fn parse(inside: &Path) -> Option<Origin> {
    let mut names = inside.to_str()?.splitn(3, '/');
    let wire = match names.next()? {
        "secured" => Wire::Secured,
        "open" => Wire::Open,
        _ => return None,
    };
    let (host, repository) = (Host::parse(names.next()?).ok()?, RepoName::parse(names.next()?).ok()?);
    Some(Origin { wire, host, repository })
}

pub(crate) const fn wire_name(wire: Wire) -> &'static str {
    match wire {
        Wire::Secured => "secured",
        Wire::Open => "open",
    }
}

/// Whether the file `path` in the store at `root` is called as a part, a beginning or a mark of membership is.
pub(crate) fn is_note(root: &Path, path: &Path) -> bool {
    let inside = path.strip_prefix(root.join(ORIGINS_FOLDER)).ok().and_then(Path::to_str);
    inside.is_some_and(|inside| {
        let Some((origin, note)) = inside.split_once("/_") else { return false };
        parse(Path::new(origin)).is_some() && is_of_origin(&note.split('/').collect::<Vec<_>>())
    })
}

/// `note` begins behind the `_` that no repository's name begins with.
fn is_of_origin(note: &[&str]) -> bool {
    let is_digest = |algorithm: &str, digits: &str| Digest::parse(&format!("{algorithm}:{digits}")).is_ok();
    let folder = |name: &'static str| name.trim_start_matches('_');
    match *note {
        [name, algorithm, digits] if name == folder(MEMBERS_FOLDER) => is_digest(algorithm, digits),
        [name, algorithm, digits, part] if name == folder(PARTS_FOLDER) => {
            is_digest(algorithm, digits) && parts::Kept::parse(part).is_some()
        }
        [name, algorithm, beginning] if name == folder(PARTIALS_FOLDER) => {
            let Some((digits, total)) = beginning.rsplit_once('-') else { return false };
            is_digest(algorithm, digits) && total.parse::<u64>().is_ok()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: bool) {
        let path = path.replace("DIGITS", &"a".repeat(64));
        assert_eq!(is_note(Path::new("/cache"), &Path::new("/cache/origins").join(&path)), expected, "{path}");
    }

    #[test]
    fn only_what_is_called_as_a_note_is_one() {
        check("secured/ghcr.io/o/r/_parts/sha256/DIGITS/0-1-3", true);
        check("open/localhost:5000/r/_partials/sha256/DIGITS-3000000", true);
        check("secured/ghcr.io/o/r/_members/sha256/DIGITS", true);
        check("secured/ghcr.io/o/r/_members/DIGITS", false);
        check("secured/ghcr.io/o/r/_members/sha256/notes.txt", false);
        check("secured/ghcr.io/o/r/_parts/sha256/DIGITS/photo.jpg", false);
        check("secured/ghcr.io/o/r/_parts/sha256/DIGITS/0-1-3/more", false);
        check("secured/ghcr.io/o/r/_partials/sha256/DIGITS-many", false);
        check("secured/ghcr.io/_parts/sha256/DIGITS/0-1-3", false);
        check("theirs/ghcr.io/o/r/_parts/sha256/DIGITS/0-1-3", false);
        check("secured/ghcr.io/O/_parts/sha256/DIGITS/0-1-3", false);
        check("_parts/sha256/DIGITS/0-1-3", false);
    }
}
