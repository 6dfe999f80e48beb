//! The list of a cluster's hosts: immutable, made anew by an update, swapped whole.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::{
    cluster::{Census, Cluster, FirstCheck},
    host::{Flags, Health, Host, Reported},
};

/// One endpoint as an update describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<K> {
    /// What tells it from others (an address). What equality ignores may ride along: a list holds the keys of its own
    /// update.
    pub key: K,
    /// Its share (`LbEndpoint.load_balancing_weight`); 0 counts as 1.
    pub weight: u32,
    /// What the control plane says of it.
    pub reported: Reported,
}

/// A place in one list. Another list has other places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostIndex(pub(crate) u32);

impl HostIndex {
    /// Counts from 0, in the order of the update.
    pub fn place(self) -> usize {
        self.0 as usize
    }
}

/// The hosts of a cluster. Share it in an `Arc`; let one thread make the updates.
#[derive(Debug)]
pub struct Hosts<K> {
    keys: Box<[K]>,
    pub(crate) slots: Slots,
}

/// The part that pickers read, whatever the keys are.
#[derive(Debug)]
pub(crate) struct Slots {
    /// Of this list among all of the process.
    pub id: u64,
    pub cluster: Arc<Cluster>,
    pub list: Box<[Slot]>,
}

#[derive(Debug)]
pub(crate) struct Slot {
    pub host: Arc<Host>,
    pub weight: u32,
}

/// How many there are of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// All (`membership_total`).
    pub total: usize,
    /// (`membership_healthy`)
    pub healthy: usize,
    /// (`membership_degraded`)
    pub degraded: usize,
    /// Left out of the share of healthy hosts (`membership_excluded`).
    pub apart: usize,
}

impl<K> Hosts<K> {
    /// The list of a new cluster, without hosts.
    pub fn new(first_check: FirstCheck) -> Self {
        Self::with(Arc::new(Cluster::new(first_check)), Vec::new(), Vec::new())
    }

    /// The same of a cluster whose checks come or go: what is known of its hosts is forgotten. That it had traffic is
    /// not, since connections stay, and so might none be opened that told of it again.
    pub fn anew(&self, first_check: FirstCheck) -> Self {
        let anew = Self::new(first_check);
        if self.is_used() {
            anew.slots.cluster.note_use();
        }
        anew
    }

    fn with(cluster: Arc<Cluster>, keys: Vec<K>, list: Vec<Slot>) -> Self {
        static LISTS: AtomicU64 = AtomicU64::new(1);
        let id = LISTS.fetch_add(1, Relaxed);
        Self { keys: keys.into(), slots: Slots { id, cluster, list: list.into() } }
    }

    /// Number of hosts.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The host at a place of this list.
    ///
    /// # Panics
    /// Where the place is of a longer list.
    pub fn host(&self, index: HostIndex) -> &Arc<Host> {
        &self.slots.list[index.0 as usize].host
    }

    /// Its key.
    ///
    /// # Panics
    /// Where the place is of a longer list.
    pub fn key(&self, index: HostIndex) -> &K {
        &self.keys[index.0 as usize]
    }

    /// Its weight, at least 1.
    ///
    /// # Panics
    /// Where the place is of a longer list.
    pub fn weight(&self, index: HostIndex) -> u32 {
        self.slots.list[index.0 as usize].weight
    }

    /// All, in the order of the update.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (HostIndex, &K, &Arc<Host>)> {
        let pairs = self.keys.iter().zip(&self.slots.list).enumerate();
        pairs.map(|(place, (key, slot))| (HostIndex(place as u32), key, &slot.host))
    }

    /// How many there are of each kind.
    pub fn membership(&self) -> Membership {
        self.slots.membership(|_, _| {})
    }

    /// Whether the cluster ever had traffic.
    pub fn is_used(&self) -> bool {
        self.slots.cluster.is_used()
    }
}

impl<K: Eq + Hash> Hosts<K> {
    /// The next list. Hosts that stay keep their state; those that leave are forgotten, and what is reported of them
    /// later counts for nothing. The first of two members with one key counts.
    #[must_use]
    pub fn update(&self, members: impl IntoIterator<Item = Member<K>>) -> Self {
        let cluster = &self.slots.cluster;
        let members = without_doubles(members);
        let mut known: HashMap<&K, &Arc<Host>> =
            self.keys.iter().zip(self.slots.list.iter().map(|slot| &slot.host)).collect();
        let (mut keys, mut list) = (Vec::with_capacity(members.len()), Vec::with_capacity(members.len()));
        for Member { key, weight, reported } in members {
            let host = match known.remove(&key) {
                Some(host) => {
                    host.report(reported);
                    Arc::clone(host)
                }
                None => Arc::new(Host::new(Arc::clone(cluster), reported)),
            };
            list.push(Slot { host, weight: weight.max(1) });
            keys.push(key);
        }
        cluster.census().settle(list.len(), known.into_values());
        Self::with(Arc::clone(cluster), keys, list)
    }
}

