#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| refs_client::fuzzing::tar_walk(data));
