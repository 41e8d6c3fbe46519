//! Fuzz target: verification of Hawk headers and bewits.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::authorization(data));
