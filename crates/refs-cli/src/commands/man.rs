//! `refs man`

use std::{fs, io, path::Path};

use clap::CommandFactory;

use super::Failure;
use crate::{
    args::{Cli, Man},
    wiring::Session,
};

pub(super) fn run(session: &Session, args: &Man) -> Result<(), Failure> {
    let command = Cli::command();
    if let Some(folder) = &args.folder {
        return write_all(command, folder).map_err(|source| Failure::Write { path: folder.clone(), source });
    }
    let mut output = session.output();
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    output.bytes(&page)?;
    Ok(output.flush()?)
}

fn write_all(command: clap::Command, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command, folder)
}
