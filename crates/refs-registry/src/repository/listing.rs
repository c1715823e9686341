//! Lists that come in pages
//! ([listing tags](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-tags)).

use std::{
    collections::{HashSet, VecDeque},
    future::{Ready, ready},
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
    error::{Fault, Place, Wanted},
    quirks::Page,
    spec::has_room,
    transport::{Answer, Call, Remote, after, shown, sized},
};

/// A page of a list is at most this long.
pub(super) const PAGE_BYTES: u64 = 8 * 1024 * 1024;

/// No list has more pages or entries, and none has so many pages without anything in a row.
const MAX_PAGES: u32 = 10_000;
const MAX_EMPTY_PAGES: u32 = 100;
const MAX_ENTRIES: usize = 1_000_000;

/// What one page of a list has.
pub(super) struct Found<T> {
    pub(super) entries: Vec<T>,
    /// The name of the last entry, which the next page comes after.
    pub(super) last: Option<String>,
}

impl Repository {
    pub(super) fn list_tags(&self, after: Option<&Tag>) -> BoxStream<'_, Result<Tag>> {
        #[derive(Deserialize)]
        struct Listed {
            tags: Option<Vec<String>>,
        }
        let url = self.remote.endpoints.tags(&self.name, after, self.remote.quirks().page);
        let call = self.reading(Call::get(url, Wanted::Tags));
        pages(self.remote.clone(), call, |answer, body| {
            let page: Listed = json(answer, body, "a list of tags")?;
            Ok(names(page.tags, Tag::parse))
        })
        .map_err(|error| match error {
            Error::NotFound { .. } => Error::NotFound {
                wanted: Wanted::Repository(self.name.clone()),
                at: Place::registry(self.host().as_str()),
                code: None,
            },
            other => other,
        })
        .try_filter(is_new())
        .boxed()
    }
}

/// Says of each tag whether it is another one than the last: pages may overlap by one.
fn is_new() -> impl FnMut(&Tag) -> Ready<bool> {
    let mut last = None;
    move |tag| ready(last.replace(tag.clone()).as_ref() != Some(tag))
}

/// The repositories of a registry.
pub(crate) fn catalog(remote: Arc<Remote>) -> BoxStream<'static, Result<RepoName>> {
    #[derive(Deserialize)]
    struct Listed {
        repositories: Option<Vec<String>>,
    }
    let mut call = Call::get(remote.endpoints.catalog(remote.quirks().page), Wanted::Repositories);
    call.scopes = Scopes::catalog();
    pages(remote, call, |answer, body| {
        let page: Listed = json(answer, body, "a list of repositories")?;
        Ok(names(page.repositories, RepoName::parse))
    })
}

/// Reads the JSON of a page, if it has room.
pub(super) fn json<'a, T: Deserialize<'a>>(answer: &Answer, body: &'a [u8], what: &'static str) -> Result<T> {
    if !has_room(body) {
        return Err(answer.protocol(Fault::EndlessListing));
    }
    serde_json::from_slice(body).ok().ok_or_else(|| answer.protocol(Fault::BadBody(what)))
}

/// The names that are ones. Distribution gives `null` after the last page; some registries list what no client can ask
/// for.
fn names<T>(listed: Option<Vec<String>>, parse: impl Fn(&str) -> Result<T, refs_url::ParseError>) -> Found<T> {
    let listed = listed.unwrap_or_default();
    let parsed = listed.iter().filter_map(|name| {
        parse(name).inspect_err(|_| tracing::warn!(name = %name.escape_debug(), "a listed name is left out")).ok()
    });
    Found { entries: parsed.collect(), last: listed.last().cloned() }
}

/// The entries of all pages, the first of which `call` asks for; `read` gives the entries of one.
pub(super) fn pages<T: Send + 'static>(
    remote: Arc<Remote>,
    call: Call,
    read: impl Fn(&Answer, &Bytes) -> Result<Found<T>> + Send + Sync + Clone + 'static,
) -> BoxStream<'static, Result<T>> {
    let home = home(&call);
    let pager = Pager {
        remote,
        home,
        next: Some(call),
        ready: VecDeque::new(),
        seen: HashSet::new(),
        hashes: RandomState::new(),
        pages: 0,
        empty: 0,
        entries: 0,
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
                let found = read(&answer, &body)?;
                pager.ready = found.entries.into();
                pager.turn(&answer, call, found.last.as_deref())?;
            }
        }
    })
    .boxed()
}

