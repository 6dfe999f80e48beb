//! `cargo bench -p byrnie-http1 --bench allocations`: how often an exchange asks the allocator, and what a connection
//! holds while nothing moves. scripts/instructions reads what it prints.

mod scenarios;

use std::alloc::System;

use scenarios::{SCENARIOS, byrnie, hyper};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Buffers have grown to their size after so many.
const WARM_UP: usize = 100;
const TIMES: usize = 1000;

fn main() {
    for scenario in SCENARIOS {
        let mut work = (scenario.prepare)();
        (0..WARM_UP).for_each(|_| work());
        let before = asked();
        (0..TIMES).for_each(|_| work());
        let exchanges = TIMES * scenario.exchanges;
        println!("allocations {} {}", scenario.name, (asked() - before) as f64 / exchanges as f64);
    }
    for (state, exchanges) in [("fresh", 0), ("used", WARM_UP)] {
        let mut pair = byrnie::Pair::new();
        (0..exchanges).for_each(|_| pair.exchange());
        println!("idle byrnie-http1/client/{state} {}", weight(pair.client));
        println!("idle byrnie-http1/server/{state} {}", weight(pair.server));
        let mut pair = hyper::Pair::new();
        (0..exchanges).for_each(|_| pair.exchange());
        println!("idle hyper/client/{state} {}", weight(pair.client));
        println!("idle hyper/server/{state} {}", weight(pair.server));
    }
}

/// Allocations and growths of one.
fn asked() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

/// The bytes that a value takes, on the heap and in itself.
fn weight<T>(value: T) -> usize {
    let held = || {
        let stats = ALLOCATOR.stats();
        stats.bytes_allocated - stats.bytes_deallocated
    };
    let before = held();
    drop(value);
    before - held() + size_of::<T>()
}
