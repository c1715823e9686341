//! Blobs that are in another repository of the same registry
//! ([mounting](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#mounting-a-blob-from-another-repository)).

use http::{Method, StatusCode};
use refs_url::{Digest, RepoName};

use super::{Repository, manifests::check_stored, session::Session, upload::Uploading};
use crate::{Error, Mounted, Mounts, Result, auth::Scopes, error::Wanted, transport::Call};

impl Repository {
    pub(super) async fn mount_blob(&self, digest: &Digest, from: &RepoName) -> Result<Mounted> {
        if self.remote.quirks().mounts == Mounts::Never {
            return self.begin_upload(Some(digest)).await.map(Mounted::Upload);
        }
        let url = self.remote.endpoints.mount(&self.name, digest, from);
        // One token for both repositories: Docker Hub wants to see the reading of the source in it.
        let scopes = Scopes::push(&self.name).union(&Scopes::pull(from));
        let call = Call::new(Method::POST, url, Wanted::Blob(digest.clone())).scoped(&self.name, scopes);
        match self.remote.send(&call, &mut self.remote.budget()).await {
            Ok(answer) if answer.status == StatusCode::CREATED => {
                check_stored(&answer, digest)?;
                Ok(Mounted::Mounted)
            }
            Ok(answer) => {
                let session = Session::opened(self, &answer)?;
                Ok(Mounted::Upload(Box::new(Uploading::new(self, session, Some(digest)))))
            }
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
}
