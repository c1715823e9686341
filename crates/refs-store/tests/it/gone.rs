//! By which answers a tag counts as gone for those who read offline.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use refs_registry::{
    Blob, Descriptor, Error, Filter, Manifest, Part, Result, Resume, Source,
    error::{Code, Place as Where, Wanted},
};
use refs_store::{Cached, TagChange};
use refs_url::{Digest, Tag, Target};

use crate::{
    content::{push, tag, tagged},
    place::Place,
};

/// A registry that answers requests for manifests in one way, and is asked for nothing else.
#[derive(Debug)]
struct Says {
    head: Error,
    get: Result<Manifest>,
}

#[async_trait]
impl Source for Says {
    async fn resolve(&self, _: &Target) -> Result<Descriptor> {
        Err(self.head.clone())
    }

    async fn manifest(&self, _: &Target) -> Result<Manifest> {
        self.get.clone()
    }

    async fn blob(&self, digest: &Digest, _: Resume) -> Result<Blob> {
        panic!("{digest} was asked for")
    }

    async fn blob_part(&self, digest: &Digest, _: Range<u64>) -> Result<Part> {
        panic!("{digest} was asked for")
    }

    async fn stat_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        panic!("{digest} was asked for")
    }

    fn tags(&self, _: Option<Tag>) -> BoxStream<'_, Result<Tag>> {
        stream::empty().boxed()
    }

    fn referrers(&self, _: &Digest, _: Filter) -> BoxStream<'_, Result<Descriptor>> {
        stream::empty().boxed()
    }
}

fn absent(wanted: Wanted, code: Option<Code>) -> Error {
    Error::NotFound { wanted, at: Where::registry("r.test/o/r"), code }
}

fn of_tag(code: Option<Code>) -> Error {
    absent(Wanted::Manifest(tagged("v1")), code)
}

/// That a tag that led to `one` is recorded as gone, or is not, by each way of asking a registry that answers so.
async fn check(head: Error, get: Result<Manifest>, is_gone: bool) {
    for way in ["resolve", "manifest", "manifest that is not kept"] {
        let place = Place::on_disk().await;
        let known = push(&*place.repository(), "one", &["v1"]).await.unwrap();
        place.cached("o/r").manifest(&tagged("v1")).await.unwrap();
        if way.ends_with("not kept") {
            place.store.remove(&place.origin("o/r"), &known.descriptor.digest).await.unwrap();
        }
        let says = Arc::new(Says { head: head.clone(), get: get.clone() });
        let cached = Cached::new(says, place.origin("o/r"), place.store.clone());
        let answer = match way {
            "resolve" => cached.resolve(&tagged("v1")).await,
            _ => cached.manifest(&tagged("v1")).await.map(|manifest| manifest.descriptor),
        };
        assert_eq!(answer.is_ok(), get.is_ok(), "{way}: {answer:?}");
        let record = place.store.recorded(&place.origin("o/r"), &tag("v1")).await.unwrap().unwrap();
        assert_eq!(matches!(record.since, Some(TagChange::Gone { .. })), is_gone, "{way}: {head:?}, {get:?}");
    }
}

#[tokio::test]
async fn a_tag_is_gone_when_its_registry_says_so_of_it_and_by_nothing_else() {
    let bare = || of_tag(None);
    let unknown = || of_tag(Some(Code::ManifestUnknown));
    check(bare(), Err(unknown()), true).await;
    // A proxy, a captive portal, a host that the registry led to.
    check(bare(), Err(bare()), false).await;
    // A repository that may not be seen without a login.
    check(bare(), Err(of_tag(Some(Code::NameUnknown))), false).await;
    let other = |wanted| absent(wanted, Some(Code::ManifestUnknown));
    check(other(Wanted::Token), Err(other(Wanted::Token)), false).await;
    let of_other_tag = || other(Wanted::Manifest(tagged("v2")));
    check(of_other_tag(), Err(of_other_tag()), false).await;
}

#[tokio::test]
async fn a_head_that_finds_nothing_where_a_get_finds_the_manifest_takes_nothing_away() {
    let place = Place::on_disk().await;
    let manifest = push(&*place.repository(), "one", &["v1"]).await.unwrap();
    check(of_tag(None), Ok(manifest), false).await;
}