fn without_doubles<K: Eq + Hash>(members: impl IntoIterator<Item = Member<K>>) -> Vec<Member<K>> {
    let members: Vec<Member<K>> = members.into_iter().collect();
    let mut seen = HashSet::with_capacity(members.len());
    let first: Vec<bool> = members.iter().map(|member| seen.insert(&member.key)).collect();
    members.into_iter().zip(first).filter_map(|(member, first)| first.then_some(member)).collect()
}

impl Census {
    /// After an update: this many members are left, without these.
    fn settle<'a>(&mut self, members: usize, left: impl Iterator<Item = &'a Arc<Host>>) {
        self.members = members;
        for host in left {
            self.ejected -= usize::from(host.is_ejected());
            host.change(Flags::REMOVED, Flags::EJECTED);
        }
    }
}

impl Slots {
    /// Counts each kind, and tells of each host by place.
    pub fn membership(&self, mut each: impl FnMut(u32, Health)) -> Membership {
        let mut membership = Membership { total: self.list.len(), ..Membership::default() };
        for (place, slot) in (0u32..).zip(&self.list) {
            let flags = slot.host.flags();
            match flags.health() {
                Health::Healthy => membership.healthy += 1,
                Health::Degraded => membership.degraded += 1,
                Health::Unhealthy => {}
            }
            membership.apart += usize::from(flags.is_apart());
            each(place, flags.health());
        }
        membership
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(key: &str) -> Member<&str> {
        Member { key, weight: 1, reported: Reported::Healthy }
    }

    fn keys<'a>(hosts: &Hosts<&'a str>) -> Vec<&'a str> {
        hosts.iter().map(|(_, key, _)| *key).collect()
    }

    #[test]
    fn what_stays_keeps_its_state() {
        let before = Hosts::new(FirstCheck::NotNeeded).update(["a", "b"].map(member));
        before.host(HostIndex(1)).begin_request();
        before.host(HostIndex(1)).change(Flags::EJECTED, 0);
        let moved = Member { weight: 7, reported: Reported::Draining, ..member("b") };
        let after = before.update([moved, member("c")]);
        assert_eq!(keys(&after), ["b", "c"]);
        let stays = after.host(HostIndex(0));
        assert!(Arc::ptr_eq(stays, before.host(HostIndex(1))));
        assert_eq!((stays.active_requests(), after.weight(HostIndex(0))), (1, 7));
        assert_eq!(stays.flags().to_string(), "/failed_outlier_check/eds_status_draining");
        assert_eq!(after.membership(), Membership { total: 2, healthy: 1, degraded: 0, apart: 1 });
    }

    #[test]
    fn a_cluster_that_gets_checks_is_still_one_that_had_traffic() {
        let before = Hosts::new(FirstCheck::NotNeeded).update(["a"].map(member));
        assert!(!before.anew(FirstCheck::Awaited).is_used());
        before.host(HostIndex(0)).open_connection();
        let after = before.anew(FirstCheck::Awaited).update(["a"].map(member));
        assert!(after.is_used() && after.host(HostIndex(0)).cluster_is_used());
        assert_eq!(after.membership().healthy, 0);
    }

    #[test]
    fn the_first_of_two_alike_counts() {
        let double = Member { weight: 9, ..member("a") };
        let hosts = Hosts::new(FirstCheck::NotNeeded).update([member("a"), double, member("b"), member("b")]);
        assert_eq!((keys(&hosts), hosts.weight(HostIndex(0))), (vec!["a", "b"], 1));
    }

    #[test]
    fn a_weight_is_at_least_one() {
        let hosts = Hosts::new(FirstCheck::NotNeeded).update([Member { weight: 0, ..member("a") }]);
        assert_eq!(hosts.weight(HostIndex(0)), 1);
    }

    #[test]
    fn new_hosts_wait_for_their_first_check() {
        let membership = |first_check| Hosts::new(first_check).update([member("a")]).membership();
        assert_eq!(membership(FirstCheck::NotNeeded).healthy, 1);
        assert_eq!(membership(FirstCheck::Awaited), Membership { total: 1, ..Membership::default() });
        assert_eq!(membership(FirstCheck::AwaitedApart), Membership { total: 1, apart: 1, ..Membership::default() });
    }
}
