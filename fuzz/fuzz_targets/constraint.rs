#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| refs_url::fuzzing::constraint(data));
