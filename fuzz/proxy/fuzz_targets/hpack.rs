//! Header blocks of HTTP/2.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| byrnie_fuzz_proxy::hpack::run(data));
