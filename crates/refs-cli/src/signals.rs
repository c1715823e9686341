//! What signals do. SIGINT, SIGQUIT, SIGTERM and SIGHUP: the command is dropped where it stands, and cleans up by that.
//! SIGXFSZ: nothing, so that the write that went too far fails.

use std::{future::Future, io, process::ExitCode, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long threads may take to notice that they are no longer needed.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// The signal that ended the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    Interrupt,
    Quit,
    Terminate,
    HangUp,
}

impl From<Stopped> for ExitCode {
    fn from(stopped: Stopped) -> Self {
        Self::from(match stopped {
            Stopped::HangUp => 129,
            Stopped::Interrupt => 130,
            Stopped::Quit => 131,
            Stopped::Terminate => 143,
        })
    }
}

/// Has a write beyond the limit that the system sets for files fail from now on, as on a full disk. By default its signal
/// ends the process where it stands, with all that lies about. Programs that this one runs get the default back.
pub(crate) fn outlive_file_limit() -> io::Result<()> {
    signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)
}

/// Runs `work` until it ends or a signal comes.
pub(crate) fn until_stopped<T>(work: impl Future<Output = T>) -> impl Future<Output = Result<T, Stopped>> {
    // The state of a command is large: in a box it is not moved about, nor part of its caller's.
    let (work, stopped) = (Box::pin(work), stop());
    async {
        tokio::select! {
            done = work => Ok(done),
            stopped = stopped => Err(stopped),
        }
    }
}

/// Takes the signals to stop from now on, and gives the first that comes.
pub(crate) fn stop() -> impl Future<Output = Stopped> {
    // A signal that comes before the future is first polled must not find its default, which ends the process.
    let ignored = ignored();
    let taken = |kind: SignalKind| {
        let is_ignored = ignored & 1 << (kind.as_raw_value() - 1) != 0;
        if is_ignored { None } else { signal(kind).ok() }
    };
    let [interrupt, quit, terminate, hang_up] =
        [SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate(), SignalKind::hangup()].map(taken);
    async {
        tokio::select! {
            () = received(interrupt) => Stopped::Interrupt,
            () = received(quit) => Stopped::Quit,
            () = received(terminate) => Stopped::Terminate,
            () = received(hang_up) => Stopped::HangUp,
        }
    }
}

async fn received(signal: Option<Signal>) {
    match signal {
        Some(mut signal) => {
            signal.recv().await;
        }
        // Without a handler the signal keeps what it does: its default, which ends the process, or nothing.
        None => std::future::pending().await,
    }
}

/// The signals that whoever started the program has it ignore, a bit for each: `nohup` does so with SIGHUP, and a shell with
/// SIGINT and SIGQUIT for what it runs in the background of a script. They stay ignored.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}
