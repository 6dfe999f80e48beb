use std::{
    sync::{Barrier, atomic::AtomicU32},
    thread,
};

use proptest::prelude::*;

use super::{Resource::*, *};

const ALL: [Resource; 4] = [Connections, Pending, Requests, Retries];

fn limits(each: u32) -> Limits {
    Limits { connections: each, pending: each, requests: each, retries: super::Retries::Number(each) }
}

fn budget(percent: f64, minimum: u32) -> Breakers {
    Breakers::new(Limits { retries: super::Retries::Budget { percent, minimum }, ..limits(u32::MAX) })
}

#[test]
fn each_limit_holds_for_itself() {
    for resource in ALL {
        let breakers = Breakers::new(limits(2));
        assert!(breakers.acquire(resource) && breakers.acquire(resource));
        assert!(!breakers.acquire(resource) && breakers.is_open(resource));
        assert_eq!(breakers.count(resource), 2);
        assert_eq!(ALL.into_iter().filter(|other| breakers.is_open(*other)).count(), 1);
        breakers.release(resource);
        assert!(breakers.acquire(resource));
    }
}

#[test]
fn nothing_is_allowed_below_one() {
    let breakers = Breakers::new(limits(0));
    assert!(ALL.into_iter().all(|resource| !breakers.acquire(resource)));
    breakers.acquire_anyway(Connections);
    assert_eq!(breakers.count(Connections), 1);
    breakers.release(Connections);
}

#[test]
fn the_budget_grows_with_what_is_active_and_waits() {
    let breakers = budget(20.0, 3);
    assert_eq!(breakers.limit(Retries), 3);
    (0..15).for_each(|_| breakers.acquire_anyway(Requests));
    assert_eq!(breakers.limit(Retries), 3);
    (0..5).for_each(|_| breakers.acquire_anyway(Pending));
    assert_eq!(breakers.limit(Retries), 4);
    (0..4).for_each(|_| assert!(breakers.acquire(Retries)));
    assert!(!breakers.acquire(Retries));
    // What was allowed stays, though the budget shrinks below it.
    (0..15).for_each(|_| breakers.release(Requests));
    assert_eq!((breakers.count(Retries), breakers.limit(Retries)), (4, 3));
    assert!(breakers.is_open(Retries));
}

#[test]
fn no_limit_is_exceeded_by_threads_that_meet() {
    const LIMIT: u32 = 3;
    let (breakers, start, truly) = (Breakers::new(limits(LIMIT)), Barrier::new(4), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..20_000 {
                    if breakers.acquire(Requests) {
                        assert!(truly.fetch_add(1, Relaxed) < LIMIT);
                        truly.fetch_sub(1, Relaxed);
                        breakers.release(Requests);
                    }
                }
            });
        }
    });
    assert_eq!(breakers.count(Requests), 0);
}

proptest! {
    #[test]
    fn what_is_held_is_what_was_acquired(
        each in 0u32..6,
        steps in prop::collection::vec((0usize..4, any::<bool>()), 0..300),
    ) {
        let breakers = Breakers::new(limits(each));
        let mut held = [0u32; 4];
        for (which, acquires) in steps {
            let resource = ALL[which];
            if acquires {
                let is_free = held[which] < each;
                prop_assert_eq!(breakers.is_open(resource), !is_free);
                prop_assert_eq!(breakers.acquire(resource), is_free);
                held[which] += u32::from(is_free);
            } else if held[which] > 0 {
                breakers.release(resource);
                held[which] -= 1;
            }
            prop_assert!(ALL.into_iter().zip(held).all(|(resource, held)| breakers.count(resource) == held));
        }
    }

    #[test]
    fn retries_stay_within_their_budget(
        percent in 0.0f64..100.0,
        minimum in 0u32..5,
        steps in prop::collection::vec((0u32..4, any::<bool>()), 0..300),
    ) {
        let breakers = budget(percent, minimum);
        for (what, acquires) in steps {
            let resource = if what == 0 { Requests } else { Retries };
            if acquires {
                let limit = breakers.limit(resource);
                if breakers.acquire(resource) {
                    prop_assert!(breakers.count(resource) <= limit);
                }
            } else if breakers.count(resource) > 0 {
                breakers.release(resource);
            }
        }
    }
}
