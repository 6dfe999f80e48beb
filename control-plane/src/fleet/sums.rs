use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use byrnie_ads::Tally;
use byrnie_model::ObjectRef;
use tokio::sync::Notify;

use super::{Sum, book::Batch};

/// What all replicas told, shared by those who listen to them and who adds up.
#[derive(Debug)]
pub struct Shared {
    sums: Mutex<Sums>,
    moved: Notify,
}

/// What all replicas told.
#[derive(Debug)]
pub struct Sums {
    replicas: BTreeMap<Replica, Table>,
    changed: BTreeSet<ObjectRef>,
}

/// Who told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Replica {
    /// This process.
    Own,
    /// The one at this address.
    Peer(SocketAddr),
}

/// What one replica told.
#[derive(Debug, Default)]
struct Table {
    /// Its Pod, once heard.
    name: Option<Arc<str>>,
    /// Whether `tallies` is all that it has to tell.
    complete: bool,
    tallies: BTreeMap<ObjectRef, Tally>,
}

impl Shared {
    /// Of this replica alone, of which nothing is known yet.
    pub fn new(name: &str) -> Self {
        let own = Table { name: Some(name.into()), ..Table::default() };
        let replicas = BTreeMap::from([(Replica::Own, own)]);
        Self { sums: Mutex::new(Sums { replicas, changed: BTreeSet::new() }), moved: Notify::new() }
    }

    pub fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, and says so.
    pub fn change(&self, change: impl FnOnce(&mut Sums)) {
        change(&mut self.sums());
        self.moved.notify_one();
    }

    /// Waits until something changed, or has since this was called last.
    pub async fn moved(&self) {
        self.moved.notified().await;
    }
}

impl Sums {
    /// A replica is there, of which nothing is known yet.
    pub fn expect(&mut self, replica: Replica) {
        self.replicas.insert(replica, Table::default());
        self.all_changed();
    }

    /// A replica is not heard any more; its clients go to others.
    pub fn lose(&mut self, replica: Replica) {
        let Some(table) = self.replicas.get_mut(&replica) else { return };
        let name = table.name.clone();
        let old = std::mem::replace(table, Table { name, ..Table::default() });
        self.changed.extend(old.tallies.into_keys());
        if old.complete {
            self.all_changed();
        }
    }

    /// A replica is no longer one.
    pub fn forget(&mut self, replica: Replica) {
        let Some(old) = self.replicas.remove(&replica) else { return };
        self.changed.extend(old.tallies.into_keys());
        if !old.complete {
            self.all_changed();
        }
    }

    /// A replica says its name.
    pub fn name(&mut self, replica: Replica, name: &str) {
        if let Some(table) = self.replicas.get_mut(&replica)
            && table.name.as_deref() != Some(name)
        {
            table.name = Some(name.into());
        }
    }

    /// A replica tells something.
    pub fn tell(&mut self, replica: Replica, batch: Batch) {
        let Some(table) = self.replicas.get_mut(&replica) else { return };
        for (object, tally) in batch.tallies {
            match tally {
                Some(tally) => table.tallies.insert(object.clone(), tally),
                None => table.tallies.remove(&object),
            };
            self.changed.insert(object);
        }
        let became_complete = batch.complete && !table.complete;
        table.complete |= batch.complete;
        if became_complete {
            self.all_changed();
        }
    }

    /// How all proxies stand to a generation of an object.
    pub fn sum(&self, object: &ObjectRef, generation: i64) -> Sum {
        let mut sum = Sum::default();
        for (replica, table) in self.replicas.iter().filter(|(replica, table)| !self.is_double(**replica, table)) {
            let tally = table.tallies.get(object);
            let has_seen = tally.is_some_and(|tally| tally.generation >= generation);
            if !table.complete || !has_seen {
                sum.missing.push(table.shown(*replica));
            }
            let Some(tally) = tally else { continue };
            sum.needing += u64::from(tally.needing);
            if has_seen {
                sum.accepted += u64::from(tally.accepted);
                sum.refusals.extend(tally.refusals.iter().cloned());
            }
        }
        sum.refusals.sort();
        sum.refusals.dedup();
        sum
    }

    /// The objects whose sum may have changed since this was called last.
    pub fn take_changed(&mut self) -> BTreeSet<ObjectRef> {
        std::mem::take(&mut self.changed)
    }

    /// Whether the same Pod is heard at another address too.
    fn is_double(&self, replica: Replica, table: &Table) -> bool {
        let rank = |replica: Replica, table: &Table| (!table.complete, replica);
        let same = self.replicas.iter().filter(|(_, other)| other.name.is_some() && other.name == table.name);
        same.min_by_key(|(other, table)| rank(**other, table)).is_some_and(|(first, _)| *first != replica)
    }

    /// Another set of replicas is missing.
    fn all_changed(&mut self) {
        let all = self.replicas.values().flat_map(|table| table.tallies.keys());
        self.changed.extend(all.cloned());
    }
}

impl Table {
    fn shown(&self, replica: Replica) -> String {
        match (&self.name, replica) {
            (Some(name), _) => name.to_string(),
            (None, Replica::Peer(address)) => address.to_string(),
            (None, Replica::Own) => "this replica".to_owned(),
        }
    }
}
