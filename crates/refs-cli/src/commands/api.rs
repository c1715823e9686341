//! `refs api`

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
};

use refs_registry::{Method, RawAnswer, RawRequest, error::RequestLine};
use serde::Serialize;
use serde_json::Value;

use super::Failure;
use crate::{
    args::{Api, Format},
    codes,
    output::{Output, escape},
    pretty::pretty,
    wiring::Session,
};

/// What is sent is kept in memory. A blob can be larger, and has a command of its own.
const MAX_INPUT_BYTES: u64 = 32 << 20;

/// Why a request was not sent, or not answered with a success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("a request to {0} has no body")]
    NoBody(&'static str),
    #[error("cannot read `{}`", .path.display())]
    Input { path: PathBuf, source: io::Error },
    #[error("`{}` exceeds the limit of {MAX_INPUT_BYTES} bytes", .path.display())]
    InputTooLarge { path: PathBuf },
    #[error("{at} was answered with {status}")]
    Status { at: RequestLine, status: u16 },
}

impl Fault {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::InputTooLarge { .. } => Some("`refs blob put REPO FILE` sends blobs of any size".to_owned()),
            Self::NoBody(_) => Some("`--input` goes with POST, PUT and PATCH".to_owned()),
            Self::Input { .. } | Self::Status { .. } => None,
        }
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::NoBody(_) => codes::USAGE,
            Self::Input { .. } => codes::OTHER,
            Self::InputTooLarge { .. } => codes::LIMIT,
            Self::Status { status, .. } => match status {
                404 | 410 => codes::NOT_FOUND,
                401 => codes::UNAUTHORIZED,
                403 => codes::DENIED,
                405 | 501 => codes::UNSUPPORTED,
                409 | 412 => codes::CONFLICT,
                500.. => codes::UNREACHABLE,
                _ => codes::OTHER,
            },
        }
    }
}

#[derive(Serialize)]
struct Shown {
    status: u16,
    headers: Vec<(String, String)>,
    body: Value,
}

pub(super) async fn run(session: &Session, args: Api) -> Result<(), Failure> {
    let body = match &args.input {
        Some(_) if !matches!(args.method, Method::Post | Method::Put | Method::Patch) => {
            let verb = if args.method == Method::Delete { "delete something" } else { "read something" };
            return Err(Fault::NoBody(verb).into());
        }
        Some(path) => input(path.clone()).await?,
        None => Vec::new(),
    };
    let request = RawRequest { method: args.method, path: args.target.path, headers: args.headers, body: body.into() };
    let registry = session.registry(&args.target.host)?;
    let answer = session.showing("asking", registry.raw(&request)).await?;
    let mut output = session.output();
    if args.include && session.format() == Format::Text {
        head(&mut output, &answer)?;
    }
    print(&mut output, &answer, session.format())?;
    output.flush()?;
    let RawAnswer { at, status, .. } = answer;
    if (200..300).contains(&status) { Ok(()) } else { Err(Fault::Status { at, status }.into()) }
}

fn head(output: &mut Output, answer: &RawAnswer) -> io::Result<()> {
    output.line(&format_args!("HTTP {}", answer.status))?;
    for (name, value) in &answer.headers {
        output.line(&format_args!("{name}: {}", escape(value)))?;
    }
    output.line(&"")
}

fn print(output: &mut Output, answer: &RawAnswer, format: Format) -> io::Result<()> {
    if format == Format::Json {
        let text = || Value::String(String::from_utf8_lossy(&answer.body).into_owned());
        let body = serde_json::from_slice(&answer.body).unwrap_or_else(|_| text());
        return output.object(&Shown { status: answer.status, headers: answer.headers.clone(), body });
    }
    if answer.body.is_empty() || !io::stdout().is_terminal() {
        return output.bytes(&answer.body);
    }
    match pretty(&answer.body) {
        Some(json) => output.line(&json),
        None => String::from_utf8_lossy(&answer.body).lines().try_for_each(|line| output.line(&escape(line))),
    }
}

/// What is to be sent: a file's bytes, or those of stdin.
async fn input(path: PathBuf) -> Result<Vec<u8>, Failure> {
    let name = path.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        match path.as_path() {
            path if path == Path::new("-") => io::stdin().take(MAX_INPUT_BYTES + 1).read_to_end(&mut bytes)?,
            path => File::open(path)?.take(MAX_INPUT_BYTES + 1).read_to_end(&mut bytes)?,
        };
        Ok(bytes)
    });
    let read: io::Result<Vec<u8>> = reading.await.unwrap_or_else(|ended| Err(io::Error::other(ended)));
    match read {
        Err(source) => Err(Fault::Input { path: name, source }.into()),
        Ok(bytes) if bytes.len() as u64 > MAX_INPUT_BYTES => Err(Fault::InputTooLarge { path: name }.into()),
        Ok(bytes) => Ok(bytes),
    }
}
