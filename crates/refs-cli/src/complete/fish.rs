//! Completion in fish.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
};

use clap::Command;

use super::{adapter::Adapter, described};

/// The adapter for fish. That of clap_complete gives the last word with its quotes, all of it wherever the cursor is.
pub(super) const FISH: Adapter = Adapter { shell: "fish", script: SCRIPT, write };

/// Takes the quotes off the last word, which may lack one; fish does so with the others, and quotes candidates itself.
const SCRIPT: &str = r#"function __refs_complete
    set --local token (commandline --current-token --cut-at-cursor)
    set --local word (string unescape -- $token; or string unescape -- $token\"; or string unescape -- $token\')
    VARIABLE=fish COMPLETER -- (commandline --current-process --tokenize --cut-at-cursor) "$word" 2>/dev/null
end
complete --keep-order --exclusive --command BIN --arguments "(__refs_complete)"
"#;

/// Fish puts what it takes to be missing behind what was typed, also where the word does not begin with that: what `what?` has
/// to be as a pattern would come out as another.
fn write(command: &mut Command, words: Vec<OsString>, folder: Option<&Path>, output: &mut dyn Write) -> io::Result<()> {
    let typed = words.last().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    described::write_those(command, words, folder, output, |word| word.starts_with(&typed))
}
