//! Bytes of a client and of an upstream, through the whole proxy.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::connection(data));
