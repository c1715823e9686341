//! Manifests that refer to a manifest
//! ([listing referrers](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers)).

use std::collections::HashSet;

use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderName, HeaderValue, header};
use refs_url::{Digest, Target};
use serde::{Deserialize, de::IgnoredAny};

use super::{
    Repository,
    listing::{Found, json, pages},
};
use crate::{
    Descriptor, Error, Filter, MediaType, ReferrersAt, Result,
    error::{Fault, RequestLine, Wanted, may_pass},
    spec::Document,
    transport::{Answer, Call},
};

impl Repository {
    pub(super) fn list_referrers(&self, subject: Digest, filter: Filter) -> BoxStream<'_, Result<Descriptor>> {
        let listing = async move {
            if self.remote.quirks().referrers == ReferrersAt::Tag {
                return self.tagged_referrers(&subject, filter).await;
            }
            let only = filter.artifact_type.as_ref();
            let url = self.remote.endpoints.referrers(&self.name, &subject, only);
            // GHCR sends this request on to a site that is no registry.
            let call = self.reading(Call::get(url, Wanted::Referrers(subject.clone()))).within_origin();
            let call = call.header(header::ACCEPT, HeaderValue::from_static("application/vnd.oci.image.index.v1+json"));
            let only = filter.artifact_type.clone();
            let mut listed = pages(self.remote.clone(), call, move |answer, body| {
                let mut entries = read_page(answer, body)?;
                entries.retain(|found| is_filtered(answer) || matches(found, only.as_ref()));
                Ok(Found { entries, last: None })
            });
            let first = listed.next().await.transpose();
            match first {
                Ok(first) => {
                    self.remote.learn(|quirks| quirks.referrers = ReferrersAt::Api);
                    Ok(stream::iter(first.map(Ok)).chain(listed).boxed())
                }
                Err(error) if is_unusable(&error) => {
                    tell(&error);
                    self.remote.learn(|quirks| {
                        // A registry that keeps lists may still know nothing of a repository that is not there.
                        if quirks.referrers == ReferrersAt::Unknown {
                            quirks.referrers = ReferrersAt::Tag;
                        }
                    });
                    self.tagged_referrers(&subject, filter).await
                }
                Err(error) => Err(error),
            }
        };
        stream::once(listing).try_flatten().boxed()
    }

    /// Where the list of what refers to `subject` is kept; asked of the registry where that is not known.
    pub(super) async fn referrers_at(&self, subject: &Digest) -> Result<ReferrersAt> {
        if self.remote.quirks().referrers == ReferrersAt::Unknown {
            drop(self.list_referrers(subject.clone(), Filter::default()).try_next().await?);
        }
        Ok(self.remote.quirks().referrers)
    }

    /// The list that clients keep under a tag where the registry keeps none.
    async fn tagged_referrers(
        &self,
        subject: &Digest,
        filter: Filter,
    ) -> Result<BoxStream<'static, Result<Descriptor>>> {
        let target = Target::Tag(subject.referrers_tag());
        let index = match self.read_manifest(&target).await {
            Ok(manifest) => manifest.parse()?,
            Err(Error::NotFound { .. }) => return Ok(stream::empty().boxed()),
            Err(error) => return Err(error),
        };
        match index {
            Document::Index(index) => {
                let (mut found, mut seen) = (index.manifests, HashSet::new());
                let only = filter.artifact_type.as_ref();
                found.retain(|found| matches(found, only) && seen.insert(found.digest.clone()));
                Ok(stream::iter(found.into_iter().map(Ok)).boxed())
            }
            Document::Image(_) => {
                let wanted = Wanted::Referrers(subject.clone());
                Err(Error::unsupported(wanted, self.place()))
            }
        }
    }
}

fn read_page(answer: &Answer, body: &bytes::Bytes) -> Result<Vec<Descriptor>> {
    #[derive(Deserialize)]
    struct Listed {
        /// An empty list is `null` at olareg; an object without one is something else.
        #[serde(deserialize_with = "Option::deserialize")]
        manifests: Option<Vec<Entry>>,
    }
    if let Some(announced) = answer.header(&header::CONTENT_TYPE).filter(|announced| !is_json(announced)) {
        return Err(answer.bad_header("content-type", announced));
    }
    let page: Listed = json(answer, body, "a list of referrers")?;
    Ok(page.manifests.unwrap_or_default().into_iter().filter_map(|entry| entry.descriptor(&answer.at)).collect())
}

/// What a list has for a referrer.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Sound(Box<Descriptor>),
    Named { digest: String },
    Other(IgnoredAny),
}

impl Entry {
    /// One that is none does not take the others along, and is told of: it may stand for a signature.
    fn descriptor(self, at: &RequestLine) -> Option<Descriptor> {
        let digest = match self {
            Self::Sound(descriptor) => return Some(*descriptor),
            Self::Named { digest } => digest.chars().take(128).flat_map(char::escape_debug).collect(),
            Self::Other(_) => String::new(),
        };
        tracing::warn!(%at, digest, "a referrer is left out, as what lists it is no descriptor");
        None
    }
}

/// Whether this type of content may be a list: some say no more than that it is JSON. What can't be read then is a list that
/// is broken, and not the absence of one.
fn is_json(announced: &str) -> bool {
    let announced = MediaType::new(announced);
    announced == MediaType::new("application/json") || announced.as_str().ends_with("+json")
}

/// Whether the registry says that it has filtered already.
fn is_filtered(answer: &Answer) -> bool {
    const APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
    answer.header(&APPLIED).is_some_and(|applied| applied.split(',').any(|filter| filter.trim() == "artifactType"))
}

/// Whether the registry's answer means that it keeps no such list. A list that is broken does not: what it has would be lost
/// without a word.
fn is_unusable(error: &Error) -> bool {
    match error {
        Error::NotFound { .. } | Error::Unsupported { .. } => true,
        // Several registries have a 400 or a 406 for a path that they do not know.
        Error::Refused { status, .. } => matches!(status, 300..=499) && !may_pass(*status),
        Error::Protocol { fault, .. } => {
            matches!(fault, Fault::UnsafeRedirect { .. } | Fault::BadHeader { name: "content-type", .. })
        }
        _ => false,
    }
}

/// Says why the list is looked for under the tag: aloud, where that is not the usual answer of registries that keep none.
fn tell(error: &Error) {
    match error {
        Error::NotFound { .. }
        | Error::Unsupported { .. }
        | Error::Protocol { fault: Fault::UnsafeRedirect { .. }, .. } => {
            tracing::debug!(%error, "the list of referrers is looked for under its tag");
        }
        _ => tracing::warn!("the list of referrers is looked for under its tag: {error}"),
    }
}

fn matches(found: &Descriptor, wanted: Option<&MediaType>) -> bool {
    wanted.is_none_or(|wanted| found.artifact_type.as_ref() == Some(wanted))
}
