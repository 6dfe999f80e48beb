use std::{fmt, str::FromStr};

/// A resource type of xDS that Byrnie serves.
///
/// The order is the one in which additions are sent, so that nothing refers to what the client does not have yet:
/// clusters, their endpoints, secrets, listeners, routes (xDS protocol, "Eventual consistency considerations").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `envoy.config.cluster.v3.Cluster`, CDS
    Cluster,
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment`, EDS
    Endpoints,
    /// `envoy.extensions.transport_sockets.tls.v3.Secret`, SDS
    Secret,
    /// `envoy.config.listener.v3.Listener`, LDS
    Listener,
    /// `envoy.config.route.v3.RouteConfiguration`, RDS
    Route,
}

/// A type URL that Byrnie does not serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("type_url {0:?} is not served; accepted: {list}", list = Kind::ALL.map(Kind::type_url).join(", "))]
pub struct UnknownType(pub String);

impl Kind {
    /// All kinds, in the order in which additions are sent.
    pub const ALL: [Self; 5] = [Self::Cluster, Self::Endpoints, Self::Secret, Self::Listener, Self::Route];

    /// The `type_url` of requests, responses and packed resources.
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        }
    }

    /// The short name that operators know: `CDS`, `EDS`, `SDS`, `LDS`, `RDS`.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Cluster => "CDS",
            Self::Endpoints => "EDS",
            Self::Secret => "SDS",
            Self::Listener => "LDS",
            Self::Route => "RDS",
        }
    }

    /// Whether an empty list of names may mean "all" (`*`): true for clusters and listeners only.
    pub const fn has_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }
}

impl FromStr for Kind {
    type Err = UnknownType;

    fn from_str(type_url: &str) -> Result<Self, UnknownType> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == type_url).ok_or_else(|| UnknownType(type_url.to_owned()))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}
