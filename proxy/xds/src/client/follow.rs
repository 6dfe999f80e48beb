//! What is subscribed to: all that is referred to by what serves or is about to, and nothing else.

use std::{mem, sync::Arc, time::Instant};

use byrnie_proto::Kind;

use super::Client;

/// Downwards: each kind refers to later ones only.
pub(super) const DOWN: [Kind; 4] = [Kind::Listener, Kind::Route, Kind::Cluster, Kind::Endpoints];

impl Client {
    /// Notes what is referred to, and subscribes to what is not subscribed to yet. Both what serves and what will take
    /// its place count: nothing is given up before its replacement is warm.
    pub(super) fn follow(&mut self, now: Instant) {
        let since = self.is_connected().then_some(now);
        for kind in &DOWN[1..] {
            self.table_mut(*kind).entries.values_mut().for_each(|entry| entry.referred = false);
        }
        for (at, kind) in DOWN.into_iter().enumerate() {
            let entries = mem::take(&mut self.table_mut(kind).entries);
            for entry in entries.values().filter(|entry| entry.referred) {
                let superseded = entry.serving.as_ref().filter(|_| entry.is_superseded());
                let goods = entry.held.candidate().into_iter().chain(superseded);
                for reference in goods.flat_map(|good| good.references.iter()) {
                    if DOWN[at + 1..].contains(&reference.kind) {
                        self.table_mut(reference.kind).want(&reference.name, since);
                    }
                }
            }
            self.table_mut(kind).entries = entries;
        }
    }

    /// Gives up what nothing refers to. Returned is what served.
    pub(super) fn sweep(&mut self) -> Vec<(Kind, Arc<str>)> {
        let mut gone = Vec::new();
        for kind in DOWN {
            let table = self.table_mut(kind);
            table.entries.retain(|name, entry| {
                if !entry.referred {
                    table.subscribe.remove(name);
                    if entry.told {
                        table.unsubscribe.insert(name.clone());
                    }
                    if entry.serving.is_some() {
                        gone.push((kind, name.clone()));
                    }
                }
                entry.referred
            });
        }
        gone
    }
}
