//! `refs completions`

use super::Failure;
use crate::{args::Completions, complete, wiring::Session};

pub(super) fn run(session: &Session, args: &Completions) -> Result<(), Failure> {
    let mut output = session.output();
    output.bytes(&complete::script(args.shell)?)?;
    Ok(output.flush()?)
}
