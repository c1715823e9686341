//! What SIGINT and SIGTERM do: the command is dropped where it stands, and cleans up by that.

use std::{future::Future, process::ExitCode, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long threads may take to notice that they are no longer needed.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// The signal that ended the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    Interrupt,
    Terminate,
}

impl From<Stopped> for ExitCode {
    fn from(stopped: Stopped) -> Self {
        Self::from(match stopped {
            Stopped::Interrupt => 130,
            Stopped::Terminate => 143,
        })
    }
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
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async {
        tokio::select! {
            () = received(interrupt) => Stopped::Interrupt,
            () = received(terminate) => Stopped::Terminate,
        }
    }
}

async fn received(signal: std::io::Result<Signal>) {
    match signal {
        Ok(mut signal) => {
            signal.recv().await;
        }
        // Without a handler the signal keeps its default, which ends the process.
        Err(_) => std::future::pending().await,
    }
}
