//! Paths drawn as a tree.

use std::io;

use refs_client::{FileEntry, Kind};

use crate::output::{Output, escape};

/// Prints `entries`, sorted as a walk meets them, as a tree. Directories that none of them names, but that some of them
/// are in, are drawn too.
pub(super) fn print(output: &mut Output, entries: &[FileEntry]) -> io::Result<()> {
    print_below(output, entries, "", &mut String::new())
}

/// Prints what is below `directory`, a path that is empty or ends in a slash. Every line begins with `indent`.
fn print_below(output: &mut Output, entries: &[FileEntry], directory: &str, indent: &mut String) -> io::Result<()> {
    let mut rest = entries;
    while let Some(first) = rest.first() {
        let name = first.path[directory.len()..].split('/').next().unwrap_or_default();
        let path = format!("{directory}{name}");
        let end = rest.partition_point(|entry| is_at_or_below(&entry.path, &path));
        let (branch, after) = rest.split_at(end.max(1));
        let (tee, bar) = if after.is_empty() { ("└── ", "    ") } else { ("├── ", "│   ") };
        let (own, below) = match branch.split_first() {
            Some((own, below)) if own.path == path => (Some(own), below),
            _ => (None, branch),
        };
        output.line(&format_args!("{indent}{tee}{}{}", escape(name), mark(own)))?;
        let length = indent.len();
        indent.push_str(bar);
        print_below(output, below, &format!("{path}/"), indent)?;
        indent.truncate(length);
        rest = after;
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
        Some(Kind::Symlink { target }) => format!(" -> {}", escape(target)),
        Some(Kind::Hardlink { target }) => format!(" => {}", escape(target)),
        Some(_) => String::new(),
    }
}
