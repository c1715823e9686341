//! What one command costs.
//!
//! A process sees what its children used only in sum, and the largest of them as a maximum over its whole life. So each command
//! gets a parent of its own: this program again, as `xtask measured`, which starts it, waits, and writes down the figures.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::interop::process::Outcome;

/// The cost of one run, with all processes that it started and waited for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Milliseconds by the clock.
    pub(crate) wall_ms: f64,
    /// Milliseconds of user and system time of all its processes.
    pub(crate) cpu_ms: f64,
    /// Peak resident memory of its largest process, in bytes.
    pub(crate) rss_bytes: u64,
}

/// Runs `program` with `words`, and says what it cost. `scratch` is a file for the figures.
///
/// # Errors
/// [`Error::Command`] when it ends with another code than 0.
pub(crate) fn run(command: &Command, scratch: &Path) -> Result<Cost> {
    let this = std::env::current_exe().map_err(Error::file("find", "this program"))?;
    let mut parent = Command::new(this);
    parent.arg("measured").arg(scratch).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => parent.env(name, value),
            None => parent.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        parent.current_dir(directory);
    }
    Outcome::of(&mut parent)?.stdout()?;
    let figures = fs::read(scratch).map_err(Error::file("read", scratch))?;
    serde_json::from_slice(&figures).map_err(|source| Error::Json { from: "xtask measured", source })
}

/// `xtask measured FILE PROGRAM WORD…`: the parent. What the program prints is dropped, but for its errors.
pub(crate) fn measured(words: &[&str]) -> Result<()> {
    let [scratch, program, words @ ..] = words else {
        return Err(Error::Usage("usage: measured FILE PROGRAM WORD…"));
    };
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status().map_err(|source| Error::Spawn { line: (*program).to_owned(), source })?;
    let wall_ms = start.elapsed().as_secs_f64() * 1e3;
    ended_well(program, status)?;
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| Error::Usage(error.desc()))?;
    let micros = used.user_time().num_microseconds() + used.system_time().num_microseconds();
    let kib = u64::try_from(used.max_rss()).unwrap_or(0);
    let cost = Cost { wall_ms, cpu_ms: micros as f64 / 1e3, rss_bytes: kib * 1024 };
    let json = serde_json::to_vec(&cost).map_err(|source| Error::Json { from: "xtask measured", source })?;
    fs::write(scratch, json).map_err(Error::file("write", *scratch))
}

fn ended_well(program: &str, status: ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    Err(Error::Command { line: program.to_owned(), status, output: String::new() })
}
