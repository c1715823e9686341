//! Questions at the terminal that stdin is.

use std::{
    io::{self, Write},
    os::fd::AsFd,
    thread,
};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::oneshot;

/// Asks for a line. What is typed can be seen.
pub(crate) async fn line(question: &str) -> io::Result<String> {
    ask(question)?;
    // On a thread of its own, which nobody waits for when a signal ends the program in the middle of the question.
    let (answer, line) = oneshot::channel();
    thread::Builder::new().name("terminal".to_owned()).spawn(move || {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line);
        // Whoever has asked may have been stopped.
        drop(answer.send(read.map(|_| line)));
    })?;
    line.await.map_err(io::Error::other)?
}

/// Asks for a line. What is typed can't be seen.
pub(crate) async fn hidden(question: &str) -> io::Result<String> {
    let quiet = Quiet::new()?;
    let line = line(question).await;
    drop(quiet);
    // The newline was not seen, either.
    ask("\n")?;
    line
}

fn ask(text: &str) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(text.as_bytes())?;
    stderr.flush()
}

/// The terminal while it does not show what is typed; until it is dropped, by a signal, too.
struct Quiet {
    before: Termios,
}

impl Quiet {
    fn new() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(stdin.as_fd())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin.as_fd(), OptionalActions::Flush, &quiet)?;
        Ok(Self { before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that is gone has nothing to be put back.
        tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.before).ok();
    }
}
