//! `cargo xtask golden`: makes the layers that tests read again, with the reference implementations.

use std::path::Path;
use std::process::Command;

use crate::error::Result;
use crate::interop::process::Outcome;
use crate::workspace::Workspace;

/// The Go module that pins the reference implementations.
const MODULE: &str = "xtask/peers/estargz";
/// Where the layers are, and the list of what is in them.
const DATA: &str = "crates/refs-estargz/tests/data";

/// Writes the layers and the list over those that are there, and says which have changed.
///
/// The same versions of Go and of the modules give the same bytes; another Go may compress otherwise.
pub(crate) fn run() -> Result<()> {
    let root = Workspace::load()?.root;
    println!("golden: making layers in {DATA}");
    let mut go = Command::new("go");
    go.args(["run", "-trimpath", "./golden"]).arg(root.join(DATA)).current_dir(root.join(MODULE));
    Outcome::of(&mut go)?.stdout()?;
    let changed = changes(&root)?;
    println!("golden: {}", if changed.is_empty() { "nothing has changed" } else { &changed });
    Ok(())
}

/// What git says of the layers: one line for each that is not as it was committed.
fn changes(root: &Path) -> Result<String> {
    Outcome::of(Command::new("git").args(["status", "--short", "--", DATA]).current_dir(root))?.text()
}
