//! Completion in fish.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
};

use clap::Command;
use clap_complete::env::EnvCompleter;

use super::described;

/// The adapter for fish. That of clap_complete gives the last word with its quotes, all of it wherever the cursor is.
pub(super) struct Fish;

/// Takes the quotes off the last word, which may lack one; fish does so with the others, and quotes candidates itself.
const SCRIPT: &str = r#"function __refs_complete
    set --local token (commandline --current-token --cut-at-cursor)
    set --local word (string unescape -- $token; or string unescape -- $token\"; or string unescape -- $token\')
    VARIABLE=fish COMPLETER -- (commandline --current-process --tokenize --cut-at-cursor) "$word" 2>/dev/null
end
complete --keep-order --exclusive --command BIN --arguments "(__refs_complete)"
"#;

impl EnvCompleter for Fish {
    fn name(&self) -> &'static str {
        "fish"
    }

    fn is(&self, name: &str) -> bool {
        name == self.name()
    }

    fn write_registration(
        &self,
        variable: &str,
        _name: &str,
        bin: &str,
        completer: &str,
        output: &mut dyn Write,
    ) -> io::Result<()> {
        let script = SCRIPT.replace("VARIABLE", variable).replace("COMPLETER", completer).replace("BIN", bin);
        output.write_all(script.as_bytes())
    }

    fn write_complete(
        &self,
        command: &mut Command,
        words: Vec<OsString>,
        folder: Option<&Path>,
        output: &mut dyn Write,
    ) -> io::Result<()> {
        described::write(command, words, folder, output)
    }
}
