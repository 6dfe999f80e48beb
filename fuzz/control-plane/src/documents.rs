//! The texts of a file, through all that reads them: split, parsed, checked, indexed, folded into a World, built into
//! resources.

use byrnie_model::{World, attach, resolve};
use byrnie_snapshot::{Builder, Snapshot};
use byrnie_source::{Batch, Finding, Severity, read_texts};

/// How many texts a file holds one after the other.
const MOST_TEXTS: usize = 6;

/// Reads `data` as a file that holds one text after the other, each up to the next NUL, and none at last.
pub fn run(data: &[u8]) {
    read("fuzz.yaml", data);
    if data.trim_ascii_start().starts_with(b"{") {
        read("fuzz.json", data);
    }
}

fn read(name: &str, data: &[u8]) {
    let mut texts: Vec<&[u8]> = data.split(|byte| *byte == 0).take(MOST_TEXTS).collect();
    texts.push(b"");
    let mut world = World::default();
    let mut builder = Builder::default();
    let mut snapshot = Snapshot::default();
    for (at, (text, batch)) in texts.iter().zip(read_texts(name, texts.iter().copied())).enumerate() {
        check_findings(&texts[..=at], &batch.findings);
        let is_good = batch.findings.iter().all(|finding| finding.severity != Severity::Error);
        let (next, touched) = world.apply(batch.updates);
        world = next;
        snapshot = builder.advance(world.clone(), &touched);
        look_at_routes(&world);
        if at > 0 && is_good {
            let (fresh, fresh_snapshot) = from_scratch(read_texts(name, [*text]));
            assert_eq!(format!("{world:?}"), format!("{fresh:?}"), "an edit left something of the text before");
            let differing = snapshot.changes(&fresh_snapshot);
            assert!(differing.is_empty(), "built otherwise after an edit than at once: {differing:?}");
        }
    }
    assert_eq!(format!("{world:?}"), format!("{:?}", World::default()), "an empty file left something");
    drop(snapshot);
}

fn from_scratch(batches: Vec<Batch>) -> (World, Snapshot) {
    let (world, touched) = World::default().apply(batches.into_iter().flat_map(|batch| batch.updates));
    let snapshot = Builder::default().advance(world.clone(), &touched);
    (world, snapshot)
}

/// A finding says something and stands on a line of the file, be it in a text before: what a file held keeps serving
/// while it cannot be read.
fn check_findings(texts: &[&[u8]], findings: &[Finding]) {
    let breaks = |text: &&[u8]| text.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    let lines = 2 + texts.iter().map(breaks).max().unwrap_or_default();
    for finding in findings {
        assert!(!finding.message.is_empty() && !finding.to_string().is_empty());
        let Some(place) = &finding.place else { continue };
        assert!(place.line <= lines, "line {} of {lines}: {finding}", place.line);
    }
}

/// What status and `explain` work out of a World.
fn look_at_routes(world: &World) {
    for route in world.routes() {
        attach::status(world, route);
    }
    for service in world.services() {
        for port in &service.ports {
            resolve::tables(world, service, port);
        }
    }
}
