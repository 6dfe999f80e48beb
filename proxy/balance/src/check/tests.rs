use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{
    Ejection, Outcome,
    cluster::FirstCheck,
    host::{Health, Reported},
    hosts::{HostIndex, Hosts, Member},
};

fn checks() -> Checks {
    Checks {
        healthy_threshold: 2,
        unhealthy_threshold: 3,
        interval: Duration::from_secs(5),
        interval_jitter_percent: 20,
        no_traffic_interval: Duration::from_secs(30),
        no_traffic_healthy_interval: Duration::from_secs(60),
    }
}

fn hosts(first_check: FirstCheck) -> Hosts<()> {
    Hosts::new(first_check).update([Member { key: (), weight: 1, reported: Reported::Healthy }])
}

fn subject(hosts: &Hosts<()>) -> &Arc<Host> {
    hosts.host(HostIndex(0))
}

/// After each answer: whether the host is healthy.
fn observed(first_check: FirstCheck, answers: &[Answer]) -> Vec<(Transition, bool)> {
    let hosts = hosts(first_check);
    let (mut check, now) = (Check::new(), Instant::now());
    let observe = |answer: &Answer| {
        let transition = check.observe(&checks(), subject(&hosts), *answer, now);
        (transition, subject(&hosts).health() == Health::Healthy)
    };
    answers.iter().map(observe).collect()
}

use Answer::*;
use Transition::*;

#[test]
fn the_first_result_counts_at_once() {
    assert_eq!(observed(FirstCheck::Awaited, &[Passed]), [(Changed, true)]);
    assert_eq!(observed(FirstCheck::AwaitedApart, &[Passed]), [(Changed, true)]);
    assert_eq!(observed(FirstCheck::Awaited, &[Unreachable]), [(Unchanged, false)]);
    // It no longer stands apart: that changes the share of healthy hosts.
    assert_eq!(observed(FirstCheck::AwaitedApart, &[Unreachable]), [(Changed, false)]);
}

#[test]
fn a_failed_host_has_to_pass_as_often_as_the_threshold_says() {
    let seen = observed(FirstCheck::Awaited, &[TimedOut, Passed, Unreachable, Passed, Passed, Passed]);
    let told = [(Unchanged, false), (Pending, false), (Unchanged, false), (Pending, false)];
    assert_eq!(seen[..4], told);
    assert_eq!(seen[4..], [(Changed, true), (Unchanged, true)]);
}

#[test]
fn a_healthy_host_may_be_silent_below_the_threshold() {
    let seen = observed(FirstCheck::Awaited, &[Passed, Unreachable, TimedOut, Passed, TimedOut, TimedOut, TimedOut]);
    assert_eq!(seen[1..4], [(Pending, true), (Pending, true), (Unchanged, true)]);
    assert_eq!(seen[4..], [(Pending, true), (Pending, true), (Changed, false)]);
}

#[test]
fn one_refusal_suffices() {
    assert_eq!(observed(FirstCheck::Awaited, &[Passed, Refused])[1], (Changed, false));
}

#[test]
fn a_host_may_ask_to_be_spared() {
    let hosts = hosts(FirstCheck::NotNeeded);
    let (mut check, now) = (Check::new(), Instant::now());
    let mut observe = |answer| {
        let transition = check.observe(&checks(), subject(&hosts), answer, now);
        (transition, subject(&hosts).health())
    };
    assert_eq!(observe(Degraded), (Changed, Health::Degraded));
    assert_eq!(observe(Degraded), (Unchanged, Health::Degraded));
    assert_eq!(observe(Passed), (Changed, Health::Healthy));
}

#[test]
fn a_timeout_is_told_from_other_failures() {
    let hosts = hosts(FirstCheck::Awaited);
    let (mut check, now) = (Check::new(), Instant::now());
    let mut flags = |answer| {
        check.observe(&checks(), subject(&hosts), answer, now);
        subject(&hosts).flags().to_string()
    };
    assert_eq!(flags(TimedOut), "/failed_active_hc/active_hc_timeout");
    assert_eq!(flags(Unreachable), "/failed_active_hc");
    assert_eq!(flags(TimedOut), "/failed_active_hc/active_hc_timeout");
    assert_eq!(flags(Passed), "/failed_active_hc/active_hc_timeout");
    assert_eq!(flags(Passed), "healthy");
}

#[test]
fn a_passed_check_ends_an_ejection() {
    let hosts = hosts(FirstCheck::NotNeeded);
    let (host, now) = (subject(&hosts), Instant::now());
    let ejection = Ejection {
        consecutive_errors: Some(1),
        interval: Duration::from_secs(10),
        base_time: Duration::from_secs(30),
        max_time: Ejection::DEFAULT_MAX_TIME,
        max_percent: 100,
        always_one: false,
        failure_share: None,
    };
    ejection.report(host, Outcome::Reset, now);
    assert!(host.is_ejected());
    let mut check = Check::new();
    check.observe(&checks(), host, Refused, now);
    check.observe(&checks(), host, Passed, now);
    assert!(host.is_ejected(), "still failed by the threshold");
    check.observe(&checks(), host, Passed, now);
    assert_eq!(host.health(), Health::Healthy);
    // The count of ejected hosts is right again.
    ejection.report(host, Outcome::Reset, now);
    assert!(host.is_ejected());
}

#[test]
fn the_next_check_depends_on_traffic_and_result() {
    let checks = Checks { interval_jitter_percent: 0, ..checks() };
    let seconds = |answer, transition, used| checks.delay(answer, transition, used, 0).as_secs();
    assert_eq!(seconds(Passed, Unchanged, true), 5);
    assert_eq!(seconds(Unreachable, Pending, true), 5);
    assert_eq!(seconds(Passed, Unchanged, false), 60);
    assert_eq!(seconds(Degraded, Changed, false), 60);
    assert_eq!(seconds(Passed, Pending, false), 30);
    assert_eq!(seconds(Refused, Changed, false), 30);
    let hosts = hosts(FirstCheck::Awaited);
    assert!(!hosts.is_used());
    subject(&hosts).open_connection();
    assert!(hosts.is_used() && subject(&hosts).cluster_is_used());
}

proptest! {
    #[test]
    fn jitter_only_adds_up_to_its_percentage(interval in 0u64..100_000, percent in 0u32..200, random: u64) {
        let interval = Duration::from_millis(interval);
        let checks = Checks { interval, interval_jitter_percent: percent, ..checks() };
        let delay = checks.delay(Passed, Unchanged, true, random);
        prop_assert!(delay >= interval && delay >= Duration::from_millis(1));
        prop_assert!(delay <= (interval + interval * percent / 100).max(Duration::from_millis(1)));
    }
}
