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
    /// What is written of it, where that is more than what is done.
    fn written(&self) -> u64;
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

    fn written(&self) -> u64 {
        self.written()
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

    fn written(&self) -> u64 {
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
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_prefix(what)
}

fn draw(bar: &ProgressBar, meter: &impl Figures) {
    // Where all is in the cache nothing is fetched, and there is no whole to be a part of.
    let template = match meter.expected() {
        0 => "{prefix} {spinner} {elapsed}{msg}",
        _ => "{prefix} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}{msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_length(meter.expected());
    bar.set_position(meter.done());
    bar.set_message(beside(meter));
    bar.tick();
}

fn line(what: &str, meter: &impl Figures) {
    // Progress that can't be shown is no reason to stop the work.
    drop(writeln!(std::io::stderr(), "{}", told(what, meter)));
}

fn told(what: &str, meter: &impl Figures) -> String {
    let figures = match meter.expected() {
        0 => beside(meter),
        expected => format!(", {} of {}{}", Bytes(meter.done()), Bytes(expected), beside(meter)),
    };
    match figures.strip_prefix(", ") {
        Some(figures) => format!("{what}: {figures}"),
        None => format!("{what}: begun"),
    }
}

/// What is written, and what need not pass at all, as the end of a line.
fn beside(meter: &impl Figures) -> String {
    let figures = [(meter.written(), "written"), (meter.skipped(), "skipped")];
    let told = figures.iter().filter(|(bytes, _)| *bytes > 0);
    told.map(|(bytes, word)| format!(", {} {word}", Bytes(*bytes))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is done, expected, skipped and written.
    struct Counted([u64; 4]);

    impl Figures for Counted {
        fn done(&self) -> u64 {
            self.0[0]
        }

        fn expected(&self) -> u64 {
            self.0[1]
        }

        fn skipped(&self) -> u64 {
            self.0[2]
        }

        fn written(&self) -> u64 {
            self.0[3]
        }
    }

    #[track_caller]
    fn check(figures: [u64; 4], expected: &str) {
        assert_eq!(told("unpacking", &Counted(figures)), expected);
    }

    #[test]
    fn what_is_known_is_told() {
        check([0, 0, 0, 0], "unpacking: begun");
        check([0, 0, 0, 2048], "unpacking: 2.00 KiB written");
        check([0, 0, 1024, 2048], "unpacking: 2.00 KiB written, 1.00 KiB skipped");
        check([1024, 2048, 0, 0], "unpacking: 1.00 KiB of 2.00 KiB");
        check([2048, 2048, 0, 4096], "unpacking: 2.00 KiB of 2.00 KiB, 4.00 KiB written");
    }
}
