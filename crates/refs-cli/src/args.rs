//! What can be said on the command line, and nothing else.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use refs_client::{ByteRange, Location};
use refs_registry::{MediaType, Platform};
use refs_url::{Host, Tag, version::Constraint};

pub(crate) use crate::cache_args::{Cache, Fetch, Prune};
pub(crate) use crate::diff_args::Diff;
pub(crate) use crate::image_args::Unpack;
pub(crate) use crate::own_args::{Completions, Man, Serve};
pub(crate) use crate::registry_args::{
    Api, Blob, Cp, Doctor, Login, Logout, Manifest, Referrers, Repos, Retag, Rm, Tags, Tree,
};
use crate::{
    duration, examples,
    values::{constraint, count, key_value, level, media_type, platform, size, some},
};

/// Files in OCI registries: push a directory, list it, read a file, pull a part.
#[derive(Debug, Parser)]
#[command(name = "refs", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Options everywhere")]
pub(crate) struct Global {
    /// What to print on stdout
    #[arg(long, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// How to show progress on stderr
    #[arg(long, global = true, value_enum, default_value_t = Progress::Auto, value_name = "WHEN")]
    pub(crate) progress: Progress,
    /// Whether to colour what goes to a terminal
    #[arg(long, global = true, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub(crate) color: When,
    /// Say nothing but results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Show each request; twice for all there is to know
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Speak plain HTTP with this host (loopback hosts: always)
    #[arg(long, global = true, value_name = "HOST")]
    pub(crate) plain_http: Vec<Host>,
    /// Trust these certificates, too: a file (PEM), or a folder of .crt, .pem and .cer files
    #[arg(long, global = true, value_name = "FILE|DIR")]
    pub(crate) ca: Vec<PathBuf>,
    /// Show this certificate (PEM) to the registries of this command
    #[arg(long, global = true, value_name = "FILE", requires = "client_key")]
    pub(crate) client_cert: Option<PathBuf>,
    /// The key (PEM) of the certificate
    #[arg(long, global = true, value_name = "FILE", requires = "client_cert")]
    pub(crate) client_key: Option<PathBuf>,
    /// Settings to read instead of ~/.config/refs/config.toml; REFS_CONFIG says it, too
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How often a request that failed is made again [default: 4]
    #[arg(long, global = true, value_name = "N", value_parser = count::<u32>, allow_hyphen_values = true)]
    pub(crate) retries: Option<u32>,
    /// Give up when the command has not ended after so long, such as 90s, 5m or 1h
    #[arg(long, global = true, value_name = "TIME", value_parser = duration::parse, allow_hyphen_values = true)]
    pub(crate) timeout: Option<Duration>,
    /// How many requests at once to one registry; uploads of what is packed meanwhile do not count
    #[arg(short = 'j', long, global = true, value_name = "N", value_parser = some, allow_hyphen_values = true)]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Fetch anew what was fetched before, and keep nothing in the cache
    #[arg(long, global = true)]
    pub(crate) no_cache: bool,
    /// Read what was fetched before, and ask no registry: a tag leads to what it led to then
    #[arg(long, global = true, conflicts_with = "no_cache")]
    pub(crate) offline: bool,
    #[command(flatten)]
    pub(crate) identity: Identity,
}

