//! Which paths and link targets a layer may use.

use crate::{
    Error, Limits, LinkFault, PathFault, Result,
    error::PathFault::{Deep, Empty, Long, LongComponent, NotNormal, Nul, Parent, Reserved},
};

/// The name of the tar entry that holds the table of contents.
pub(crate) const TOC_NAME: &str = "stargz.index.json";
/// The file that says: nothing in this layer is worth fetching ahead.
pub(crate) const NO_PREFETCH_LANDMARK: &str = ".no.prefetch.landmark";
/// The file up to which a lazy reader fetches ahead.
pub(crate) const PREFETCH_LANDMARK: &str = ".prefetch.landmark";
/// The one byte that a landmark holds.
pub(crate) const LANDMARK_CONTENT: [u8; 1] = [0x0f];

/// Names with which layers mark deletions start so.
const WHITEOUT_PREFIX: &str = ".wh.";

/// Whether a path, in its normal form, is part of the eStargz format and no file of the user's: the table of contents or
/// a landmark. Whoever walks the tar archive of a layer passes over these.
pub fn is_format_file(path: &str) -> bool {
    matches!(path, TOC_NAME | NO_PREFETCH_LANDMARK | PREFETCH_LANDMARK)
}

/// The path of an [`Entry`](crate::Entry) that a tar archive gives this name: no leading `/`, no `.`, no trailing `/`;
/// empty for the root.
///
/// # Errors
///
/// [`Error::Path`] for a name with a `..` or a NUL, or beyond the limits.
pub fn normal_path(name: &str, limits: &Limits) -> Result<String> {
    normal_form(name, limits).map_err(|fault| Error::Path { path: shortened(name), fault })
}

/// Checks a path that is to be written.
pub(crate) fn check_new(path: &str, limits: &Limits) -> Result<()> {
    let checked = normal_form(path, limits).and_then(|normal| match normal.as_str() {
        "" => Err(Empty),
        _ if normal != path => Err(NotNormal),
        _ if is_format_file(path) || path.split('/').any(|part| part.starts_with(WHITEOUT_PREFIX)) => Err(Reserved),
        _ => Ok(()),
    });
    checked.map_err(|fault| Error::Path { path: shortened(path), fault })
}

/// Checks the target of a link, as text.
pub(crate) fn check_target(path: &str, target: &str, limits: &Limits) -> Result<()> {
    let fault = match target {
        "" => LinkFault::Empty,
        _ if target.len() > limits.link => LinkFault::Long,
        _ if target.contains('\0') => LinkFault::Nul,
        _ => return Ok(()),
    };
    Err(Error::Link { path: path.to_owned(), target: shortened(target), fault })
}

fn normal_form(name: &str, limits: &Limits) -> Result<String, PathFault> {
    if name.len() > limits.path {
        return Err(Long);
    }
    let mut normal = String::with_capacity(name.len());
    let mut depth = 0;
    for component in name.split('/') {
        match component {
            "" | "." => continue,
            ".." => return Err(Parent),
            _ if component.contains('\0') => return Err(Nul),
            _ if component.len() > limits.component => return Err(LongComponent),
            _ if depth == limits.depth => return Err(Deep),
            _ => depth += 1,
        }
        if !normal.is_empty() {
            normal.push('/');
        }
        normal.push_str(component);
    }
    Ok(normal)
}

/// The start of a text that may be of any length, for an error.
fn shortened(text: &str) -> String {
    text.chars().take(256).collect()
}
