//! Conditions that a request sets ([RFC 9110, 13](https://www.rfc-editor.org/rfc/rfc9110#section-13)).

use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE},
};
use refs_registry::{ErrorKind, Sink};
use refs_url::{Digest, Target};

use crate::{Code, Refusal};

/// Whether the condition in header `name` lists the validator of `digest`.
pub(crate) fn is_known(headers: &HeaderMap, name: HeaderName, digest: &Digest) -> bool {
    let (is_weak, takes_any) = (name == IF_NONE_MATCH, name != IF_RANGE);
    let tags = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
    tags.map(str::trim).any(|tag| {
        // A weak validator may not stand for a range or a write (RFC 9110, 13.1), and is never made here, but by proxies of
        // these.
        let tag = if is_weak { tag.strip_prefix("W/").unwrap_or(tag) } else { tag };
        let bare = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
        bare == Some(digest.as_str()) || (takes_any && tag == "*")
    })
}

/// Whether `If-Match` asks for something else than `digest`, which is there.
pub(crate) fn is_other(headers: &HeaderMap, digest: &Digest) -> bool {
    headers.contains_key(IF_MATCH) && !is_known(headers, IF_MATCH, digest)
}

/// Whether a write has conditions.
pub(crate) fn are_set(headers: &HeaderMap) -> bool {
    headers.contains_key(IF_MATCH) || headers.contains_key(IF_NONE_MATCH)
}

/// Looks whether what is at `target` is what the conditions of a write ask for. What other processes write after this look
/// goes unnoticed: no store compares and writes in one step.
///
/// # Errors
/// The refusal to answer with: 412 when it is not.
pub(crate) async fn look_before_write(sink: &dyn Sink, target: &Target, headers: &HeaderMap) -> Result<(), Refusal> {
    let holds = match sink.resolve(target).await {
        Ok(there) => !is_other(headers, &there.digest) && !is_known(headers, IF_NONE_MATCH, &there.digest),
        Err(error) if error.kind() == ErrorKind::NotFound => !headers.contains_key(IF_MATCH),
        Err(error) => return Err(Refusal::of_read(&error)),
    };
    if holds { Ok(()) } else { Err(failed()) }
}

/// The answer to a request whose condition does not hold.
pub(crate) fn failed() -> Refusal {
    let message = "what is there is not what the request's condition asks for";
    Refusal::new(StatusCode::PRECONDITION_FAILED, Code::Unknown, message)
}
