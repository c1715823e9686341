//! Tasks of the workspace: `cargo xtask ci | layers | interop`.

fn main() {}
