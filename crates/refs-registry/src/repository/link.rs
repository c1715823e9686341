//! The way to the next page ([RFC 8288](https://www.rfc-editor.org/rfc/rfc8288#section-3)).

use http::{HeaderMap, header};

/// The target of the link whose relation is `next`, in any of the headers.
pub(crate) fn next(headers: &HeaderMap) -> Option<String> {
    headers.get_all(header::LINK).iter().find_map(|value| next_in(&String::from_utf8_lossy(value.as_bytes())))
}

fn next_in(mut header: &str) -> Option<String> {
    loop {
        let (_, after) = header.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        let (parameters, rest) = split_parameters(after);
        if is_next(parameters) {
            return Some(target.trim().to_owned());
        }
        header = rest;
    }
}

/// Splits at the comma that ends a link, which is one outside of quotes.
fn split_parameters(text: &str) -> (&str, &str) {
    let mut is_quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => return (&text[..at], &text[at + 1..]),
            _ => {}
        }
    }
    (text, "")
}

fn is_next(parameters: &str) -> bool {
    parameters.split(';').filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
        let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
        name.trim().eq_ignore_ascii_case("rel") && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(header: &str, expect: Option<&str>) {
        assert_eq!(next_in(header).as_deref(), expect, "{header}");
    }

    #[test]
    fn m099_links_to_the_next_page_are_found() {
        check(r#"</v2/a/tags/list?last=x&n=1>; rel="next""#, Some("/v2/a/tags/list?last=x&n=1"));
        check("</v2/a/tags/list?last=x>;rel=next", Some("/v2/a/tags/list?last=x"));
        check(r#"<https://r.test/x> ; title="a, <b>; rel=next" ; REL = "prev NEXT""#, Some("https://r.test/x"));
        check(r#"</first>; rel="first", <?last=y>; rel="next""#, Some("?last=y"));
        check(r#"</x>; rel="prev""#, None);
        check("</x>", None);
        check("/x; rel=next", None);
        check("<", None);
        check("", None);
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_not(text in any::<String>()) {
            next_in(&text);
        }

        #[test]
        fn what_is_written_is_read(target in "[a-zA-Z0-9/?&=%.,;:_-]{1,40}") {
            prop_assert_eq!(next_in(&format!("</a>; rel=\"x\", <{target}>; rel=\"next\"")), Some(target));
        }
    }
}
