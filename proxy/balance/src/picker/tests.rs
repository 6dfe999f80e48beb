use proptest::prelude::*;

use super::*;
use crate::{
    chance::{Chance, fits},
    cluster::FirstCheck,
    host::{Flags, Reported},
    hosts::Member,
};

const LEAST_REQUEST: Policy = Policy::LeastRequest { choices: 2 };

fn weighted(weights: &[u32]) -> Hosts<usize> {
    let member = |(key, weight): (usize, &u32)| Member { key, weight: *weight, reported: Reported::Healthy };
    Hosts::new(FirstCheck::NotNeeded).update(weights.iter().enumerate().map(member))
}

fn equal(count: usize) -> Hosts<usize> {
    weighted(&vec![1; count])
}

/// How often each host is picked, each request done before the next.
fn counts(picker: &mut Picker, hosts: &Hosts<usize>, picks: usize) -> Vec<usize> {
    let mut chance = Chance(7);
    let mut counts = vec![0; hosts.len()];
    for _ in 0..picks {
        counts[*hosts.key(picker.pick(hosts, || chance.next()).unwrap())] += 1;
    }
    counts
}

fn set(hosts: &Hosts<usize>, place: u32, flags: u32) {
    hosts.host(HostIndex(place)).change(flags, 0);
}

#[test]
fn round_robin_gives_each_its_turn() {
    let hosts = equal(3);
    let mut picker = Picker::new(Policy::RoundRobin, 50, 4);
    let order: Vec<u32> = (0..6).map(|_| picker.pick(&hosts, || 0).unwrap().0).collect();
    assert_eq!(order, [1, 2, 0, 1, 2, 0]);
}

#[test]
fn round_robin_goes_on_after_a_change() {
    let hosts = equal(4);
    let mut picker = Picker::new(Policy::RoundRobin, 50, 0);
    assert_eq!(picker.pick(&hosts, || 0), Some(HostIndex(0)));
    set(&hosts, 3, Flags::EJECTED);
    assert_eq!(picker.pick(&hosts, || 0), Some(HostIndex(1)));
}

#[test]
fn a_schedule_shares_by_weight() {
    let hosts = weighted(&[1, 2, 5]);
    let mut picker = Picker::new(Policy::RoundRobin, 50, 0);
    assert_eq!(counts(&mut picker, &hosts, 800), [100, 200, 500]);
    let order: Vec<u32> = (0..8).map(|_| picker.pick(&hosts, || 0).unwrap().0).collect();
    assert_eq!(order, [2, 2, 1, 2, 2, 0, 1, 2]);
}

#[test]
fn weights_of_hosts_that_take_traffic_alone_matter() {
    let hosts = weighted(&[1, 1, 9]);
    set(&hosts, 2, Flags::EJECTED);
    let mut picker = Picker::new(Policy::RoundRobin, 50, 0);
    assert_eq!(counts(&mut picker, &hosts, 10), [5, 5, 0]);
}

#[test]
fn random_is_even_whatever_the_weights() {
    let hosts = weighted(&[1, 10, 1, 1]);
    let counts = counts(&mut Picker::new(Policy::Random, 50, 0), &hosts, 10_000);
    assert!(counts.iter().all(|count| fits(*count, 10_000, 0.25)), "{counts:?}");
}

#[test]
fn equal_hosts_share_evenly() {
    for (policy, seed) in [Policy::RoundRobin, Policy::Random, LEAST_REQUEST].into_iter().zip(1u64..) {
        for count in [1, 2, 3, 7, 20, 100] {
            let hosts = equal(count);
            let counts = counts(&mut Picker::new(policy, 50, seed), &hosts, 20_000);
            let probability = 1.0 / count as f64;
            assert!(counts.iter().all(|picks| fits(*picks, 20_000, probability)), "{policy:?} {counts:?}");
        }
    }
}

#[test]
fn the_busier_of_two_is_taken_only_when_drawn_twice() {
    let hosts = equal(2);
    hosts.host(HostIndex(0)).begin_request();
    let counts = counts(&mut Picker::new(LEAST_REQUEST, 50, 0), &hosts, 10_000);
    assert!(fits(counts[0], 10_000, 0.25), "{counts:?}");
}

#[test]
fn more_choices_find_the_idle_one() {
    let hosts = equal(10);
    (1..10).for_each(|place| hosts.host(HostIndex(place)).begin_request());
    let counts = counts(&mut Picker::new(Policy::LeastRequest { choices: 10 }, 50, 0), &hosts, 10_000);
    assert!(fits(counts[0], 10_000, 1.0 - 0.9f64.powi(10)), "{counts:?}");
}

#[test]
fn least_request_weighs_by_what_is_active() {
    // 4 with one active counts as 2.
    let hosts = weighted(&[4, 1, 1]);
    hosts.host(HostIndex(0)).begin_request();
    let mut picker = Picker::new(LEAST_REQUEST, 50, 0);
    assert_eq!(counts(&mut picker, &hosts, 400), [200, 100, 100]);
}

#[test]
fn nobody_is_picked_where_nobody_may_be_called() {
    let mut picker = Picker::new(LEAST_REQUEST, 50, 0);
    assert_eq!(picker.pick(&equal(0), || 0), None);
    let mut picker = Picker::new(LEAST_REQUEST, 0, 0);
    let hosts = equal(2);
    set(&hosts, 0, Flags::EJECTED);
    set(&hosts, 1, Flags::DRAINING);
    assert_eq!(picker.pick(&hosts, || 0), None);
    assert!(!picker.is_in_panic());
}

