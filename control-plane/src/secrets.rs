use std::sync::Arc;

use byrnie_ads::{LeafSecret, Secrets};
use byrnie_ca::{Authority, Clock};
use byrnie_identity::{Account, TrustBundle};
use byrnie_model::WorkloadName;

use crate::current::Current;

/// Secrets for stand-alone Envoys, made by the authority: a leaf and its key for each stream.
pub struct IssuedSecrets {
    current: Current,
    authority: Arc<Authority>,
    clock: Clock,
}

impl IssuedSecrets {
    /// Secrets of `authority` for the Pods in force.
    pub fn new(current: Current, authority: Arc<Authority>, clock: Clock) -> Self {
        Self { current, authority, clock }
    }
}

impl Secrets for IssuedSecrets {
    fn leaf(&self, workload: &WorkloadName, account: &Account) -> Result<LeafSecret, String> {
        let current = self.current.load();
        if current.world.workload(workload).is_none_or(|known| known.account != *account) {
            return Err(format!("the Pod {workload} is gone or no longer runs as {account}"));
        }
        let id = account.in_domain(self.authority.trust_domain());
        let leaf = self.authority.leaf(&id, (self.clock)()).map_err(|error| error.to_string())?;
        Ok(LeafSecret { chain_pem: leaf.issued.chain_pem(), key_pem: leaf.key.pem(), renew_at: leaf.issued.renew_at })
    }

    fn trust(&self) -> TrustBundle {
        self.authority.roots()
    }
}
