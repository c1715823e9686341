//! Completes words in a shell: commands and options as clap knows them, references and paths as the cache does.

mod answer;
mod bash;
mod known;
mod plain;

pub(crate) use answer::{VARIABLE, answer, script};
