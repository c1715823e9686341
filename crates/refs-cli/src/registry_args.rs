//! What can be said to the commands that list, change and look into registries.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use refs_client::Location;
use refs_registry::{MediaType, Method, Platform};
use refs_url::{Host, Tag, version::Constraint};

use crate::{
    examples,
    place::Place,
    values::{api_path, constraint, count, each_platform, header, media_type, method, platform},
};

#[derive(Debug, Args)]
#[command(after_help = examples::TAGS)]
pub(crate) struct Tags {
    /// The repository: HOST/REPO, or a layout, ocidir://PATH; ocidir://PATH:HOST/REPO for what that lists by HOST/REPO:TAG
    #[arg(value_name = "REPO")]
    pub(crate) at: Location,
    /// Only versions, from the highest down
    #[arg(long)]
    pub(crate) semver: bool,
    /// Only versions that satisfy this, such as `^1.2`, `~1.2.3` or `>=1.1, <2 || 3.x`
    #[arg(long, value_name = "CONSTRAINT", value_parser = constraint, allow_hyphen_values = true)]
    pub(crate) constraint: Option<Constraint>,
    /// Stop after so many
    #[arg(long, value_name = "N", value_parser = count::<usize>, allow_hyphen_values = true)]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refs cp ghcr.io/org/handbook:v1 registry.example/org/handbook:v1
  refs cp ghcr.io/org/handbook:v1 ocidir://backup:v1 --dry-run
  refs cp ghcr.io/org/tool:v1 registry.example/tool:v1 --platform linux/amd64")]
pub(crate) struct Cp {
    /// What to copy: HOST/REPO:TAG or HOST/REPO@DIGEST, or the same of a layout, ocidir://PATH:TAG
    #[arg(value_name = "SRC")]
    pub(crate) from: Location,
    /// Where to; without a tag the copy goes by its digest, and a digest must be that of the source
    #[arg(value_name = "DST")]
    pub(crate) to: Location,
    /// Of an index only the image for this platform, by itself; for several, each with a flag of its own, the index as it is,
    /// with their images
    #[arg(long = "platform", value_name = "PLATFORM", value_parser = each_platform)]
    pub(crate) platforms: Vec<Platform>,
    /// Make a new index of the images for the platforms, for registries that refuse one without all its images
    #[arg(long, requires = "platforms")]
    pub(crate) rewrite_index: bool,
    /// Leave behind what refers to the artifact: signatures, SBOMs, attestations
    #[arg(long)]
    pub(crate) no_referrers: bool,
    /// Of what refers to the artifact, copy what has this artifact type and leave the rest behind
    #[arg(long, value_name = "TYPE", value_parser = media_type, conflicts_with = "no_referrers")]
    pub(crate) referrers_type: Option<MediaType>,
    /// Say what each blob would cost, and write nothing; what a registry has the beginning of is counted in full
    #[arg(long)]
    pub(crate) dry_run: bool,
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
    #[arg(long, value_name = "N", value_parser = count::<usize>, allow_hyphen_values = true)]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refs referrers ghcr.io/org/handbook:v1
  refs referrers ghcr.io/org/handbook:v1 --artifact-type application/spdx+json")]
pub(crate) struct Referrers {
    /// The artifact that is referred to; with --offline one of a layout
    #[arg(value_name = "REF")]
    pub(crate) at: Location,
    /// Only those of this kind
    #[arg(long, value_name = "TYPE", value_parser = media_type)]
    pub(crate) artifact_type: Option<MediaType>,
    /// Stop after so many
    #[arg(long, value_name = "N", value_parser = count::<usize>, allow_hyphen_values = true)]
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

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refs manifest ghcr.io/org/handbook:v1
  refs manifest ghcr.io/org/handbook:v1 --raw | sha256sum")]
pub(crate) struct Manifest {
    /// The artifact
    #[arg(value_name = "REF")]
    pub(crate) at: Location,
    /// Follow an index to its image for this platform; a container image that is in no index must be for it
    #[arg(long, value_name = "PLATFORM", value_parser = platform)]
    pub(crate) platform: Option<Platform>,
    /// Print the bytes exactly as they are stored, whatever --format says
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Blob {
    /// Print a blob, or write it to a file
    Get(GetBlob),
    /// Put a file, or stdin, into a repository as a blob, unless it is there
    Put(PutBlob),
    /// Tell whether a blob is there, and its size in bytes
    Stat(StatBlob),
}

impl Blob {
    /// The repository, or the blob in it.
    pub(crate) fn at(&self) -> &Location {
        match self {
            Self::Get(get) => &get.at,
            Self::Put(put) => &put.at,
            Self::Stat(stat) => &stat.at,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refs blob get ghcr.io/org/handbook@sha256:… -o layer.tgz
  refs blob get ghcr.io/org/handbook@sha256:… | tar tz

On stdout bytes come out before all of them are checked: only exit code 0 vouches for them.
The file of -o gets its name when they are.")]
pub(crate) struct GetBlob {
    /// The blob, by its digest
    #[arg(value_name = "REPO@DIGEST")]
    pub(crate) at: Location,
    /// Write it to this file, which is complete or absent, or as it was
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refs blob put ghcr.io/org/handbook layer.tgz
  tar cz docs | refs blob put ghcr.io/org/handbook -")]
pub(crate) struct PutBlob {
    /// The repository; a digest behind it is what the content must have
    #[arg(value_name = "REPO")]
    pub(crate) at: Location,
    /// The file; - for stdin
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = examples::STAT_BLOB)]
pub(crate) struct StatBlob {
    /// The blob, by its digest
    #[arg(value_name = "REPO@DIGEST")]
    pub(crate) at: Location,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refs tree ghcr.io/org/handbook:v1
  refs tree ghcr.io/org/handbook:v1 --format json | jq '.. | .digest? // empty'")]
pub(crate) struct Tree {
    /// The artifact
    #[arg(value_name = "REF")]
    pub(crate) at: Location,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refs api GET ghcr.io/v2/org/handbook/tags/list?n=10
  refs api -i HEAD ghcr.io/v2/org/handbook/manifests/v1
  refs api PUT localhost:5000/v2/o/r/manifests/v1 --input manifest.json \\
      -H 'Content-Type: application/vnd.oci.image.manifest.v1+json'

The request has the credentials for HOST, follows redirects as all others do, and is made again when
that may help, but for POST and PATCH. The body of the answer goes to stdout whatever its status, up to
16 MiB; a status that is no success is an error besides, with the exit code of its kind. On a terminal
JSON is laid out and control characters are spelled out; elsewhere bytes are exact.")]
pub(crate) struct Api {
    /// GET, HEAD, POST, PUT, PATCH or DELETE
    #[arg(value_name = "METHOD", value_parser = method)]
    pub(crate) method: Method,
    /// The host, and behind it the path, with its query
    #[arg(value_name = "HOST/PATH", value_parser = api_path)]
    pub(crate) target: ApiPath,
    /// Print the status and the headers of the answer, too
    #[arg(short, long)]
    pub(crate) include: bool,
    /// Send this file as the body, up to 32 MiB; - for stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Send this header, too; who asks is the client's affair
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
}

/// A path at a host.
#[derive(Debug, Clone)]
pub(crate) struct ApiPath {
    pub(crate) host: Host,
    /// From `/` on, with its query.
    pub(crate) path: String,
}

#[derive(Debug, Args)]
#[command(after_help = examples::LOGIN)]
pub(crate) struct Login {
    /// The registry, such as ghcr.io
    #[arg(value_name = "HOST")]
    pub(crate) host: Host,
}

#[derive(Debug, Args)]
#[command(after_help = examples::LOGOUT)]
pub(crate) struct Logout {
    /// The registry
    #[arg(value_name = "HOST")]
    pub(crate) host: Host,
}

#[derive(Debug, Args)]
#[command(after_help = examples::DOCTOR)]
pub(crate) struct Doctor {
    /// The registry, or an artifact or repository of it, with which more can be tried
    #[arg(value_name = "HOST|REF", value_parser = Place::parse)]
    pub(crate) at: Place,
    /// Try an upload, too: one is begun in the repository and cancelled
    #[arg(long)]
    pub(crate) uploads: bool,
}
