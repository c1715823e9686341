//! What every store promises, run over each of them, and what each promises beyond.

mod content;
mod memory;
mod suite;
