use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use byrnie_identity::{Account, RequestError, SigningRequest};
use byrnie_proto::ca::{
    SignRequest, SignResponse,
    certificate_authority_server::{CertificateAuthority, CertificateAuthorityServer},
};
use tonic::{Extensions, Request, Response, Status, async_trait, metadata::MetadataMap};
use tracing::{debug, error};

use crate::{
    Clock,
    authority::{Authority, IssueError},
    servers::Servers,
};

/// The longest message that is read: a signing request and what surrounds it.
const MAX_MESSAGE: usize = SigningRequest::MAX_BYTES + 1024;

/// Says who calls. The control plane decides by token and Pod, or by the peer's certificate.
#[async_trait]
pub trait Authenticate: Send + Sync + 'static {
    /// The caller's account, from the call's metadata or from what the connection left in `extensions`.
    ///
    /// UNAUTHENTICATED: no proof, or one that is expired or not ours. PERMISSION_DENIED: proven, but not allowed.
    async fn authenticate(&self, metadata: &MetadataMap, extensions: &Extensions) -> Result<Account, Status>;
}

#[async_trait]
impl<F> Authenticate for F
where
    F: Fn(&MetadataMap) -> Result<Account, Status> + Send + Sync + 'static,
{
    async fn authenticate(&self, metadata: &MetadataMap, _: &Extensions) -> Result<Account, Status> {
        self(metadata)
    }
}

/// `byrnie.ca.v1.CertificateAuthority`: leaves for workloads that keep their key.
pub struct SigningService {
    authority: Arc<Authority>,
    authenticate: Box<dyn Authenticate>,
    servers: Servers,
    clock: Clock,
}

impl SigningService {
    /// The service that issues from `authority` to those whom `authenticate` knows.
    pub fn new(authority: Arc<Authority>, authenticate: impl Authenticate, clock: Clock) -> Self {
        Self { authority, authenticate: Box::new(authenticate), servers: Servers::none(), clock }
    }

    /// With servers among the workloads, whose leaves hold their names too.
    #[must_use]
    pub fn with_servers(self, servers: Servers) -> Self {
        Self { servers, ..self }
    }

    /// The service as tonic's router takes it, with a bound on what is read.
    pub fn into_server(self) -> CertificateAuthorityServer<Self> {
        CertificateAuthorityServer::new(self).max_decoding_message_size(MAX_MESSAGE)
    }
}

impl fmt::Debug for SigningService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningService").field("authority", &self.authority).finish_non_exhaustive()
    }
}

#[async_trait]
impl CertificateAuthority for SigningService {
    async fn sign(&self, request: Request<SignRequest>) -> Result<Response<SignResponse>, Status> {
        let (metadata, extensions, wish) = request.into_parts();
        let account = self.authenticate.authenticate(&metadata, &extensions).await?;
        let id = account.in_domain(self.authority.trust_domain());
        let request = SigningRequest::parse(&wish.csr_der).map_err(unreadable)?;
        let own = id.to_string();
        if let Some(other) = request.uris().iter().find(|uri| **uri != own) {
            let message = format!("the signing request names {other:?}, the caller is {own}");
            return Err(Status::permission_denied(message));
        }
        let names = self.servers.names_of(&account);
        let lifetime = (wish.ttl_seconds > 0).then(|| Duration::from_secs(wish.ttl_seconds.into()));
        let issued =
            self.authority.issue(&id, names, request.public_key(), lifetime, (self.clock)()).map_err(failed)?;
        debug!(%id, not_after = unix(issued.not_after), "issued a certificate");
        Ok(Response::new(SignResponse {
            chain_der: issued.chain.iter().map(|der| der.to_vec()).collect(),
            roots_der: self.authority.roots().roots().iter().map(|der| der.to_vec()).collect(),
            not_after: unix(issued.not_after),
            renew_at: unix(issued.renew_at),
        }))
    }
}

/// The token of `authorization: Bearer TOKEN` (RFC 6750, section 2.1).
pub fn bearer(metadata: &MetadataMap) -> Result<&str, Status> {
    let missing = || Status::unauthenticated("no token: `authorization: Bearer TOKEN` is needed in the metadata");
    let text = metadata.get("authorization").and_then(|value| value.to_str().ok()).ok_or_else(missing)?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => Ok(token.trim()),
        _ => Err(missing()),
    }
}

fn unreadable(error: RequestError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn failed(error: IssueError) -> Status {
    match error {
        IssueError::Key(_) => Status::invalid_argument(error.to_string()),
        error => {
            error!(%error, "cannot issue a certificate");
            Status::unavailable("the authority cannot issue now: its log says why")
        }
    }
}

fn unix(time: SystemTime) -> i64 {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
