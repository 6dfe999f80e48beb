//! How the proxies of all replicas stand to a route, a policy or the mesh's settings.
//!
//! ```text
//! streams -> count -> Book (this replica) -+-> FleetService -> whoever holds the Lease
//!                                          +-> Fleet -> Sum
//!                       other replicas ----+
//! ```
//!
//! Each replica counts its own streams ([`count`]) and tells others ([`FleetService`]). The holder of the Lease runs a
//! [`Fleet`], which follows all of them and adds up.

mod book;
mod count;
mod objects;
mod peers;
mod service;
mod sums;
mod wire;

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use byrnie_ads::Refusal;
use byrnie_model::ObjectRef;
use tokio::{sync::watch, task::JoinSet};

pub use book::Book;
pub use count::count;
pub use peers::{Dial, DialError, tuned};
pub use service::FleetService;

use peers::Follower;
use sums::Shared;

/// The proxies of all replicas. Dropping it ends all connections to them.
pub struct Fleet {
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

/// How the proxies of all replicas stand to one generation of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Proxies that are made to use the object.
    pub needing: u64,
    /// Those of them that have accepted all that is made from this generation, or a later one.
    pub accepted: u64,
    /// The first refusals of each replica that stand, sorted.
    pub refusals: Vec<Refusal>,
    /// Replicas that are away, or have not seen this generation; by Pod, or by address where that was never heard.
    pub missing: Vec<String>,
}

impl Fleet {
    /// Follows the replica that `own` is of, called `name`, and all `peers` as they come and go: addresses of the Service
    /// `byrnie-control-plane-peers`, best one a Pod. Replicas are told apart by their names: this one may be among the
    /// peers, and none is counted twice.
    pub fn start(own: &Arc<Book>, name: &str, peers: watch::Receiver<BTreeSet<SocketAddr>>, dial: impl Dial) -> Self {
        let shared = Arc::new(Shared::new(name));
        let follower = Follower::new(Arc::clone(&shared), name.into(), dial);
        let mut tasks = JoinSet::new();
        tasks.spawn(peers::follow_own(Arc::clone(own), Arc::clone(&shared)));
        tasks.spawn(peers::follow_all(follower, peers));
        Self { shared, _tasks: tasks }
    }

    /// How all proxies stand to an object of this generation.
    pub fn sum(&self, object: &ObjectRef, generation: i64) -> Sum {
        self.shared.sums().sum(object, generation)
    }

    /// The objects whose sum may have changed since this was called last. Cancel-safe: nothing is taken before it returns.
    pub async fn changed(&mut self) -> BTreeSet<ObjectRef> {
        loop {
            let changed = self.shared.sums().take_changed();
            if !changed.is_empty() {
                return changed;
            }
            self.shared.moved().await;
        }
    }
}

#[cfg(test)]
mod tests;
