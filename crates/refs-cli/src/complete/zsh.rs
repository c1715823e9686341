//! Completion in zsh.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
};

use clap::Command;
use clap_complete::env::EnvCompleter;

use super::described;

/// The adapter for zsh. That of clap_complete gives the words with their quotes, all of the last one wherever the cursor is, and
/// puts a space behind `ghcr.io/org/name:`.
pub(super) struct Zsh;

/// Takes the quotes off the words, and leaves those of candidates to zsh. It serves when it is sourced, and as `_refs` in a folder
/// of `fpath`.
const SCRIPT: &str = r#"#compdef BIN
_refs() {
    local line value described
    local -a given open closed
    given=("${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}")
    for line in "${(@f)$(VARIABLE=zsh COMPLETER -- "${given[@]}" 2>/dev/null)}"; do
        value=${line%%$'\t'*}
        [[ -n $value ]] || continue
        described=${${value//\\/\\\\}//:/\\:}
        [[ $line == *$'\t'* ]] && described+=:${line#*$'\t'}
        if [[ $value == *[/:@=] ]]; then open+=("$described"); else closed+=("$described"); fi
    done
    (( $#open )) && _describe -V values open -S ''
    (( $#closed )) && _describe -V values closed
}
if [[ $funcstack[1] == _refs ]]; then _refs "$@"; else compdef _refs BIN; fi
"#;

impl EnvCompleter for Zsh {
    fn name(&self) -> &'static str {
        "zsh"
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
