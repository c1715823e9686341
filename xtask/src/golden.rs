//! `cargo xtask golden`: makes the layers and the tables that tests read again, with the reference implementations.

use std::path::Path;
use std::process::Command;

use crate::error::Result;
use crate::interop::process::Outcome;
use crate::workspace::Workspace;

/// A Go module that pins reference implementations, the program in it, and where that writes.
struct Golden {
    module: &'static str,
    program: &'static str,
    data: &'static str,
}

const ALL: [Golden; 3] = [
    Golden { module: "xtask/peers/estargz", program: "./golden", data: "crates/refs-estargz/tests/data" },
    Golden { module: "xtask/peers/platforms", program: ".", data: "crates/refs-client/tests/data" },
    Golden { module: "xtask/peers/semver", program: ".", data: "crates/refs-url/tests/vectors" },
];

/// Writes golden data over what is there, and says which has changed.
///
/// The same versions of Go and of the modules give the same bytes; another Go may compress otherwise.
pub(crate) fn run() -> Result<()> {
    let root = Workspace::load()?.root;
    for Golden { module, program, data } in ALL {
        println!("golden: {module} writes {data}");
        let mut go = Command::new("go");
        go.args(["run", "-trimpath", program]).arg(root.join(data)).current_dir(root.join(module));
        Outcome::of(&mut go)?.stdout()?;
    }
    let changed = changes(&root)?;
    println!("golden: {}", if changed.is_empty() { "nothing has changed" } else { &changed });
    Ok(())
}

/// What git says of the data: one line for each file that is not as it was committed.
fn changes(root: &Path) -> Result<String> {
    let data = ALL.map(|golden| golden.data);
    Outcome::of(Command::new("git").args(["status", "--short", "--"]).args(data).current_dir(root))?.text()
}
