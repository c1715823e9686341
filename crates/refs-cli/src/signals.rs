//! What SIGINT and SIGTERM do: the command is dropped where it stands, and cleans up by that.

use std::{future::Future, process::ExitCode, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

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
pub(crate) async fn until_stopped<T>(work: impl Future<Output = T>) -> Result<T, Stopped> {
    tokio::select! {
        done = work => Ok(done),
        stopped = stop() => Err(stopped),
    }
}

/// Waits for a signal to stop.
pub(crate) async fn stop() -> Stopped {
    let interrupt = wait(SignalKind::interrupt());
    let terminate = wait(SignalKind::terminate());
    tokio::select! {
        () = interrupt => Stopped::Interrupt,
        () = terminate => Stopped::Terminate,
    }
}

async fn wait(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        // Without a handler the signal keeps its default, which ends the process.
        Err(_) => std::future::pending().await,
    }
}
