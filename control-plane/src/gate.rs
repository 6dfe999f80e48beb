//! Who may ask for what, for the xDS server and the signing service alike.

use std::sync::Arc;

use byrnie_ads::{Admission, Caller, Gate};
use byrnie_ca::{Authenticate, Authority, Clock, TOKEN_AUDIENCE, TokenError, bearer};
use byrnie_identity::Account;
use byrnie_model::{Workload, WorkloadName, World};
use byrnie_source::{ReviewError, Reviewed};
use tonic::{Extensions, Status, async_trait, metadata::MetadataMap};
use tracing::{debug, warn};

use crate::{current::Current, reviews::Reviews};

use peer::Peer;

mod peer;

/// Decides by token and Pod; where no token is shown, by the certificate of the connection.
#[derive(Clone)]
pub struct TokenGate {
    current: Current,
    authority: Arc<Authority>,
    clock: Clock,
    /// As which the control plane itself runs.
    own: Account,
    accepted: Accepted,
    /// Whether discovery needs no token: true on a loopback address.
    open: bool,
}

/// Which tokens prove a workload.
#[derive(Clone)]
pub enum Accepted {
    /// Join tokens, signed by the key of the state directory.
    Join,
    /// Tokens of ServiceAccounts that are bound to a Pod, by the word of an API server.
    Bound {
        /// Who asks it.
        reviews: Arc<Reviews>,
        /// Whether join tokens are accepted beside them.
        join: bool,
    },
}

/// Whom a token speaks for.
struct Proven {
    workload: WorkloadName,
    /// What a bound token says of the Pod; a join token says nothing.
    bound: Option<Arc<Reviewed>>,
}

impl TokenGate {
    /// A gate over the Pods in force. `open` lets callers without a token discover, but never see secrets.
    pub fn new(
        current: Current,
        authority: Arc<Authority>,
        clock: Clock,
        own: Account,
        accepted: Accepted,
        open: bool,
    ) -> Self {
        Self { current, authority, clock, own, accepted, open }
    }

    /// Whether a replica of this control plane calls, by the certificate of the connection.
    pub fn is_control_plane(&self, extensions: &Extensions) -> bool {
        matches!(self.certified(extensions), Some(Ok(account)) if account == self.own)
    }

    /// The account that the certificate of the connection speaks for, if there is one.
    fn certified(&self, extensions: &Extensions) -> Option<Result<Account, Status>> {
        let (ours, now) = (self.authority.trust_domain(), (self.clock)());
        Some(match Peer::of(extensions)? {
            Ok(Peer { until, .. }) if until < now => Err(Status::unauthenticated(format!(
                "the certificate of this connection ended {} s ago: connect anew with a later one, or with a token",
                now.duration_since(until).unwrap_or_default().as_secs()
            ))),
            Ok(Peer { id, .. }) if id.trust_domain() != ours => Err(Status::permission_denied(format!(
                "the certificate of this connection is of {id}: the trust domain {ours} is accepted"
            ))),
            Ok(Peer { id, .. }) => Ok(id.account().clone()),
            Err(error) => Err(Status::unauthenticated(error.to_string())),
        })
    }

    /// The workload that the token names.
    async fn proven(&self, metadata: &MetadataMap) -> Result<Proven, Status> {
        let token = bearer(metadata)?;
        match &self.accepted {
            Accepted::Join => self.joined(token).map_err(|error| refused(&error)),
            Accepted::Bound { reviews, join } => match join.then(|| self.joined(token)) {
                Some(Ok(proven)) => Ok(proven),
                Some(Err(error)) if !is_of_others(&error) => Err(refused(&error)),
                _ => bound(reviews, token).await,
            },
        }
    }

    /// The workload that a join token names.
    fn joined(&self, token: &str) -> Result<Proven, TokenError> {
        let subject = self.authority.tokens().ok_or(TokenError::NoKey)?.verify(token, (self.clock)())?;
        Ok(Proven { workload: WorkloadName::new(subject.namespace(), subject.pod()), bound: None })
    }

    /// The account of the Pod that was proven, which must be just the one that is there.
    #[allow(clippy::result_large_err, reason = "tonic's own type")]
    fn account_of(&self, proven: &Proven) -> Result<Account, Status> {
        let current = self.current.load();
        let workload = known(&current.world, &proven.workload)?;
        if let Some(reviewed) = &proven.bound {
            check(reviewed, workload).map_err(Status::permission_denied)?;
        }
        Ok(workload.account.clone())
    }

    /// `account`, if any Pod runs as it: a certificate must not be renewed for ever after the last of them is gone.
    #[allow(clippy::result_large_err, reason = "tonic's own type")]
    fn in_use(&self, account: Account) -> Result<Account, Status> {
        let current = self.current.load();
        if current.world.workloads_of(account.namespace()).any(|workload| workload.account == account) {
            return Ok(account);
        }
        Err(Status::permission_denied(format!(
            "the certificate of this connection is of {account}, as which no Pod of the mesh runs"
        )))
    }

