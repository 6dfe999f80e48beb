use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{
    cluster::FirstCheck,
    host::Reported,
    hosts::{HostIndex, Member},
};

const SECOND: Duration = Duration::from_secs(1);
const FAILURE: Outcome = Outcome::Status(503);
const SUCCESS: Outcome = Outcome::Status(200);

fn ejection() -> Ejection {
    Ejection {
        consecutive_errors: Some(3),
        interval: 10 * SECOND,
        base_time: 30 * SECOND,
        max_time: 100 * SECOND,
        max_percent: 50,
        always_one: false,
        failure_share: None,
    }
}

fn hosts(count: u32) -> Hosts<u32> {
    Hosts::new(FirstCheck::NotNeeded).update((0..count).map(member))
}

fn member(key: u32) -> Member<u32> {
    Member { key, weight: 1, reported: Reported::Healthy }
}

fn host(hosts: &Hosts<u32>, place: u32) -> &Arc<Host> {
    hosts.host(HostIndex(place))
}

fn fail(ejection: &Ejection, host: &Host, times: u32, now: Instant) -> Verdict {
    (0..times).map(|_| ejection.report(host, FAILURE, now)).last().unwrap()
}

#[test]
fn errors_in_a_row_eject_at_once() {
    let (ejection, hosts, now) = (ejection(), hosts(4), Instant::now());
    assert_eq!(fail(&ejection, host(&hosts, 0), 2, now), Verdict::Kept);
    assert_eq!(ejection.report(host(&hosts, 0), SUCCESS, now), Verdict::Kept);
    assert_eq!(fail(&ejection, host(&hosts, 0), 2, now), Verdict::Kept);
    assert_eq!(fail(&ejection, host(&hosts, 0), 1, now), Verdict::Ejected);
    assert!(host(&hosts, 0).is_ejected());
    assert_eq!(hosts.membership().healthy, 3);
    // More errors of what was under way change nothing.
    assert_eq!(fail(&ejection, host(&hosts, 0), 5, now), Verdict::Kept);
    assert_eq!(host(&hosts, 0).ejections(), 1);
}

#[test]
fn what_counts_is_what_envoy_counts() {
    use Outcome::*;
    for error in [Status(500), Status(503), Status(599), ConnectFailure, Reset, Timeout] {
        assert!(error.is_error(), "{error:?}");
    }
    for success in [Status(200), Status(404), Status(429), Status(499), Status(600), Connected] {
        assert!(!success.is_error(), "{success:?}");
    }
    let errors: Vec<u32> = (0..20).filter(|status| GrpcStatus(*status).is_error()).collect();
    assert_eq!(errors, [2, 4, 12, 13, 14, 15, 17, 18, 19]);
}

#[test]
fn the_percentage_holds_and_one_is_always_allowed_where_set() {
    let now = Instant::now();
    let tight = Ejection { max_percent: 10, ..ejection() };
    let few = hosts(4);
    assert_eq!(fail(&tight, host(&few, 0), 3, now), Verdict::Spared);
    // Judged again after as many errors.
    assert_eq!(fail(&tight, host(&few, 0), 2, now), Verdict::Kept);
    assert_eq!(fail(&tight, host(&few, 0), 1, now), Verdict::Spared);
    let one = Ejection { always_one: true, ..tight };
    assert_eq!(fail(&one, host(&few, 0), 3, now), Verdict::Ejected);
    assert_eq!(fail(&one, host(&few, 1), 3, now), Verdict::Spared);
    let none = Ejection { max_percent: 0, ..ejection() };
    assert_eq!(fail(&none, host(&hosts(4), 0), 3, now), Verdict::Spared);
}

#[test]
fn an_ejection_ends_in_a_sweep_and_the_next_is_longer() {
    let (ejection, hosts, start) = (ejection(), hosts(4), Instant::now());
    let subject = host(&hosts, 0);
    let mut now = start;
    // 30 s, 60 s, 90 s, and no longer than 100 s.
    for lasts in [30, 60, 90, 100, 100] {
        assert_eq!(fail(&ejection, subject, 3, now), Verdict::Ejected);
        assert_eq!(ejection.sweep(&hosts, now + lasts * SECOND - SECOND), Swept::default());
        assert!(subject.is_ejected());
        now += lasts * SECOND;
        assert_eq!(ejection.sweep(&hosts, now), Swept { returned: 1, ..Swept::default() });
        assert_eq!((subject.is_ejected(), hosts.membership().healthy), (false, 4));
    }
    assert_eq!(subject.ejections(), 5);
}

