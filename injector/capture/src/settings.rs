//! What is redirected where, checked.

use crate::values::{Cidr, Ids, Interface, Port, Ports};

/// Where the sidecar listens, who it is, and what goes past it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    inbound_port: Port,
    outbound_port: Port,
    proxy_uid: u32,
    proxy_gid: u32,
    exclusions: Exclusions,
}

/// What goes past the sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exclusions {
    /// Ports of the Pod.
    pub inbound_ports: Vec<Ports>,
    /// Ports that the Pod calls.
    pub outbound_ports: Vec<Ports>,
    /// Addresses that the Pod calls.
    pub outbound_cidrs: Vec<Cidr>,
    /// Users whose calls are left alone.
    pub uids: Vec<Ids>,
    /// Interfaces, both ways.
    pub interfaces: Vec<Interface>,
}

/// Settings that cannot work together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// Nobody could tell which way a connection goes.
    #[error("--inbound-port and --outbound-port are both {0}; two different ports are accepted")]
    SamePort(Port),
    /// All that runs as root would go past the proxy.
    #[error("--{0} is 0, which is root; the number of a user that is the proxy's alone is accepted, such as 1337")]
    Root(&'static str),
}

impl Settings {
    /// Redirects to these ports all but what the proxy sends, which is told by its user or its group.
    pub fn new(
        inbound_port: Port,
        outbound_port: Port,
        (proxy_uid, proxy_gid): (u32, u32),
        exclusions: Exclusions,
    ) -> Result<Self, SettingError> {
        if inbound_port == outbound_port {
            return Err(SettingError::SamePort(inbound_port));
        }
        for (option, id) in [("proxy-uid", proxy_uid), ("proxy-gid", proxy_gid)] {
            if id == 0 {
                return Err(SettingError::Root(option));
            }
        }
        Ok(Self { inbound_port, outbound_port, proxy_uid, proxy_gid, exclusions })
    }

    /// Where the sidecar takes what comes to the Pod.
    pub fn inbound_port(&self) -> Port {
        self.inbound_port
    }

    /// Where the sidecar takes what the application sends.
    pub fn outbound_port(&self) -> Port {
        self.outbound_port
    }

    /// The user that the proxy runs as.
    pub fn proxy_uid(&self) -> u32 {
        self.proxy_uid
    }

    /// The group that the proxy runs as.
    pub fn proxy_gid(&self) -> u32 {
        self.proxy_gid
    }

    /// What goes past the sidecar.
    pub fn exclusions(&self) -> &Exclusions {
        &self.exclusions
    }
}