struct Pager<T> {
    remote: Arc<Remote>,
    /// What the path of each page begins with.
    home: String,
    next: Option<Call>,
    ready: VecDeque<T>,
    /// The paths and queries of all pages so far, hashed: a registry can make each as long as a header may be.
    seen: HashSet<u64>,
    hashes: RandomState,
    pages: u32,
    empty: u32,
    entries: usize,
}

impl<T> Pager<T> {
    /// Makes `next` the page that `answer`, whose last entry is `last`, links to.
    fn turn(&mut self, answer: &Answer, call: Call, last: Option<&str>) -> Result<()> {
        let endless = || answer.protocol(Fault::EndlessListing);
        self.pages += 1;
        self.empty = if self.ready.is_empty() { self.empty + 1 } else { 0 };
        self.entries = self.entries.saturating_add(self.ready.len());
        self.seen.insert(self.hash(&call.url));
        let Some(target) = link::next(&answer.headers) else { return Ok(()) };
        let url = self.next_url(answer, &call.url, &target, last)?;
        if self.pages >= MAX_PAGES || self.empty >= MAX_EMPTY_PAGES || self.entries >= MAX_ENTRIES {
            return Err(endless());
        }
        if self.seen.contains(&self.hash(&url)) {
            return Err(endless());
        }
        self.next = Some(Call { url, ..call });
        Ok(())
    }

    fn hash(&self, url: &Url) -> u64 {
        self.hashes.hash_one((url.path(), url.query()))
    }

    /// The next page: of the same list, on the same registry.
    fn next_url(&self, answer: &Answer, here: &Url, target: &str, last: Option<&str>) -> Result<Url> {
        let linked = here.join(target).ok().ok_or_else(|| answer.bad_header("link", target))?;
        // A proxy in front may be known to the registry by plain HTTP only; a host that differs is another one.
        if linked.host() != here.host() || !matches!(linked.scheme(), "http" | "https") {
            let (to, reason) = (shown(&linked), "a list stays on its registry");
            return Err(answer.protocol(Fault::UnsafeRedirect { to, reason }));
        }
        let mut url = here.clone();
        if linked.path().starts_with(&self.home) {
            url.set_path(linked.path());
            url.set_query(linked.query());
            return Ok(url);
        }
        // Artifactory leaves a part of the path out, so that only what the list goes on after is followed
        // (https://github.com/renovatebot/renovate/issues/15080).
        let named = linked.query_pairs().find(|(key, _)| key == "last").map(|(_, last)| last.into_owned());
        match named.as_deref().or(last) {
            Some(last) => Ok(after(url, last)),
            None => {
                url.set_query(linked.query());
                Ok(url)
            }
        }
    }
}

/// Where all pages of the list that `call` asks for are: below the repository, or at the one path.
fn home(call: &Call) -> String {
    match &call.repository {
        Some(repository) => format!("/v2/{repository}/"),
        None => call.url.path().to_owned(),
    }
}

/// One page, of fewer entries where the registry refuses as many: ECR and Quay have bounds of their own.
async fn fetch(remote: &Remote, call: &Call) -> Result<(Answer, Bytes)> {
    let asks = |url: &Url| url.query_pairs().any(|(key, _)| key == "n");
    let mut refused = match remote.document(call, PAGE_BYTES).await {
        Err(error @ Error::Refused { status: 400 | 413, .. }) if asks(&call.url) => error,
        page => return page,
    };
    for page in [Page::Of(100), Page::Unasked] {
        let modest = Call { url: sized(call.url.clone(), page), ..call.clone() };
        match remote.document(&modest, PAGE_BYTES).await {
            Err(error @ Error::Refused { status: 400 | 413, .. }) => refused = error,
            read => {
                if read.is_ok() {
                    remote.learn(|quirks| quirks.page = page);
                }
                return read;
            }
        }
    }
    Err(refused)
}
