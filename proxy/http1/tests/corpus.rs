//! Request smuggling and malformed HTTP/1, case by case: `corpus/README.md` says what a case is and what it expects.
//!
//! Each case goes through the crate in one piece, byte by byte, and cut in two at every position, always with what is
//! expected as the outcome.

#[path = "corpus/case.rs"]
mod case;
#[path = "corpus/outcome.rs"]
mod outcome;
#[path = "corpus/read.rs"]
mod read;

use std::{collections::HashMap, fs, path::Path};

use case::{Case, Role};
use outcome::Outcome;

/// Above this many bytes a case is cut at a choice of positions: each cut costs as much as the case is long.
const CUT_EVERYWHERE: usize = 2048;

#[test]
fn every_request_is_refused_or_has_one_meaning() {
    run(|case| case.role == Role::Request, 300);
}

#[test]
fn every_response_is_refused_or_has_one_meaning() {
    run(|case| case.role != Role::Request, 90);
}

fn run(wanted: impl Fn(&Case) -> bool, at_least: usize) {
    let cases: Vec<Case> = all_cases().into_iter().filter(wanted).collect();
    assert!(cases.len() >= at_least, "only {} cases: are the files there?", cases.len());
    let failures: Vec<String> = cases.iter().filter_map(failure).collect();
    assert!(failures.is_empty(), "{} of {} cases fail:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

/// The cases of all files; their names are claims and there once.
fn all_cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let entries = fs::read_dir(&folder).expect("the corpus lies beside this file");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    let mut places: HashMap<String, String> = HashMap::new();
    let mut cases = Vec::new();
    for file in files {
        let name = file.file_name().expect("it ends in .txt").to_string_lossy().into_owned();
        let bytes = fs::read(&file).expect("a file of cases can be read");
        for case in read::cases(&name, &bytes).unwrap_or_else(|mistake| panic!("{mistake}")) {
            let earlier = places.insert(case.name.clone(), case.place.clone());
            assert!(earlier.is_none(), "{}: {} is there before, at {earlier:?}", case.place, case.name);
            cases.push(case);
        }
    }
    cases
}

/// What is wrong with the first way of cutting that goes wrong.
fn failure(case: &Case) -> Option<String> {
    let length = case.send.len();
    let whole = vec![length];
    let bytes = (1..=length).collect();
    let halves = (1..length).filter(|at| is_cut(*at, length)).map(|at| vec![at, length]);
    for ends in [whole, bytes].into_iter().chain(halves) {
        let outcome = Outcome::of(case, &ends);
        if let Some(difference) = outcome.difference(case) {
            let cut = if ends.len() == length { "byte by byte".to_owned() } else { format!("cut at {ends:?}") };
            return Some(format!("{}: {} ({cut}): {difference}", case.place, case.name));
        }
    }
    None
}

fn is_cut(at: usize, length: usize) -> bool {
    length <= CUT_EVERYWHERE || at < 64 || at + 64 > length || at.is_multiple_of(997)
}
