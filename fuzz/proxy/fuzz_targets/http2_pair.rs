//! A client and a server of HTTP/2, joined.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| byrnie_fuzz_proxy::http2_pair::run(data));
