//! What can be said to the commands that list, change and look into registries.

use clap::Args;
use refs_client::Location;
use refs_registry::MediaType;
use refs_url::{Host, Tag};

use crate::values::media_type;

#[derive(Debug, Args)]
pub(crate) struct Tags {
    /// The repository
    #[arg(value_name = "REPO")]
    pub(crate) at: Location,
    /// Stop after so many
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refs repos registry.example:5000
  refs repos localhost:5000 --limit 20 --format json")]
pub(crate) struct Repos {
    /// The registry, such as registry.example:5000; few of those for the public tell
    #[arg(value_name = "HOST")]
    pub(crate) host: Host,
    /// Stop after so many
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refs referrers ghcr.io/org/handbook:v1
  refs referrers ghcr.io/org/handbook:v1 --artifact-type application/spdx+json")]
pub(crate) struct Referrers {
    /// The artifact that is referred to
    #[arg(value_name = "REF")]
    pub(crate) at: Location,
    /// Only those of this kind
    #[arg(long, value_name = "TYPE", value_parser = media_type)]
    pub(crate) artifact_type: Option<MediaType>,
    /// Stop after so many
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refs tag ghcr.io/org/handbook:v1.2.3 v1.2 v1 latest
  refs tag ghcr.io/org/handbook@sha256:… stable")]
pub(crate) struct Retag {
    /// The artifact, by a tag or digest that it has
    #[arg(value_name = "REF")]
    pub(crate) at: Location,
    /// The tags that it gets in the same repository; one that is there already moves
    #[arg(value_name = "TAG", required = true)]
    pub(crate) tags: Vec<Tag>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refs rm ghcr.io/org/handbook:old                 the tag, and nothing else
  refs rm ghcr.io/org/handbook@sha256:… --yes      the manifest, with all its tags

Blobs that no manifest needs any more are collected by the registry, in its own time.")]
pub(crate) struct Rm {
    /// A tag, which alone is deleted; or a digest, whose manifest is deleted with all its tags
    #[arg(value_name = "REF")]
    pub(crate) at: Location,
    /// Delete without asking
    #[arg(short, long)]
    pub(crate) yes: bool,
}
