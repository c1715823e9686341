//! What the libraries tell besides results and errors, on stderr.

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt::{
        self, FmtContext, FormatEvent, FormatFields,
        format::{Format, Full, Writer},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::{
    args::Global,
    hint::{cache, machine},
    output::escape,
    progress,
};

/// Sends what the libraries tell to stderr: warnings, and requests with `-v`. `REFS_LOG` says it in more detail.
pub(crate) fn start(global: &Global) {
    let asked = std::env::var("REFS_LOG").ok().filter(|asked| !asked.is_empty());
    let read = asked.as_deref().map(str::parse::<Targets>);
    let not_understood = matches!(read, Some(Err(_)));
    let levels = silenced(read.and_then(Result::ok).unwrap_or_else(|| levels(global)));
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(progress::colours(global.color))
        .event_format(Lines { detailed: fmt::format().with_target(false).without_time() });
    tracing_subscriber::registry().with(levels).with(lines).init();
    if not_understood {
        tracing::warn!("REFS_LOG is not a list of levels, such as `refs_registry=debug,warn`; it is left out");
    }
}

/// `levels`, without what the libraries below HTTP tell in detail: they know no secrets, and show all that they carry.
fn silenced(levels: Targets) -> Targets {
    ["h2", "hyper", "hyper_util", "reqwest", "rustls", "tower"]
        .into_iter()
        .fold(levels, |levels, target| levels.with_target(target, LevelFilter::WARN))
}

fn levels(global: &Global) -> Targets {
    let levels = Targets::new();
    match (global.quiet, global.verbose) {
        (true, _) => levels.with_default(LevelFilter::ERROR),
        (false, 0) => levels.with_default(LevelFilter::WARN),
        (false, 1) => {
            let ours = ["refs_registry", "refs_client", "refs_store", "refs_server"];
            levels.with_default(LevelFilter::WARN).with_targets(ours.map(|name| (name, LevelFilter::DEBUG)))
        }
        (false, _) => levels.with_default(LevelFilter::TRACE),
    }
}

/// Warnings as sentences for the user, all else as records for who looks for a fault.
struct Lines {
    detailed: Format<Full, ()>,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> std::fmt::Result {
        if *event.metadata().level() > Level::WARN {
            return self.detailed.format_event(ctx, writer, event);
        }
        let mut sentence = Sentence::default();
        event.record(&mut sentence);
        let (colour, end) = if writer.has_ansi_escapes() { ("\u{1b}[33m", "\u{1b}[0m") } else { ("", "") };
        let hint = next(event.metadata().target(), &mut sentence);
        writeln!(writer, "{colour}warning{end}: {}", escape(&sentence.whole()))?;
        match hint {
            Some(hint) => writeln!(writer, "hint: {}", escape(&hint)),
            None => Ok(()),
        }
    }
}

/// What to do about a warning of the module `target`, in words of this program, which the libraries don't know.
fn next(target: &str, sentence: &mut Sentence) -> Option<String> {
    if target.starts_with("refs_client::unpack::scratch") {
        let remedy = sentence.of_machine.map(|remedy| format!("{remedy}; the next run there removes it"));
        return remedy.or_else(|| Some("who owns what is in it, or root, removes it with `rm -r`".to_owned()));
    }
    sentence.of_cache.take().filter(|_| target.starts_with("refs_store::cached"))
}

/// The message of an event, the facts it names, and its cause.
#[derive(Default)]
struct Sentence {
    message: String,
    facts: String,
    cause: String,
    /// What to do about the cause, if the warning is about the cache.
    of_cache: Option<String>,
    /// What to do about the cause, if it is what this machine has too little of.
    of_machine: Option<&'static str>,
}

impl Sentence {
    fn whole(self) -> String {
        let Self { mut message, facts, cause, .. } = self;
        if !facts.is_empty() {
            message += &format!(" ({facts})");
        }
        message + &cause
    }
}

impl Visit for Sentence {
    fn record_error(&mut self, _field: &Field, value: &(dyn std::error::Error + 'static)) {
        let causes = std::iter::successors(Some(value), |error| error.source());
        causes.for_each(|error| self.cause += &format!(": {error}"));
        self.of_machine = machine::of(value);
        self.of_cache = value.downcast_ref().map(cache::beside_warning);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => self.message += &format!("{value:?}"),
            "error" => self.cause += &format!(": {value:?}"),
            name => {
                let comma = if self.facts.is_empty() { "" } else { ", " };
                self.facts += &format!("{comma}{name} {value:?}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m172_what_carries_secrets_below_is_not_logged_at_any_level() {
        for asked in ["trace", "h2=trace", "hyper=debug,trace"] {
            let levels = silenced(asked.parse().unwrap());
            for target in ["h2", "h2::codec::framed_write", "hyper::proto::h1::role", "rustls::client"] {
                assert!(!levels.would_enable(target, &Level::DEBUG), "{asked} {target}");
            }
        }
        assert!(silenced("trace".parse().unwrap()).would_enable("refs_registry::transport", &Level::TRACE));
    }
}
