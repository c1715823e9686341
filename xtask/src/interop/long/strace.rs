//! A program under `strace`, which ends it or fails a call of it at a given point.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::error::{Error, Result};
use crate::interop::tools::in_path;

/// A moment in the run of a program: a thread makes this call for the `nth` time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) call: String,
    pub(crate) nth: usize,
}

/// What happens there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    /// The program is killed before it makes the call.
    Kill,
    /// The call fails with this error.
    Fails(&'static str),
}

/// Runs `command` to its end, and gives every point at which a thread makes one of `calls`.
pub(crate) fn points(command: &Command, calls: &[&str], log: &Path) -> Result<Vec<Point>> {
    let words = ["-o".to_owned(), log.to_string_lossy().into_owned(), format!("--trace={}", calls.join(","))];
    let output = run(command, &words)?;
    if !output.status.success() {
        let (line, output) = ("strace".to_owned(), String::from_utf8_lossy(&output.stderr).into_owned());
        return Err(Error::NotStarted { name: line, log: output });
    }
    let lines = fs::read_to_string(log).map_err(Error::file("read", log))?;
    // Each thread has its own count.
    let (mut threads, mut most) = (BTreeMap::<(&str, &str), usize>::new(), BTreeMap::<&str, usize>::new());
    for (thread, call) in lines.lines().filter_map(made) {
        let count = threads.entry((thread, call)).or_default();
        *count += 1;
        let most = most.entry(call).or_default();
        *most = (*most).max(*count);
    }
    let all = most.iter().flat_map(|(call, most)| (1..=*most).map(|nth| Point { call: (*call).to_owned(), nth }));
    Ok(all.collect())
}

/// Runs `command` until it ends or `event` happens at `point`. With other timing it may never come there.
pub(super) fn interrupted(command: &Command, point: &Point, event: Event) -> Result<Output> {
    let what = match event {
        Event::Kill => "signal=KILL".to_owned(),
        Event::Fails(error) => format!("error={error}"),
    };
    let Point { call, nth } = point;
    run(command, &[format!("--trace={call}"), format!("--inject={call}:{what}:when={nth}"), "-o/dev/null".to_owned()])
}

/// On one processor threads take turns much the same way each time.
fn run(command: &Command, words: &[String]) -> Result<Output> {
    let strace = in_path("strace").ok_or(Error::MissingTool("strace"))?;
    let mut traced = Command::new("taskset");
    traced.args(["-c", "0"]).arg(strace).args(["-f", "-qq", "--seccomp-bpf"]).args(words);
    traced.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    let output = traced.stdin(Stdio::null()).output();
    output.map_err(|source| Error::Spawn { line: "taskset -c 0 strace".to_owned(), source })
}

/// The thread and the call of a line like `123 rename("a", "b") = 0`.
fn made(line: &str) -> Option<(&str, &str)> {
    let (thread, rest) = line.split_once(' ')?;
    let (call, _) = rest.trim_start().split_once('(')?;
    let is_name = call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some((thread, call))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_begin_a_call_count() {
        let rows = [
            ("12 rename(\"a\", \"b\") = 0", Some(("12", "rename"))),
            ("12  openat(AT_FDCWD, \"x (1)\" <unfinished ...>", Some(("12", "openat"))),
            ("12 <... openat resumed>) = 3", None),
            ("12 +++ exited with 0 +++", None),
            ("12 --- SIGCHLD {si_signo=SIGCHLD, (x)} ---", None),
        ];
        for (line, expected) in rows {
            assert_eq!(made(line), expected, "{line}");
        }
    }
}
