//! Paths drawn as a tree.

use std::{io, ops::Range};

use refs_client::{FileEntry, Kind, Listing};

use crate::output::{Output, escape_path};

/// Prints the entries of `listing` as a tree. Directories that none of them names, but that some of them are in, are drawn
/// too.
pub(super) fn print(output: &mut Output, listing: &Listing) -> io::Result<()> {
    print_below(output, listing, 0..listing.len(), "", &mut String::new())
}

/// Prints what is below `directory`, a path that is empty or ends in a slash: the entries at `indexes`. Every line begins
/// with `indent`.
fn print_below(
    output: &mut Output,
    listing: &Listing,
    mut indexes: Range<usize>,
    directory: &str,
    indent: &mut String,
) -> io::Result<()> {
    while !indexes.is_empty() {
        let mut below = indexes.clone();
        let first = listing.path_at(below.start);
        let name = first[directory.len()..].split('/').next().unwrap_or_default();
        let path = format!("{directory}{name}");
        let is_after = |index: &usize| !is_at_or_below(listing.path_at(*index), &path);
        below.end = (indexes.start + 1..indexes.end).find(is_after).unwrap_or(indexes.end);
        indexes.start = below.end;
        let (tee, bar) = if indexes.is_empty() { ("└── ", "    ") } else { ("├── ", "│   ") };
        let own = if first == path { below.next() } else { None };
        let own = own.map(|index| listing.entry_at(index));
        output.line(&format_args!("{indent}{tee}{}{}", escape_path(name), mark(own.as_ref())))?;
        let length = indent.len();
        indent.push_str(bar);
        print_below(output, listing, below, &format!("{path}/"), indent)?;
        indent.truncate(length);
    }
    Ok(())
}

fn is_at_or_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What is behind a name. One without an entry is that of a directory.
fn mark(entry: Option<&FileEntry>) -> String {
    match entry.map(|entry| &entry.kind) {
        None | Some(Kind::Directory) => "/".to_owned(),
        Some(Kind::Symlink { target }) => format!(" -> {}", escape_path(target)),
        Some(Kind::Hardlink { target }) => format!(" => {}", escape_path(target)),
        Some(_) => String::new(),
    }
}
