//! What a shell is told of candidates: each in a line, and behind a tab what it is.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
};

use clap::Command;
use clap_complete::engine::complete;

/// Writes what the last of `words` may become. What has a line end in it, or another character that a terminal would obey, is
/// left out; all else is for the shell to quote.
///
/// # Errors
/// Those of `output`.
pub(super) fn write(
    command: &mut Command,
    words: Vec<OsString>,
    folder: Option<&Path>,
    output: &mut dyn Write,
) -> io::Result<()> {
    write_those(command, words, folder, output, |_word| true)
}

/// The same, but only what `is_wanted`.
///
/// # Errors
/// Those of `output`.
pub(super) fn write_those(
    command: &mut Command,
    words: Vec<OsString>,
    folder: Option<&Path>,
    output: &mut dyn Write,
    is_wanted: impl Fn(&str) -> bool,
) -> io::Result<()> {
    let last = words.len().saturating_sub(1);
    for candidate in complete(command, words, last, folder)? {
        let word = candidate.get_value().to_str().filter(|word| !word.contains(char::is_control));
        let Some(word) = word.filter(|word| is_wanted(word)) else { continue };
        write!(output, "{word}")?;
        if let Some(help) = candidate.get_help() {
            write!(output, "\t{}", help.to_string().lines().next().unwrap_or_default())?;
        }
        writeln!(output)?;
    }
    Ok(())
}
