//! Lists that are longer than a page.

use std::collections::HashSet;

use futures_util::TryStreamExt;
use refs_registry::{ErrorKind, Result, Sink};
use refs_url::{RepoName, Tag};

use super::{
    Listed, Suite, Support,
    check::{tag, tags},
    report::{Outcome, fails, holds, same},
};
use crate::Image;

/// Many tags, all listed once, and those after the one in the middle.
pub(super) async fn tags_are_listed_by_pages(suite: &Suite<'_>, sink: &dyn Sink) -> Outcome {
    let image = Image::new().push(sink, &[]).await?;
    let expect: Vec<Tag> = (0..suite.tags).map(|number| tag(&format!("v{number:06}"))).collect();
    sink.put_manifest(&image, &expect).await?;
    let mut listed = tags(sink, None).await?;
    let after = tags(sink, expect.get(suite.tags / 2).cloned()).await?;
    if suite.capabilities.tags_after == Listed::Whole {
        listed.sort();
        same("the number of tags after one of many", &after.len(), &suite.tags)?;
    } else {
        same("the tags after one of many", &after, &expect[suite.tags / 2 + 1..].to_vec())?;
    }
    holds(listed == expect, || format!("many tags: {} of {} or in another order", listed.len(), suite.tags))
}

/// Every repository that was written to, once.
pub(super) async fn repositories_are_listed(suite: &Suite<'_>, written: &[RepoName]) -> Outcome {
    let host = suite.place.host;
    let listed: Result<Vec<RepoName>> = suite.place.resolver.repositories(host).try_collect().await;
    if suite.capabilities.catalog == Support::Unsupported {
        return fails("a list of repositories", listed, REFUSED);
    }
    let listed = listed?;
    let once: HashSet<&RepoName> = listed.iter().collect();
    same("the number of repositories, and of those listed", &listed.len(), &once.len())?;
    let missing: Vec<&RepoName> = written.iter().filter(|name| !once.contains(name)).collect();
    holds(missing.is_empty(), || format!("repositories that are not listed: {missing:?}"))
}

const REFUSED: &[ErrorKind] = &[ErrorKind::Unsupported, ErrorKind::NotFound, ErrorKind::Denied];
