//! `refs cat`

use std::io::{self, BufWriter, Write};

use refs_client::{ByteRange, Error};

use super::Failure;
use crate::{
    args::Cat,
    wiring::{Session, read_options},
};

const BUFFER_BYTES: usize = 64 * 1024;

pub(super) async fn run(session: &Session, args: Cat) -> Result<(), Failure> {
    let options = read_options(args.read, Vec::new());
    let stdout = BufWriter::with_capacity(BUFFER_BYTES, io::stdout());
    let range = args.range.unwrap_or(ByteRange::ALL);
    let reading = session.client().read_range(&args.at, &args.path, range, &options, stdout);
    Ok(session.showing("reading", reading).await.map_err(of_stdout)?.flush()?)
}

fn of_stdout(error: Error) -> Failure {
    match error {
        Error::Output { source, .. } => Failure::Stdout(source),
        error => error.into(),
    }
}
