//! The other repositories of this server, where a blob may be that a client would rather not send.

use futures_util::TryStreamExt;
use refs_registry::{ErrorKind, Resolver};
use refs_url::{Digest, Host, RepoName};

use crate::{Refusal, access::Reach};

/// Where to look for a blob, and how far.
pub(crate) struct Neighbours<'a> {
    pub(crate) resolver: &'a dyn Resolver,
    pub(crate) host: &'a Host,
    /// The most repositories to look into.
    pub(crate) most: usize,
    /// Which of them the client may know of.
    pub(crate) reach: &'a Reach,
}

impl Neighbours<'_> {
    /// A repository that has the blob `digest`.
    pub(crate) async fn holder(&self, digest: &Digest) -> Result<Option<RepoName>, Refusal> {
        let mut names = self.resolver.repositories(self.host);
        let mut seen = 0;
        while seen < self.most {
            let next = match names.try_next().await {
                // Without a list there is nowhere to look, and the client sends the blob.
                Err(error) if error.kind() == ErrorKind::Unsupported => None,
                next => next.map_err(|error| Refusal::of_read(&error))?,
            };
            let Some(name) = next else { break };
            if !self.reach.can_pull(&name) {
                continue;
            }
            seen += 1;
            let source = self.resolver.source(self.host, &name).map_err(|error| Refusal::of_read(&error))?;
            if source.stat_blob(digest).await.map_err(|error| Refusal::of_read(&error))?.is_some() {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}
