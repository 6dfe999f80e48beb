//! What a client sends.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| byrnie_fuzz_control_plane::requests::run(data));
