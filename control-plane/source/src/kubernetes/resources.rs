//! The kinds that are watched, and where the API server has them.

use byrnie_model::ObjectKind;

/// A collection of objects at the API server, of all namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collection {
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    /// Whether only `metadata` is asked for.
    pub metadata_only: bool,
    /// Whether the server knows it from the start, or by a CustomResourceDefinition.
    is_builtin: bool,
}

/// A kind of which every object is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    pub kind: ObjectKind,
    pub collection: Collection,
}

/// The definitions of further kinds: which of ours are installed.
pub const DEFINITIONS: Collection =
    Collection { metadata_only: true, ..builtin("apiextensions.k8s.io", "v1", "customresourcedefinitions") };

/// ServiceAccounts are not among them: a Pod names its own, and nothing hangs on the object.
pub const WATCHED: [Watched; 10] = [
    Watched {
        kind: ObjectKind::Namespace,
        collection: Collection { metadata_only: true, ..builtin("", "v1", "namespaces") },
    },
    Watched { kind: ObjectKind::Node, collection: Collection { metadata_only: true, ..builtin("", "v1", "nodes") } },
    Watched { kind: ObjectKind::Service, collection: builtin("", "v1", "services") },
    Watched { kind: ObjectKind::Pod, collection: builtin("", "v1", "pods") },
    Watched { kind: ObjectKind::EndpointSlice, collection: builtin("discovery.k8s.io", "v1", "endpointslices") },
    Watched { kind: ObjectKind::HTTPRoute, collection: defined("gateway.networking.k8s.io", "v1", "httproutes") },
    Watched { kind: ObjectKind::GRPCRoute, collection: defined("gateway.networking.k8s.io", "v1", "grpcroutes") },
    Watched { kind: ObjectKind::TrafficPolicy, collection: defined("mesh.byrnie.io", "v1alpha1", "trafficpolicies") },
    Watched { kind: ObjectKind::PeerPolicy, collection: defined("mesh.byrnie.io", "v1alpha1", "peerpolicies") },
    Watched { kind: ObjectKind::MeshConfig, collection: defined("mesh.byrnie.io", "v1alpha1", "meshconfigs") },
];

const fn builtin(group: &'static str, version: &'static str, plural: &'static str) -> Collection {
    Collection { group, version, plural, metadata_only: false, is_builtin: true }
}

const fn defined(group: &'static str, version: &'static str, plural: &'static str) -> Collection {
    Collection { is_builtin: false, ..builtin(group, version, plural) }
}

impl Collection {
    /// `/api/v1/pods`, `/apis/mesh.byrnie.io/v1alpha1/peerpolicies`
    pub fn path(&self) -> String {
        match self.group {
            "" => format!("/api/{}/{}", self.version, self.plural),
            group => format!("/apis/{group}/{}/{}", self.version, self.plural),
        }
    }

    /// The name of the CustomResourceDefinition that it needs.
    pub fn definition(&self) -> Option<String> {
        (!self.is_builtin).then(|| format!("{}.{}", self.plural, self.group))
    }
}