    /// What opens the secrets of a Pod.
    fn key_of(&self, workload: &WorkloadName) -> String {
        match self.accepted {
            Accepted::Join => format!("a token (`byrnie token --workload {workload}`)"),
            Accepted::Bound { .. } => format!("a ServiceAccount token of the audience {TOKEN_AUDIENCE:?}"),
        }
    }
}

#[async_trait]
impl Gate for TokenGate {
    async fn admit(&self, caller: &Caller<'_>) -> Result<Admission, Status> {
        let claimed = &caller.client.workload;
        if is_absent(caller.metadata)
            && let Some(account) = self.certified(caller.extensions)
        {
            let (account, current) = (account?, self.current.load());
            let workload = known(&current.world, claimed)?;
            if workload.account != account {
                return Err(Status::permission_denied(format!(
                    "the certificate of this connection is of {account}, the Pod {claimed} that node.id names runs as \
                     {}",
                    workload.account
                )));
            }
            return Ok(Admission { secrets: Ok(account) });
        }
        match self.proven(caller.metadata).await {
            Ok(proven) if proven.workload == *claimed => Ok(Admission { secrets: Ok(self.account_of(&proven)?) }),
            Ok(Proven { workload, .. }) => Err(Status::permission_denied(format!(
                "the token speaks for {workload}, node.id for {claimed}: both must name the same Pod"
            ))),
            Err(refused) if self.open && is_absent(caller.metadata) => {
                known(&self.current.load().world, claimed)?;
                let why = format!("secrets need {}: {}", self.key_of(claimed), refused.message());
                Ok(Admission { secrets: Err(why.into()) })
            }
            Err(refused) => Err(refused),
        }
    }
}

#[async_trait]
impl Authenticate for TokenGate {
    /// The account of the Pod that the call's token speaks for; without a token that of the connection's certificate.
    async fn authenticate(&self, metadata: &MetadataMap, extensions: &Extensions) -> Result<Account, Status> {
        if is_absent(metadata)
            && let Some(account) = self.certified(extensions)
        {
            return self.in_use(account?);
        }
        self.account_of(&self.proven(metadata).await?)
    }
}

#[allow(clippy::result_large_err, reason = "tonic's own type")]
fn known<'a>(world: &'a World, workload: &WorkloadName) -> Result<&'a Workload, Status> {
    world.workload(workload).map(|workload| &**workload).ok_or_else(|| {
        Status::not_found(format!(
            "node.id names the Pod {workload}, which is not there: apply it first, or correct node.id"
        ))
    })
}

/// Whether a bound token is of the Pod that is there. Its node needs no look: a Pod stays on one for life.
fn check(reviewed: &Reviewed, workload: &Workload) -> Result<(), String> {
    let Workload { name, account, uid, .. } = workload;
    if account.name() != &*reviewed.account {
        let Reviewed { namespace, account: other, .. } = reviewed;
        return Err(format!(
            "the token is of the ServiceAccount {namespace}/{other}, the Pod {name} runs as {account}"
        ));
    }
    match uid {
        Some(uid) if *uid != reviewed.pod_uid => Err(format!(
            "the token is of a Pod {name} with the uid {}, the one that is there has {uid}",
            reviewed.pod_uid
        )),
        _ => Ok(()),
    }
}

/// The workload that a bound token names.
async fn bound(reviews: &Reviews, token: &str) -> Result<Proven, Status> {
    let reviewed = reviews.review(token).await.map_err(unproven)?;
    let workload = WorkloadName::new(reviewed.namespace.clone(), reviewed.pod.clone());
    debug!(%workload, node = reviewed.node.as_deref(), "a bound token was shown");
    Ok(Proven { workload, bound: Some(reviewed) })
}

/// Whether the fault of a token is that somebody else made it.
fn is_of_others(error: &TokenError) -> bool {
    use TokenError::{Algorithm, NoKey, NotAToken, Signature, TooLong};
    matches!(error, NotAToken | TooLong(_) | Algorithm | Signature | NoKey)
}

fn refused(error: &TokenError) -> Status {
    Status::unauthenticated(format!("the token is refused: {error}"))
}

fn unproven(error: ReviewError) -> Status {
    match error {
        ReviewError::Unavailable(_) => {
            warn!(%error, "a token cannot be reviewed");
            Status::unavailable("the token cannot be reviewed now: the log of the control plane says why")
        }
        error => Status::unauthenticated(format!(
            "the token is refused: {error}; a ServiceAccount token of the audience {TOKEN_AUDIENCE:?} that is bound to \
             the Pod is accepted"
        )),
    }
}

/// Whether the caller showed nothing at all; a token that is refused is never taken for none.
fn is_absent(metadata: &MetadataMap) -> bool {
    !metadata.contains_key("authorization")
}

#[cfg(test)]
mod tests;
