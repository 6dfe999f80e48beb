use std::sync::Arc;

use byrnie_ads::{LeafSecret, Secrets};
use byrnie_ca::{Authority, Clock};
use byrnie_identity::{Account, TrustBundle};

/// Secrets for stand-alone Envoys, made by the authority: a leaf and its key for each stream.
pub struct IssuedSecrets {
    authority: Arc<Authority>,
    clock: Clock,
}

impl IssuedSecrets {
    /// Secrets of `authority`.
    pub fn new(authority: Arc<Authority>, clock: Clock) -> Self {
        Self { authority, clock }
    }
}

impl Secrets for IssuedSecrets {
    fn leaf(&self, account: &Account) -> Result<LeafSecret, String> {
        let id = account.in_domain(self.authority.trust_domain());
        let leaf = self.authority.leaf(&id, (self.clock)()).map_err(|error| error.to_string())?;
        Ok(LeafSecret { chain_pem: leaf.issued.chain_pem(), key_pem: leaf.key.pem(), renew_at: leaf.issued.renew_at })
    }

    fn trust(&self) -> TrustBundle {
        self.authority.roots().clone()
    }
}
