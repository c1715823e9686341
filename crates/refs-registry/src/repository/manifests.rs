//! Manifests: found, read, written, deleted.

use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use refs_url::{Algorithm, Digest, Hasher, Tag, Target};
use serde::Deserialize;
use url::Url;

use super::Repository;
use crate::{
    Descriptor, Error, ErrorKind, Manifest, MediaType, ReferrersAt, Result, Stored,
    auth::Scopes,
    error::{Fault, ManifestFault, Wanted},
    spec::{Referrer, from_json},
    transport::{Answer, Body, Call, tagged},
};

/// All types in one line: some proxies and registries read the first `Accept` only, and Quay gives its oldest format to
/// those who do not ask for a newer one.
pub(crate) const ACCEPT: HeaderValue = HeaderValue::from_static(
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json",
);

impl Repository {
    pub(super) async fn head_manifest(&self, target: &Target) -> Result<Descriptor> {
        match self.remote.send(&self.manifest_call(Method::HEAD, target), &mut self.remote.budget()).await {
            Ok(answer) => match described(target, &answer)?.filter(|_| answer.status == StatusCode::OK) {
                Some(descriptor) => Ok(descriptor),
                // ECR and Red Hat's registry leave headers out.
                None => Ok(self.read_manifest(target).await?.descriptor),
            },
            Err(Error::Unsupported { .. }) => Ok(self.read_manifest(target).await?.descriptor),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn read_manifest(&self, target: &Target) -> Result<Manifest> {
        self.fetch_manifest(target, Scopes::pull(&self.name)).await.map(|(_, manifest)| manifest)
    }

    /// Reads a manifest with a token for `scopes`, and keeps the head of the answer.
    pub(super) async fn fetch_manifest(&self, target: &Target, scopes: Scopes) -> Result<(Answer, Manifest)> {
        let wanted = Wanted::Manifest(target.clone());
        let call = Call { scopes, ..self.manifest_call(Method::GET, target) };
        let (answer, raw) = self.remote.document(&call, Manifest::MAX_BYTES).await?;
        // A part of one, or what something on the way has made of it.
        if answer.status != StatusCode::OK {
            return Err(answer.protocol(Fault::BadBody("the whole manifest as the registry has it")));
        }
        let announced = answer.header(&header::CONTENT_TYPE).map(MediaType::new);
        let digest = match (checked_digest(target, &answer, &raw), &announced) {
            // The digest of one that is signed is that of what was signed.
            (Err(_), Some(schema1)) if schema1.is_schema1() => {
                return Err(Error::Manifest { wanted, fault: ManifestFault::Unknown(schema1.to_string()) });
            }
            (digest, _) => digest?,
        };
        if raw.trim_ascii_start().starts_with(b"<") {
            return Err(answer.protocol(Fault::Page));
        }
        let media_type = media_type(announced, &raw).map_err(|fault| Error::Manifest { wanted, fault })?;
        Ok((answer, Manifest { descriptor: Descriptor::new(media_type, digest, raw.len() as u64), raw }))
    }

    pub(super) async fn write_manifest(&self, manifest: &Manifest, tags: &[Tag]) -> Result<Stored> {
        let digest = &manifest.descriptor.digest;
        let noted = self.put_named(manifest, tags).await?;
        let referrer = referrer(manifest);
        let subject = referrer.as_ref().map(|referrer| referrer.subject.clone());
        match &referrer {
            Some(_) if noted == subject => self.remote.learn(|quirks| quirks.referrers = ReferrersAt::Api),
            Some(referrer) => self.list_referrer(referrer).await?,
            None => {}
        }
        Ok(Stored { digest: digest.clone(), subject })
    }

    /// Writes to one target, as far as `condition` allows.
    pub(super) async fn put_if(&self, manifest: &Manifest, target: &Target, condition: &Condition) -> Result<Answer> {
        let url = self.remote.endpoints.manifest(&self.name, target);
        self.put_at(url, manifest, target, condition).await
    }

    /// Writes to one target, and sets `tags` along with it if the registry can.
    pub(super) async fn put_with_tags(&self, manifest: &Manifest, target: &Target, tags: &[Tag]) -> Result<Answer> {
        let url = tagged(self.remote.endpoints.manifest(&self.name, target), tags);
        self.put_at(url, manifest, target, &Condition::Any).await
    }

    async fn put_at(&self, url: Url, manifest: &Manifest, target: &Target, condition: &Condition) -> Result<Answer> {
        let media_type =
            HeaderValue::from_str(manifest.descriptor.media_type.as_str()).ok().ok_or_else(|| Error::Manifest {
                wanted: Wanted::Manifest(target.clone()),
                fault: ManifestFault::Unknown(manifest.descriptor.media_type.to_string()),
            })?;
        let mut call = Call::new(Method::PUT, url, Wanted::Manifest(target.clone()))
            .header(header::CONTENT_TYPE, media_type)
            .body(Body::Bytes(manifest.raw.clone()));
        if let Some((name, value)) = condition.header() {
            call = call.header(name, value);
        }
        // The same bytes once more do no harm, so this is repeated like a reading request.
        let sent = self.remote.send(&self.writing(call), &mut self.remote.budget()).await;
        let answer = sent.map_err(|error| too_large(manifest, target, error))?;
        check_stored(&answer, &manifest.descriptor.digest)?;
        Ok(answer)
    }

    /// Deletes what `target` leads to; a manifest also from the list of its subject's referrers, where clients keep it.
    pub(super) async fn remove_manifest(&self, target: &Target) -> Result<()> {
        let referrer = match target {
            Target::Digest(_) => self.unlisted_by_registry(target).await?,
            Target::Tag(_) => None,
        };
        let url = self.remote.endpoints.manifest(&self.name, target);
        self.delete(url, Wanted::Manifest(target.clone())).await?;
        match referrer {
            Some(referrer) => self.unlist_referrer(&referrer).await,
            None => Ok(()),
        }
    }

    /// The listing of the manifest at `target`, when it refers to another and clients have to keep it.
    async fn unlisted_by_registry(&self, target: &Target) -> Result<Option<Referrer>> {
        if self.remote.quirks().referrers == ReferrersAt::Api {
            return Ok(None);
        }
        let manifest = match self.fetch_manifest(target, Scopes::delete(&self.name)).await {
            Ok((_, manifest)) => manifest,
            Err(error @ Error::NotFound { .. }) => return Err(error),
            // What can't be read can still be deleted.
            Err(error) if !is_passing(error.kind()) => {
                tracing::debug!(%target, %error, "a manifest to be deleted cannot be read for its subject");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Some(referrer) = referrer(&manifest) else { return Ok(None) };
        let at = self.referrers_at(&referrer.subject).await?;
        Ok(Some(referrer).filter(|_| at == ReferrersAt::Tag))
    }

    pub(super) async fn delete(&self, url: Url, wanted: Wanted) -> Result<()> {
        let is_tag = matches!(wanted, Wanted::Manifest(Target::Tag(_)));
        let unsupported = |detail| Error::Unsupported { wanted: Wanted::Delete, at: self.place(), detail };
        let call = Call::new(Method::DELETE, url, wanted).scoped(&self.name, Scopes::delete(&self.name));
        let mut budget = self.remote.budget();
        match self.remote.send(&call, &mut budget).await {
            Ok(_) => Ok(()),
            // An earlier attempt has done it, though its answer was lost.
            Err(Error::NotFound { .. }) if budget.is_touched() => Ok(()),
            Err(Error::Unsupported { detail, .. }) => Err(unsupported(detail)),
            // Distribution before 3.0 deletes by digest only, and says that the tag is no digest.
            Err(Error::Refused { status: 400, detail, .. }) if is_tag => Err(unsupported(detail)),
            Err(error) => Err(error),
        }
    }

    fn manifest_call(&self, method: Method, target: &Target) -> Call {
        let url = self.remote.endpoints.manifest(&self.name, target);
        self.reading(Call::new(method, url, Wanted::Manifest(target.clone())).header(header::ACCEPT, ACCEPT))
    }
}

/// What it means when a manifest is refused that is larger than registries have to take. Distribution 2.8 says that it is
/// invalid.
fn too_large(manifest: &Manifest, target: &Target, error: Error) -> Error {
    let limit = Manifest::MAX_BYTES;
    match error {
        Error::Refused { status: 400 | 413, .. } if manifest.descriptor.size > limit => {
            Error::TooLarge { wanted: Wanted::Manifest(target.clone()), limit }
        }
        other => other,
    }
}

/// What has to be so for a write to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// Nothing.
    Any,
    /// There is nothing yet.
    Absent,
    /// What is there has this `ETag`.
    Is(HeaderValue),
}

const fn is_passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::RateLimited)
}

/// How `manifest` is to be listed among the referrers of its subject, if it has one that can be read.
fn referrer(manifest: &Manifest) -> Option<Referrer> {
    Referrer::of(&manifest.descriptor, &manifest.parse().ok()?)
}

/// The subject that the registry says to have taken note of.
pub(super) fn subject_in(answer: &Answer) -> Option<Digest> {
    const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
    Digest::parse(answer.header(&SUBJECT)?).ok()
}

/// The digest of what came, which must be what was asked for, and what the registry says it is.
fn checked_digest(target: &Target, answer: &Answer, raw: &[u8]) -> Result<Digest> {
    let digest = match target {
        Target::Tag(_) => Digest::sha256(raw),
        Target::Digest(expected) => {
            let actual = hash(expected, raw)
                .ok_or_else(|| Error::unsupported(Wanted::Algorithm(expected.clone()), "this build"))?;
            if actual != *expected {
                return Err(Error::Digest { wanted: Wanted::Manifest(target.clone()), actual });
            }
            actual
        }
    };
    if let Some(reported) = answer.content_digest()?
        && hash(&reported, raw).is_some_and(|actual| actual != reported)
    {
        return Err(answer.protocol(Fault::WrongDigest(reported.to_string())));
    }
    Ok(digest)
}

/// Refuses an answer to a write that reports another digest than the one of what was written, and one that nothing but a
/// registry gives: proxies that want a login answer whatever they are asked with a page, and success.
pub(super) fn check_stored(answer: &Answer, digest: &Digest) -> Result<()> {
    if answer.status != StatusCode::CREATED && answer.location().is_none() && answer.content_digest()?.is_none() {
        return Err(answer.protocol(Fault::MissingHeader("location")));
    }
    match answer.content_digest()? {
        // Distribution 2.8 answers a sha512 with its own sha256 of the same bytes.
        Some(reported) if reported.algorithm() == digest.algorithm() && reported != *digest => {
            Err(answer.protocol(Fault::WrongDigest(reported.to_string())))
        }
        Some(reported) if reported.algorithm() != digest.algorithm() => {
            tracing::warn!(at = %answer.at, "the registry knows what it was given as `{digest}` by `{reported}`");
            Ok(())
        }
        _ => Ok(()),
    }
}

fn hash(like: &Digest, raw: &[u8]) -> Option<Digest> {
    let mut hasher = Hasher::for_digest(like)?;
    hasher.update(raw);
    Some(hasher.finish())
}

/// What the head of an answer says of a manifest; `None` when it does not say enough.
fn described(target: &Target, answer: &Answer) -> Result<Option<Descriptor>> {
    let reported = answer.content_digest()?;
    let digest = match (target, reported) {
        (Target::Digest(asked), Some(reported)) if reported.algorithm() == asked.algorithm() && reported != *asked => {
            return Err(answer.protocol(Fault::WrongDigest(reported.to_string())));
        }
        (Target::Digest(asked), _) => asked.clone(),
        // By one of another algorithm nobody could ask for it, or check what comes.
        (Target::Tag(_), Some(reported)) if reported.algorithm() != Algorithm::Other => reported,
        (Target::Tag(_), _) => return Ok(None),
    };
    let media_type = answer.header(&header::CONTENT_TYPE).map(MediaType::new);
    let media_type = media_type.filter(|media_type| media_type.is_image() || media_type.is_index());
    Ok(media_type.zip(answer.content_length()).map(|(media_type, size)| Descriptor::new(media_type, digest, size)))
}

/// The type of a manifest: announced and written in it alike, or one of both. What has neither must at least be of a version:
/// gateways answer with JSON of their own.
fn media_type(announced: Option<MediaType>, raw: &[u8]) -> Result<MediaType, ManifestFault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        media_type: Option<MediaType>,
        manifests: Option<serde::de::IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Versioned {
        #[serde(rename = "schemaVersion")]
        _schema_version: serde::de::IgnoredAny,
    }
    let shape: Shape = from_json(raw)?;
    // Some storage behind a registry announces all it has as one of these.
    let vague = ["application/json", "application/octet-stream", "binary/octet-stream", "text/plain", ""];
    let announced = announced.filter(|announced| !vague.contains(&announced.as_str()));
    match (announced, shape.media_type) {
        (Some(announced), Some(found)) if announced != found => Err(ManifestFault::media_type(&announced, &found)),
        (Some(known), _) | (None, Some(known)) => Ok(known),
        (None, None) if shape.manifests.is_some() => Ok(MediaType::OCI_INDEX),
        (None, None) => from_json::<Versioned>(raw).map(|_manifest| MediaType::OCI_MANIFEST),
    }
}
