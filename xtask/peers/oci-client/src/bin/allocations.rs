//! How often `refs_url::Parts` allocates for each of the references given: one number a line.
//!
//! A program of its own, because an allocator that counts is not one to measure time with.

use std::alloc::System;
use std::env;
use std::hint::black_box;

use refs_url::Parts;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    for text in env::args().skip(1) {
        let region = Region::new(ALLOCATOR);
        let familiar = black_box(Parts::parse_familiar(black_box(&text)));
        let strict = black_box(Parts::parse(black_box(&text)));
        let allocations = region.change().allocations;
        // An error that owns its text may allocate; a short name is one for the strict parser.
        let wasted = if strict.is_ok() { allocations } else { familiar_alone(&text) };
        assert!(familiar.is_ok(), "`{text}` is not a reference");
        println!("{wasted}");
    }
}

fn familiar_alone(text: &str) -> usize {
    let region = Region::new(ALLOCATOR);
    drop(black_box(Parts::parse_familiar(black_box(text))));
    region.change().allocations
}
