//! What is called as the notes on origins are: `origins/WIRE/HOST/REPOSITORY`, and in it the folders of notes.

use std::path::Path;

use refs_url::Digest;

use super::{MEMBERS_FOLDER, ORIGINS_FOLDER, PARTIALS_FOLDER, PARTS_FOLDER, parts, relist};

/// Whether the file `path` in the store at `root` is called as a part, a beginning or a mark of membership is.
pub(crate) fn is_note(root: &Path, path: &Path) -> bool {
    let inside = path.strip_prefix(root.join(ORIGINS_FOLDER)).ok().and_then(Path::to_str);
    inside.is_some_and(|inside| {
        let Some((origin, note)) = inside.split_once("/_") else { return false };
        relist::origin(Path::new(origin)).is_some() && is_of_origin(&note.split('/').collect::<Vec<_>>())
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
