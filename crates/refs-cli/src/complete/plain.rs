//! Which words a shell takes as they stand.

/// Whether a shell takes `word` as it stands. Artifacts come from strangers, and so do the names of files that were pulled;
/// shells put what is offered on the line as it is: a file called `$(reboot)` would be run with it.
pub(super) fn is_plain(word: &str) -> bool {
    word.chars().all(is_plain_character) && !word.starts_with('=')
}

/// Whether `word` may be offered where it is quoted: names are written so by people, and nothing in them is run or expanded.
pub(super) fn is_harmless(word: &str) -> bool {
    word.chars().all(|c| is_plain_character(c) || " ()[]'&#*?{}\\".contains(c)) && !word.starts_with('=')
}

pub(super) fn is_plain_character(c: char) -> bool {
    c.is_alphanumeric() || "._-/+@%:,=".contains(c)
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

    #[test]
    fn what_people_write_in_names_is_offered_where_it_is_quoted() {
        for word in ["a b", "Tom's file (1) [a] & #2", "v1", "*", "what?", "{a}", "a\\b"] {
            assert!(is_harmless(word), "{word}");
        }
        for word in ["$(reboot)", "`x`", "a;b", "a|b", "a\nb", "a\u{1b}[2Jb", "~root", "a\"b", "a>b", "!a", "=ls"] {
            assert!(!is_harmless(word), "{word}");
        }
    }
}
