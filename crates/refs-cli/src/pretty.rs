//! JSON laid out for people, with nothing in it that a terminal would obey.

use serde::de::IgnoredAny;

use crate::output::escape_json;

/// `json` on several lines, its members in their order and its numbers as they are written. What a terminal would obey is
/// spelled out, so that it is still the same JSON. `None` for what is no JSON.
pub(crate) fn pretty(json: &[u8]) -> Option<String> {
    serde_json::from_slice::<IgnoredAny>(json).ok()?;
    let json = str::from_utf8(json).ok()?;
    let mut layout = Layout { text: String::with_capacity(json.len() * 2), depth: 0 };
    let mut rest = json.trim_start();
    while let Some(c) = rest.chars().next() {
        let token = if c == '"' { string(rest) } else { &rest[..c.len_utf8()] };
        rest = &rest[token.len()..];
        // Space within a number or a word there is none, and between them there is always something else.
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        let is_empty = matches!(c, '{' | '[') && rest.starts_with(['}', ']']);
        match c {
            '{' | '[' if is_empty => {
                layout.text.push(c);
                layout.text.push_str(&rest[..1]);
                rest = rest[1..].trim_start_matches([' ', '\t', '\n', '\r']);
            }
            '{' | '[' => layout.open(c),
            '}' | ']' => layout.close(c),
            ',' => layout.next(),
            ':' => layout.text.push_str(": "),
            '"' => layout.text.push_str(&escape_json(token)),
            _ => layout.text.push(c),
        }
    }
    Some(layout.text)
}

/// Text that grows, and where its next line begins.
struct Layout {
    text: String,
    depth: usize,
}

impl Layout {
    fn open(&mut self, c: char) {
        self.text.push(c);
        self.depth += 1;
        self.line();
    }

    fn close(&mut self, c: char) {
        self.depth = self.depth.saturating_sub(1);
        self.line();
        self.text.push(c);
    }

    fn next(&mut self) {
        self.text.push(',');
        self.line();
    }

    fn line(&mut self) {
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n("  ", self.depth));
    }
}

/// The string that `text` begins with, in its quotes.
fn string(text: &str) -> &str {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let is_end = *c == '"' && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        is_end
    });
    end.map_or(text, |(at, _)| &text[..=at])
}

#[cfg(test)]
mod tests {
    use super::pretty;

    #[track_caller]
    fn check(json: &str, expect: &str) {
        let laid_out = pretty(json.as_bytes());
        assert_eq!(laid_out.as_deref(), Some(expect));
        let value = |json: &str| serde_json::from_str::<serde_json::Value>(json).ok();
        assert_eq!(value(expect), value(json), "{expect}");
    }

    #[test]
    fn members_keep_their_order_and_numbers_their_digits() {
        check(
            r#"{"b":1.50,"a":[1,{}, [ ] ,"x"]}"#,
            "{\n  \"b\": 1.50,\n  \"a\": [\n    1,\n    {},\n    [],\n    \"x\"\n  ]\n}",
        );
        check(" [ { } , true , -1e9 ]\n", "[\n  {},\n  true,\n  -1e9\n]");
        check("12", "12");
    }

    #[test]
    fn what_looks_like_json_in_a_string_stays_in_it() {
        check(r#"{"a\\\"b{":"}, [\\"}"#, "{\n  \"a\\\\\\\"b{\": \"}, [\\\\\"\n}");
        check("\"\"", "\"\"");
    }

    #[test]
    fn m173_what_a_terminal_would_obey_is_spelled_out_in_strings() {
        check("[\"a\u{202e}\u{9b}31m\"]", "[\n  \"a\\u202e\\u009b31m\"\n]");
    }

    #[test]
    fn what_is_no_json_is_not_laid_out() {
        for text in ["", "{", "{]", "[1 2]", "<html>", "\"\u{1b}\"", "\u{feff}{}"] {
            assert_eq!(pretty(text.as_bytes()), None, "{text}");
        }
        assert_eq!(pretty(b"\"\xff\""), None);
    }
}
