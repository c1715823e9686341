//! Manifests: read, stored, removed.

use bytes::Bytes;
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION},
};
use refs_registry::{Descriptor, Manifest, MediaType, Sink};
use refs_url::{Digest, Hasher, RepoName, Tag, Target};

use crate::{
    Code, Refusal,
    answer::{DOCKER_CONTENT_DIGEST, OCI_SUBJECT, OCI_TAG, Outcome, Reply},
    body::{self, Incoming},
    conditions::{self, is_known, is_other},
    reading::Reading,
    turns::{Turn, Turns},
};

pub(crate) async fn read(source: Reading<'_>, target: &Target, headers: &HeaderMap) -> Outcome {
    let manifest = source.manifest(target).await.map_err(|error| source.refused(&error))?;
    let reply = described(&manifest.descriptor, headers)?;
    Ok(if reply.is_empty() { reply } else { reply.with_bytes(manifest.raw) })
}

pub(crate) async fn head(source: Reading<'_>, target: &Target, headers: &HeaderMap) -> Outcome {
    let descriptor = source.resolve(target).await.map_err(|error| source.refused(&error))?;
    let reply = described(&descriptor, headers)?;
    Ok(if reply.is_empty() { reply } else { reply.with_length(descriptor.size) })
}

/// Where a request would change manifests.
pub(crate) struct Changes<'a> {
    pub(crate) turns: &'a Turns,
    pub(crate) sink: &'a dyn Sink,
    pub(crate) repository: &'a RepoName,
    pub(crate) headers: &'a HeaderMap,
}

impl Changes<'_> {
    pub(crate) async fn put(&self, target: &Target, mut tags: Vec<Tag>, body: &mut Incoming) -> Outcome {
        let raw = body::collect(body, Manifest::MAX_BYTES).await?;
        let digest = digest_of(&raw, target)?;
        let descriptor = Descriptor::new(media_type(&raw, self.headers)?, digest, raw.len() as u64);
        let manifest = Manifest { descriptor, raw };
        manifest.parse().map_err(|error| Refusal::of_write(&error))?;
        let by_query = tags.clone();
        if let Target::Tag(tag) = target {
            tags.push(tag.clone());
        }
        let _turn = self.turn(target).await?;
        let stored = self.sink.put_manifest(&manifest, &tags).await.map_err(|error| Refusal::of_manifest(&error))?;
        let reply = Reply::new(StatusCode::CREATED)
            .with(LOCATION, format_args!("/v2/{}/manifests/{}", self.repository, stored.digest))
            .with(DOCKER_CONTENT_DIGEST, &stored.digest);
        let reply = by_query.iter().fold(reply, |reply, tag| reply.with(OCI_TAG, tag));
        Ok(stored.subject.into_iter().fold(reply, |reply, subject| reply.with(OCI_SUBJECT, subject)))
    }

    pub(crate) async fn delete(&self, target: &Target) -> Outcome {
        let _turn = self.turn(target).await?;
        self.sink.delete_manifest(target).await.map_err(|error| Refusal::of_write(&error))?;
        Ok(Reply::new(StatusCode::ACCEPTED))
    }

    /// The turn of a write whose conditions hold. As long as it lasts, this server lets nobody else change that.
    async fn turn(&self, target: &Target) -> Result<Turn, Refusal> {
        if !conditions::are_set(self.headers) {
            return Ok(self.turns.beside(self.repository).await);
        }
        let turn = self.turns.alone(self.repository).await;
        conditions::look_before_write(self.sink, target, self.headers).await?;
        Ok(turn)
    }
}

fn described(descriptor: &Descriptor, headers: &HeaderMap) -> Outcome {
    let digest = &descriptor.digest;
    if is_other(headers, digest) {
        return Err(conditions::failed());
    }
    let status = if is_known(headers, IF_NONE_MATCH, digest) { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    Ok(Reply::new(status)
        .with(CONTENT_TYPE, &descriptor.media_type)
        .with(DOCKER_CONTENT_DIGEST, digest)
        .with(ETAG, format_args!("\"{digest}\"")))
}

/// The digest to store `raw` under: the one in the path, which must be its own, else its sha256.
fn digest_of(raw: &Bytes, target: &Target) -> Result<Digest, Refusal> {
    let Target::Digest(expected) = target else { return Ok(Digest::sha256(raw)) };
    let mut hasher = Hasher::for_digest(expected).ok_or_else(|| Refusal::unknown_algorithm(expected))?;
    hasher.update(raw);
    let actual = hasher.finish();
    if actual == *expected {
        return Ok(actual);
    }
    let message = format!("the bytes have the digest {actual}");
    Err(Refusal::new(StatusCode::BAD_REQUEST, Code::DigestInvalid, message))
}

/// The type that the client announces; else the one that the manifest itself names.
fn media_type(raw: &Bytes, headers: &HeaderMap) -> Result<MediaType, Refusal> {
    #[derive(serde::Deserialize)]
    struct Named {
        #[serde(rename = "mediaType")]
        media_type: MediaType,
    }
    if let Some(announced) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) {
        return Ok(MediaType::new(announced));
    }
    let named: Result<Named, _> = serde_json::from_slice(raw);
    named.map(|named| named.media_type).map_err(|error| {
        let message = format!("there is neither a Content-Type nor a media type: {error}");
        Refusal::new(StatusCode::BAD_REQUEST, Code::ManifestInvalid, message)
    })
}
