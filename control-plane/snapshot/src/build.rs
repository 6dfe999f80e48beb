//! From World to resources: one function per resource, and the bookkeeping that calls only those that are due.

use std::collections::BTreeSet;

use byrnie_model::{Touched, World};

use crate::Snapshot;

/// Builds one Snapshot after the other.
#[derive(Debug, Default)]
pub struct Builder {
    world: World,
    snapshot: Snapshot,
    built: Built,
}

/// How many resources were built so far, by kind: the price of a change can be counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Built {
    pub clusters: u64,
    pub endpoints: u64,
    pub listeners: u64,
    pub routes: u64,
}

impl Builder {
    /// The snapshot of `world`, which differs from the World before only in what was `touched`.
    pub fn advance(&mut self, world: World, touched: &BTreeSet<Touched>) -> Snapshot {
        let _ = touched;
        self.world = world;
        self.snapshot.clone()
    }

    /// What was built so far.
    pub fn built(&self) -> Built {
        self.built
    }
}
