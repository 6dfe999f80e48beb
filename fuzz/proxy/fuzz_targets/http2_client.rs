//! What servers of HTTP/2 send.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| byrnie_fuzz_proxy::http2_client::run(data));
