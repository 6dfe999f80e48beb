//! Where a client's connection came from, and what serves it: the same for all of its requests.

use std::{net::SocketAddr, sync::Arc};

use byrnie_config::{DownstreamTls, Http, Listener};

/// The downstream side of an HTTP connection.
pub struct Front {
    /// The listener that it arrived at or was handed to.
    pub listener: Arc<Listener>,
    /// The HTTP settings of its chain.
    pub http: Arc<Http>,
    /// What is offered to the next sidecar in place of what the cluster says.
    pub offers: Option<Arc<[Box<[u8]>]>>,
    /// The client speaks TLS, and is held to this.
    pub tls: Option<Arc<DownstreamTls>>,
    /// The client.
    pub peer: SocketAddr,
    /// The address that the client called.
    pub called: SocketAddr,
    /// Who the client proved to be.
    pub proof: Option<Proof>,
}

/// The client's certificate, in the words of `x-forwarded-client-cert`.
pub struct Proof {
    /// Its identity.
    pub uri: Arc<str>,
    /// The whole value of the header.
    pub forwarded: Box<str>,
}
