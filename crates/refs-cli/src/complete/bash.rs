//! Completion in bash.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
};

use clap::Command;
use clap_complete::engine::complete;

use super::{adapter::Adapter, plain::is_harmless, typed::Typed};

/// The adapter for bash. That of clap_complete takes the words as bash parts them, at each `:`, `@` and `=`, and so completes
/// [no reference](https://github.com/clap-rs/clap/issues/6280).
pub(super) const BASH: Adapter = Adapter { shell: "bash", script: SCRIPT, write };

/// Joins the words again, as they were typed, up to the cursor, and takes off each candidate what bash will leave as it is: all
/// but `$2`. What does not begin with that would be put behind it.
const SCRIPT: &str = r#"_refs() {
    local word words=() glue= last= candidate
    local line=${COMP_LINE:0:COMP_POINT}
    for word in "${COMP_WORDS[@]:0:COMP_CWORD}"; do
        _refs_add
    done
    word=${COMP_WORDS[COMP_CWORD]}
    while [[ $line != *"$word" ]]; do word=${word%?}; done
    _refs_add
    last=${words[${#words[@]}-1]}
    last=${last%"$2"}
    COMPREPLY=()
    while IFS= read -r candidate; do
        if [[ $candidate == "$last"* ]]; then COMPREPLY+=("${candidate#"$last"}"); fi
    done < <(VARIABLE=bash COMPLETER -- "${words[@]}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/:@=] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
_refs_add() {
    if [[ ${#words[@]} -gt 1 && -n $word && ( -n $glue || $word == [:@=]* ) ]]; then
        words[${#words[@]}-1]+=$word
    else
        words+=("$word")
    fi
    glue=
    if [[ $word == *[:@=] ]]; then glue=1; fi
}
complete -o bashdefault -o nosort -F _refs BIN 2>/dev/null || complete -o bashdefault -F _refs BIN
"#;

/// Bash takes each line for a word as it is: what is behind that which was typed is quoted as that goes on.
fn write(command: &mut Command, words: Vec<OsString>, folder: Option<&Path>, output: &mut dyn Write) -> io::Result<()> {
    let typed: Vec<Typed> = words.into_iter().map(|word| Typed::read(&word.to_string_lossy())).collect();
    let Some(last) = typed.last() else { return Ok(()) };
    let words = typed.iter().map(|typed| OsString::from(&typed.meant)).collect();
    for candidate in complete(command, words, typed.len() - 1, folder)? {
        let word = candidate.get_value().to_str().filter(|word| is_harmless(word));
        if let Some(word) = word.and_then(|word| last.completed(word)) {
            writeln!(output, "{word}")?;
        }
    }
    Ok(())
}
