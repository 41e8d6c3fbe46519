//! Fuzz target: the whole proxy between a client and an upstream that send any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::connection(data));
