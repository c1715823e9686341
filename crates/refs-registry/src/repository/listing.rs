//! Lists that come in pages
//! ([listing tags](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-tags)).

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use refs_url::{RepoName, Tag};
use serde::Deserialize;
use url::Url;

use super::{Repository, link};
use crate::{
    Error, Result,
    auth::Scopes,
    error::{Fault, Wanted},
    transport::{Answer, Call, Remote, without},
};

/// A page of a list is at most this long.
pub(super) const PAGE_BYTES: u64 = 8 * 1024 * 1024;

/// No list has more pages, and none has so many pages without anything in a row.
const MAX_PAGES: u32 = 10_000;
const MAX_EMPTY_PAGES: u32 = 100;

impl Repository {
    pub(super) fn list_tags(&self, after: Option<&Tag>) -> BoxStream<'_, Result<Tag>> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let url = self.remote.endpoints.tags(&self.name, after);
        let call = self.reading(Call::get(url, Wanted::Tags));
        pages(self.remote.clone(), call, |answer, body| {
            let page: Page = json(answer, body, "a list of tags")?;
            Ok(names(page.tags, Tag::parse))
        })
        .map_err(|error| match error {
            Error::NotFound { .. } => {
                Error::NotFound { wanted: Wanted::Repository(self.name.clone()), at: self.host().as_str().into() }
            }
            other => other,
        })
        .boxed()
    }
}

/// The repositories of a registry.
pub(crate) fn catalog(remote: Arc<Remote>) -> BoxStream<'static, Result<RepoName>> {
    #[derive(Deserialize)]
    struct Page {
        repositories: Option<Vec<String>>,
    }
    let mut call = Call::get(remote.endpoints.catalog(), Wanted::Repositories);
    call.scopes = Scopes::catalog();
    pages(remote, call, |answer, body| {
        let page: Page = json(answer, body, "a list of repositories")?;
        Ok(names(page.repositories, RepoName::parse))
    })
}

/// Reads the JSON of a page.
pub(super) fn json<'a, T: Deserialize<'a>>(answer: &Answer, body: &'a [u8], what: &'static str) -> Result<T> {
    serde_json::from_slice(body).ok().ok_or_else(|| answer.protocol(Fault::BadBody(what)))
}

/// The names that are ones. Distribution gives `null` after the last page; some registries list what no client can ask
/// for.
fn names<T>(listed: Option<Vec<String>>, parse: impl Fn(&str) -> Result<T, refs_url::ParseError>) -> Vec<T> {
    let listed = listed.unwrap_or_default();
    let parsed = listed.iter().filter_map(|name| {
        parse(name).inspect_err(|_| tracing::warn!(name = %name.escape_debug(), "a listed name is left out")).ok()
    });
    parsed.collect()
}

/// The entries of all pages, the first of which `call` asks for; `read` gives the entries of one.
pub(super) fn pages<T: Send + 'static>(
    remote: Arc<Remote>,
    call: Call,
    read: impl Fn(&Answer, &Bytes) -> Result<Vec<T>> + Send + Sync + Clone + 'static,
) -> BoxStream<'static, Result<T>> {
    let pager = Pager {
        remote,
        next: Some(call),
        ready: VecDeque::new(),
        seen: HashSet::new(),
        hashes: RandomState::new(),
        pages: 0,
        empty: 0,
    };
    futures_util::stream::try_unfold(pager, move |mut pager| {
        let read = read.clone();
        async move {
            loop {
                if let Some(entry) = pager.ready.pop_front() {
                    return Ok(Some((entry, pager)));
                }
                let Some(call) = pager.next.take() else { return Ok(None) };
                let (answer, body) = fetch(&pager.remote, &call).await?;
                pager.ready = read(&answer, &body)?.into();
                pager.turn(&answer, call)?;
            }
        }
    })
    .boxed()
}

struct Pager<T> {
    remote: Arc<Remote>,
    next: Option<Call>,
    ready: VecDeque<T>,
    /// The queries of all pages so far, hashed: a registry can make each as long as a header may be.
    seen: HashSet<u64>,
    hashes: RandomState,
    pages: u32,
    empty: u32,
}

impl<T> Pager<T> {
    /// Makes `next` the page that `answer` links to.
    fn turn(&mut self, answer: &Answer, call: Call) -> Result<()> {
        let endless = || answer.protocol(Fault::EndlessListing);
        self.pages += 1;
        self.empty = if self.ready.is_empty() { self.empty + 1 } else { 0 };
        self.seen.insert(self.hashes.hash_one(call.url.query()));
        let Some(target) = link::next(&answer.headers) else { return Ok(()) };
        let url = next_url(answer, &call.url, &target)?;
        if self.pages >= MAX_PAGES || self.empty >= MAX_EMPTY_PAGES {
            return Err(endless());
        }
        if self.seen.contains(&self.hashes.hash_one(url.query())) {
            return Err(endless());
        }
        self.next = Some(Call { url, ..call });
        Ok(())
    }
}

/// The next page: of the same list, on the same registry.
fn next_url(answer: &Answer, here: &Url, target: &str) -> Result<Url> {
    let linked = here.join(target).ok().ok_or_else(|| answer.bad_header("link", target))?;
    // A proxy in front may be known to the registry by plain HTTP only; a host that differs is another one.
    if linked.host() != here.host() || !matches!(linked.scheme(), "http" | "https") {
        let to = linked.origin().ascii_serialization();
        return Err(answer.protocol(Fault::UnsafeRedirect { to, reason: "a list stays on its registry" }));
    }
    // Artifactory leaves the beginning of the path out, so that only what comes after it is followed.
    let mut url = here.clone();
    url.set_query(linked.query());
    Ok(url)
}

async fn fetch(remote: &Remote, call: &Call) -> Result<(Answer, Bytes)> {
    match remote.document(call, PAGE_BYTES).await {
        // ECR and Quay refuse pages of the size that others allow.
        Err(Error::Refused { status: 400 | 413, .. }) if call.url.query_pairs().any(|(key, _)| key == "n") => {
            let modest = Call { url: without(call.url.clone(), "n"), ..call.clone() };
            remote.document(&modest, PAGE_BYTES).await
        }
        page => page,
    }
}
