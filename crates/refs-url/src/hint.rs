//! What to write instead of a text that did not parse.

use crate::{
    error::ParseErrorKind::{self, *},
    name,
    parts::{Mode, Parts, scheme_len},
};

/// Half a sentence for the person who wrote `input`, or none where the error already says it all.
pub(crate) fn hint(input: &str, kind: ParseErrorKind, offset: usize) -> Option<String> {
    match kind {
        MissingRegistry => missing_registry(input),
        UnexpectedScheme => Some(unexpected_scheme(&input[offset.min(input.len())..])),
        InvalidHost => invalid_host(input, offset),
        UppercaseRepository => lower_case_repository(input, offset),
        InvalidTag if input[offset..].starts_with('+') => underscore_tag(input, offset),
        InvalidDigest if input[offset..].starts_with(|c: char| c.is_ascii_uppercase()) => {
            Some("a digest is written in lower case".into())
        }
        LooksLikeImageId => Some("use the image's name; an id is known only to the machine that holds it".into()),
        _ => None,
    }
}

fn missing_registry(input: &str) -> Option<String> {
    let name = &input[scheme_len(input).unwrap_or(0)..];
    let parts = Parts::scan(name, Mode::Familiar).ok()?;
    let hub = parts.to_reference().repository_ref();
    Some(format!("put the registry's host first; on Docker Hub the name is `{hub}`"))
}

fn unexpected_scheme(rest: &str) -> String {
    match rest.split("://").next() {
        Some("oci" | "docker") => "leave the scheme out, or parse with `parse_familiar`".into(),
        Some("http") => "drop `http://` and ask for plain HTTP with the client's own option".into(),
        Some(scheme) => format!("drop `{scheme}://`"),
        None => "drop the scheme".into(),
    }
}

fn invalid_host(input: &str, offset: usize) -> Option<String> {
    match input[offset..].chars().next()? {
        '@' => Some("leave out what stands before the `@`: credentials are not part of a reference".into()),
        '_' => Some("a host name can't contain `_`; give the registry an alias without one".into()),
        _ => None,
    }
}

/// The input with its repository in lower case, when that is all it takes.
fn lower_case_repository(input: &str, offset: usize) -> Option<String> {
    let end = input[offset..].find([':', '@']).map_or(input.len(), |len| offset + len);
    mended(&input[..offset], &input[offset..end].to_ascii_lowercase(), &input[end..])
}

/// The input with `_` for `+`, as Helm writes the tag of a version with build metadata.
fn underscore_tag(input: &str, offset: usize) -> Option<String> {
    let end = input[offset..].find('@').map_or(input.len(), |len| offset + len);
    mended(&input[..offset], &input[offset..end].replace('+', "_"), &input[end..])
}

fn mended(before: &str, part: &str, after: &str) -> Option<String> {
    let text = format!("{before}{part}{after}");
    let parses = name::check_tag(&text).is_ok() || name::check_repository(&text).is_ok();
    (parses || Parts::scan(&text, Mode::Familiar).is_ok()).then(|| format!("did you mean `{text}`?"))
}
