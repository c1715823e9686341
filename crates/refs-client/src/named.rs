//! Layouts whose manifests have whole references for names: `ocidir://PATH:HOST/REPO:TAG`.

use std::path::{Path, PathBuf};

use refs_registry::error::Wanted;
use refs_store::Layout;
use refs_url::Target;

use crate::{Error, Result, thread};

/// Tells a layout from any other folder.
const LAYOUT_FILE: &str = "oci-layout";

/// The layout at `path`, and what `target` is in it. Where there is none, `path` may end in the beginning of a name that ends in the
/// tag.
///
/// # Errors
/// `Registry` when there is no layout, and when it lists nothing by that name.
pub(crate) async fn open(path: &Path, target: Target) -> Result<(Layout, Target)> {
    let place = path.to_owned();
    let (folder, start) = thread::run(move || Ok(split(&place))).await?;
    let layout = Layout::open(folder).await?;
    let (Some(start), Target::Tag(tag)) = (start, &target) else { return Ok((layout, target)) };
    let Some(found) = layout.named(&format!("{start}:{tag}")).await? else {
        let (wanted, at) = (Wanted::Manifest(target), path.to_string_lossy().into());
        return Err(Error::Registry(refs_registry::Error::NotFound { wanted, at }));
    };
    Ok((layout, Target::Digest(found.digest)))
}

/// The folder of the layout that `path` leads to, and the beginning of a name behind it. What is at `path` itself comes first.
pub(crate) fn split(path: &Path) -> (PathBuf, Option<String>) {
    let is_layout = |path: &Path| path.join(LAYOUT_FILE).symlink_metadata().is_ok();
    let text = path.to_str().filter(|_| !is_layout(path)).unwrap_or_default();
    let colons = text.match_indices(':').map(|(at, _)| (Path::new(&text[..at]), &text[at + 1..]));
    match colons.into_iter().find(|(folder, _)| is_layout(folder)) {
        Some((folder, start)) => (folder.to_owned(), Some(start.to_owned())),
        None => (path.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_first_layout_before_a_colon_counts_unless_the_path_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let check = |path: &str, expect: (&str, Option<&str>)| {
            assert_eq!(split(&at(path)), (at(expect.0), expect.1.map(str::to_owned)), "{path}");
        };
        check("a:5000/o/r", ("a:5000/o/r", None));
        for layout in ["a", "a:5000", "b:c/d"] {
            fs::create_dir_all(at(layout)).unwrap();
            fs::write(at(layout).join(LAYOUT_FILE), "").unwrap();
        }
        check("a", ("a", None));
        check("a:5000", ("a:5000", None));
        check("a:host/o/r", ("a", Some("host/o/r")));
        check("a:5000/o/r", ("a", Some("5000/o/r")));
        check("b:c/d:host:5000/o/r", ("b:c/d", Some("host:5000/o/r")));
        check("c:host/o/r", ("c:host/o/r", None));
    }
}
