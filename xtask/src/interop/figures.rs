//! What breaking off costs, in bytes, over docker-registry and a link that breaks.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Options;
use super::bench::{Bench, Trees, require_equal};
use super::compare::{Closely, Tree};
use super::link::{Link, Rule};
use super::process::{Outcome, Server};
use super::servers::PlaceKind;
use super::summary::Summary;
use super::token::{PASSWORD, USER};
use super::tools::Tools;
use super::trees;
use crate::error::{Error, Result};

/// What a push sends in one request. So many of them are 60 % of the layer.
const PIECE_BYTES: usize = 8 << 20;
const PIECES: usize = 8;
/// The most of the layer, in percent, that is moved after a kill at 60 %.
const MOST_AFTER_KILL: f64 = 41.0;
/// The most, in percent, that a link costs which cuts every 20 %.
const MOST_OVER_CUTS: f64 = 101.0;
/// How long a program may take to come as far as it is to be killed at.
const KILL_SECONDS: u64 = 60;

/// A figure: a name, and what gives the words about it.
type Figure = (&'static str, PlaceKind, fn(&Bench<'_>) -> Result<String>);

const ALL: [Figure; 4] = [
    ("a pull killed at 60 %, and again", PlaceKind::Plain, pull_killed),
    ("a push killed at 60 %, and again", PlaceKind::Plain, push_killed),
    ("a pull over a link that cuts every 20 %", PlaceKind::Plain, pull_cut),
    ("a token that expires in the middle of a blob", PlaceKind::Token, token_expires),
];

/// What all of them are called.
pub(super) fn names() -> impl Iterator<Item = String> {
    ALL.iter().map(|(name, kind, _)| full_name(*kind, name))
}

/// Takes every figure that is asked for, a row for each.
pub(super) fn run(tools: &Tools, trees: &Trees, options: &Options<'_>, summary: &mut Summary) {
    for (name, kind, figure) in ALL.into_iter().filter(|(name, kind, _)| options.wants(&full_name(*kind, name))) {
        let start = Instant::now();
        let place = kind.start(tools);
        let taken = place.and_then(|place| figure(&Bench::new(tools, &place, trees)?));
        match taken {
            Ok(words) => summary.note(&format!("{}: {words}", full_name(kind, name)), &Ok(()), start.elapsed()),
            Err(error) => summary.note(&full_name(kind, name), &Err(error), start.elapsed()),
        }
    }
}

fn full_name(kind: PlaceKind, name: &str) -> String {
    format!("{}: {name}", kind.name())
}

fn pull_killed(bench: &Bench<'_>) -> Result<String> {
    let (source, link) = (written(bench)?, Link::start(bench.place.host())?);
    let size = push(bench, &source, bench.place.host())?;
    let (reference, here) = (format!("{}/interop/large:v1", link.host()), bench.path("here"));
    let words = ["pull".as_ref(), reference.as_ref(), here.as_os_str()];
    link.set(Rule::StallAfter(size * 60 / 100));
    kill_when_stalled(bench, &link, &words)?;
    link.set(Rule::Open);
    bench.refs(&words)?.stdout()?;
    let percent = at_most("what was fetched after the kill", link.received(), size, MOST_AFTER_KILL)?;
    Tree::read(&source)?.require(&Tree::read(&here)?, Closely::Content, "pull after a kill")?;
    Ok(format!("fetched {percent:.1} % of {} MiB", size >> 20))
}

/// At the end of a piece: docker-registry forgets an upload when a request to it is cut.
fn push_killed(bench: &Bench<'_>) -> Result<String> {
    let (source, link) = (written(bench)?, Link::start(bench.place.host())?);
    let reference = format!("{}/interop/large:v1", link.host());
    link.set(Rule::StallAfterPieces(PIECES));
    kill_when_stalled(bench, &link, &["push".as_ref(), source.as_os_str(), reference.as_ref()])?;
    link.set(Rule::Open);
    let size = push(bench, &source, &link.host())?;
    let percent = at_most("what was sent after the kill", link.sent(), size, MOST_AFTER_KILL)?;
    let found = bench.pull(&bench.place.reference("interop/large", "v1"), &[])?;
    Tree::read(&source)?.require(&found, Closely::Content, "pull of what was pushed after a kill")?;
    Ok(format!("sent {percent:.1} % of {} MiB", size >> 20))
}

fn pull_cut(bench: &Bench<'_>) -> Result<String> {
    let (source, link) = (written(bench)?, Link::start(bench.place.host())?);
    let size = push(bench, &source, bench.place.host())?;
    link.set(Rule::CutAfter(size / 5));
    let found = bench.pull(&format!("{}/interop/large:v1", link.host()), &[])?;
    let percent = at_most("what was fetched", link.received(), size, MOST_OVER_CUTS)?;
    Tree::read(&source)?.require(&found, Closely::Content, "pull over a link that cuts")?;
    Ok(format!("fetched {percent:.1} % of {} MiB, {} cuts", size >> 20, link.broken()))
}

