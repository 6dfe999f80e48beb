use byrnie_identity::TrustDomain;

use crate::{Injection, Origin};

/// Settings of the whole mesh, from the one MeshConfig object named `default`, or the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshConfig {
    /// The object, where there is one.
    pub origin: Option<Origin>,
    /// Whose identities the mesh issues. Fixed for the life of a state directory.
    pub trust_domain: TrustDomain,
    /// The DNS suffix of services: `cluster.local`.
    pub cluster_domain: String,
    /// What happens to traffic to an address that no service has.
    pub unknown_outbound: UnknownOutbound,
    /// The mode where no PeerPolicy speaks.
    pub peer_mode: PeerMode,
    /// Of the sidecars that are injected. It is for the injector: no resource is made of it.
    pub injection: Injection,
}

/// What happens to traffic to an address outside the mesh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownOutbound {
    /// Passed through as it is.
    #[default]
    Passthrough,
    /// Closed.
    Refuse,
}

/// Whether callers must prove who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerMode {
    /// Mesh TLS and plain text are both taken; the application's own TLS passes through.
    #[default]
    Permissive,
    /// Mesh TLS only.
    Strict,
}

impl Default for MeshConfig {
    fn default() -> Self {
        Self {
            origin: None,
            trust_domain: TrustDomain::default(),
            cluster_domain: "cluster.local".to_owned(),
            unknown_outbound: UnknownOutbound::default(),
            peer_mode: PeerMode::default(),
            injection: Injection::default(),
        }
    }
}
