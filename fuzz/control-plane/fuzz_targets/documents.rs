//! The texts of a file.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| byrnie_fuzz_control_plane::documents::run(data));
