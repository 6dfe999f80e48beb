//! `cargo bench -p byrnie-http2 --bench allocations`: how often an exchange asks the allocator, and what a connection
//! holds while nothing moves. scripts/instructions reads what it prints.

mod scenarios;

use std::alloc::System;

use scenarios::message::{AT_ONCE, SMALL};
use scenarios::{SCENARIOS, byrnie, h2};
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
    for state in ["fresh", "used", "rested"] {
        let (mut ours, mut theirs) = (byrnie::Pair::new(), h2::Pair::new());
        if state != "fresh" {
            // One after the other, and a burst.
            for many in [1, AT_ONCE, 1] {
                ours.exchange(many, &SMALL);
                theirs.exchange(many, &SMALL);
            }
        }
        if state == "rested" {
            ours.client.rest();
            ours.server.rest();
        }
        println!("idle byrnie-http2/client/{state} {}", weight(ours.client));
        println!("idle byrnie-http2/server/{state} {}", weight(ours.server));
        if state != "rested" {
            println!("idle h2/client/{state} {}", weight(theirs.client));
            println!("idle h2/server/{state} {}", weight(theirs.server));
        }
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
