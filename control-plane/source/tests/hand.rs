//! Temporary.
use std::time::Instant;
fn cpu() -> f64 {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|t| {
            std::fs::read_to_string(t.unwrap().path().join("schedstat"))
                .unwrap()
                .split(' ')
                .next()
                .unwrap()
                .parse::<f64>()
                .unwrap()
                / 1e6
        })
        .sum()
}
#[tokio::test]
async fn hand() {
    let dir = std::env::var("HAND").unwrap();
    let t = Instant::now();
    let (mut d, batch) = byrnie_source::Directory::open(&dir).unwrap();
    eprintln!(
        "{} updates, {} findings in {:?}, cpu {:.0} ms",
        batch.updates.len(),
        batch.findings.len(),
        t.elapsed(),
        cpu()
    );
    for f in batch.findings.iter().take(5) {
        eprintln!("{}: {f}", f.severity);
    }
    let mut lat = vec![];
    let c = cpu();
    for i in 0..200 {
        let p = format!("{dir}/slice-{}.yaml", i % 100);
        let text = std::fs::read_to_string(&p)
            .unwrap()
            .replace(&format!("10.{}.", i / 100 + 1), &format!("10.{}.", i / 100 + 2));
        let t = Instant::now();
        std::fs::write(&p, text).unwrap();
        let b = d.next().await;
        lat.push(t.elapsed());
        assert_eq!(b.updates.len(), 1, "{:?}", b.updates);
    }
    lat.sort();
    eprintln!("p50 {:?} p99 {:?} max {:?} cpu each {:.3} ms", lat[100], lat[198], lat[199], (cpu() - c) / 200.0);
    eprintln!(
        "{}",
        std::fs::read_to_string("/proc/self/status")
            .unwrap()
            .lines()
            .filter(|l| l.starts_with("VmRSS") || l.starts_with("VmHWM"))
            .collect::<Vec<_>>()
            .join(" ")
    );
    let t = Instant::now();
    drop(d);
    eprintln!("drop {:?}", t.elapsed());
}
