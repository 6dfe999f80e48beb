//! Which listeners are wanted on demand, and since when each is idle. Pure: time is an argument.

use std::{
    collections::HashMap,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use foldhash::fast::RandomState;

/// How long an unused name stays.
pub(crate) const IDLE_LIMIT: Duration = Duration::from_secs(600);
/// How many names there are at most: a workload that calls every address of the world must not cost more.
pub(crate) const NAMES_LIMIT: usize = 4096;

/// Names in use, and when each was used last.
#[derive(Debug, Default)]
pub(crate) struct Demand {
    names: HashMap<Arc<str>, Instant, RandomState>,
    added: Vec<Arc<str>>,
    dropped: Vec<Arc<str>>,
}

impl Demand {
    /// `name` is used now. Whether that is news.
    pub fn want(&mut self, name: &str, now: Instant) -> bool {
        if let Some(used) = self.names.get_mut(name) {
            *used = now;
            return false;
        }
        if self.names.len() >= NAMES_LIMIT {
            self.drop_oldest();
        }
        let name: Arc<str> = name.into();
        self.names.insert(name.clone(), now);
        self.added.push(name);
        true
    }

    /// Drops what was idle for too long.
    pub fn expire(&mut self, now: Instant) {
        let dropped = &mut self.dropped;
        self.names.retain(|name, used| {
            let stays = *used + IDLE_LIMIT > now;
            if !stays {
                dropped.push(name.clone());
            }
            stays
        });
    }

    /// What was added and dropped since the last call.
    pub fn changes(&mut self) -> (Vec<Arc<str>>, Vec<Arc<str>>) {
        let (mut added, mut dropped) = (mem::take(&mut self.added), mem::take(&mut self.dropped));
        added.retain(|name| self.names.contains_key(name));
        dropped.retain(|name| !self.names.contains_key(name));
        (added, dropped)
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.names.iter().min_by_key(|(_, used)| **used).map(|(name, _)| name.clone()) {
            self.names.remove(&oldest);
            self.dropped.push(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[Arc<str>]) -> Vec<&str> {
        list.iter().map(|name| &**name).collect()
    }

    #[test]
    fn a_name_is_added_once_and_dropped_when_it_was_idle_for_ten_minutes() {
        let (mut demand, start) = (Demand::default(), Instant::now());
        assert!(demand.want("out/a", start));
        assert!(!demand.want("out/a", start));
        assert_eq!(names(&demand.changes().0), ["out/a"]);
        demand.want("out/a", start + IDLE_LIMIT / 2);
        demand.expire(start + IDLE_LIMIT);
        assert!(demand.changes().1.is_empty());
        demand.expire(start + IDLE_LIMIT / 2 + IDLE_LIMIT);
        assert_eq!(names(&demand.changes().1), ["out/a"]);
    }

    #[test]
    fn the_oldest_name_makes_room_for_the_one_too_many() {
        let (mut demand, start) = (Demand::default(), Instant::now());
        let at = |number: usize| start + Duration::from_millis(number as u64);
        (0..=NAMES_LIMIT).for_each(|number| assert!(demand.want(&format!("out/{number}"), at(number))));
        let (added, dropped) = demand.changes();
        assert_eq!((added.len(), dropped), (NAMES_LIMIT, vec!["out/0".into()]));
    }

    #[test]
    fn what_came_and_went_between_two_looks_is_no_news() {
        let (mut demand, start) = (Demand::default(), Instant::now());
        demand.want("out/a", start);
        demand.expire(start + IDLE_LIMIT);
        demand.want("out/a", start + IDLE_LIMIT);
        let (added, dropped) = demand.changes();
        assert!(added.contains(&"out/a".into()) && dropped.is_empty());
    }
}
