//! A new version over an old one, by the bytes that passed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::peers_read::json;
use crate::error::{Error, Result};
use crate::interop::bench::Bench;
use crate::interop::compare::{Closely, Tree};
use crate::interop::link::{Link, Rule};
use crate::interop::trees::{MANY, noise, write};

/// About so many bytes has a file.
const FILE_BYTES: usize = 1_000;
/// Of so many files, which are a directory, one has changed.
const PART: usize = 100;
/// So many hundredths of the layer may pass, headers included, beside the end that has the table of contents.
const MOST_PERCENT: u64 = 3;

/// One in a hundred of 9,000 files has changed: over the tree, and to an empty place with the older version in the cache.
pub(super) fn one_percent(bench: &Bench<'_>) -> Result<()> {
    let link = Link::start(bench.place.host())?;
    let at = |tag: &str| format!("{}/interop/delta:{tag}", link.host());
    let source = bench.path("source");
    write_all(&source)?;
    bench.push(&source, &at("v1"))?;
    change(&source)?;
    bench.push(&source, &at("v2"))?;
    let expected = Tree::read(&source)?;
    let most = most_bytes(bench, &at("v2"))?;

    let pull = |from: &str, to: &str, words: &[&str]| -> Result<u64> {
        let to = bench.path(to);
        let words = words.iter().map(OsStr::new);
        let all = [OsStr::new("pull"), from.as_ref(), to.as_os_str()].into_iter().chain(words).collect::<Vec<_>>();
        link.set(Rule::Open);
        bench.refs(&all)?.stdout()?;
        Ok(link.received())
    };
    pull(&at("v1"), "over", &["--no-cache"])?;
    let over = pull(&at("v2"), "over", &["--no-cache", "--force"])?;
    pull(&at("v1"), "older", &[])?;
    let beside = pull(&at("v2"), "empty", &[])?;
    for (what, passed) in [("over", over), ("empty", beside)] {
        expected.require(&Tree::read(&bench.path(what))?, Closely::Times, what)?;
        if passed > most {
            let (expected, found) = (format!("at most {most} bytes from the registry"), passed.to_string());
            return Err(Error::Unexpected { what: format!("the pull to `{what}`"), expected, found });
        }
    }
    Ok(())
}

/// The files of the first version.
fn write_all(root: &Path) -> Result<()> {
    let content = noise(MANY + FILE_BYTES);
    (0..MANY).try_for_each(|number| write(&path(root, number), &content[number..number + FILE_BYTES]))
}

/// Makes the second version of the first: of each directory another file has changed.
fn change(root: &Path) -> Result<()> {
    for number in (0..MANY).filter(|number| number % PART == number / PART * 37 % PART) {
        let path = path(root, number);
        let mut bytes = fs::read(&path).map_err(Error::file("read", &path))?;
        bytes.reverse();
        write(&path, &bytes)?;
    }
    Ok(())
}

fn path(root: &Path, number: usize) -> PathBuf {
    root.join(format!("d{:02}/f{:02}", number / PART, number % PART))
}

/// What may pass of the layer at `reference`.
fn most_bytes(bench: &Bench<'_>, reference: &str) -> Result<u64> {
    let manifest = json("the manifest", &bench.refs(&["manifest", reference, "--raw"])?.stdout()?)?;
    let layer = &manifest["layers"][0];
    let tail = layer["annotations"]["dev.refs.estargz.tail"].as_str().and_then(|tail| tail.parse::<u64>().ok());
    let figures = layer["size"].as_u64().zip(tail).map(|(size, tail)| size * MOST_PERCENT / 100 + tail);
    figures.ok_or_else(|| Error::Unexpected {
        what: "the layer's descriptor".to_owned(),
        expected: "a size and where its tail begins".to_owned(),
        found: Value::to_string(layer),
    })
}
