//! One command a file: it calls a verb and prints what came of it.

pub(crate) mod api;
mod blob;
mod branches;
mod cache;
mod cat;
mod completions;
mod container;
mod cp;
mod demo;
mod diff;
mod doctor;
mod each;
mod inspect;
mod login;
mod logout;
mod ls;
mod man;
mod manifest;
mod pack;
mod pull;
mod push;
mod referrers;
mod repos;
mod resolve;
pub(crate) mod rm;
mod serve;
mod shared;
mod tag;
mod tags;
mod tree;
mod unpack;

use std::{io, path::PathBuf, time::Duration};

use refs_store::DiskStore;

use crate::{
    access_args::EntryError,
    args::{Cli, Command},
    codes::{INTEGRITY, code},
    credentials,
    hint::{Asked, hint_by_place},
    listen_args::Listen,
    recorded::of_moved,
    signals::{Stopped, until_stopped},
    wiring::Session,
};

/// Why a command does not take `--offline`.
const NEEDS_REGISTRY: &str = "`--offline` is for commands that only read: ls, cat, inspect, pull, unpack, diff, resolve, tags, \
     manifest, tree, blob get and blob stat; and for referrers of a layout";

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Client(#[from] refs_client::Error),
    #[error(transparent)]
    Registry(#[from] refs_registry::Error),
    #[error(transparent)]
    Credentials(#[from] credentials::Fault),
    #[error("{0}")]
    Usage(String),
    #[error("a pack is written to a file, not to stdout")]
    PackToStdout,
    #[error("cannot write to stdout")]
    Stdout(#[from] io::Error),
    #[error("cannot write to `{}`", .path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the command did not end within {} s", .0.as_secs_f64())]
    Deadline(Duration),
    #[error(transparent)]
    Deleting(#[from] rm::Fault),
    #[error(transparent)]
    Api(#[from] api::Fault),
    #[error("cannot start the threads to work with")]
    Runtime(#[source] io::Error),
    #[error("cannot listen on {}", .at.address)]
    Serve { at: Listen, source: io::Error },
    /// What was compared differs: an answer, and no fault.
    #[error("the artifacts differ")]
    Different,
    /// Why nothing could be compared.
    #[error(transparent)]
    Comparing(Box<Self>),
    #[error("cannot fetch {at}")]
    Fetch { at: String, source: refs_client::Error },
    /// No version suits among those that the cache knows.
    #[error(transparent)]
    Offline(refs_client::Error),
    /// What the cache has does not hold, and nobody else was to be asked.
    #[error(transparent)]
    Kept(Box<Self>),
    /// One that the places of the command tell what to do about.
    #[error("{failure}")]
    Hinted {
        hint: String,
        #[source]
        failure: Box<Self>,
    },
    /// One of several, which was told of when it came.
    #[error(transparent)]
    Told(Box<Self>),
    /// The cache itself, when it is what the command is about.
    #[error(transparent)]
    Cache(refs_registry::Error),
    #[error("something in the cache was damaged")]
    Damaged,
    #[error(transparent)]
    ServerConfig(#[from] crate::server_config::Fault),
    #[error("these mirrors cannot be served beside each other")]
    Routes(#[source] refs_server::RouteError),
    #[error(transparent)]
    AccessLog(#[from] crate::serving::LogFault),
    #[error(transparent)]
    Entry(#[from] EntryError),
    #[error("cannot keep repositories in `{}`", .root.display())]
    Root { root: PathBuf, source: io::Error },
    #[cfg(feature = "bucket")]
    #[error("cannot share by that bucket")]
    Bucket(#[source] refs_store::NoBucket),
}

impl Failure {
    /// The same of a command that had all it read from the cache.
    fn of_cache(self) -> Self {
        match self {
            // What a comparison failed of decides its exit code.
            Self::Comparing(failure) => Self::Comparing(Box::new(failure.of_cache())),
            failure if code(&failure) == INTEGRITY => Self::Kept(Box::new(failure)),
            failure => failure,
        }
    }

    /// The same, with what to do next. What a comparison failed of decides its exit code.
    fn hinted(self, hint: String) -> Self {
        match self {
            Self::Comparing(failure) => Self::Comparing(Box::new(failure.hinted(hint))),
            failure => Self::Hinted { hint, failure: Box::new(failure) },
        }
    }

    /// Whether the reader of stdout has left, which is its right.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        let (Self::Stdout(error) | Self::Client(refs_client::Error::Io { source: error, .. })) = self else {
            return false;
        };
        error.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Runs the command to its end, or until a signal or its deadline stops it. What it fetches is kept in `cache`.
pub(crate) async fn run(cli: Cli, cache: Option<DiskStore>) -> Result<Result<(), Failure>, Stopped> {
    if cli.global.offline && !cli.command.can_be_offline() {
        return Ok(Err(Failure::Usage(NEEDS_REGISTRY.to_owned())));
    }
    let deadline = cli.global.timeout;
    let reads_cache_alone = cli.global.offline && !cli.command.registries().is_empty();
    // No cache keeps lists of referrers: only layouts have them without a registry.
    let is_kept = cli.command.can_be_offline() && !matches!(cli.command, Command::Referrers(_));
    let may_read_cache_alone = !cli.global.offline && is_kept;
    let asked = Asked::of(&cli.command);
    let session = match Session::new(cli.global, &cli.command, cache) {
        Ok(session) => session,
        Err(fault) => return Ok(Err(fault.into())),
    };
    let done = Box::pin(dispatch(&session, cli.command));
    let outcome = match deadline {
        None => done.await,
        // What is dropped where it stands cleans up by that, as with a signal.
        Some(deadline) => tokio::time::timeout(deadline, done).await.unwrap_or(Ok(Err(Failure::Deadline(deadline)))),
    };
    session.part().await;
    let failure = match outcome? {
        Ok(()) => return Ok(Ok(())),
        Err(failure) if reads_cache_alone => failure.of_cache(),
        Err(failure) => failure,
    };
    let offline = session.cache().filter(|_| may_read_cache_alone).map(|_cache| session.client().clone().offline());
    let hint = match of_moved(&session, &failure, &asked.places).await {
        None => hint_by_place(&failure, &asked, session.client(), offline.as_ref()).await,
        of_moved => of_moved,
    };
    Ok(Err(match hint {
        Some(hint) => failure.hinted(hint),
        None => failure,
    }))
}

async fn dispatch(session: &Session, command: Command) -> Result<Result<(), Failure>, Stopped> {
    match command {
        Command::Push(args) => until_stopped(push::run(session, args)).await,
        Command::Pack(args) => until_stopped(pack::run(session, args)).await,
        Command::Ls(args) => until_stopped(ls::run(session, args)).await,
        Command::Diff(args) => until_stopped(diff::run(session, args)).await,
        Command::Inspect(args) => until_stopped(inspect::run(session, args)).await,
        Command::Cat(args) => until_stopped(cat::run(session, args)).await,
        Command::Pull(args) => until_stopped(pull::run(session, args)).await,
        Command::Unpack(args) => until_stopped(unpack::run(session, args)).await,
        Command::Resolve(args) => until_stopped(resolve::run(session, args)).await,
        Command::Tags(args) => until_stopped(tags::run(session, args)).await,
        Command::Repos(args) => until_stopped(repos::run(session, args)).await,
        Command::Referrers(args) => until_stopped(referrers::run(session, args)).await,
        Command::Tree(args) => until_stopped(tree::run(session, args)).await,
        Command::Cp(args) => until_stopped(cp::run(session, args)).await,
        Command::Tag(args) => until_stopped(tag::run(session, args)).await,
        Command::Rm(args) => until_stopped(rm::run(session, args)).await,
        Command::Manifest(args) => until_stopped(manifest::run(session, args)).await,
        Command::Blob(args) => until_stopped(blob::run(session, args)).await,
        Command::Api(args) => until_stopped(api::run(session, args)).await,
        Command::Doctor(args) => until_stopped(doctor::run(session, args)).await,
        Command::Login(args) => until_stopped(login::run(session, args)).await,
        Command::Logout(args) => until_stopped(logout::run(session, args)).await,
        // A server takes the signal itself: it has requests to finish.
        Command::Serve(args) => serve::run(session, args).await.map_or_else(|failure| Ok(Err(failure)), Err),
        Command::Cache(args) => until_stopped(cache::run(session, args)).await,
        Command::Demo => until_stopped(demo::run(session)).await,
        Command::Completions(args) => Ok(completions::run(session, &args)),
        Command::Man(args) => Ok(man::run(session, &args)),
    }
}