#[test]
fn good_behaviour_is_rewarded_once_an_interval() {
    let (ejection, hosts, mut now) = (ejection(), hosts(4), Instant::now());
    let subject = host(&hosts, 0);
    for lasts in [30, 60] {
        fail(&ejection, subject, 3, now);
        now += lasts * SECOND;
        ejection.sweep(&hosts, now);
    }
    assert_eq!(subject.history().multiplier, 2);
    ejection.sweep(&hosts, now + 9 * SECOND);
    assert_eq!(subject.history().multiplier, 2);
    ejection.sweep(&hosts, now + 10 * SECOND);
    ejection.sweep(&hosts, now + 20 * SECOND);
    ejection.sweep(&hosts, now + 30 * SECOND);
    assert_eq!(subject.history().multiplier, 0);
}

#[test]
fn errors_before_the_return_do_not_count_after_it() {
    let (ejection, hosts, now) = (ejection(), hosts(4), Instant::now());
    fail(&ejection, host(&hosts, 0), 5, now);
    ejection.sweep(&hosts, now + 30 * SECOND);
    assert_eq!(fail(&ejection, host(&hosts, 0), 2, now), Verdict::Kept);
    assert_eq!(fail(&ejection, host(&hosts, 0), 1, now), Verdict::Ejected);
}

#[test]
fn without_a_number_of_errors_none_ejects() {
    let off = Ejection { consecutive_errors: None, ..ejection() };
    assert_eq!(fail(&off, host(&hosts(4), 0), 100, Instant::now()), Verdict::Kept);
}

#[test]
fn a_share_of_errors_ejects_in_the_sweep() {
    let share = FailureShare { percent: 50, minimum_hosts: 2, request_volume: 10 };
    let ejection = Ejection { consecutive_errors: None, failure_share: Some(share), ..ejection() };
    let (hosts, now) = (hosts(4), Instant::now());
    let answers = |place: u32, errors: u32, successes: u32| {
        (0..errors).for_each(|_| _ = ejection.report(host(&hosts, place), FAILURE, now));
        (0..successes).for_each(|_| _ = ejection.report(host(&hosts, place), SUCCESS, now));
    };
    // Only one had enough answers.
    answers(0, 10, 0);
    answers(1, 9, 0);
    assert_eq!(ejection.sweep(&hosts, now), Swept::default());
    // What was before the last sweep is forgotten.
    answers(0, 4, 6);
    answers(1, 5, 5);
    assert_eq!(ejection.sweep(&hosts, now), Swept { ejected: 1, ..Swept::default() });
    assert!(host(&hosts, 1).is_ejected() && !host(&hosts, 0).is_ejected());
    answers(0, 10, 0);
    answers(2, 10, 0);
    assert_eq!(ejection.sweep(&hosts, now), Swept { ejected: 1, spared: 1, ..Swept::default() });
}

#[test]
fn a_host_that_leaves_takes_its_ejection_along() {
    let (ejection, before, now) = (ejection(), hosts(2), Instant::now());
    assert_eq!(fail(&ejection, host(&before, 0), 3, now), Verdict::Ejected);
    let after = before.update([member(1), member(2)]);
    assert_eq!(fail(&ejection, host(&before, 0), 9, now), Verdict::Kept);
    assert_eq!(fail(&ejection, host(&after, 0), 3, now), Verdict::Ejected);
    // Back again, it is a new host.
    let again = after.update([member(0), member(1)]);
    assert!(!host(&again, 0).is_ejected() && host(&again, 1).is_ejected());
    // A sweep over a list that is out of date passes over those that left.
    assert_eq!(ejection.sweep(&before, now + 30 * SECOND).returned, 1);
    assert_eq!(fail(&ejection, host(&again, 0), 3, now), Verdict::Ejected);
}

proptest! {
    #[test]
    fn the_share_of_ejected_hosts_is_never_exceeded(
        count in 1u32..12,
        max_percent in 0u32..=100,
        always_one: bool,
        steps in prop::collection::vec((0u32..12, any::<bool>(), 0u64..20), 0..200),
    ) {
        let ejection = Ejection { max_percent, always_one, ..ejection() };
        let (hosts, mut now) = (hosts(count), Instant::now());
        for (place, succeeds, seconds) in steps {
            let subject = host(&hosts, place % count);
            let verdict = ejection.report(subject, if succeeds { SUCCESS } else { FAILURE }, now);
            let ejected = hosts.iter().filter(|(_, _, host)| host.is_ejected()).count() as u32;
            prop_assert!(100 * ejected <= max_percent * count || (always_one && ejected == 1));
            prop_assert_eq!(verdict == Verdict::Ejected, verdict != Verdict::Kept && subject.is_ejected());
            prop_assert_eq!(hosts.slots.cluster.census().ejected, ejected as usize);
            if seconds < 5 {
                now += Duration::from_secs(5 * seconds);
                ejection.sweep(&hosts, now);
            }
        }
        now += 1_000 * SECOND;
        ejection.sweep(&hosts, now);
        prop_assert_eq!(hosts.membership().healthy, count as usize);
    }
}
