use std::{net::SocketAddr, path::PathBuf};

use byrnie_ca::{IssueError, StateError};
use byrnie_runtime::listen::BindError;
use byrnie_source::OpenError;

/// What a control plane is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory of objects.
    pub config: PathBuf,
    /// The directory of the CA and its keys.
    pub state: PathBuf,
    /// Where proxies connect. Plain text on loopback; anywhere else TLS, and every stream needs a token.
    pub xds_address: SocketAddr,
    /// Health, metrics and debugging.
    pub admin_address: SocketAddr,
}

/// A start that failed; nothing was served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port that cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The directory of objects.
    #[error("--config: {0}")]
    Config(#[from] OpenError),
    /// The state directory.
    #[error("--state: {0}")]
    State(#[from] StateError),
    /// The certificate of the xDS port.
    #[error("cannot issue the certificate of the xDS port: {0}")]
    Certificate(#[from] IssueError),
    /// TLS of the xDS port.
    #[error("cannot serve TLS: {0}")]
    Tls(#[from] tonic::transport::Error),
    /// The operating system refused signals.
    #[error("cannot take signals: {0}")]
    Signals(#[from] std::io::Error),
}
