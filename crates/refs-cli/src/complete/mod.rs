//! Completes words in a shell: commands and options as clap knows them, references and paths as the cache does,
//! layouts as the disk does.

mod adapter;
mod answer;
mod bash;
mod described;
mod fish;
mod known;
mod layouts;
mod plain;
mod typed;
mod zsh;

pub(crate) use answer::{VARIABLE, answer, script};
