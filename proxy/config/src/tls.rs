//! TLS contexts, as far as the mesh uses them: keys and roots come from the proxy's own identity.

/// `UpstreamTlsContext`. Its certificate is the secret `workload`, its roots the secret `trust`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// `sni`.
    pub server_name: Option<Box<str>>,
    /// `alpn_protocols`.
    pub alpn: Vec<Box<[u8]>>,
    /// `match_typed_subject_alt_names`, any of them.
    pub peers: Vec<PeerName>,
}

/// `DownstreamTlsContext`, with the same secrets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DownstreamTls {
    /// `alpn_protocols`, in the order of preference.
    pub alpn: Vec<Box<[u8]>>,
    /// `match_typed_subject_alt_names`, any of them. A client certificate is always required.
    pub peers: Vec<PeerName>,
}

/// A URI SAN that is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PeerName {
    /// `exact`.
    Exact(Box<str>),
    /// `prefix`.
    Prefix(Box<str>),
}

impl PeerName {
    /// Whether `uri` is accepted.
    pub fn accepts(&self, uri: &str) -> bool {
        match self {
            Self::Exact(name) => uri == &**name,
            Self::Prefix(prefix) => uri.starts_with(&**prefix),
        }
    }
}