/// The link breaks halfway, and the token with which the blob was begun has come to its end by then.
fn token_expires(bench: &Bench<'_>) -> Result<String> {
    const SECONDS: i64 = 5;
    let Some(tokens) = &bench.place.tokens else { return Err(Error::MissingTool("docker-registry")) };
    let (source, link) = (written(bench)?, Link::start(bench.place.host())?);
    let size = push(bench, &source, bench.place.host())?;
    tokens.take_asked();
    tokens.give_short_ones(SECONDS);
    link.set(Rule::StallAfter(size / 2));
    let (reference, here) = (format!("{}/interop/large:v1", link.host()), bench.path("here"));
    let words = ["pull".as_ref(), reference.as_ref(), here.as_os_str()];
    let mut pull = bench.refs_command(&bench.place.credentials.none, &words);
    pull.env("REFS_USERNAME", USER).env("REFS_PASSWORD", PASSWORD);
    thread::scope(|scope| {
        let pull = scope.spawn(|| Outcome::of(&mut pull)?.stdout());
        let start = Instant::now();
        while link.broken() == 0 && start.elapsed().as_secs() < KILL_SECONDS {
            thread::sleep(Duration::from_millis(10));
        }
        thread::sleep(Duration::from_secs(SECONDS.unsigned_abs() + 1));
        tokens.give_honest_ones();
        link.set(Rule::Open);
        pull.join().unwrap_or(Err(Error::Usage("a thread ended early")))
    })?;
    let asked: Vec<String> = tokens.take_asked().iter().map(ToString::to_string).collect();
    require_equal("tokens asked for", "2", &asked.len().to_string())?;
    Tree::read(&source)?.require(&Tree::read(&here)?, Closely::Content, "pull past the end of a token")?;
    Ok(format!("{} tokens: one, and one refresh", asked.len()))
}

/// A directory whose layer is as large as the figures need: two files, as one would be above the limit of a pull.
fn written(bench: &Bench<'_>) -> Result<std::path::PathBuf> {
    let source = bench.path("large");
    let noise = trees::noise(PIECES * PIECE_BYTES * 10 / 6);
    for (name, bytes) in ["a", "b"].into_iter().zip(noise.chunks(noise.len().div_ceil(2))) {
        trees::write(&source.join(name), bytes)?;
    }
    Ok(source)
}

/// Pushes `source` to `host`; gives the size of the layer in bytes.
fn push(bench: &Bench<'_>, source: &Path, host: &str) -> Result<u64> {
    let reference = format!("{host}/interop/large:v1");
    let words = [OsStr::new("push"), source.as_os_str(), reference.as_ref(), "--format".as_ref(), "json".as_ref()];
    let printed = bench.refs(&words)?.stdout()?;
    let printed: Value =
        serde_json::from_slice(&printed).map_err(|source| Error::Json { from: "refs push", source })?;
    printed["layer"]["size"].as_u64().ok_or_else(|| Error::Unexpected {
        what: "the size of the layer".to_owned(),
        expected: "a number".to_owned(),
        found: printed["layer"].to_string(),
    })
}

/// Runs `refs` until nothing comes through the link any more and what came is written, and kills it.
fn kill_when_stalled(bench: &Bench<'_>, link: &Link, words: &[&OsStr]) -> Result<()> {
    const WRITTEN: Duration = Duration::from_millis(500);
    let logs = bench.path("logs");
    fs::create_dir_all(&logs).map_err(Error::file("create", &logs))?;
    let mut command = bench.refs_command(&bench.place.credentials.right, words);
    let mut running = Server::start("killed", &mut command, &logs)?;
    let start = Instant::now();
    while link.broken() == 0 && start.elapsed().as_secs() < KILL_SECONDS {
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(WRITTEN);
    running.kill();
    if link.broken() > 0 {
        return Ok(());
    }
    let said = fs::read_to_string(logs.join("killed.log")).unwrap_or_default();
    Err(Error::Unexpected { what: "where it was killed".to_owned(), expected: "60 %".to_owned(), found: said })
}

/// `moved` in percent of `size`.
fn at_most(what: &str, moved: u64, size: u64, most: f64) -> Result<f64> {
    let percent = moved as f64 * 100.0 / size as f64;
    if percent <= most {
        return Ok(percent);
    }
    let (expected, found) = (format!("at most {most} %"), format!("{percent:.1} % of {size} bytes"));
    Err(Error::Unexpected { what: what.to_owned(), expected, found })
}
