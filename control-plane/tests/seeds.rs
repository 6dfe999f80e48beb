//! The seeds of the fuzz targets, through the functions that the targets run: whole, and cut at any byte.

#[path = "../../fuzz/control-plane/src/documents.rs"]
mod documents;
#[path = "../../fuzz/control-plane/src/requests.rs"]
mod requests;

use std::{fs, io, panic, path::Path};

/// Runs all seeds of a target, and each of them up to every `step`th byte.
fn run_seeds(target: &str, step: usize, run: fn(&[u8])) -> io::Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let mut ran = 0;
    for entry in fs::read_dir(&directory)? {
        let path = entry?.path();
        let seed = fs::read(&path)?;
        for end in (0..seed.len()).step_by(step).chain([seed.len()]) {
            if let Err(fault) = panic::catch_unwind(|| run(&seed[..end])) {
                eprintln!("the first {end} bytes of {}", path.display());
                panic::resume_unwind(fault);
            }
            ran += 1;
        }
    }
    assert!(ran > 0, "no seeds in {}", directory.display());
    Ok(())
}

#[test]
fn any_text_of_a_file_is_read_and_an_edit_leaves_nothing_behind() -> io::Result<()> {
    run_seeds("documents", 7, documents::run)
}

#[test]
fn any_requests_are_answered_once_and_the_stream_comes_to_rest() -> io::Result<()> {
    run_seeds("requests", 1, requests::run)
}
