//! What the cache knows that a word may become.

use std::{collections::BTreeSet, env, mem::ManuallyDrop, time::Duration};

use refs_client::{FileEntry, Location, ReadOptions, literal_pattern};
use refs_store::{Origin, Store};
use refs_url::Reference;
use tokio::{
    runtime::{Builder, Runtime},
    time::{Instant, timeout_at},
};

use super::{layouts, plain::is_harmless};
use crate::{
    args::Global,
    duration,
    wiring::{self, Session},
};

/// With this in the environment, a time such as `2s`, whoever presses a key waits that long, and no longer.
const TIMEOUT: &str = "REFS_COMPLETE_TIMEOUT";

/// The same where it is not said. A layer that has no table of contents may take longer to walk.
const PATIENCE: Duration = Duration::from_millis(300);

/// What the cache knows, and the artifact whose files are asked for.
pub(super) struct Known {
    session: Session,
    at: Option<Location>,
    until: Instant,
    /// To drop it would be to wait for a disk that does not answer. It ends with the process.
    runtime: ManuallyDrop<Runtime>,
}

impl Known {
    pub(super) fn new(global: Global, at: Option<Location>) -> Option<Self> {
        let cache = wiring::cache(&global)?;
        let runtime = Builder::new_current_thread().enable_time().build().ok()?;
        let session = Session::offline(global, cache);
        Some(Self { session, at, until: Instant::now() + patience(), runtime: ManuallyDrop::new(runtime) })
    }

    /// Repositories, and behind one and its `:` the tags that somebody has asked for; the same behind a scheme. Behind
    /// that of layouts, those on the disk.
    pub(super) fn references(&self, word: &str) -> Vec<String> {
        if word.starts_with(layouts::SCHEME) {
            return self.repositories(word, ":");
        }
        if !word.is_empty() && layouts::SCHEME.starts_with(word) {
            let known = self.repositories(word, ":").into_iter();
            return known.chain([layouts::SCHEME.to_owned()]).collect();
        }
        let scheme = ["oci://", "docker://"].into_iter().find(|scheme| word.starts_with(scheme)).unwrap_or_default();
        let bare = self.bare_references(&word[scheme.len()..]);
        bare.into_iter().map(|reference| format!("{scheme}{reference}")).collect()
    }

    fn bare_references(&self, word: &str) -> Vec<String> {
        // Before the colon of a port there is no slash.
        let Some((repository, begun)) = word.rsplit_once(':').filter(|(repository, _)| repository.contains('/')) else {
            return self.repositories(word, ":");
        };
        let Ok(wanted) = Reference::parse(repository) else { return Vec::new() };
        let is_wanted = |origin: &Origin| origin.host == *wanted.host() && origin.repository == *wanted.repository();
        let tags = self.origins().into_iter().filter(is_wanted).flat_map(|origin| self.tags(&origin));
        let begins = tags.filter(|tag| tag.starts_with(begun));
        sorted(begins.map(|tag| format!("{repository}:{tag}")))
    }

    /// Repositories whose names begin with `word`, each with `suffix` behind it.
    pub(super) fn repositories(&self, word: &str, suffix: &str) -> Vec<String> {
        if let Some(path) = word.strip_prefix(layouts::SCHEME) {
            return self.layouts(path, suffix);
        }
        let names = self.origins().into_iter().map(|origin| format!("{}/{}", origin.host, origin.repository));
        sorted(names.filter(|name| name.starts_with(word)).map(|name| name + suffix))
    }

    /// What `path` may become, behind the scheme of layouts: a path, and behind that of a layout and its `:` what it lists.
    fn layouts(&self, path: &str, suffix: &str) -> Vec<String> {
        let Some((layout, begun)) = layouts::split(path) else { return layouts::directories(path, suffix) };
        let whole = Location::layout(layout);
        let names = self.wait(self.session.client().list_names(&whole)).and_then(Result::ok).unwrap_or_default();
        // Strangers have named what is listed, but not the path.
        let names = sorted(names.iter().filter_map(|name| layouts::next(name, begun, suffix)));
        names.into_iter().map(|name| format!("{whole}:{name}")).collect()
    }

    /// The hosts of repositories.
    pub(super) fn hosts(&self, word: &str) -> Vec<String> {
        let hosts = self.origins().into_iter().map(|origin| origin.host.to_string());
        sorted(hosts.filter(|host| host.starts_with(word)))
    }

    /// Files of the artifact, and for all below a directory the directory.
    pub(super) fn paths(&self, word: &str) -> Vec<String> {
        self.files(word, str::to_owned)
    }

    /// The same as patterns, each of which means what is called so and nothing else.
    pub(super) fn patterns(&self, word: &str) -> Vec<String> {
        self.files(word, literal_pattern)
    }

    /// Files of the artifact, `written` as they are offered. Whoever begins to type one need not know how it is written.
    fn files(&self, word: &str, written: impl Fn(&str) -> String) -> Vec<String> {
        let Some(at) = self.at.as_ref().filter(|at| self.may_have(at)) else { return Vec::new() };
        let options = ReadOptions::default();
        let listing = self.wait(self.session.client().list_files(at, &options)).and_then(Result::ok);
        let entries = listing.iter().flat_map(|listing| listing.entries());
        sorted(entries.filter(|entry| !entry.is_directory()).filter_map(|FileEntry { path, .. }| {
            let pattern = written(&path);
            let is_all = path == word && pattern != word;
            let begun = next(&pattern, word).map(str::to_owned).or_else(|| next(&path, word).map(&written));
            begun.or_else(|| is_all.then_some(pattern))
        }))
    }

    /// Whether it may be on this machine. A cache that has nothing is not opened, which would make its folder.
    fn may_have(&self, at: &Location) -> bool {
        !matches!(at, Location::Registry(_)) || !self.origins().is_empty()
    }

    fn origins(&self) -> Vec<Origin> {
        let origins = self.session.cache().map(|cache| self.wait(cache.origins()));
        origins.flatten().and_then(Result::ok).unwrap_or_default()
    }

    fn tags(&self, origin: &Origin) -> Vec<String> {
        let tags = self.session.cache().map(|cache| self.wait(cache.recorded_tags(origin)));
        let tags = tags.flatten().and_then(Result::ok).unwrap_or_default();
        tags.iter().map(ToString::to_string).collect()
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.runtime.block_on(async { timeout_at(self.until, work).await }).ok()
    }
}

fn patience() -> Duration {
    env::var(TIMEOUT).ok().and_then(|text| duration::parse(&text).ok()).unwrap_or(PATIENCE)
}

/// What `path` is one step behind `word`: all of it, or a directory.
fn next<'a>(path: &'a str, word: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(word).filter(|rest| !rest.is_empty())?;
    let end = rest.find('/').map_or(path.len(), |slash| word.len() + slash + 1);
    Some(&path[..end])
}

/// What may be offered, each once: the adapters quote it, or leave it out. An option is none of it.
fn sorted(words: impl Iterator<Item = String>) -> Vec<String> {
    words.filter(|word| is_harmless(word) && !word.starts_with('-')).collect::<BTreeSet<_>>().into_iter().collect()
}
