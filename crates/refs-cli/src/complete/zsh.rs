//! Completion in zsh.

use super::{adapter::Adapter, described};

/// The adapter for zsh. That of clap_complete gives the words with their quotes, all of the last one wherever the cursor is,
/// and puts a space behind `ghcr.io/org/name:`.
pub(super) const ZSH: Adapter = Adapter { shell: "zsh", script: SCRIPT, write: described::write };

/// Takes the quotes off the words, and leaves those of candidates to zsh. It serves when it is sourced, and as `_refs` in a
/// folder of `fpath`.
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
