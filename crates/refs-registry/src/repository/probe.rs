//! What works in a repository, tried out.

use bytes::Bytes;
use futures_util::StreamExt;
use refs_url::{Digest, Target};

use super::Repository;
use crate::{
    Error, Filter, RateLimit, ReferrersAt, Result, Sink, Source,
    error::Wanted,
    probe::{Aspect, Finding, Uploads},
    spec::Document,
};

impl Repository {
    pub(crate) async fn probe(&self, target: Option<&Target>, uploads: Uploads) -> Vec<Finding> {
        let mut findings = Vec::new();
        match self.chosen(target).await {
            Ok(Some(target)) => self.probe_at(&target, &mut findings).await,
            Ok(None) => findings.push(Finding::unknown(Aspect::Manifest, "the repository has no tag")),
            Err(error) => findings.push(Finding::fails(Aspect::Manifest, error)),
        }
        match uploads {
            Uploads::Untouched => {
                findings.push(Finding::unknown(Aspect::Uploads, "nothing is written unless asked for"))
            }
            Uploads::Tried => findings.push(outcome(Aspect::Uploads, self.probe_uploads().await)),
        }
        findings
    }

    /// `target`, or the first tag.
    async fn chosen(&self, target: Option<&Target>) -> Result<Option<Target>> {
        match target {
            Some(target) => Ok(Some(target.clone())),
            None => Ok(self.tags(None).next().await.transpose()?.map(Target::Tag)),
        }
    }

    async fn probe_at(&self, target: &Target, findings: &mut Vec<Finding>) {
        let manifest = match self.read_manifest(target).await {
            Ok(manifest) => manifest,
            Err(error) => return findings.push(Finding::fails(Aspect::Manifest, error)),
        };
        let digest = manifest.descriptor.digest.clone();
        findings.push(Finding::works(Aspect::Manifest, format!("{target} is {digest}")));
        findings.push(rate(self.remote.rate_limit()));
        findings.push(match self.some_blob(&manifest).await {
            Ok(Some(blob)) => outcome(Aspect::Ranges, self.probe_ranges(&blob).await),
            Ok(None) => Finding::unknown(Aspect::Ranges, "the manifest has no blob of two bytes"),
            Err(error) => Finding::fails(Aspect::Ranges, error),
        });
        findings.push(outcome(Aspect::Referrers, self.probe_referrers(&digest).await));
    }

    /// A blob of the image, or of the first image of the index.
    async fn some_blob(&self, manifest: &crate::Manifest) -> Result<Option<Digest>> {
        let mut document = manifest.parse()?;
        if let Document::Index(index) = &document {
            let Some(first) = index.manifests.first() else { return Ok(None) };
            document = self.read_manifest(&Target::Digest(first.digest.clone())).await?.parse()?;
        }
        let Document::Image(image) = document else { return Ok(None) };
        let blobs = image.layers.iter().chain([&image.config]);
        Ok(blobs.into_iter().find(|blob| blob.size > 1).map(|blob| blob.digest.clone()))
    }

    async fn probe_ranges(&self, blob: &Digest) -> Result<String> {
        self.read_part(blob, 0..1).await?;
        Ok("a part of a blob is given as asked for".to_owned())
    }

    async fn probe_referrers(&self, subject: &Digest) -> Result<String> {
        let first = self.list_referrers(subject.clone(), Filter::default()).next().await.transpose()?;
        if self.remote.quirks().referrers == ReferrersAt::Tag {
            let wanted = Wanted::Referrers(subject.clone());
            return Err(Error::unsupported(wanted, self.place()));
        }
        let how_many = if first.is_some() { "some" } else { "none" };
        Ok(format!("the registry keeps the list; there are {how_many}"))
    }

    async fn probe_uploads(&self) -> Result<String> {
        let mut upload = self.upload(None).await?;
        let written = upload.write(Bytes::from_static(b"refs doctor")).await;
        upload.abort().await?;
        written.map(|()| "an upload was begun, written to and cancelled".to_owned())
    }
}

fn outcome(of: Aspect, result: Result<String>) -> Finding {
    match result {
        Ok(how) => Finding::works(of, how),
        Err(error) => Finding::fails(of, error),
    }
}

fn rate(told: Option<RateLimit>) -> Finding {
    let Some(RateLimit { limit, remaining, window, source }) = told else {
        return Finding::unknown(Aspect::Rate, "the registry does not tell");
    };
    let left = remaining.map(|left| format!("{left} of ")).unwrap_or_default();
    let window = window.map(|window| format!(" in {} s", window.as_secs())).unwrap_or_default();
    let source = source.map(|source| format!(", counted for {source}")).unwrap_or_default();
    Finding::works(Aspect::Rate, format!("{left}{limit} requests{window}{source}"))
}