/// Who we are to the one registry of the command.
#[derive(Debug, Args)]
pub(crate) struct Identity {
    /// Your name at the registry of this command; REFS_USERNAME says it, too
    #[arg(short, long, global = true, value_name = "USER")]
    pub(crate) username: Option<String>,
    /// Read the password for it from stdin; REFS_PASSWORD says it, too
    #[arg(long, global = true)]
    pub(crate) password_stdin: bool,
    /// Read a token that the registry takes from stdin; REFS_TOKEN says it, too
    #[arg(long, global = true)]
    pub(crate) token_stdin: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs: one object, or one object a line
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    /// A bar on a terminal, nothing elsewhere
    Auto,
    /// A bar
    Bar,
    /// A line now and then
    Plain,
    /// Nothing
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Pack a directory and push it
    Push(Push),
    /// Pack a directory into a file, which ls, cat and pull read as file://FILE
    Pack(Pack),
    /// List the files of an artifact without downloading them
    Ls(Ls),
    /// Tell which files differ between two artifacts, without downloading them: exit code 0 when none, 1 when some
    Diff(Diff),
    /// Tell what an artifact is: digest, sizes, annotations, platforms, config, layers, .sow-ref.yaml
    Inspect(Inspect),
    /// Print one file of an artifact
    Cat(Cat),
    /// Extract an artifact, or a part of it
    Pull(Pull),
    /// Unpack the root filesystem of a container image, without being root
    Unpack(Unpack),
    /// Print the digest that a reference stands for
    Resolve(Resolve),
    /// List the tags of a repository
    Tags(Tags),
    /// List the repositories of a registry, where it tells
    Repos(Repos),
    /// List what refers to an artifact: signatures, SBOMs, attestations
    Referrers(Referrers),
    /// Draw what an artifact consists of and what refers to it
    Tree(Tree),
    /// Copy an artifact between registries and layouts, with what refers to it
    Cp(Cp),
    /// Give an artifact further tags, without moving its files
    Tag(Retag),
    /// Delete a tag, or a manifest with all its tags
    Rm(Rm),
    /// Print a manifest or an index
    Manifest(Manifest),
    /// Get, put or look for a single blob
    #[command(subcommand, after_help = examples::BLOB)]
    Blob(Blob),
    /// Send any request to a registry, and print the answer
    Api(Api),
    /// Check a password with a registry, and keep it where docker does
    Login(Login),
    /// Forget the password for a registry
    Logout(Logout),
    /// Look at a registry: what is set for it and where, who we are to it, and what works
    Doctor(Doctor),
    /// Serve a directory as an OCI registry
    Serve(Serve),
    /// Look after what was fetched and is kept on this machine
    #[command(subcommand, after_help = examples::CACHE)]
    Cache(Cache),
    /// Show what refs does, on an embedded registry
    #[command(after_help = examples::DEMO)]
    Demo,
    /// Print a script that completes commands and options in a shell, and references and paths that the cache knows
    Completions(Completions),
    /// Print the manual page
    Man(Man),
}

impl Command {
    /// Whether the command only reads what may be in the cache, and so can do without its registry.
    pub(crate) const fn can_be_offline(&self) -> bool {
        use Command::{Cat, Diff, Inspect, Ls, Manifest, Pull, Referrers, Resolve, Tags, Tree, Unpack};
        let is_of_files = matches!(self, Ls(_) | Cat(_) | Inspect(_) | Pull(_) | Unpack(_) | Diff(_));
        let is_of_names = matches!(self, Resolve(_) | Tags(_) | Manifest(_) | Tree(_) | Referrers(_));
        is_of_files || is_of_names || matches!(self, Self::Blob(Blob::Get(_) | Blob::Stat(_)))
    }
}

#[derive(Debug, Args)]
#[command(after_help = examples::PUSH)]
pub(crate) struct Push {
    /// The directory
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Where to: HOST/REPO:TAG, or ocidir://PATH:TAG
    #[arg(value_name = "REF")]
    pub(crate) to: Location,
    /// A further tag for the same artifact
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<Tag>,
    /// An annotation of the manifest
    #[arg(long = "annotation", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) annotations: Vec<(String, String)>,
    /// What it refers to, in the same repository: it is listed among the referrers of that
    #[arg(long, value_name = "REF")]
    pub(crate) subject: Option<Location>,
    /// What kind of artifact it is
    #[arg(long, value_name = "TYPE", value_parser = media_type)]
    pub(crate) artifact_type: Option<MediaType>,
    /// The media type of the layer
    #[arg(long, value_name = "TYPE", value_parser = media_type)]
    pub(crate) layer_type: Option<MediaType>,
    /// The media type of the config
    #[arg(long, value_name = "TYPE", value_parser = media_type)]
    pub(crate) config_type: Option<MediaType>,
    #[command(flatten)]
    pub(crate) packing: Packing,
}

#[derive(Debug, Args)]
#[command(after_help = examples::PACK)]
pub(crate) struct Pack {
    /// The directory
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// The file, outside of the directory
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Replace a file that is there already
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) packing: Packing,
}

