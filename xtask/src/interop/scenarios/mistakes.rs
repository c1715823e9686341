//! What a user asks for wrongly gets a clear error and the right exit code, from real servers too.

use crate::error::{Error, Result};
use crate::interop::bench::Bench;
use crate::interop::trees;

use super::round_trip::pushed;

const NOT_FOUND: i32 = 3;
const LIMIT: i32 = 9;
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

/// Eleven sparse files, none of them too large, which have 1 GiB and one byte together.
pub(super) fn too_much(bench: &Bench<'_>) -> Result<()> {
    const FILE_BYTES: u64 = 100 << 20;
    let source = bench.path("large");
    for number in 0..=10 {
        let path = source.join(format!("{number:02}"));
        trees::write(&path, b"")?;
        let bytes = if number < 10 { FILE_BYTES } else { (1 << 30) + 1 - 10 * FILE_BYTES };
        let file = std::fs::File::options().write(true).open(&path).map_err(Error::file("open", &path))?;
        file.set_len(bytes).map_err(Error::file("extend", &path))?;
    }
    let reference = bench.place.reference("interop/large", "v1");
    bench.refs(&["push", &source.to_string_lossy(), &reference, "--level", "1"])?.text()?;
    let destination = bench.path("refused").to_string_lossy().into_owned();
    for words in [&["pull", &reference, &destination][..], &["pull", &reference, &destination, "--path", "**"]] {
        bench.refs(words)?.fails_with(LIMIT)?;
        nothing_at(&destination)?;
    }
    Ok(())
}

fn nothing_at(path: &str) -> Result<()> {
    if !std::path::Path::new(path).exists() {
        return Ok(());
    }
    let (expected, found) = ("nothing".to_owned(), "something".to_owned());
    Err(Error::Unexpected { what: format!("{path} after a pull that failed"), expected, found })
}
