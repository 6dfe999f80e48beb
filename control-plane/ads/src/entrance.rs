//! The way of a caller from its first message through the gate.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use byrnie_snapshot::Client;
use tonic::{Extensions, Status, metadata::MetadataMap};

use crate::{
    gate::{Admission, Caller},
    shared::Shared,
};

/// What is known of a caller before its first message.
#[derive(Default)]
pub(crate) struct Door {
    pub metadata: MetadataMap,
    pub extensions: Extensions,
    pub peer: Option<SocketAddr>,
}

/// A caller that has said whom it claims to be.
pub(crate) struct Knock<M> {
    pub door: Door,
    /// `node.id` as it came, for the log.
    pub node: String,
    /// What the node is read as.
    pub client: Result<Client, Status>,
    /// Whether the stream is for secrets alone, and is of no use without them.
    pub only_secrets: bool,
    /// The stream in the log.
    pub stream: &'static str,
    pub message: M,
}

/// A caller that was let in, with its first message.
pub(crate) struct Guest<M> {
    pub client: Client,
    pub admission: Admission,
    pub peer: Option<SocketAddr>,
    pub message: M,
}

/// The gate decides; nothing more is read of the stream meanwhile.
pub(crate) type Entering<M> = Pin<Box<dyn Future<Output = Result<Guest<M>, Status>> + Send>>;

/// Asks the gate. A refusal is counted and logged.
pub(crate) fn enter<M: Send + 'static>(shared: Arc<Shared>, knock: Knock<M>) -> Entering<M> {
    Box::pin(async move {
        let Knock { door, node, client, only_secrets, stream, message } = knock;
        let admitted = admit(&shared, &door, client, only_secrets).await;
        let (client, admission) = admitted.inspect_err(|status| {
            shared.hub.counters.refused_streams.fetch_add(1, Relaxed);
            let peer = door.peer.map(tracing::field::display);
            tracing::warn!(node, peer, code = ?status.code(), error = status.message(), "{stream} refused");
        })?;
        Ok(Guest { client, admission, peer: door.peer, message })
    })
}

async fn admit(
    shared: &Shared,
    door: &Door,
    client: Result<Client, Status>,
    only_secrets: bool,
) -> Result<(Client, Admission), Status> {
    let client = client?;
    let caller = Caller { metadata: &door.metadata, extensions: &door.extensions, peer: door.peer, client: &client };
    let admission = shared.gate.admit(&caller).await?;
    match &admission.secrets {
        Err(denial) if only_secrets => Err(Status::permission_denied(&**denial)),
        _ => Ok((client, admission)),
    }
}
