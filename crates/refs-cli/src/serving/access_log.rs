//! The access log: a line for each answer.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use refs_server::{Answered, End, Observer};
use serde::Serialize;

use crate::{operation_args::AccessLog, output::to_json};

/// Why the access log can't be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the access log to `{}`", .path.display())]
pub(crate) struct Fault {
    path: PathBuf,
    source: io::Error,
}

/// Who writes the lines. A thread of its own does: a terminal that is stopped, or a disk that is slow, holds up no answer.
/// When too many lines wait, further ones are dropped, and counted.
#[derive(Debug)]
pub(crate) struct Lines {
    format: fn(&Answered) -> String,
    queue: SyncSender<String>,
    dropped: Arc<AtomicU64>,
}

/// The lines that may wait.
const WAITING: usize = 8192;

impl Lines {
    /// Begins to write lines of `format` to the file at `path`, or to stderr; `None` when nothing is to be written. What is
    /// given besides ends when all lines are written, once nobody observes any more.
    pub(crate) fn start(format: AccessLog, path: Option<&Path>) -> Result<Option<(Self, JoinHandle<()>)>, Fault> {
        let format = match format {
            AccessLog::None => return Ok(None),
            AccessLog::Text => text,
            AccessLog::Json => json,
        };
        let place: Box<dyn Write + Send> = match path {
            Some(path) => Box::new(BufWriter::new(opened(path)?)),
            None => Box::new(BufWriter::new(io::stderr())),
        };
        let (queue, lines) = sync_channel(WAITING);
        let dropped = Arc::<AtomicU64>::default();
        let writer = std::thread::spawn({
            let dropped = Arc::clone(&dropped);
            move || write(&lines, place, &dropped)
        });
        Ok(Some((Self { format, queue, dropped }, writer)))
    }
}

fn opened(path: &Path) -> Result<File, Fault> {
    let opened = File::options().append(true).create(true).open(path);
    opened.map_err(|source| Fault { path: path.to_owned(), source })
}

/// Writes lines as they come, and out when no more wait.
fn write(lines: &Receiver<String>, mut place: impl Write, dropped: &AtomicU64) {
    let mut told = false;
    while let Ok(line) = lines.recv() {
        let waiting = lines.try_iter().take(WAITING);
        let written = std::iter::once(line).chain(waiting).try_for_each(|line| place.write_all(line.as_bytes()));
        if let Err(error) = written.and_then(|()| place.flush())
            && !std::mem::replace(&mut told, true)
        {
            tracing::warn!(%error, "lines of the access log are lost");
        }
        let dropped = dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(lines = dropped, "the access log could not keep up, and lacks some lines");
        }
    }
}

impl Observer for Lines {
    fn answered(&self, answered: &Answered) {
        if self.queue.try_send((self.format)(answered)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// `TIME PEER USER METHOD "PATH" STATUS BYTES MSms CACHE "USER AGENT"`, with `-` for what is not known, and a `+` behind the
/// bytes of an answer that broke off. The query is left out: whatever somebody took for a good place may be in it.
fn text(answered: &Answered) -> String {
    let Answered { method, status, bytes, .. } = answered;
    let peer = answered.peer.map_or_else(|| "-".to_owned(), |peer| peer.to_string());
    let user = answered.user.as_deref().map_or_else(|| "-".to_owned(), quoted);
    let cache = answered.cache.map_or_else(|| "-".to_owned(), |found| found.to_string());
    let agent = answered.user_agent.as_deref().map_or_else(|| "-".to_owned(), quoted);
    let broken = if answered.end == End::Broken { "+" } else { "" };
    let (time, path, ms) = (time(answered.time), quoted(answered.path()), ms(answered.whole));
    let mut line = format!("{time} {peer} {user} {method} {path} {status} {bytes}{broken} {ms}ms {cache} {agent}");
    line.push('\n');
    line
}

/// `text` in quotes, with what a terminal or a reader of lines would take for something else spelled out.
fn quoted(text: &str) -> String {
    let mut quoted = Vec::new();
    // What is written to memory is written.
    drop(to_json(&mut quoted, &text));
    String::from_utf8_lossy(&quoted).trim_end().to_owned()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    schema_version: u32,
    time: String,
    peer: Option<String>,
    user: Option<&'a str>,
    method: &'a str,
    path: &'a str,
    endpoint: String,
    status: u16,
    received: u64,
    bytes: u64,
    whole: bool,
    ms: f64,
    first_byte_ms: f64,
    cache: Option<String>,
    upstream: Option<String>,
    user_agent: Option<&'a str>,
}

fn json(answered: &Answered) -> String {
    let line = Line {
        schema_version: 1,
        time: time(answered.time),
        peer: answered.peer.map(|peer| peer.to_string()),
        user: answered.user.as_deref(),
        method: answered.method.as_str(),
        path: answered.path(),
        endpoint: answered.endpoint.to_string(),
        status: answered.status,
        received: answered.received,
        bytes: answered.bytes,
        whole: answered.end == End::Whole,
        ms: ms(answered.whole),
        first_byte_ms: ms(answered.first_byte),
        cache: answered.cache.map(|found| found.to_string()),
        upstream: answered.upstream.as_ref().map(ToString::to_string),
        user_agent: answered.user_agent.as_deref(),
    };
    let mut json = Vec::new();
    // What is written to memory is written.
    drop(to_json(&mut json, &line));
    String::from_utf8_lossy(&json).into_owned()
}

/// In UTC, to the millisecond.
fn time(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_out_of_range| "-".to_owned(), |time| format!("{time:.3}"))
}

/// In milliseconds, to the tenth.
fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}
