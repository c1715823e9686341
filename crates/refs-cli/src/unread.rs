//! Command lines that cannot be read: what is wrong with them, without the password that may be in them.

use std::{
    borrow::Cow,
    error::Error as _,
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use refs_url::{ParseError, redacted};

use crate::{
    args::{Format, When},
    codes::USAGE,
    commands::Failure,
    exit::{self, tell_json},
    hint::{client_hint, destination_hint, host_hint},
    output::escape,
    progress::colours,
    values::NotOnePlatform,
};

/// What clap calls an argument that has a URL in it.
const MIRROR: &str = "<PREFIX=URL>";
/// Where clap's text turns from the error to its help.
const MORE: &str = "For more information";

/// Tells of a command line that cannot be read, with the hint of the value that is wrong; prints the help or the version
/// if that is what was asked for.
pub(crate) fn report(mut error: clap::Error) -> ExitCode {
    let format = if asks_for_json(std::env::args_os()) { Format::Json } else { Format::Text };
    if !error.use_stderr() {
        return match error.print().and_then(|()| io::stdout().flush()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(full) => exit::report(&Failure::Stdout(full), format),
        };
    }
    let hint = hint(&error);
    if option_hint(&error).is_some() {
        // Nobody means the option's name as a value.
        error.insert(ContextKind::Suggested, ContextValue::None);
    }
    redact(&mut error);
    // When stderr is closed, the exit code is all that can be told.
    drop(tell(&error, hint, format));
    ExitCode::from(USAGE)
}

fn hint(error: &clap::Error) -> Option<String> {
    if let Some(hint) = option_hint(error).or_else(|| surplus_hint(error)) {
        return Some(hint.to_owned());
    }
    let cause = error.source()?;
    let arg = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(arg)) => arg.as_str(),
        _ => "",
    };
    if let Some(error) = cause.downcast_ref() {
        return if arg.contains("<DST>") { destination_hint(error) } else { client_hint(error) };
    }
    if let Some(platform) = cause.downcast_ref::<NotOnePlatform>() {
        return platform.hint();
    }
    let parse: &ParseError = cause.downcast_ref()?;
    if arg.contains("<HOST>") { host_hint(parse) } else { parse.hint() }
}

/// What to do instead of giving a command an option that only others have.
fn option_hint(error: &clap::Error) -> Option<&'static str> {
    let ContextValue::String(option) = error.get(ContextKind::InvalidArg)? else { return None };
    (error.kind() == ErrorKind::UnknownArgument && option == "--constraint").then_some(
        "`refs resolve REPO --constraint '^1.2'` prints the best version, and what it prints can be given here",
    )
}

/// What to write instead of one more path behind a reference.
fn surplus_hint(error: &clap::Error) -> Option<&'static str> {
    let ContextValue::StyledStr(usage) = error.get(ContextKind::Usage)? else { return None };
    let ContextValue::String(surplus) = error.get(ContextKind::InvalidArg)? else { return None };
    if error.kind() != ErrorKind::UnknownArgument || surplus.starts_with('-') {
        return None;
    }
    let usage = usage.to_string();
    let hint_of = [
        ("refs ls ", "paths are chosen by `--path`, as in `refs ls REF --path 'guide/**'`"),
        ("refs pull ", "paths are chosen by `--path`, as in `refs pull REF DEST --path 'guide/**'`"),
        ("refs unpack ", "all of an image is unpacked; `refs pull REF DEST --path GLOB` takes some of its files"),
        ("refs inspect ", "one file is printed by `refs cat REF PATH`"),
        ("refs cat ", "one file is printed at a time; several come by `refs pull REF DEST --path GLOB`"),
    ];
    hint_of.iter().find(|(command, _)| usage.contains(command)).map(|(_, hint)| *hint)
}

/// Strikes out credentials in what the error quotes from the command line, and spells out what a terminal would obey.
fn redact(error: &mut clap::Error) {
    let mut has_secret = false;
    let is_mirror =
        matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(arg)) if arg.contains(MIRROR));
    let mut safe = |text: &str| {
        let (start, value) = text.split_at(url_start(text));
        // Of a URL, nothing before an `@` is anything but a login.
        let value = match value.rfind('@').filter(|_| is_mirror) {
            Some(at) => struck_out(value, at),
            None => redacted(value),
        };
        has_secret |= matches!(value, Cow::Owned(_));
        escape(&format!("{start}{value}")).into_owned()
    };
    let quoted: Vec<_> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => Some((kind, ContextValue::String(safe(text)))),
            ContextValue::Strings(texts) => {
                Some((kind, ContextValue::Strings(texts.iter().map(|text| safe(text)).collect())))
            }
            _ => None,
        })
        .collect();
    for (kind, value) in quoted {
        error.insert(kind, value);
    }
    if has_secret {
        // A suggestion repeats what was written.
        error.insert(ContextKind::Suggested, ContextValue::None);
    }
}

/// Where the URL begins of a text such as `hub=https://docker.io`; at the start of any other.
fn url_start(text: &str) -> usize {
    let before = text.split_once("://").map_or("", |(before, _)| before);
    let scheme = before.trim_end_matches(|c: char| c.is_ascii_lowercase());
    if scheme.ends_with('=') && !scheme.contains(['@', ':']) { scheme.len() } else { 0 }
}

/// `url` without what stands before the `@` at `at`, but for a scheme.
fn struck_out(url: &str, at: usize) -> Cow<'_, str> {
    let scheme = ["https://", "http://"].into_iter().find(|scheme| url.starts_with(scheme)).unwrap_or_default();
    Cow::Owned(format!("{scheme}***{}", &url[at..]))
}

fn tell(error: &clap::Error, hint: Option<String>, format: Format) -> io::Result<()> {
    let styled = error.render();
    if format == Format::Json {
        let text = styled.to_string();
        return tell_json(message(&text), USAGE, hint.or_else(|| tip(&text)));
    }
    let text = if colours(When::Auto) { styled.ansi().to_string() } else { styled.to_string() };
    let (told, more) = text.split_at(text.rfind(MORE).unwrap_or(text.len()));
    let mut stderr = io::stderr().lock();
    stderr.write_all(told.as_bytes())?;
    if let Some(hint) = hint {
        writeln!(stderr, "hint: {}\n", escape(&hint))?;
    }
    stderr.write_all(more.as_bytes())
}

/// The error itself, on one line, of all that clap says.
fn message(text: &str) -> String {
    let error = text.strip_prefix("error: ").unwrap_or(text);
    let first = error.split("\n\n").next().unwrap_or_default();
    first.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// What clap guesses was meant.
fn tip(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.trim().strip_prefix("tip: ")).map(str::to_owned)
}

/// Whether a command line asks for JSON, which may be all that can be understood of it.
fn asks_for_json(args: impl Iterator<Item = OsString>) -> bool {
    let args: Vec<OsString> = args.take_while(|arg| arg != "--").collect();
    args.iter().any(|arg| arg == "--format=json")
        || args.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json")
}
