//! What signals do. SIGINT, SIGQUIT, SIGTERM and SIGHUP: the command is dropped where it stands, and cleans up by that. SIGXFSZ:
//! nothing, so that the write that went too far fails.

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
    let (interrupt, terminate) = (signal(SignalKind::interrupt()).ok(), signal(SignalKind::terminate()).ok());
    let quit = signal(SignalKind::quit()).ok();
    let hang_up = if outlives_terminal() { None } else { signal(SignalKind::hangup()).ok() };
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

/// Whether `nohup`, or who else has started the program, has it ignore that its terminal goes.
fn outlives_terminal() -> bool {
    const HANG_UP_BIT: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & HANG_UP_BIT != 0)
}
