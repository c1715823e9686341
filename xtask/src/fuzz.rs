//! `cargo xtask fuzz`: throws inputs at the parsers that read strangers' words, until one breaks what has to hold of all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::workspace::Workspace;

const USAGE: &str = "usage: cargo xtask fuzz [TARGET] [--seconds N] [--keep]";

/// How long each target runs when nobody says.
const SECONDS: u32 = 60;

/// What a run needs besides stable Rust: the words that show whether it is there, and its name.
const TOOLS: [(&[&str], &str); 3] = [
    (&["rustup", "run", "nightly", "rustc", "--version"], "nightly Rust"),
    (&["cargo", "fuzz", "--version"], "cargo-fuzz"),
    (&["c++", "--version"], "c++"),
];

/// What to run, and what to do with what it finds.
#[derive(Debug, PartialEq, Eq)]
struct Options<'a> {
    /// `None` for all of them, one after the other.
    target: Option<&'a str>,
    seconds: u32,
    found: Found,
}

/// Inputs that reach what no other has.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// They stay in the build directory, and the next run begins with them.
    StayOut,
    /// The fewest that reach all of it join those that `cargo test` replays.
    JoinCorpus,
}

/// The directories of one target.
struct Corpus {
    /// What is committed.
    kept: PathBuf,
    /// What runs on this machine have found.
    found: PathBuf,
}

pub(crate) fn run(words: &[&str]) -> Result<()> {
    let options = Options::parse(words)?;
    for (line, name) in TOOLS {
        let status = Command::new(line[0]).args(&line[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !status.is_ok_and(|status| status.success()) {
            return Err(Error::MissingTool(name));
        }
    }
    let workspace = Workspace::load()?;
    let targets = targets(&workspace.root)?;
    let known = |target: &str| targets.iter().any(|name| name == target);
    if let Some(target) = options.target.filter(|target| !known(target)) {
        let (found, what) = (target.to_owned(), "the fuzz target".to_owned());
        return Err(Error::Unexpected { what, expected: targets.join(", "), found });
    }
    for target in targets.iter().filter(|name| options.target.is_none_or(|target| target == name.as_str())) {
        let corpus = Corpus {
            kept: workspace.root.join("fuzz/corpus").join(target),
            found: workspace.target.join("fuzz-corpus").join(target),
        };
        fs::create_dir_all(&corpus.found).map_err(Error::file("make", &corpus.found))?;
        let time = format!("-max_total_time={}", options.seconds);
        // An input that takes ten seconds, or half a gigabyte, has found something as well.
        let bounds = [time.as_str(), "-timeout=10", "-rss_limit_mb=512", "-max_len=4096", "-print_final_stats=1"];
        fuzz(&workspace.root, target, [&corpus.found, &corpus.kept], &bounds)?;
        if options.found == Found::JoinCorpus {
            fuzz(
                &workspace.root,
                target,
                [&corpus.kept, &corpus.found],
                &["-set_cover_merge=1", "-use_counters=0", "-max_len=4096"],
            )?;
        }
    }
    Ok(())
}

impl<'a> Options<'a> {
    fn parse(mut words: &[&'a str]) -> Result<Self> {
        let mut options = Self { target: None, seconds: SECONDS, found: Found::StayOut };
        loop {
            words = match *words {
                [] => return Ok(options),
                ["--seconds", seconds, ref rest @ ..] => {
                    options.seconds = seconds.parse().ok().ok_or(Error::Usage(USAGE))?;
                    rest
                }
                ["--keep", ref rest @ ..] => {
                    options.found = Found::JoinCorpus;
                    rest
                }
                [target, ref rest @ ..] if options.target.is_none() && !target.starts_with('-') => {
                    options.target = Some(target);
                    rest
                }
                _ => return Err(Error::Usage(USAGE)),
            };
        }
    }
}

/// The names of the targets, in the order of the alphabet.
fn targets(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(Error::file("list", &folder))? {
        let path = entry.map_err(Error::file("list", &folder))?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Runs a target on these directories, into the first of which it writes; `words` are libFuzzer's.
fn fuzz(root: &Path, target: &str, corpora: [&Path; 2], words: &[&str]) -> Result<()> {
    println!("fuzz: {target}: {}", words.join(" "));
    let mut command = Command::new("rustup");
    // The task's own cargo is stable, and cargo-fuzz would take it.
    command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    command.args(["run", "nightly", "cargo", "fuzz", "run", "--fuzz-dir"]).arg(root.join("fuzz"));
    command.arg(target).args(corpora).arg("--").args(words);
    let status = command.status().map_err(|source| Error::Spawn { line: "cargo fuzz run".to_owned(), source })?;
    let hint = "the input is below `fuzz/artifacts`: mend what it broke, and keep it in `fuzz/corpus/TARGET`";
    if status.success() { Ok(()) } else { Err(Error::Step { step: format!("fuzz {target}"), hint }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_any_order() {
        let all = Options { target: None, seconds: SECONDS, found: Found::StayOut };
        assert_eq!(Options::parse(&[]).unwrap(), all);
        let one = Options { target: Some("link"), seconds: 600, found: Found::JoinCorpus };
        for words in [["link", "--seconds", "600", "--keep"], ["--keep", "--seconds", "600", "link"]] {
            assert_eq!(Options::parse(&words).unwrap(), one);
        }
        for wrong in [&["a", "b"][..], &["--seconds"], &["--seconds", "x"], &["--quick"]] {
            assert!(matches!(Options::parse(wrong), Err(Error::Usage(USAGE))), "{wrong:?}");
        }
    }
}
