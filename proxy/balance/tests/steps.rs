//! Seeded random steps against a model of what has to hold: hosts come, go, drain, fail, are checked, ejected and
//! called, and time passes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use byrnie_balance::{
    Answer, Breakers, Check, Checks, Ejection, FailureShare, FirstCheck, Health, HostIndex, Hosts, Limits, Member,
    Outcome, Picker, Policy, Reported, Resource, Retries, Tried, Verdict,
};

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// What has to be kept of a host from list to list.
struct Known {
    requests: u32,
    check: Check,
    reported: Reported,
}

struct World {
    chance: Chance,
    now: Instant,
    threshold: u8,
    ejection: Ejection,
    checks: Checks,
    hosts: Hosts<u64>,
    pickers: Vec<Picker>,
    known: BTreeMap<u64, Known>,
    breakers: Breakers,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let policies = [Policy::RoundRobin, Policy::Random, Policy::LeastRequest { choices: 2 }];
        let first_checks = [FirstCheck::NotNeeded, FirstCheck::Awaited, FirstCheck::AwaitedApart];
        let threshold = [0, 30, 50, 100][chance.below(4) as usize];
        let share = FailureShare { percent: 60, minimum_hosts: 2, request_volume: 5 };
        let budget = Retries::Budget { percent: 20.0, minimum: 3 };
        Self {
            now: Instant::now(),
            threshold,
            ejection: Ejection {
                consecutive_errors: Some(3),
                interval: Duration::from_secs(10),
                base_time: Duration::from_secs(30),
                max_time: Ejection::DEFAULT_MAX_TIME,
                max_percent: chance.below(101) as u32,
                always_one: chance.below(2) == 0,
                failure_share: (chance.below(2) == 0).then_some(share),
            },
            checks: Checks {
                healthy_threshold: 2,
                unhealthy_threshold: 2,
                interval: Duration::from_secs(5),
                interval_jitter_percent: 20,
                no_traffic_interval: Duration::from_secs(5),
                no_traffic_healthy_interval: Duration::from_secs(60),
            },
            hosts: Hosts::new(first_checks[chance.below(3) as usize]),
            pickers: policies.map(|policy| Picker::new(policy, threshold, chance.next())).into(),
            known: BTreeMap::new(),
            breakers: Breakers::new(Limits { connections: 9, pending: 9, requests: 20, retries: budget }),
            chance,
        }
    }

    fn step(&mut self) {
        match self.chance.below(20) {
            0 => self.update(),
            1..=2 => self.check(),
            3 => self.sweep(),
            4..=8 => self.end_a_request(),
            _ => self.call(),
        }
    }

    fn any(&mut self) -> Option<HostIndex> {
        let count = self.hosts.len() as u64;
        let place = (count > 0).then(|| self.chance.below(count) as usize)?;
        self.hosts.iter().nth(place).map(|(index, ..)| index)
    }

    fn update(&mut self) {
        let mut members = Vec::new();
        for key in 0..12 {
            let reported = match self.chance.below(12) {
                0..=3 => continue,
                4 => Reported::Draining,
                5 => Reported::Unhealthy,
                6 => Reported::Degraded,
                _ => Reported::Healthy,
            };
            members.push(Member { key, weight: 1 + self.chance.below(3) as u32, reported });
        }
        self.known.retain(|key, known| {
            let stays = members.iter().find(|member| member.key == *key);
            known.reported = stays.map_or(known.reported, |member| member.reported);
            // What was under way ends with the host.
            if stays.is_none() {
                (0..known.requests).for_each(|_| self.breakers.release(Resource::Requests));
            }
            stays.is_some()
        });
        for Member { key, reported, .. } in &members {
            let new = || Known { requests: 0, check: Check::new(), reported: *reported };
            self.known.entry(*key).or_insert_with(new);
        }
        let before = std::mem::replace(&mut self.hosts, Hosts::new(FirstCheck::NotNeeded));
        self.hosts = before.update(members);
        // A late report about a host that has left counts for nothing.
        for (_, key, host) in before.iter().filter(|(_, key, _)| !self.known.contains_key(key)) {
            let verdicts = [(); 5].map(|()| self.ejection.report(host, Outcome::Reset, self.now));
            assert_eq!(verdicts, [Verdict::Kept; 5], "{key}");
        }
    }

    fn check(&mut self) {
        let Some(index) = self.any() else { return };
        let answers = [Answer::Passed, Answer::Passed, Answer::Refused, Answer::Unreachable, Answer::TimedOut];
        let answer = answers[self.chance.below(5) as usize];
        let known = self.known.get_mut(self.hosts.key(index)).expect("a host of the list is known");
        known.check.observe(&self.checks, self.hosts.host(index), answer, self.now);
    }

    fn sweep(&mut self) {
        self.now += Duration::from_secs(10);
        let before = self.ejected();
        let swept = self.ejection.sweep(&self.hosts, self.now);
        assert_eq!(self.ejected(), before + swept.ejected - swept.returned);
        assert!(swept.ejected == 0 || self.is_within());
    }

    fn end_a_request(&mut self) {
        let Some(index) = self.any() else { return };
        let known = self.known.get_mut(self.hosts.key(index)).expect("a host of the list is known");
        if known.requests > 0 {
            known.requests -= 1;
            self.hosts.host(index).end_request();
            self.breakers.release(Resource::Requests);
        }
    }

    fn call(&mut self) {
        let which = self.chance.below(self.pickers.len() as u64) as usize;
        let mut tried = Tried::default();
        for attempt in 0..2 {
            let picker = &mut self.pickers[which];
            let is_tried = |index| tried.contains(self.hosts.host(index));
            let Some(index) = picker.pick_other(&self.hosts, attempt, is_tried, || self.chance.next()) else {
                assert!(self.hosts.is_empty() || self.threshold == 0);
                return;
            };
            let host = self.hosts.host(index);
            assert!(host.health() != Health::Unhealthy || picker.is_in_panic());
            if !self.breakers.acquire(Resource::Requests) {
                assert_eq!(self.breakers.count(Resource::Requests), 20);
                return;
            }
            host.begin_request();
            self.known.get_mut(self.hosts.key(index)).expect("a host of the list is known").requests += 1;
            tried.add(host);
            let outcome = if self.chance.below(3) == 0 { Outcome::Status(200) } else { Outcome::Status(503) };
            if self.ejection.report(host, outcome, self.now) == Verdict::Ejected {
                assert!(host.is_ejected() && self.is_within());
            }
        }
    }

    fn ejected(&self) -> u32 {
        self.hosts.iter().filter(|(_, _, host)| host.is_ejected()).count() as u32
    }

    /// To be asked right after an ejection: members that leave may raise the share later.
    fn is_within(&self) -> bool {
        let ejected = self.ejected();
        100 * ejected <= self.ejection.max_percent * self.hosts.len() as u32
            || (self.ejection.always_one && ejected == 1)
    }

    fn holds(&self) {
        assert_eq!(self.hosts.len(), self.known.len());
        for (index, key, host) in self.hosts.iter() {
            let known = &self.known[key];
            assert_eq!(host.active_requests(), known.requests, "{key}");
            assert!((1..4).contains(&self.hosts.weight(index)));
            let may_be_healthy = known.reported == Reported::Healthy && !host.is_ejected();
            assert!(may_be_healthy || host.health() != Health::Healthy, "{key}: {}", host.flags());
        }
        let requests: u32 = self.known.values().map(|known| known.requests).sum();
        assert_eq!(self.breakers.count(Resource::Requests), requests);
    }
}

#[test]
fn whatever_happens_the_choice_is_sound() {
    for seed in 0..60 {
        let mut world = World::new(seed);
        for step in 0..2_000 {
            world.step();
            if step % 10 == 0 {
                world.holds();
            }
        }
    }
}
