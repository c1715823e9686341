//! `refs completions`

use clap::CommandFactory;

use super::Failure;
use crate::{
    args::{Cli, Completions},
    wiring::Session,
};

pub(super) fn run(session: &Session, args: &Completions) -> Result<(), Failure> {
    let mut output = session.output();
    // The generator panics when its output fails, so it is given one that can't.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "refs", &mut script);
    output.bytes(&script)?;
    Ok(output.flush()?)
}
