//! Fuzz target: Linux's table of TCP connections.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::owner(data));
