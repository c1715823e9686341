//! Answers the script of a shell.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use clap::{Arg, Command, CommandFactory, FromArgMatches};
use clap_complete::{
    Shell,
    engine::{ArgValueCompleter, CompletionCandidate},
    env::{Elvish, EnvCompleter, Powershell},
};
use refs_client::Location;

use super::{bash::BASH, fish::FISH, known::Known, plain::is_plain, typed::Typed, zsh::ZSH};
use crate::args::{Cli, Global};

/// With this in the environment, which names a shell, the program completes the words behind `--` and does nothing else.
pub(crate) const VARIABLE: &str = "REFS_COMPLETE";

const SHELLS: [&dyn EnvCompleter; 5] = [&BASH, &Elvish, &FISH, &Powershell, &ZSH];

/// Prints what the last of the words may become. Whatever goes wrong, nothing is offered, and nothing said.
pub(crate) fn answer(shell: &OsStr) -> ExitCode {
    let words: Vec<OsString> = env::args_os().skip_while(|word| word != "--").skip(1).collect();
    let mut answer = Vec::new();
    let folder = env::current_dir().ok();
    if let Some(shell) = shell.to_str().and_then(completer)
        && let Ok(()) = shell.write_complete(&mut command(&meant(shell, &words)), words, folder.as_deref(), &mut answer)
    {
        if shell.is(Powershell.name()) {
            answer = plain_lines(&answer);
        }
        // A shell that does not listen has no use for it.
        drop(io::stdout().write_all(&answer));
    }
    ExitCode::SUCCESS
}

/// The lines whose words a shell takes as they stand. PowerShell quotes nothing; zsh, fish and elvish do.
fn plain_lines(answer: &[u8]) -> Vec<u8> {
    let word = |line: &[u8]| {
        line.split(|byte| *byte == b'\t').next().and_then(|word| str::from_utf8(word).ok()).map(str::to_owned)
    };
    let lines = answer.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| word(line.trim_ascii_end()).is_some_and(|word| is_plain(&word))).flatten().copied().collect()
}

/// What a shell is to read to complete by this program, as its `PATH` finds it.
pub(crate) fn script(shell: Shell) -> io::Result<Vec<u8>> {
    const NAME: &str = "refs";
    let mut script = Vec::new();
    if let Some(completer) = completer(&shell.to_string()) {
        completer.write_registration(VARIABLE, NAME, NAME, NAME, &mut script)?;
    }
    Ok(script)
}

fn completer(shell: &str) -> Option<&'static dyn EnvCompleter> {
    SHELLS.into_iter().find(|completer| completer.is(shell))
}

/// `words` without quotes, which bash alone leaves on them.
fn meant(shell: &dyn EnvCompleter, words: &[OsString]) -> Vec<OsString> {
    if !shell.is(BASH.name()) {
        return words.to_vec();
    }
    words.iter().map(|word| Typed::read(&word.to_string_lossy()).meant.into()).collect()
}

/// The command line, whose arguments know what they may be after `words`.
fn command(words: &[OsString]) -> Command {
    // A line that is not written to its end has errors.
    let read = Cli::command().ignore_errors(true).try_get_matches_from(words).ok();
    let global = read.as_ref().and_then(|read| Global::from_arg_matches(read).ok());
    let at = read.as_ref().and_then(|read| {
        let (_, of_command) = read.subcommand()?;
        // What has two of them has the older first.
        let location = |id| of_command.try_get_one::<Location>(id).ok().flatten().cloned();
        location("at").or_else(|| location("old"))
    });
    let known = global.and_then(|global| Known::new(global, at)).map(Arc::new);
    let mut command = Cli::command();
    // Else `--help` would come later, and not be hidden.
    command.build();
    informed(command, known.as_ref())
}

/// The same command, and those below it.
fn informed(command: Command, known: Option<&Arc<Known>>) -> Command {
    command.mut_args(|arg| offering(arg, known)).mut_subcommands(|command| informed(command, known))
}

fn offering(arg: Arg, known: Option<&Arc<Known>>) -> Arg {
    // What is hidden is offered where there is nothing else: options are, where one begins or no value is known.
    let arg = if arg.is_positional() { arg } else { arg.hide(true) };
    let (Some(known), Some(ask)) = (known, question(&arg)) else { return arg };
    let known = Arc::clone(known);
    arg.add(ArgValueCompleter::new(move |word: &OsStr| {
        let found = word.to_str().map(|word| ask(&known, word)).unwrap_or_default();
        found.into_iter().map(CompletionCandidate::new).collect()
    }))
}

/// What is asked of the cache for an argument.
fn question(arg: &Arg) -> Option<fn(&Known, &str) -> Vec<String>> {
    let name = arg.get_value_names().and_then(|names| names.first());
    match (arg.get_id().as_str(), name.map(|name| name.as_str())) {
        ("path", _) => Some(Known::paths),
        ("patterns", _) => Some(Known::patterns),
        (_, Some("REF" | "SRC" | "DST" | "OLD" | "NEW" | "HOST|REF")) => Some(Known::references),
        (_, Some("REPO")) => Some(|known, word| known.repositories(word, "")),
        (_, Some("REPO@DIGEST")) => Some(|known, word| known.repositories(word, "@")),
        (_, Some("HOST")) => Some(Known::hosts),
        _ => None,
    }
}