/// How to make a layer of a directory.
#[derive(Debug, Args)]
pub(crate) struct Packing {
    /// What to leave out, as in a .gitignore file; .git/, .DS_Store and node_modules/ are left out unless `!NAME` is given
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Refuse a directory without a .sow-ref.yaml
    #[arg(long)]
    pub(crate) require_manifest: bool,
    /// Give all files the time 0, so that two checkouts give one digest; SOURCE_DATE_EPOCH, if set, is another time for all
    #[arg(long)]
    pub(crate) reproducible: bool,
    /// How hard to compress, from 0 to 9
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = level)]
    pub(crate) level: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Read {
    /// Which image of an index, such as linux/arm64, arm64 or linux/arm/v7 [default: linux on this machine's processor]; one
    /// that is in no index is taken as it is, unless this is given: then a container image must be for it, by its
    /// config, which is one request more; other artifacts are for all platforms
    #[arg(long, value_name = "PLATFORM", value_parser = platform)]
    pub(crate) platform: Option<Platform>,
    /// Read a table of contents that no annotation vouches for
    #[arg(long)]
    pub(crate) unverified: bool,
}

#[derive(Debug, Args)]
#[command(after_help = examples::LS)]
pub(crate) struct Ls {
    /// The artifact
    #[arg(value_name = "REF")]
    pub(crate) at: Location,
    /// Only paths that match
    #[arg(long = "path", value_name = "GLOB")]
    pub(crate) patterns: Vec<String>,
    /// With mode, size and time
    #[arg(short, long)]
    pub(crate) long: bool,
    /// As a tree
    #[arg(long, conflicts_with = "long")]
    pub(crate) tree: bool,
    #[command(flatten)]
    pub(crate) read: Read,
}

#[derive(Debug, Args)]
#[command(after_help = examples::INSPECT)]
pub(crate) struct Inspect {
    /// The artifact
    #[arg(value_name = "REF")]
    pub(crate) at: Location,
    #[command(flatten)]
    pub(crate) read: Read,
}

#[derive(Debug, Args)]
#[command(after_help = examples::CAT)]
pub(crate) struct Cat {
    /// The artifact
    #[arg(value_name = "REF")]
    pub(crate) at: Location,
    /// The file's path in it
    pub(crate) path: String,
    /// Only these bytes of it, counted from 0: A-B with both ends, A- to the end, -N the last N; one that begins where the
    /// file ends is empty, one that begins after that an error
    #[arg(long, value_name = "A-B", allow_hyphen_values = true)]
    pub(crate) range: Option<ByteRange>,
    #[command(flatten)]
    pub(crate) read: Read,
}

#[derive(Debug, Args)]
#[command(after_help = examples::PULL)]
pub(crate) struct Pull {
    /// The artifact
    #[arg(value_name = "REF")]
    pub(crate) at: Location,
    /// Where to [default: the repository's last name]
    #[arg(value_name = "DEST")]
    pub(crate) destination: Option<PathBuf>,
    /// Only paths that match; .sow-ref.yaml comes along
    #[arg(long = "path", value_name = "GLOB")]
    pub(crate) patterns: Vec<String>,
    /// Delete what is at the destination, all of it, and put the new tree in its place
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) read: Read,
    /// Bytes that one file may have, such as 500M; K, M and G are of 1024, KB, MB and GB of 1000; 0 for any
    #[arg(long, value_name = "BYTES", value_parser = size, allow_hyphen_values = true)]
    pub(crate) max_file_size: Option<u64>,
    /// Bytes that all files may have together, such as 2G; 0 for any
    #[arg(long, value_name = "BYTES", value_parser = size, allow_hyphen_values = true)]
    pub(crate) max_total_size: Option<u64>,
    /// How many files, directories and links there may be; 0 for any
    #[arg(long, value_name = "N", value_parser = count::<u64>, allow_hyphen_values = true)]
    pub(crate) max_files: Option<u64>,
}

#[derive(Debug, Args)]
#[command(after_help = examples::RESOLVE)]
pub(crate) struct Resolve {
    /// The artifact; of HOST/REPO:TAG@DIGEST the tag must still lead to the digest
    #[arg(value_name = "REF")]
    pub(crate) at: Location,
    /// The best version that satisfies this, such as `^1.2`, `~1.2.3` or `>=1.1, <2 || 3.x`; a tag in REF must satisfy it.
    /// Offline, one that is kept as a whole comes before higher ones that are not
    #[arg(long, value_name = "CONSTRAINT", value_parser = constraint, allow_hyphen_values = true)]
    pub(crate) constraint: Option<Constraint>,
    /// Follow an index to its image for this platform; one that is in no index must be for it
    #[arg(long, value_name = "PLATFORM", value_parser = platform)]
    pub(crate) platform: Option<Platform>,
}
