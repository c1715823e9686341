//! Tasks of the workspace: `cargo xtask ci | layers | interop | golden | bench | fuzz`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task runner talks to the terminal; that is its output"
)]

mod bench;
mod ci;
mod error;
mod fuzz;
mod golden;
mod interop;
mod layers;
mod wire;
mod workspace;

use std::env;
use std::process::ExitCode;

use error::{Error, Result};

const USAGE: &str = "usage: cargo xtask ci | layers | interop [--long] [--only NAME] | golden | \
                     bench [--quick] [--scale] [--only NAME] [--json FILE] | \
                     fuzz [TARGET] [--seconds N] [--keep]";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    match words {
        ["ci"] => ci::run(),
        ["layers"] => layers::run(),
        ["interop", words @ ..] => interop::run(&interop::Options::parse(words).ok_or(Error::Usage(USAGE))?),
        ["golden"] => golden::run(),
        ["bench", words @ ..] => bench::run(words),
        ["fuzz", words @ ..] => fuzz::run(words),
        ["measured", words @ ..] => bench::measured(words),
        _ => Err(Error::Usage(USAGE)),
    }
}

fn report(error: &Error) {
    eprintln!("error: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        eprintln!("  caused by: {error}");
        cause = error.source();
    }
    if let Some(hint) = error.hint() {
        eprintln!("\nhint: {hint}");
    }
}
