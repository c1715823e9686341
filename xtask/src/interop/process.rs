//! Running programs: to their end, or until dropped.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// A server has this many seconds to listen.
const START_SECONDS: u64 = 60;

/// What a program left behind.
pub(crate) struct Outcome {
    line: String,
    output: Output,
}

impl Outcome {
    /// Waits for the end of `command`.
    pub(crate) fn of(command: &mut Command) -> Result<Self> {
        let line = line(command);
        let output = command.stdin(Stdio::null()).output();
        let output = output.map_err(|source| Error::Spawn { line: line.clone(), source })?;
        Ok(Self { line, output })
    }

    /// What it printed, if it ended well.
    pub(crate) fn stdout(self) -> Result<Vec<u8>> {
        if self.output.status.success() {
            return Ok(self.output.stdout);
        }
        let output = String::from_utf8_lossy(&self.output.stderr).trim_end().to_owned();
        Err(Error::Command { line: self.line, status: self.output.status, output })
    }

    /// The same as text, without the last line end.
    pub(crate) fn text(self) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.stdout()?).trim_end().to_owned())
    }

    /// Requires that it failed, in whatever way.
    pub(crate) fn fails(self) -> Result<()> {
        if !self.output.status.success() {
            return Ok(());
        }
        let found = String::from_utf8_lossy(&self.output.stdout).trim().to_owned();
        Err(Error::Unexpected { what: self.line, expected: "a failure".to_owned(), found })
    }

    /// Requires this exit code, and something said about it on stderr.
    pub(crate) fn fails_with(self, code: i32) -> Result<()> {
        let stderr = String::from_utf8_lossy(&self.output.stderr).trim().to_owned();
        if self.output.status.code() == Some(code) && !stderr.is_empty() {
            return Ok(());
        }
        let found = format!("{}, stderr `{stderr}`", self.output.status);
        Err(Error::Unexpected { what: self.line, expected: format!("exit code {code} and an error"), found })
    }
}

/// A program that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `command`; what it says goes to a file in `dir`.
    pub(crate) fn start(name: &str, command: &mut Command, dir: &Path) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let file = File::create(&log).map_err(Error::file("create", &log))?;
        let both = file.try_clone().map_err(Error::file("open", &log))?;
        Self::spawn(name, command.stdout(file).stderr(both), log)
    }

    /// Starts `command`, and reads the first line of its stdout; stderr goes to a file in `dir`.
    pub(crate) fn start_and_read_line(name: &str, command: &mut Command, dir: &Path) -> Result<(Self, String)> {
        let log = dir.join(format!("{name}.log"));
        let file = File::create(&log).map_err(Error::file("create", &log))?;
        let mut server = Self::spawn(name, command.stdout(Stdio::piped()).stderr(file), log)?;
        let mut first = String::new();
        if let Some(stdout) = server.child.stdout.take() {
            let mut stdout = BufReader::new(stdout);
            stdout.read_line(&mut first).map_err(Error::file("read the output of", name))?;
            thread::spawn(move || io::copy(&mut stdout, &mut io::sink()));
        }
        if first.trim().is_empty() {
            return Err(server.not_started());
        }
        Ok((server, first.trim().to_owned()))
    }

    fn spawn(name: &str, command: &mut Command, log: PathBuf) -> Result<Self> {
        let line = line(command);
        let child = command.stdin(Stdio::null()).spawn().map_err(|source| Error::Spawn { line, source })?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Waits until something accepts at `address`.
    pub(crate) fn wait_for(&mut self, address: SocketAddr) -> Result<()> {
        let start = Instant::now();
        while TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err() {
            let ended = !matches!(self.child.try_wait(), Ok(None));
            if ended || start.elapsed().as_secs() >= START_SECONDS {
                return Err(self.not_started());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn not_started(&self) -> Error {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        Error::NotStarted { name: self.name.clone(), log: log.trim_end().to_owned() }
    }

    /// The most memory that was resident at a time so far, in bytes, as Linux tells.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
        kibibytes?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        // Either fails only for a process that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A loopback port that nobody holds at this moment.
pub(crate) fn free_port() -> Result<u16> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(bound.map_err(Error::file("listen on", "127.0.0.1:0"))?.port())
}

/// The command as a shell would show it, for messages.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
