//! How work gets on, on stderr.

use std::{
    future::Future,
    io::{IsTerminal, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use refs_client::Meter;
use refs_store::Verifying;

use crate::{
    args::{Global, Progress, When},
    output::Bytes,
};

/// Work that ends sooner is not worth a bar.
const PATIENCE: Duration = Duration::from_millis(500);
const BAR_STEP: Duration = Duration::from_millis(100);
const PLAIN_STEP: Duration = Duration::from_secs(5);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    Bar,
    Plain,
    Nothing,
}

/// What tells how work gets on, in bytes.
pub(crate) trait Figures {
    fn done(&self) -> u64;
    /// What there is to do in all; 0 while nobody knows.
    fn expected(&self) -> u64;
    /// What need not be done.
    fn skipped(&self) -> u64;
}

impl Figures for Meter {
    fn done(&self) -> u64 {
        self.fetched() + self.packed()
    }

    fn expected(&self) -> u64 {
        self.expected()
    }

    fn skipped(&self) -> u64 {
        self.skipped()
    }
}

impl Figures for Verifying {
    fn done(&self) -> u64 {
        self.hashed()
    }

    fn expected(&self) -> u64 {
        self.expected()
    }

    fn skipped(&self) -> u64 {
        0
    }
}

impl Show {
    pub(crate) fn choose(asked: &Global) -> Self {
        match asked.progress {
            Progress::Bar => Self::Bar,
            Progress::Plain => Self::Plain,
            Progress::None => Self::Nothing,
            Progress::Auto if !asked.quiet && std::io::stderr().is_terminal() => Self::Bar,
            Progress::Auto => Self::Nothing,
        }
    }
}

/// Whether colours go to stderr.
pub(crate) fn colours(asked: When) -> bool {
    match asked {
        When::Always => true,
        When::Never => false,
        When::Auto => std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()),
    }
}

/// Runs `work`, showing what `meter` counts meanwhile.
pub(crate) async fn during<T>(
    show: Show,
    what: &'static str,
    meter: &impl Figures,
    work: impl Future<Output = T>,
) -> T {
    match show {
        Show::Nothing => work.await,
        Show::Bar => {
            let bar = bar(what);
            let done = stepping(work, BAR_STEP, || draw(&bar, meter)).await;
            bar.finish_and_clear();
            done
        }
        Show::Plain => stepping(work, PLAIN_STEP, || line(what, meter)).await,
    }
}

async fn stepping<T>(work: impl Future<Output = T>, step: Duration, mut show: impl FnMut()) -> T {
    let mut work = std::pin::pin!(work);
    let mut wait = PATIENCE;
    loop {
        match tokio::time::timeout(wait, work.as_mut()).await {
            Ok(done) => return done,
            Err(_elapsed) => show(),
        }
        wait = step;
    }
}

fn bar(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_prefix(what);
    let template = "{prefix} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}{msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn draw(bar: &ProgressBar, meter: &impl Figures) {
    bar.set_length(meter.expected());
    bar.set_position(meter.done());
    bar.set_message(skipped(meter));
}

fn line(what: &str, meter: &impl Figures) {
    let (done, expected) = (Bytes(meter.done()), Bytes(meter.expected()));
    // Progress that can't be shown is no reason to stop the work.
    drop(writeln!(std::io::stderr(), "{what}: {done} of {expected}{}", skipped(meter)));
}

/// What need not pass at all, as the end of a line.
fn skipped(meter: &impl Figures) -> String {
    match meter.skipped() {
        0 => String::new(),
        bytes => format!(", {} skipped", Bytes(bytes)),
    }
}
