//! What refers to a manifest.

use futures_util::TryStreamExt;
use http::{StatusCode, header::CONTENT_TYPE};
use refs_registry::{Descriptor, Filter, MediaType, spec::Index};
use refs_url::Digest;

use crate::{
    answer::{OCI_FILTERS_APPLIED, Outcome, Reply},
    reading::Reading,
};

/// An index of the manifests whose subject is `subject` ([listing referrers][spec]); an empty one when there are none.
///
/// [spec]: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
pub(crate) async fn list(source: Reading<'_>, subject: &Digest, filter: Filter) -> Outcome {
    let reply = Reply::new(StatusCode::OK).with(CONTENT_TYPE, MediaType::OCI_INDEX);
    let reply = if filter.artifact_type.is_some() { reply.with(OCI_FILTERS_APPLIED, "artifactType") } else { reply };
    let manifests: Vec<Descriptor> =
        source.referrers(subject, filter).try_collect().await.map_err(|error| source.refused(&error))?;
    let index = Index {
        schema_version: 2,
        media_type: Some(MediaType::OCI_INDEX),
        artifact_type: None,
        manifests,
        subject: None,
        annotations: Default::default(),
        extra: Default::default(),
    };
    let index = refs_registry::Manifest::index(&index).map_err(|error| source.refused(&error))?;
    Ok(reply.with_bytes(index.raw))
}
