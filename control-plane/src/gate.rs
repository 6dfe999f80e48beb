//! Who may ask for what, for the xDS server and the signing service alike.

use std::sync::Arc;

use byrnie_ads::{Admission, Caller, Gate};
use byrnie_ca::{Authority, Clock, bearer};
use byrnie_identity::Account;
use byrnie_model::WorkloadName;
use tonic::{Status, metadata::MetadataMap};

use crate::current::Current;

/// Decides by join token and Pod.
#[derive(Clone)]
pub struct TokenGate {
    current: Current,
    authority: Arc<Authority>,
    clock: Clock,
    /// Whether discovery needs no token: true on a loopback address.
    open: bool,
}

impl TokenGate {
    /// A gate over the Pods in force. `open` lets callers without a token discover, but never see secrets.
    pub fn new(current: Current, authority: Arc<Authority>, clock: Clock, open: bool) -> Self {
        Self { current, authority, clock, open }
    }

    /// The account of the Pod that the call's token speaks for.
    #[allow(clippy::result_large_err, reason = "tonic's own type")]
    pub fn account(&self, metadata: &MetadataMap) -> Result<Account, Status> {
        self.account_of(&self.proven(metadata)?)
    }

    /// The workload that the token names.
    #[allow(clippy::result_large_err, reason = "tonic's own type")]
    fn proven(&self, metadata: &MetadataMap) -> Result<WorkloadName, Status> {
        let token = bearer(metadata)?;
        let verified = self.authority.tokens().verify(token, (self.clock)());
        let subject = verified.map_err(|error| Status::unauthenticated(format!("the token is refused: {error}")))?;
        Ok(WorkloadName::new(subject.namespace(), subject.pod()))
    }

    #[allow(clippy::result_large_err, reason = "tonic's own type")]
    fn account_of(&self, workload: &WorkloadName) -> Result<Account, Status> {
        let current = self.current.load();
        let known = current.world.workload(workload);
        known.map(|workload| workload.account.clone()).ok_or_else(|| {
            Status::not_found(format!(
                "node.id names the Pod {workload}, which is not there: apply it first, or correct node.id"
            ))
        })
    }
}

impl Gate for TokenGate {
    fn admit(&self, caller: &Caller<'_>) -> Result<Admission, Status> {
        let claimed = &caller.client.workload;
        match self.proven(caller.metadata) {
            Ok(proven) if proven == *claimed => Ok(Admission { secrets: Ok(self.account_of(claimed)?) }),
            Ok(proven) => Err(Status::permission_denied(format!(
                "the token speaks for {proven}, node.id for {claimed}: both must name the same Pod"
            ))),
            Err(refused) if self.open && is_absent(caller.metadata) => {
                self.account_of(claimed)?;
                let why = format!("secrets need a token (`byrnie token --workload {claimed}`): {}", refused.message());
                Ok(Admission { secrets: Err(why.into()) })
            }
            Err(refused) => Err(refused),
        }
    }
}

/// Whether the caller showed nothing at all; a token that is refused is never taken for none.
fn is_absent(metadata: &MetadataMap) -> bool {
    !metadata.contains_key("authorization")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use byrnie_ca::State as CaState;
    use byrnie_identity::TrustDomain;
    use byrnie_model::{Capture, ObjectKind, Origin, Update, Workload, World};
    use byrnie_snapshot::{Client, Dialect};
    use tonic::Code;

    use super::*;
    use crate::current::State;

    fn gate(open: bool) -> (tempfile::TempDir, TokenGate) {
        let folder = tempfile::tempdir().unwrap();
        let state = CaState::open(folder.path(), &TrustDomain::default(), SystemTime::now()).unwrap();
        let name = WorkloadName::new("shop", "cart-1");
        let workload = Workload {
            name: name.clone(),
            origin: Origin::of(ObjectKind::Pod, "shop", "cart-1"),
            account: Account::new("shop", "cart"),
            labels: Default::default(),
            ips: Vec::new(),
            zone: None,
            capture: Capture::Redirected,
            served: Vec::new(),
        };
        let (world, _) = World::default().apply([Update::Workload(name, Some(Arc::new(workload)))]);
        let current = Current::default();
        current.store(State { world, ..State::default() });
        let gate = TokenGate::new(current, Arc::new(Authority::new(state)), Arc::new(SystemTime::now), open);
        (folder, gate)
    }

    fn ask(gate: &TokenGate, pod: &str, token: Option<&str>) -> Result<Admission, Status> {
        let mut metadata = MetadataMap::new();
        if let Some(token) = token {
            metadata.insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let client = Client { workload: WorkloadName::new("shop", pod), dialect: Dialect::Envoy };
        gate.admit(&Caller { metadata: &metadata, extensions: &Default::default(), peer: None, client: &client })
    }

    fn token(gate: &TokenGate, pod: &str) -> String {
        let subject = format!("shop/{pod}").parse().unwrap();
        let minted = gate.authority.tokens().mint(&subject, Duration::from_secs(60), SystemTime::now()).unwrap();
        minted.as_str().to_owned()
    }

    #[test]
    fn a_token_opens_the_secrets_of_its_own_pod_and_of_no_other() {
        let (_folder, gate) = gate(true);
        let admission = ask(&gate, "cart-1", Some(&token(&gate, "cart-1"))).unwrap();
        assert_eq!(admission.secrets.unwrap(), Account::new("shop", "cart"));
        let refused = ask(&gate, "cart-1", Some(&token(&gate, "other"))).unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(refused.message().contains("shop/other") && refused.message().contains("shop/cart-1"));
    }

    #[test]
    fn without_a_token_an_open_gate_lets_discover_but_shows_no_secret() {
        let (_folder, open) = gate(true);
        assert!(
            ask(&open, "cart-1", None).unwrap().secrets.unwrap_err().contains("byrnie token --workload shop/cart-1")
        );
        let (_folder, closed) = gate(false);
        assert_eq!(ask(&closed, "cart-1", None).unwrap_err().code(), Code::Unauthenticated);
    }

    #[test]
    fn a_bad_token_is_never_taken_for_none() {
        let (_folder, gate) = gate(true);
        assert_eq!(ask(&gate, "cart-1", Some("nonsense")).unwrap_err().code(), Code::Unauthenticated);
    }

    #[test]
    fn a_pod_that_is_not_there_is_not_found() {
        let (_folder, gate) = gate(true);
        assert_eq!(ask(&gate, "ghost", None).unwrap_err().code(), Code::NotFound);
        assert_eq!(ask(&gate, "ghost", Some(&token(&gate, "ghost"))).unwrap_err().code(), Code::NotFound);
    }
}
