//! Foresees whether a directory is what a tag leads to already.

use std::sync::Arc;

use refs_estargz::{Entry, Expected, NewEntry, TOC_DIGEST_ANNOTATION};
use refs_registry::{Source, spec::Document};
use refs_url::{Digest, Tag, Target};

use crate::{
    Result,
    layer::{Indexed, Ranges},
    pack::Plan,
};

/// Whether the one layer behind `tag` has the entries of `plan`, as far as its table of contents tells: what the files
/// hold is not compared. Whatever keeps this from being known is a no.
pub(crate) async fn seems_unchanged(source: Arc<dyn Source>, tag: &Tag, plan: &Plan) -> bool {
    match index(source, tag).await {
        Ok(Some(index)) => is_like(&index, plan),
        Ok(None) => false,
        Err(error) => {
            tracing::debug!(%tag, %error, "what the tag leads to can't be compared with what is pushed");
            false
        }
    }
}

/// The table of contents of the one layer behind `tag`, where there is one that the manifest vouches for.
async fn index(source: Arc<dyn Source>, tag: &Tag) -> Result<Option<Indexed>> {
    let manifest = source.manifest(&Target::Tag(tag.clone())).await?;
    let Document::Image(image) = manifest.parse()? else { return Ok(None) };
    let [layer] = image.layers.as_slice() else { return Ok(None) };
    let Some(Ok(expected)) = layer.annotations.get(TOC_DIGEST_ANNOTATION).map(|digest| digest.parse::<Digest>()) else {
        return Ok(None);
    };
    Ranges::new(source, layer).open(layer, Expected::Digest(&expected)).await
}

fn is_like(index: &Indexed, plan: &Plan) -> bool {
    let toc = index.toc();
    toc.len() == plan.entries().count()
        && plan.entries().all(|new| toc.entry(&new.path).is_some_and(|entry| is_same(&entry, new)))
}

fn is_same(entry: &Entry, new: &NewEntry) -> bool {
    entry.kind == new.kind && entry.mode == new.mode & 0o7777 && entry.mtime == new.mtime
}
