//! `refs man`

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use clap::CommandFactory;
use clap_mangen::Man;

use super::Failure;
use crate::{
    args::{self, Cli},
    codes::CODES,
    wiring::Session,
};

pub(super) fn run(session: &Session, args: &args::Man) -> Result<(), Failure> {
    let command = Cli::command();
    if let Some(folder) = &args.folder {
        return write_all(command, folder).map_err(|source| Failure::Write { path: folder.clone(), source });
    }
    let mut output = session.output();
    output.bytes(&page(command)?)?;
    Ok(output.flush()?)
}

/// Writes a page for `command`, and one for each command in it.
fn write_all(command: clap::Command, folder: &Path) -> io::Result<()> {
    let mut command = command.disable_help_subcommand(true);
    // Only then commands know what they are called as a whole.
    command.build();
    fs::create_dir_all(folder)?;
    let mut commands = vec![command];
    while let Some(command) = commands.pop() {
        commands.extend(command.get_subcommands().filter(|command| !command.is_hide_set()).cloned());
        let name = Man::new(command.clone()).get_filename();
        fs::write(folder.join(name), page(command)?)?;
    }
    Ok(())
}

/// The page of `command`, with what the codes mean that all commands end with.
fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    page.extend_from_slice(b".SH \"EXIT STATUS\"\n");
    for (code, meaning) in CODES {
        writeln!(page, ".TP\n\\fB{code}\\fR\n{meaning}")?;
    }
    Ok(page)
}
