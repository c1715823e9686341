//! Completion in fish.

use super::{adapter::Adapter, described};

/// The adapter for fish. That of clap_complete gives the last word with its quotes, all of it wherever the cursor is.
pub(super) const FISH: Adapter = Adapter { shell: "fish", script: SCRIPT, write: described::write };

/// Takes the quotes off the last word, which may lack one; fish does so with the others, and quotes candidates itself.
const SCRIPT: &str = r#"function __refs_complete
    set --local token (commandline --current-token --cut-at-cursor)
    set --local word (string unescape -- $token; or string unescape -- $token\"; or string unescape -- $token\')
    VARIABLE=fish COMPLETER -- (commandline --current-process --tokenize --cut-at-cursor) "$word" 2>/dev/null
end
complete --keep-order --exclusive --command BIN --arguments "(__refs_complete)"
"#;
