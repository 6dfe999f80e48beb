//! `cargo bench -p byrnie-http2 --bench times`: how long each scenario takes, by criterion.

mod scenarios;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

criterion_group!(benches, all);
criterion_main!(benches);

fn all(criterion: &mut Criterion) {
    for scenario in scenarios::SCENARIOS {
        let (work, subject) = scenario.name.split_once('/').expect("a scenario has a subject");
        let mut group = criterion.benchmark_group(work);
        group.throughput(Throughput::Elements(scenario.exchanges as u64));
        let mut once = (scenario.prepare)();
        group.bench_function(subject, |bencher| bencher.iter(&mut once));
    }
}
