//! `cargo xtask layers`: the architecture, checked.

mod dependencies;
mod rules;
mod sources;
mod violation;

use crate::error::{Error, Result};
use crate::workspace::Workspace;

/// Lists every violation; one is a failure.
pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::load()?;
    let mut violations = dependencies::violations(&workspace);
    violations.extend(sources::violations(&workspace)?);
    for violation in &violations {
        println!("layers: {violation}");
    }
    match violations.len() {
        0 => {
            println!("layers: {} crates, no violation", workspace.members().count());
            Ok(())
        }
        count => Err(Error::Layers { count }),
    }
}
