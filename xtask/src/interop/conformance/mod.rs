//! The suite of refs-testkit over real registries, through our own client; and the spec's own over our server.

mod official;
mod setup;
mod states;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;

use refs_registry::auth::{Anonymous, Chain, Credential, Credentials, Secret, Static};
use refs_registry::{Options as ClientOptions, Proxies, Registries};
use refs_testkit::conformance::{Door, Suite};
use refs_url::Host;

use super::Options;
use super::summary::Summary;
use super::token::{PASSWORD, USER};
use super::tools::Tools;
use crate::error::{Error, Result};
use setup::{SetUp, Started};

/// How our client sends a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bodies {
    Whole,
    /// Few enough bytes at a time that the small blobs of the suite are several; its large one goes whole.
    Pieces,
}

/// What the rows are called, without the versions of the programs.
pub(super) fn names() -> impl Iterator<Item = String> {
    rows().map(|(set_up, bodies)| name(set_up.program(), set_up, bodies)).chain([official::name(official::PROGRAM)])
}

/// Runs the suite at every set-up that is asked for, a row for each, and that of the spec.
pub(super) fn run(tools: &Tools, options: &Options<'_>, summary: &mut Summary) {
    for (set_up, bodies) in rows().filter(|(set_up, bodies)| options.wants(&name(set_up.program(), *set_up, *bodies))) {
        let start = Instant::now();
        let name = name(&set_up.versioned_program(tools), set_up, bodies);
        match set_up.start(tools).and_then(|started| check(set_up, &started, bodies)) {
            Ok(checks) => summary.note(&format!("{name}: {checks} checks"), &Ok(()), start.elapsed()),
            Err(error) => summary.note(&name, &Err(error), start.elapsed()),
        }
    }
    if options.wants(&official::name(official::PROGRAM)) {
        official::run(tools, summary);
    }
}

fn rows() -> impl Iterator<Item = (SetUp, Bodies)> {
    SetUp::ALL.into_iter().flat_map(|set_up| set_up.bodies().iter().map(move |bodies| (set_up, *bodies)))
}

fn name(program: &str, set_up: SetUp, bodies: Bodies) -> String {
    format!("conformance: {program}, {}, {}", set_up.name(), bodies.name())
}

/// Runs the suite; gives how many checks there were.
fn check(set_up: SetUp, started: &Started, bodies: Bodies) -> Result<usize> {
    let (host, other_host) = (parse(started.host())?, parse(started.other_host())?);
    let (place, other) = (client(&host, bodies, started), client(&other_host, Bodies::Whole, started));
    let suite = Suite {
        other: Door { resolver: &other, host: &other_host },
        capabilities: states::of(set_up),
        tags: set_up.tags(),
        ..Suite::new(&place, &host)
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let report = runtime.map_err(Error::file("start", "a runtime"))?.block_on(suite.run());
    if report.failed.is_empty() {
        return Ok(report.passed.len());
    }
    let (expected, found) = ("every check".to_owned(), report.to_string());
    Err(Error::Unexpected { what: "what passed".to_owned(), expected, found })
}

/// A client that has the right password and certificate for `host`, and shows each where it is asked to.
fn client(host: &Host, bodies: Bodies, started: &Started) -> Registries {
    const PIECE_BYTES: u64 = 5;
    let account = Credential::Basic { username: USER.to_owned(), password: Secret::new(PASSWORD) };
    let login: Arc<dyn Credentials> = Arc::new(Static::new(host.clone(), "the run", account));
    Registries::new(ClientOptions {
        hosts: started.hosts(host),
        credentials: Arc::new(Chain::new(vec![login, Arc::new(Anonymous)])),
        piece_bytes: NonZeroU64::new(PIECE_BYTES).filter(|_| bodies == Bodies::Pieces),
        proxies: Proxies::Ignored,
        ..ClientOptions::default()
    })
}

fn parse(host: &str) -> Result<Host> {
    Host::parse(host).map_err(|error| Error::Unexpected {
        what: "where a server listens".to_owned(),
        expected: "HOST:PORT".to_owned(),
        found: format!("{host}: {error}"),
    })
}

impl Bodies {
    fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole bodies",
            Self::Pieces => "pieces",
        }
    }
}
