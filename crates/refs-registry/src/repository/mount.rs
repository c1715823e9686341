//! Blobs that are in another repository of the same registry
//! ([mounting](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#mounting-a-blob-from-another-repository)).

use http::{Method, StatusCode};
use refs_url::{Digest, RepoName};

use super::{Repository, manifests::check_stored, session::Session, upload::Uploading};
use crate::{
    Error, Mounted, Mounts, Result,
    auth::Scopes,
    error::Wanted,
    transport::{Answer, Call},
};

impl Repository {
    pub(super) async fn mount_blob(&self, digest: &Digest, from: &RepoName) -> Result<Mounted> {
        if self.remote.quirks().mounts == Mounts::Never {
            return self.begin_upload(Some(digest)).await.map(Mounted::Upload);
        }
        let url = self.remote.endpoints.mount(&self.name, digest, from);
        // One token for both repositories: Docker Hub wants to see the reading of the source in it.
        let scopes = Scopes::push(&self.name).union(&Scopes::pull(from));
        let call = Call::new(Method::POST, url, Wanted::Blob(digest.clone())).scoped(&self.name, scopes);
        match self.try_mount(digest, &call).await {
            Ok(None) => Ok(Mounted::Mounted),
            Ok(Some(session)) => Ok(Mounted::Upload(Box::new(Uploading::new(self, session, Some(digest))))),
            Err(error @ (Error::Unreachable { .. } | Error::Timeout { .. } | Error::RateLimited { .. })) => Err(error),
            Err(error @ Error::Refused { retry_after: Some(_), .. }) => Err(error),
            // Harbor answers 401 or 404 where it should begin an upload.
            Err(error) => {
                tracing::debug!(host = %self.host(), %error, "mounting refused, the blob is uploaded");
                if let Error::Unsupported { .. } = error {
                    self.remote.learn(|quirks| quirks.mounts = Mounts::Never);
                }
                self.begin_upload(Some(digest)).await.map(Mounted::Upload)
            }
        }
    }

    /// The session that the registry begins instead, if it does not mount.
    async fn try_mount(&self, digest: &Digest, call: &Call) -> Result<Option<Session>> {
        let mut budget = self.remote.budget();
        loop {
            let wanted = digest.clone();
            let read = move |repository: &Self, answer: &Answer| match answer.status {
                StatusCode::CREATED => check_stored(answer, &wanted).map(|()| None),
                _ => Session::opened(repository, answer).map(Some),
            };
            match Session::asked(self, call.clone(), read).await {
                Ok(session) => return Ok(session),
                Err(failure) => self.remote.pause(failure, &mut budget).await?,
            }
        }
    }
}
