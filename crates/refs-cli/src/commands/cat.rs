//! `refs cat`

use std::io::{self, BufWriter, Write};

use super::Failure;
use crate::{
    args::Cat,
    wiring::{Session, read_options},
};

const BUFFER_BYTES: usize = 64 * 1024;

pub(super) async fn run(session: &Session, args: Cat) -> Result<(), Failure> {
    let options = read_options(args.read, Vec::new());
    let stdout = BufWriter::with_capacity(BUFFER_BYTES, io::stdout());
    let reading = session.client().read_file(&args.at, &args.path, &options, stdout);
    Ok(session.showing("reading", reading).await?.flush()?)
}
