//! What completes in a shell: a script for it, and what that is told.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
};

use clap::Command;
use clap_complete::env::EnvCompleter;

/// A shell's own. Those of clap_complete take words as the shells part and quote them, which is not where references end.
pub(super) struct Adapter {
    pub(super) shell: &'static str,
    /// With `BIN`, `COMPLETER` and `VARIABLE` in the places of what completes, what is asked and how that is told so.
    pub(super) script: &'static str,
    pub(super) write: Candidates,
}

/// Writes what the last of the words may become, of a command line in a folder, as the script reads it.
type Candidates = fn(&mut Command, Vec<OsString>, Option<&Path>, &mut dyn Write) -> io::Result<()>;

impl EnvCompleter for Adapter {
    fn name(&self) -> &'static str {
        self.shell
    }

    fn is(&self, name: &str) -> bool {
        name == self.shell
    }

    fn write_registration(
        &self,
        variable: &str,
        _name: &str,
        bin: &str,
        completer: &str,
        output: &mut dyn Write,
    ) -> io::Result<()> {
        let script = self.script.replace("VARIABLE", variable).replace("COMPLETER", completer).replace("BIN", bin);
        output.write_all(script.as_bytes())
    }

    fn write_complete(
        &self,
        command: &mut Command,
        words: Vec<OsString>,
        folder: Option<&Path>,
        output: &mut dyn Write,
    ) -> io::Result<()> {
        (self.write)(command, words, folder, output)
    }
}
