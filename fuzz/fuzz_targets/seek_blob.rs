#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| refs_estargz::fuzzing::seek_blob(data));
