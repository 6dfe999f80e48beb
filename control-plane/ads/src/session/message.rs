//! What goes in and out of a session, free of the wire's details.

use std::{collections::HashMap, fmt, sync::Arc};

use byrnie_proto::Kind;
use byrnie_snapshot::{Resource, Version};

/// The two protocols of xDS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// State of the world: `Stream…`.
    Sotw,
    /// Incremental: `Delta…`.
    Delta,
}

/// One request for one kind.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is asked for.
    pub kind: Kind,
    /// The nonce of the response that this answers; empty for a spontaneous request.
    pub nonce: String,
    /// `error_detail.message`: its presence alone makes a NACK.
    pub error: Option<String>,
    /// What is wanted.
    pub wanted: Wanted,
}

/// What a request says on subscriptions.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// All names that the client wants from now on.
    Sotw {
        /// `resource_names`
        names: Vec<String>,
        /// `version_info`
        version: String,
    },
    /// What changes.
    Delta {
        /// `resource_names_subscribe`
        subscribe: Vec<String>,
        /// `resource_names_unsubscribe`
        unsubscribe: Vec<String>,
        /// `initial_resource_versions`
        initial: HashMap<String, String>,
    },
}

/// One response, to be written straight from the shared bytes of its resources.
#[derive(Clone)]
pub struct Response {
    /// Which protocol it is for.
    pub protocol: Protocol,
    /// Its type.
    pub type_url: TypeUrl,
    /// Fresh on its stream.
    pub nonce: String,
    /// State of the world only: a hash of the names and versions that it holds.
    pub version: Option<Version>,
    /// Each name once.
    pub resources: Vec<Arc<Resource>>,
    /// Delta only.
    pub removed: Vec<Arc<str>>,
    /// Why a name that was asked for is not among the resources.
    pub errors: Vec<ResourceError>,
}

/// The type of a response: also one that is not served gets an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeUrl {
    /// A type that is served.
    Known(Kind),
    /// Any other, as the client wrote it.
    Unknown(Arc<str>),
}

/// `envoy.service.discovery.v3.ResourceError`: gRPC tells its user at once instead of waiting 15 s (gRFC A88).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceError {
    /// Which resource.
    pub name: Arc<str>,
    /// A gRPC status code.
    pub code: i32,
    /// What is wrong.
    pub message: Arc<str>,
}

impl TypeUrl {
    /// As it stands on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(kind) => kind.type_url(),
            Self::Unknown(text) => text,
        }
    }
}

/// Names and versions only: bodies may hold private keys.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resources: Vec<_> = self.resources.iter().map(|r| format!("{}@{}", r.name(), r.version())).collect();
        f.debug_struct("Response")
            .field("type", &self.type_url.as_str())
            .field("nonce", &self.nonce)
            .field("resources", &resources)
            .field("removed", &self.removed)
            .field("errors", &self.errors)
            .finish()
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sotw => "sotw",
            Self::Delta => "delta",
        })
    }
}
