//! `refs tag`

use std::{collections::BTreeSet, fmt};

use refs_client::Location;
use refs_url::{Digest, Tag};
use serde::Serialize;

use super::Failure;
use crate::{args::Retag, output::escape, wiring::Session};

#[derive(Serialize)]
struct Tagged {
    reference: String,
    tag: String,
    digest: String,
}

impl fmt::Display for Tagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.reference))
    }
}

pub(super) async fn run(session: &Session, args: Retag) -> Result<(), Failure> {
    let mut named = BTreeSet::new();
    let tags: Vec<Tag> = args.tags.into_iter().filter(|tag| named.insert(tag.clone())).collect();
    let digest = session.client().set_tags(&args.at, &tags).await?.digest;
    let mut output = session.output();
    for tag in tags {
        output.result(&Tagged {
            reference: reference(&args.at, &tag, &digest),
            tag: tag.to_string(),
            digest: digest.to_string(),
        })?;
    }
    Ok(output.flush()?)
}

/// `HOST/REPO:TAG@DIGEST`, or the same of a layout.
pub(super) fn reference(at: &Location, tag: &Tag, digest: &Digest) -> String {
    at.clone().with_tag(tag.clone()).with_digest(digest.clone()).to_string()
}