#[test]
fn panic_calls_even_those_that_drain() {
    let hosts = equal(4);
    set(&hosts, 0, Flags::EJECTED);
    set(&hosts, 1, Flags::FAILED_CHECK);
    set(&hosts, 2, Flags::DRAINING);
    let mut picker = Picker::new(Policy::RoundRobin, 50, 0);
    assert_eq!(counts(&mut picker, &hosts, 8), [2, 2, 2, 2]);
    assert!(picker.is_in_panic());
}

#[test]
fn degraded_hosts_get_what_the_healthy_cannot_take() {
    let hosts = equal(10);
    (5..10).for_each(|place| set(&hosts, place, Flags::DEGRADED));
    let counts = counts(&mut Picker::new(Policy::RoundRobin, 50, 0), &hosts, 10_000);
    assert!(fits(counts[..5].iter().sum(), 10_000, 0.7), "{counts:?}");
}

#[test]
fn a_retry_goes_elsewhere_as_long_as_attempts_last() {
    let hosts = equal(2);
    let mut tried = Tried::default();
    tried.add(hosts.host(HostIndex(0)));
    let mut picker = Picker::new(Policy::RoundRobin, 50, 0);
    let mut pick = |attempts| {
        picker.pick_other(&hosts, attempts, |index| tried.contains(hosts.host(index)), || 0).map(|index| index.0)
    };
    assert_eq!(pick(1), Some(1));
    // The turn is at 0, and no attempt is left.
    assert_eq!(pick(0), Some(0));
    assert_eq!(pick(0), Some(1));
    tried.add(hosts.host(HostIndex(1)));
    let mut all = Picker::new(Policy::RoundRobin, 50, 0);
    assert!(all.pick_other(&hosts, 5, |index| tried.contains(hosts.host(index)), || 0).is_some());
}

#[test]
fn a_picker_follows_from_list_to_list() {
    let (long, short) = (equal(100), equal(1));
    let mut picker = Picker::new(Policy::RoundRobin, 50, 99);
    for _ in 0..3 {
        assert_eq!(picker.pick(&long, || 0).map(|index| index.0 < 100), Some(true));
        assert_eq!(picker.pick(&short, || 0), Some(HostIndex(0)));
    }
}

fn findings() -> impl Strategy<Value = u32> {
    let flag = |flag: u32, of: u8| (0..of).prop_map(move |drawn| if drawn == 0 { flag } else { 0 });
    (
        flag(Flags::FAILED_CHECK, 4),
        flag(Flags::EJECTED, 4),
        flag(Flags::UNHEALTHY, 6),
        flag(Flags::DRAINING, 6),
        flag(Flags::DEGRADED, 6),
    )
        .prop_map(|(a, b, c, d, e)| a | b | c | d | e)
}

fn policies() -> impl Strategy<Value = Policy> {
    prop_oneof![
        Just(Policy::RoundRobin),
        Just(Policy::Random),
        (1u32..5).prop_map(|choices| Policy::LeastRequest { choices })
    ]
}

proptest! {
    #[test]
    fn only_panic_calls_the_unhealthy(
        findings in prop::collection::vec((findings(), 1u32..4), 0..12),
        policy in policies(),
        threshold in 0u8..=100,
        seed: u64,
    ) {
        let weights: Vec<u32> = findings.iter().map(|(_, weight)| *weight).collect();
        let hosts = weighted(&weights);
        for (place, (flags, _)) in (0u32..).zip(&findings) {
            set(&hosts, place, *flags);
        }
        let membership = hosts.membership();
        let available = membership.healthy + membership.degraded;
        let counted = membership.total - membership.apart;
        let (mut picker, mut chance) = (Picker::new(policy, threshold, seed), Chance(seed));
        for _ in 0..50 {
            let Some(picked) = picker.pick(&hosts, || chance.next()) else {
                prop_assert!(available == 0 || threshold == 0, "{membership:?}");
                continue;
            };
            let is_healthy = hosts.host(picked).health() != Health::Unhealthy;
            prop_assert!(is_healthy || picker.is_in_panic());
            prop_assert!(!picker.is_in_panic() || 100 * available < usize::from(threshold) * counted.max(1));
            hosts.host(picked).begin_request();
        }
    }

    #[test]
    fn a_schedule_is_fair_at_every_moment(weights in prop::collection::vec(1u32..50, 2..8), seed: u64) {
        let hosts = weighted(&weights);
        let sum = f64::from(weights.iter().sum::<u32>());
        let mut picker = Picker::new(Policy::RoundRobin, 50, seed);
        let mut counts = vec![0.0; weights.len()];
        for picks in 1u32..400 {
            counts[*hosts.key(picker.pick(&hosts, || 0).unwrap())] += 1.0;
            for (count, weight) in counts.iter().zip(&weights) {
                let share = f64::from(*weight) / sum;
                // Off by one turn of its own, and by the part of a turn that each other is off by.
                let most = 2.0 + 2.0 * share * weights.len() as f64;
                prop_assert!((count - f64::from(picks) * share).abs() <= most, "{counts:?} {weights:?}");
            }
        }
    }
}
