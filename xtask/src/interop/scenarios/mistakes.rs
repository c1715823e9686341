//! What a user asks for wrongly gets a clear error and the right exit code, from real servers too.

use crate::error::{Error, Result};
use crate::interop::bench::Bench;
use crate::interop::trees;

use super::round_trip::pushed;

const NOT_FOUND: i32 = 3;
const CONFLICT: i32 = 11;

pub(super) fn not_found(bench: &Bench<'_>) -> Result<()> {
    let reference = pushed(bench)?;
    let destination = bench.path("pulled").to_string_lossy().into_owned();
    let no_tag = bench.place.reference("interop/sample", "no-such-tag");
    let no_repository = bench.place.reference("interop/no-such-repository", "v1");
    let rows: [&[&str]; 5] = [
        &["ls", &no_tag],
        &["resolve", &no_repository],
        &["cat", &reference, "no/such/file"],
        &["pull", &reference, &destination, "--path", "no-such-*"],
        &["pull", &no_tag, &destination],
    ];
    for words in rows {
        bench.refs(words)?.fails_with(NOT_FOUND)?;
    }
    nothing_at(&destination)
}

pub(super) fn destination(bench: &Bench<'_>) -> Result<()> {
    let reference = pushed(bench)?;
    let destination = bench.path("pulled");
    trees::write(&destination.join("mine"), b"stays")?;
    let shown = destination.to_string_lossy();
    bench.refs(&["pull", &reference, &shown])?.fails_with(CONFLICT)?;
    let left = std::fs::read(destination.join("mine")).map_err(Error::file("read", destination.join("mine")))?;
    crate::interop::bench::require_equal("what was there", "stays", &String::from_utf8_lossy(&left))
}

fn nothing_at(path: &str) -> Result<()> {
    if !std::path::Path::new(path).exists() {
        return Ok(());
    }
    let (expected, found) = ("nothing".to_owned(), "something".to_owned());
    Err(Error::Unexpected { what: format!("{path} after a pull that failed"), expected, found })
}
