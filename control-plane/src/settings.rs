use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use byrnie_ca::{LEAF_LIFETIME, StateError};
use byrnie_runtime::listen::BindError;
use byrnie_source::{Access, AccessError, OpenError};

use crate::{secret_keys::SecretError, tls::CertificateError};

/// A shorter lifetime would be renewed before every proxy has its certificate.
const SHORTEST_LEAF: Duration = Duration::from_secs(10);

/// What a control plane is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the objects and the keys are.
    pub mode: Mode,
    /// Where proxies connect. Plain text on loopback, unless it is installed; anywhere else TLS, and every stream needs
    /// a token or a certificate.
    pub xds_address: SocketAddr,
    /// Health, metrics and debugging.
    pub admin_address: SocketAddr,
    /// Health and metrics alone, for whoever may not see the rest.
    pub probe_address: Option<SocketAddr>,
    /// How long a certificate of a workload lasts.
    pub leaf_lifetime: Duration,
}

/// Where the desired state comes from, and where keys are kept.
#[derive(Clone, Debug)]
pub enum Mode {
    /// A directory of objects, and one of keys.
    Directory {
        /// The objects.
        config: PathBuf,
        /// The keys.
        state: PathBuf,
    },
    /// An API server, which is only read.
    Following {
        /// Which, and as whom.
        access: Access,
        /// The keys.
        state: PathBuf,
        /// Whether join tokens of the state directory prove a workload, beside the tokens of its ServiceAccount.
        join_tokens: bool,
    },
    /// An API server in whose cluster the control plane is installed: it keeps its keys there, and tells there what
    /// became of the objects.
    Installed {
        /// Which, and as whom.
        access: Access,
        /// Which replica.
        installed: Installed,
    },
}

/// One replica of a control plane that is installed in a cluster.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The namespace of the control plane.
    pub namespace: Arc<str>,
    /// What this replica is called: the name of its Pod.
    pub pod: Arc<str>,
    /// The Secret of an own issuer, where there is one.
    pub issuer: Option<Arc<str>>,
}

impl Mode {
    /// Which replica it is, where it is installed.
    pub fn installed(&self) -> Option<&Installed> {
        match self {
            Self::Installed { installed, .. } => Some(installed),
            Self::Directory { .. } | Self::Following { .. } => None,
        }
    }
}

/// Reads `24h`, `90m` or `30s`.
pub fn lifetime(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no lifetime: a number and h, m or s is accepted, such as 24h");
    let unit = match text.as_bytes().last() {
        Some(b'h') => 3600,
        Some(b'm') => 60,
        Some(b's') => 1,
        _ => return Err(wrong()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    if number == 0 {
        return Err(wrong());
    }
    Ok(Duration::from_secs(u64::from(number) * unit))
}

/// The lifetime of a workload's certificate.
pub fn leaf_lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = lifetime(text)?;
    if (SHORTEST_LEAF..=LEAF_LIFETIME).contains(&lifetime) {
        return Ok(lifetime);
    }
    Err("10s to 24h is accepted".to_owned())
}

/// A start that failed; nothing was served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port that cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The directory of objects.
    #[error("--config")]
    Config(#[from] OpenError),
    /// The API server, or rather what leads to it.
    #[error("no API server")]
    Kubernetes(#[from] AccessError),
    /// Keys beside objects, where they would be read, copied and committed with them.
    #[error("--state {}: it must not be within --config {}, for it holds private keys", state.display(), config.display())]
    StateInConfig {
        /// `--state`
        state: PathBuf,
        /// `--config`
        config: PathBuf,
    },
    /// The state directory.
    #[error("--state")]
    State(#[from] StateError),
    /// The Secret of the keys.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The certificate of the xDS port.
    #[error("cannot issue the certificate of the xDS port")]
    Certificate(#[from] CertificateError),
    /// TLS of the xDS port.
    #[error("cannot serve xDS")]
    Tls(#[from] tonic::transport::Error),
    /// The operating system refused signals.
    #[error("the operating system refused")]
    Signals(#[from] std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_lasts_ten_seconds_at_least_and_a_day_at_most() {
        assert_eq!(leaf_lifetime("45s"), Ok(Duration::from_secs(45)));
        assert_eq!(leaf_lifetime("24h"), Ok(LEAF_LIFETIME));
        for wrong in ["9s", "25h", "1d"] {
            assert!(leaf_lifetime(wrong).unwrap_err().contains("is accepted"), "{wrong}");
        }
    }
}
