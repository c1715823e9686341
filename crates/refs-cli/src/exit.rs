//! Errors as a person meets them: the chain, a hint, an exit code.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use refs_client::{Error, manifest_file::Faults};
use serde::Serialize;

use crate::{
    args::Format,
    codes::{USAGE, code},
    commands::Failure,
    hint::hint,
    output::{escape, to_json},
};

/// Tells of `failure` on stderr and gives the code to exit with.
pub(crate) fn report(failure: &Failure, format: Format) -> ExitCode {
    let (failure, code) = match failure {
        // 1 says that two artifacts differ.
        Failure::Comparing(failure) => (failure.as_ref(), code(failure).max(USAGE)),
        failure => (failure, code(failure)),
    };
    if matches!(failure, Failure::Different | Failure::Told(_)) {
        return ExitCode::from(code);
    }
    if !failure.is_broken_pipe() {
        // When stderr is closed, too, the exit code is all that can be told.
        drop(tell(failure, code, format));
    }
    ExitCode::from(code)
}

fn tell(failure: &Failure, code: u8, format: Format) -> io::Result<()> {
    let chain = chain(failure);
    let hint = hint(failure);
    match format {
        Format::Text => {
            let mut stderr = io::stderr().lock();
            match faults(failure) {
                Some((path, faults)) => {
                    writeln!(stderr, "error: {}", escape(&failure.to_string()))?;
                    let path = path.display().to_string();
                    for fault in &faults.0 {
                        writeln!(stderr, "{}", escape(&format!("{path}{}", fault.behind_name())))?;
                    }
                }
                None => writeln!(stderr, "error: {}", escape(&chain.join(": ")))?,
            }
            match hint {
                Some(hint) => writeln!(stderr, "\nhint: {}", escape(&hint)),
                None => Ok(()),
            }
        }
        Format::Json => tell_json(chain.join(": "), code, hint),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    schema_version: u32,
    error: Fields,
}

#[derive(Serialize)]
struct Fields {
    message: String,
    exit: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// Writes an error to stderr as JSON.
pub(crate) fn tell_json(message: String, exit: u8, hint: Option<String>) -> io::Result<()> {
    to_json(io::stderr().lock(), &Told { schema_version: 1, error: Fields { message, exit, hint } })
}

/// All that is wrong with a manifest file, which deserves a line each.
fn faults(failure: &Failure) -> Option<(&Path, &Faults)> {
    match failure {
        Failure::Client(Error::ManifestFile { path, source }) => Some((path, source)),
        _ => None,
    }
}

/// The messages of an error and of its causes, each once.
pub(crate) fn chain(failure: &(dyn std::error::Error + 'static)) -> Vec<String> {
    let mut messages: Vec<String> = vec![failure.to_string()];
    let mut cause = failure.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if messages.last().is_none_or(|last| !last.contains(&message)) {
            messages.push(message);
        }
        cause = error.source();
    }
    messages
}
