//! One object, counted over all streams.

use std::{collections::BTreeSet, sync::Arc};

use byrnie_model::{ObjectRef, WorkloadName};
use byrnie_snapshot::{Client, Slot, Snapshot};
use foldhash::{HashMap, HashMapExt};

use super::{REFUSALS, Refusal, Tally};
use crate::{
    hub::Hub,
    index::By,
    session::Footing::{self, Accepted, Pending, Refused},
};

/// How much of a client's words is told.
const TEXT_LIMIT: usize = 1024;

/// What was counted.
pub struct Counted {
    /// Those that need the object, and whether each has accepted all.
    clients: HashMap<WorkloadName, bool>,
    refusals: BTreeSet<Refusal>,
    /// How many subscriptions were looked at.
    pub looked: usize,
}

/// How the clients stand to `object`. `former` is where resources stood that came from it once: whoever has not followed
/// yet is counted too.
pub fn of(hub: &Hub, snapshot: &Snapshot, object: &ObjectRef, former: &BTreeSet<Slot>) -> Counted {
    let mut counted = Counted { clients: HashMap::new(), refusals: BTreeSet::new(), looked: 0 };
    let slots: BTreeSet<&Slot> = snapshot.of_object(object).chain(former).collect();
    let slots: Vec<&Slot> = slots.into_iter().collect();
    for slots in slots.chunk_by(|a, b| a.kind == b.kind && a.name == b.name) {
        let (kind, name) = (slots[0].kind, &slots[0].name);
        // No lock of the index is held while those of the streams are taken: streams take them the other way round.
        for (connection, by) in hub.subscribers(kind, name) {
            counted.looked += 1;
            let client = &connection.client;
            let wanted = match by {
                By::Name => snapshot.find(client, kind, name),
                By::Wildcard => snapshot.find_covered(client, kind, name),
            };
            let needs = wanted.is_some_and(|resource| resource.objects().any(|of| of == object));
            if !needs && !had(client, slots[0], former) {
                continue;
            }
            let footing = connection.session().footing(kind, name, wanted.map(AsRef::as_ref));
            if needs {
                counted.note(client, slots[0], footing);
            } else if footing != Accepted {
                counted.note(client, slots[0], Pending);
            }
        }
    }
    counted
}

impl Counted {
    /// As it is told.
    pub fn tally(&self, generation: i64) -> Tally {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Tally {
            generation,
            needing: count(self.clients.len()),
            accepted: count(self.clients.values().filter(|accepted| **accepted).count()),
            refusals: self.refusals.iter().take(REFUSALS).cloned().collect(),
        }
    }

    fn note(&mut self, client: &Client, slot: &Slot, footing: Footing) {
        *self.clients.entry(client.workload.clone()).or_insert(true) &= footing == Accepted;
        if let Refused(text) = footing {
            let text = match text.len() {
                ..=TEXT_LIMIT => text,
                _ => Arc::from(&text[..text.floor_char_boundary(TEXT_LIMIT)]),
            };
            let Slot { kind, name, .. } = slot;
            self.refusals.insert(Refusal {
                client: client.workload.clone(),
                kind: *kind,
                resource: name.clone(),
                text,
            });
        }
    }
}

/// Whether the client was shown something of the object under this name once.
fn had(client: &Client, slot: &Slot, former: &BTreeSet<Slot>) -> bool {
    let Slot { kind, name, .. } = slot;
    !former.is_empty() && client.seen().any(|view| former.contains(&Slot { kind: *kind, name: name.clone(), view }))
}
