//! Fuzz target: request targets.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::destination(data));
