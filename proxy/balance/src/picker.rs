//! The choice: one picker a thread and cluster.

use std::sync::Arc;

use crate::{
    availability::Share,
    edf::Schedule,
    host::{Health, Host},
    hosts::{HostIndex, Hosts, Slot, Slots},
};

/// How a host is chosen among those that take traffic (`Cluster.lb_policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// In turn; where weights differ, by weight.
    RoundRobin,
    /// By chance, whatever the weights: so does Envoy.
    Random,
    /// The least busy of some chosen by chance; where weights differ, in turn by weight / (active requests + 1).
    LeastRequest {
        /// How many are compared; one may be drawn twice. At least 1, by default 2.
        choices: u32,
    },
}

/// One thread's view of a cluster: where its turns stand, and which hosts took traffic when last something changed.
/// A pick reads one counter, then costs O(1), or O(log n) where weights differ; it allocates only after a change.
#[derive(Debug)]
pub struct Picker {
    policy: Policy,
    panic_threshold: u8,
    seed: u64,
    /// The list and the generation that the plan is of.
    seen: Option<(u64, u64)>,
    share: Share,
    pools: [Pool; 3],
}

/// Hosts among which is chosen.
#[derive(Debug, Default)]
struct Pool {
    places: Vec<u32>,
    /// Where weights differ.
    schedule: Option<Schedule>,
    /// Of round robin; survives changes.
    turn: u64,
}

const ALL: usize = 0;
const HEALTHY: usize = 1;
const DEGRADED: usize = 2;

/// The hosts that a request was already sent to (`envoy.retry_host_predicates.previous_hosts`).
#[derive(Clone, Debug, Default)]
pub struct Tried(Vec<Arc<Host>>);

impl Picker {
    /// `panic_threshold` in percent (`CommonLbConfig.healthy_panic_threshold`, rounded; Envoy's default is 50), 0 for
    /// never. The seed spreads the first turns of many pickers.
    pub fn new(policy: Policy, panic_threshold: u8, seed: u64) -> Self {
        let pool = || Pool { turn: seed, ..Pool::default() };
        let pools = [pool(), pool(), pool()];
        Self { policy, panic_threshold, seed, seen: None, share: Share::Healthy(100), pools }
    }

    /// A host for a request, or none where none may be called. Every value of `random` is evenly distributed.
    #[inline]
    pub fn pick<K>(&mut self, hosts: &Hosts<K>, mut random: impl FnMut() -> u64) -> Option<HostIndex> {
        self.follow(&hosts.slots);
        self.choose(&hosts.slots.list, &mut random)
    }

    /// A host for a retry: another is picked up to `attempts` times while `rejected` says so; then the last one counts
    /// all the same (`RetryPolicy.host_selection_retry_max_attempts`, default 1).
    pub fn pick_other<K>(
        &mut self,
        hosts: &Hosts<K>,
        attempts: u32,
        mut rejected: impl FnMut(HostIndex) -> bool,
        mut random: impl FnMut() -> u64,
    ) -> Option<HostIndex> {
        self.follow(&hosts.slots);
        let mut picked = self.choose(&hosts.slots.list, &mut random)?;
        for _ in 0..attempts {
            if !rejected(picked) {
                break;
            }
            picked = self.choose(&hosts.slots.list, &mut random)?;
        }
        Some(picked)
    }

    /// Whether the last pick ignored health, since too few were healthy (`lb_healthy_panic`).
    pub fn is_in_panic(&self) -> bool {
        self.share == Share::Panic
    }

    #[inline]
    fn choose(&mut self, list: &[Slot], random: &mut impl FnMut() -> u64) -> Option<HostIndex> {
        let pool = match self.share {
            Share::Panic => ALL,
            Share::Healthy(100) => HEALTHY,
            Share::Healthy(percent) if below(random(), 100) < usize::from(percent) => HEALTHY,
            Share::Healthy(_) => DEGRADED,
        };
        self.pools[pool].pick(self.policy, list, random).map(HostIndex)
    }

    /// Brings the plan up to date.
    #[inline]
    fn follow(&mut self, slots: &Slots) {
        let now = Some((slots.id, slots.cluster.generation()));
        if self.seen != now {
            self.plan(slots);
            self.seen = now;
        }
    }

    #[cold]
    fn plan(&mut self, slots: &Slots) {
        for pool in &mut self.pools {
            pool.places.clear();
        }
        // Flags are read once: what is counted is what is listed, though they change meanwhile.
        let membership = slots.membership(|place, health| match health {
            Health::Healthy => self.pools[HEALTHY].places.push(place),
            Health::Degraded => self.pools[DEGRADED].places.push(place),
            Health::Unhealthy => {}
        });
        self.share = Share::of(membership, self.panic_threshold);
        if self.share == Share::Panic {
            self.pools[ALL].places.extend((0u32..).take(slots.list.len()));
        }
        for pool in &mut self.pools {
            pool.reschedule(self.policy, &slots.list, self.seed);
        }
    }
}

impl Pool {
    #[inline]
    fn pick(&mut self, policy: Policy, list: &[Slot], random: &mut impl FnMut() -> u64) -> Option<u32> {
        if let Some(schedule) = &mut self.schedule {
            let places = &self.places;
            return schedule
                .pick(|entry| policy.weight(&list[places[entry as usize] as usize]))
                .map(|entry| places[entry as usize]);
        }
        let count = self.places.len();
        match (count, policy) {
            (0, _) => None,
            (1, _) => Some(self.places[0]),
            (_, Policy::RoundRobin) => {
                let turn = (self.turn % count as u64) as usize;
                self.turn = self.turn.wrapping_add(1);
                Some(self.places[turn])
            }
            (_, Policy::Random) => Some(self.places[below(random(), count)]),
            (_, Policy::LeastRequest { choices }) => {
                let mut draw = || {
                    let place = self.places[below(random(), count)];
                    (list[place as usize].host.active_requests(), place)
                };
                let mut least = draw();
                for _ in 1..choices {
                    let drawn = draw();
                    if drawn.0 < least.0 {
                        least = drawn;
                    }
                }
                Some(least.1)
            }
        }
    }

    /// A schedule is needed only where weights differ, and begins anew with every change, as Envoy's.
    fn reschedule(&mut self, policy: Policy, list: &[Slot], seed: u64) {
        self.schedule = None;
        let mut weights = self.places.iter().map(|place| list[*place as usize].weight);
        let first = weights.next();
        if policy == Policy::Random || weights.all(|weight| Some(weight) == first) {
            return;
        }
        let entries = self.places.len() as u32;
        let weight = |entry: u32| policy.weight(&list[self.places[entry as usize] as usize]);
        self.schedule = Some(Schedule::new(entries, seed, weight));
    }
}

impl Policy {
    /// By which a schedule gives turns.
    fn weight(self, slot: &Slot) -> f64 {
        let weight = f64::from(slot.weight);
        match self {
            Self::LeastRequest { .. } => weight / (f64::from(slot.host.active_requests()) + 1.0),
            Self::RoundRobin | Self::Random => weight,
        }
    }
}

impl Tried {
    /// The request was sent, or was to be sent, to this one.
    pub fn add(&mut self, host: &Arc<Host>) {
        self.0.push(Arc::clone(host));
    }

    /// Whether it was.
    pub fn contains(&self, host: &Arc<Host>) -> bool {
        self.0.iter().any(|tried| Arc::ptr_eq(tried, host))
    }
}

/// A number below `bound`, evenly, without a division.
#[inline]
fn below(random: u64, bound: usize) -> usize {
    ((u128::from(random) * bound as u128) >> 64) as usize
}

#[cfg(test)]
mod tests;
