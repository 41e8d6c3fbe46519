//! Fuzz target: credentials, certificates and scopes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::credentials(data));
