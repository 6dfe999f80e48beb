//! Temporary.
#[test]
fn hand() {
    let dir = std::env::var("HAND").unwrap();
    let t = std::time::Instant::now();
    let batch = byrnie_source::read_once(&dir).unwrap();
    eprintln!("{} updates in {:?}", batch.updates.len(), t.elapsed());
    for f in &batch.findings {
        eprintln!("{}: {f}", f.severity);
    }
    if std::env::var("SHOW").is_ok() {
        for u in &batch.updates {
            eprintln!("{u:?}");
        }
    }
}
