//! Which words a shell takes as they stand.

/// Whether a shell takes `word` as it stands. Artifacts come from strangers, and so do the names of files that were pulled;
/// shells put what is offered on the line as it is: a file called `$(reboot)` would be run with it.
pub(super) fn is_plain(word: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || "._-/+@%:,=".contains(c);
    word.chars().all(is_plain) && !word.starts_with('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, expected: bool) {
        assert_eq!(is_plain(word), expected, "{word}");
    }

    #[test]
    fn nothing_is_offered_that_a_shell_would_read_otherwise() {
        check("ghcr.io/org/name:v1.2-rc_1", true);
        check("dt=2026-01-01/part,0.bin", true);
        check("größe/データ", true);
        for word in
            ["$(reboot)", "`x`", "a b", "a;b", "a|b", "a\nb", "a\u{1b}[2Jb", "~root", "*", "a'b", "a\"b", "a\\b", "a>b"]
        {
            check(word, false);
        }
        check("--config", true);
        check("=ls", false);
    }
}
