//! Lists of tags and of repositories, page by page.

use futures_util::{Stream, StreamExt, TryStreamExt};
use http::{StatusCode, header::LINK};
use refs_registry::{Resolver, Result};
use refs_url::{Host, RepoName, Tag};

use crate::{
    Code, Page, Refusal,
    access::Reach,
    answer::{Outcome, Reply},
    reading::{Behind, Reading},
};

/// The tags of a repository ([listing tags][spec]).
///
/// [spec]: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-tags
pub(crate) async fn tags(source: Reading<'_>, name: &RepoName, page: &Page, most: usize) -> Outcome {
    let after = page.last.as_deref().map(Tag::parse).transpose();
    let after = after.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, Code::TagInvalid, error.to_string()))?;
    let found = take(source.tags(after), page, most, source.behind()).await?;
    let json = serde_json::json!({ "name": name.as_str(), "tags": found.entries });
    Ok(found.linked(&format!("/v2/{name}/tags/list")).with_json(&json))
}

/// The repositories of the host that may be seen, of which the resolver has to give the names in order of their bytes.
pub(crate) async fn catalog(resolver: &dyn Resolver, host: &Host, reach: &Reach, page: &Page, most: usize) -> Outcome {
    let last = page.last.clone().unwrap_or_default();
    let names = resolver.repositories(host).try_filter(|name| {
        let is_shown = name.as_str() > last.as_str() && reach.can_see(name);
        async move { is_shown }
    });
    let found = take(names, page, most, Behind::Store).await?;
    let json = serde_json::json!({ "repositories": found.entries });
    Ok(found.linked("/v2/_catalog").with_json(&json))
}

struct Found {
    entries: Vec<String>,
    limit: usize,
    rest: Rest,
}

#[derive(PartialEq)]
enum Rest {
    None,
    Some,
}

/// The first page of `stream`. One entry more is awaited, as only that tells whether a page follows.
async fn take<T: AsRef<str>>(
    stream: impl Stream<Item = Result<T>>,
    page: &Page,
    most: usize,
    behind: Behind,
) -> Result<Found, Refusal> {
    let limit = page.n.unwrap_or(most).min(most);
    let mut entries: Vec<String> = stream
        .take(limit.saturating_add(1))
        .map_ok(|entry| entry.as_ref().to_owned())
        .try_collect()
        .await
        .map_err(|error| behind.refused(&error))?;
    let rest = if entries.len() > limit { Rest::Some } else { Rest::None };
    entries.truncate(limit);
    Ok(Found { entries, limit, rest })
}

impl Found {
    fn linked(&self, path: &str) -> Reply {
        let reply = Reply::new(StatusCode::OK);
        match self.entries.last() {
            Some(last) if self.rest == Rest::Some => {
                reply.with(LINK, format_args!("<{path}?n={}&last={last}>; rel=\"next\"", self.limit))
            }
            _ => reply,
        }
    }
}
