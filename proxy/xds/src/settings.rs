//! What the client is started with.

use std::{path::PathBuf, time::Duration};

use byrnie_proto::envoy::envoy::config::core::v3::{Node, node::UserAgentVersionType};
use tonic::transport::Endpoint;

use crate::client::Listeners;

/// What the client is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whom it speaks for: `NAMESPACE/POD`.
    pub node: String,
    /// The control plane: `HOST:PORT`, IPv6 in brackets.
    pub address: String,
    /// The roots of the control plane's certificate, a PEM file that is read at each connect; `None` is plain text.
    pub roots: Option<PathBuf>,
    /// The token that proves who this is, read at each connect.
    pub token: Option<PathBuf>,
    /// The directory where what serves is kept for the next start.
    pub state: Option<PathBuf>,
    /// What is asked for from the start.
    pub listeners: Listeners,
}

/// Settings that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// No address.
    #[error("{address:?} is no address of a control plane: HOST:PORT is accepted, an IPv6 address in brackets")]
    Address {
        /// What was given.
        address: String,
    },
    /// No name of a workload.
    #[error("{node:?} is no workload: NAMESPACE/POD is accepted")]
    Node {
        /// What was given.
        node: String,
    },
}

/// A control plane that vanished without closing is noticed (as Envoy is told to by its bootstrap).
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// For TCP and TLS together.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// What a connection buffers of a response that is not read yet: no more than Byrnie's responses are cut at.
const WINDOW: u32 = 256 * 1024;

impl Settings {
    pub(crate) fn node(&self) -> Result<Node, SettingsError> {
        let wrong = || SettingsError::Node { node: self.node.clone() };
        let (namespace, pod) = self.node.split_once('/').ok_or_else(wrong)?;
        if namespace.is_empty() || pod.is_empty() || pod.contains('/') {
            return Err(wrong());
        }
        Ok(Node {
            id: self.node.clone(),
            cluster: namespace.to_owned(),
            user_agent_name: "byrnie-proxy".to_owned(),
            user_agent_version_type: Some(UserAgentVersionType::UserAgentVersion(env!("CARGO_PKG_VERSION").to_owned())),
            ..Node::default()
        })
    }

    /// Where to connect, without TLS.
    pub(crate) fn endpoint(&self) -> Result<Endpoint, SettingsError> {
        let wrong = || SettingsError::Address { address: self.address.clone() };
        let (_, port) = self.address.rsplit_once(':').ok_or_else(wrong)?;
        if port.parse::<u16>().is_err() || self.host().is_empty() || self.address.contains(['/', '@', '?', '#']) {
            return Err(wrong());
        }
        let scheme = if self.roots.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{}", self.address)).map_err(|_| wrong())?;
        Ok(endpoint
            .connect_timeout(CONNECT_LIMIT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW))
    }

    /// The host, whose name the certificate has to bear.
    pub(crate) fn host(&self) -> &str {
        let host = self.address.rsplit_once(':').map_or(&*self.address, |(host, _)| host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(node: &str, address: &str) -> Settings {
        let (node, address) = (node.to_owned(), address.to_owned());
        Settings { node, address, roots: None, token: None, state: None, listeners: Listeners::All }
    }

    #[test]
    fn a_node_says_whom_it_speaks_for() {
        let node = settings("shop/cart-1", "").node().unwrap();
        assert_eq!((&*node.id, &*node.cluster, &*node.user_agent_name), ("shop/cart-1", "shop", "byrnie-proxy"));
        for wrong in ["", "cart", "/cart", "shop/", "a/b/c"] {
            let error = settings(wrong, "").node().expect_err(wrong).to_string();
            assert!(error.contains("NAMESPACE/POD is accepted"), "{error}");
        }
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (good, host) in [("127.0.0.1:15010", "127.0.0.1"), ("[::1]:1", "::1"), ("byrnie.svc:15012", "byrnie.svc")] {
            let settings = settings("a/b", good);
            assert_eq!(settings.host(), host);
            settings.endpoint().unwrap();
        }
        for wrong in ["", "localhost", ":1", "localhost:http", "localhost:70000", "http://localhost:1", "a b:1"] {
            let error = settings("a/b", wrong).endpoint().expect_err(wrong).to_string();
            assert!(error.contains("HOST:PORT is accepted"), "{error}");
        }
    }
}
