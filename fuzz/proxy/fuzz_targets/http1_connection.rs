//! A client and a server, joined.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| byrnie_fuzz_proxy::http1_connection::run(data));
