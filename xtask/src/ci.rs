//! `cargo xtask ci`: what a change must pass besides the tests.

use std::process::Command;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::layers;
use crate::workspace::{Workspace, cargo};

/// One cargo command, and what to do when it fails.
struct Step {
    name: String,
    command: Command,
    hint: &'static str,
}

/// Runs the steps in order and stops at the first that fails.
pub(crate) fn run() -> Result<()> {
    let start = Instant::now();
    for step in [format(), clippy(), doc()] {
        step.run()?;
    }
    timed("layers", layers::run)?;
    for step in each_feature_alone(&Workspace::load()?) {
        step.run()?;
    }
    println!("ci: everything passed in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn format() -> Step {
    Step::cargo("format", &["fmt", "--all", "--", "--check"], "run `cargo fmt --all`")
}

fn clippy() -> Step {
    let words = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    Step::cargo("clippy", &words, "fix it; a true exception is an `#[expect(…, reason = \"…\")]` at the line")
}

fn doc() -> Step {
    let words = ["doc", "--workspace", "--no-deps"];
    let mut step = Step::cargo("doc", &words, "every public item is documented, and links in the docs resolve");
    step.command.env("RUSTDOCFLAGS", "-D warnings");
    step
}

/// Each library without its features, then with each of them alone: features only add.
fn each_feature_alone(workspace: &Workspace) -> Vec<Step> {
    let libraries = workspace.members().filter(|package| package.is_library());
    let checks = libraries.flat_map(|package| {
        let features = package.features.keys().map(String::as_str).filter(|feature| *feature != "default");
        [""].into_iter().chain(features).map(|feature| check(&package.name, feature)).collect::<Vec<_>>()
    });
    checks.collect()
}

fn check(package: &str, feature: &str) -> Step {
    let words = ["check", "--package", package, "--no-default-features", "--features", feature];
    let name = if feature.is_empty() { format!("{package} bare") } else { format!("{package} with {feature} alone") };
    Step::cargo(&name, &words, "code behind a feature may use only what that feature brings")
}

impl Step {
    fn cargo(name: &str, words: &[&str], hint: &'static str) -> Self {
        let mut command = cargo();
        command.args(words);
        Self { name: name.to_owned(), command, hint }
    }

    fn run(mut self) -> Result<()> {
        let step = self.name.clone();
        timed(&step, || {
            let spawned = self.command.status().map_err(|source| Error::Spawn { line: self.name.clone(), source });
            if spawned?.success() { Ok(()) } else { Err(Error::Step { step: self.name, hint: self.hint }) }
        })
    }
}

fn timed(name: &str, step: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("ci: {name} …");
    let start = Instant::now();
    step()?;
    println!("ci: {name} passed in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
