#![doc = include_str!("../README.md")]

mod access_args;
mod args;
mod cache_args;
mod codes;
mod commands;
mod complete;
mod credentials;
mod diff_args;
mod duration;
mod examples;
mod exit;
mod hint;
mod image_args;
mod kept;
mod listen_args;
mod locations;
mod log;
mod mirror_args;
mod operation_args;
mod output;
mod own_args;
mod place;
mod pretty;
mod progress;
mod recorded;
mod registry_args;
mod server_config;
mod serving;
mod signals;
mod size;
mod terminal;
mod unread;
mod values;
mod wiring;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if let Some(shell) = std::env::var_os(complete::VARIABLE) {
        return complete::answer(&shell);
    }
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return unread::report(error),
    };
    log::start(&cli.global);
    if cli.global.offline {
        hint::cache::read_alone();
    }
    let format = cli.global.format;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(&commands::Failure::Runtime(error), format),
    };
    let entered = runtime.enter();
    if let Err(error) = signals::outlive_file_limit() {
        return exit::report(&commands::Failure::Runtime(error), format);
    }
    drop(entered);
    let cache = wiring::cache(&cli.global);
    let notable = kept::notable(cache.as_ref(), &cli.global);
    let outcome = runtime.block_on(commands::run(cli, cache));
    // Threads that still write below a staging directory remove it when they find that nobody waits for them.
    runtime.shutdown_timeout(signals::GRACE);
    let (code, may_pass) = match outcome {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(failure)) => (exit::report(&failure, format), codes::may_pass(&failure)),
        Err(stopped) => (stopped.into(), true),
    };
    if may_pass {
        kept::tell(notable.as_ref());
    }
    code
}
