//! A word on the command line of bash: as it was typed, with its quotes, and what it means.

use super::plain::is_plain_character;

/// A word as it was typed, up to the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Typed {
    /// Without quotes. What bash would put in the place of `~` and variables is not known here.
    pub(super) meant: String,
    /// As it was typed, but for a `\` at its end, behind which nothing was typed yet.
    text: String,
    open: Open,
    /// Where the quote that is open begins to hold: so much of `text`, and of `meant`, is before.
    outside: (usize, usize),
}

/// The quotes that are open at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Single,
    Double,
}

impl Typed {
    /// Takes the quotes off a word, as [bash does](https://www.gnu.org/software/bash/manual/html_node/Quoting.html).
    pub(super) fn read(text: &str) -> Self {
        let (mut meant, mut open) = (String::new(), Open::Nothing);
        let mut rest = text.chars();
        let (mut typed, mut outside) = (text, (0, 0));
        while let Some(c) = rest.next() {
            match (open, c) {
                (Open::Nothing, '\'' | '"') => {
                    open = if c == '"' { Open::Double } else { Open::Single };
                    outside = (text.len() - rest.as_str().len(), meant.len());
                }
                (Open::Single, '\'') | (Open::Double, '"') => open = Open::Nothing,
                (Open::Nothing | Open::Double, '\\') => match rest.next() {
                    Some(next) => {
                        if open == Open::Double && !"$`\"\\".contains(next) {
                            meant.push('\\');
                        }
                        meant.push(next);
                    }
                    None => typed = &text[..text.len() - 1],
                },
                (_, c) => meant.push(c),
            }
        }
        Self { meant, text: typed.to_owned(), open, outside }
    }

    /// `word` on the command line in the place of this, which is left as it was typed where it begins so. Bash never touches
    /// what is before a quote that is open: a word that does not begin with that can't be had.
    pub(super) fn completed(&self, word: &str) -> Option<String> {
        if let Some(rest) = word.strip_prefix(&self.meant) {
            return Some(format!("{}{}", self.text, quoted(rest, self.open)));
        }
        let (text, meant) = match self.open {
            Open::Nothing => (0, 0),
            Open::Single | Open::Double => self.outside,
        };
        let rest = word.strip_prefix(&self.meant[..meant])?;
        Some(format!("{}{}", &self.text[..text], quoted(rest, self.open)))
    }
}

/// What is read as `text` behind quotes that are open.
fn quoted(text: &str, open: Open) -> String {
    let mut quoted = String::new();
    for c in text.chars() {
        match open {
            Open::Single if c == '\'' => quoted.push_str(r"'\''"),
            Open::Double if "$`\"\\".contains(c) => quoted.extend(['\\', c]),
            // History is expanded within double quotes, and a `\` before it stays.
            Open::Double if c == '!' => quoted.push_str(r#""\!""#),
            Open::Nothing if !is_plain_character(c) => quoted.extend(['\\', c]),
            _ => quoted.push(c),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, word: &str, expected: &str) {
        let expected = Some(expected).filter(|expected| !expected.is_empty());
        assert_eq!(Typed::read(text).completed(word).as_deref(), expected, "{text}");
    }

    #[test]
    fn what_was_typed_stays_and_the_rest_is_quoted_as_that_goes_on() {
        check("", "a", "a");
        check("", "a b", r"a\ b");
        check(r"lay\ d", "lay dir/", r"lay\ dir/");
        check("lay\\", "lay dir/", r"lay\ dir/");
        check("\"lay\\", "lay dir/", "\"lay dir/");
        check("\"lay d", "lay dir's/", "\"lay dir's/");
        check("'lay d", "lay dir's/", r"'lay dir'\''s/");
        check("\"lay dir/\"", "lay dir/o (1)", r#""lay dir/"o\ \(1\)"#);
        check("la\"y d", "lay d$(x)`!\"", "la\"y d\\$(x)\\`\"\\!\"\\\"");
        check("'lay d", "lay d$(x)`!\"", "'lay d$(x)`!\"");
        check("lay", "lay$(x)`!\"\\;*~", "lay\\$\\(x\\)\\`\\!\\\"\\\\\\;\\*\\~");
        check("größe", "größe/データ", "größe/データ");
        check("other", "a b", r"a\ b");
    }

    #[test]
    fn a_word_that_does_not_go_on_as_it_was_typed_is_quoted_as_the_quote_that_is_open() {
        check("'{", "[{]a b", "'[{]a b");
        check("\"{", "[{]a$", "\"[{]a\\$");
        check("--path=\"{", "--path=[{]a b", "--path=\"[{]a b");
        check("'a b'\"{", "a b[{]", "'a b'\"[{]");
        check("'a b'{", "a b[{]", r"a\ b\[\{\]");
        check("a'{", "b[{]", "");
    }

    #[test]
    fn quotes_mean_what_they_mean_in_bash() {
        for (text, meant) in [
            (r"a\ b", "a b"),
            (r#""a \b\$\"\\ c""#, r#"a \b$"\ c"#),
            (r"'a \b'", r"a \b"),
            (r#"a'"'b"'"c"#, "a\"b'c"),
            ("a:\"b", "a:b"),
        ] {
            assert_eq!(Typed::read(text).meant, meant, "{text}");
        }
    }
}
