use std::{fmt, path::PathBuf, sync::Arc};

/// The kinds of object that Byrnie reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum ObjectKind {
    Namespace,
    Service,
    EndpointSlice,
    Pod,
    Node,
    ServiceAccount,
    HTTPRoute,
    GRPCRoute,
    TrafficPolicy,
    PeerPolicy,
    MeshConfig,
}

/// One object, as an operator names it: `HTTPRoute/shop/cart`; cluster-scoped ones have no namespace: `Node/n1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its namespace; empty for cluster-scoped kinds.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// Where a value came from: NACKs, `describe` and status name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The object.
    pub object: ObjectRef,
    /// Its `metadata.generation`, 0 where it has none.
    pub generation: i64,
    /// Its file and line, where it was read from a directory.
    pub place: Option<Arc<Place>>,
}

/// A place in a file; lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, as the user named its directory.
    pub file: PathBuf,
    /// The line.
    pub line: usize,
}

impl ObjectKind {
    /// The kind as it is written in YAML.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Pod => "Pod",
            Self::Node => "Node",
            Self::ServiceAccount => "ServiceAccount",
            Self::HTTPRoute => "HTTPRoute",
            Self::GRPCRoute => "GRPCRoute",
            Self::TrafficPolicy => "TrafficPolicy",
            Self::PeerPolicy => "PeerPolicy",
            Self::MeshConfig => "MeshConfig",
        }
    }

    /// Whether objects of this kind live in a namespace.
    pub const fn is_namespaced(self) -> bool {
        !matches!(self, Self::Namespace | Self::Node | Self::MeshConfig)
    }
}

impl Origin {
    /// An origin outside any file.
    pub fn of(kind: ObjectKind, namespace: &str, name: &str) -> Self {
        let object = ObjectRef { kind, namespace: namespace.into(), name: name.into() };
        Self { object, generation: 0, place: None }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.namespace {
            "" => write!(f, "{}/{}", self.kind, self.name),
            namespace => write!(f, "{}/{namespace}/{}", self.kind, self.name),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{} ({place})", self.object),
            None => self.object.fmt(f),
        }
    }
}
