//! The kinds that are watched or written, and where the API server has them.

use std::{fmt, sync::Arc};

use byrnie_model::{ObjectKind, ObjectRef};

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

/// Objects of a collection: all, or those of one namespace, of one name, or with a label.
#[derive(Clone, Debug)]
pub struct Scope {
    collection: Collection,
    namespace: Option<Arc<str>>,
    /// `fieldSelector` or `labelSelector`, as a query has it.
    selector: Option<String>,
}

/// Where the API server has one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectPath {
    collection: Collection,
    namespace: Arc<str>,
    name: Arc<str>,
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
    Watched { kind: ObjectKind::Namespace, collection: NAMESPACES },
    Watched { kind: ObjectKind::Node, collection: Collection { metadata_only: true, ..builtin("", "v1", "nodes") } },
    Watched { kind: ObjectKind::Service, collection: builtin("", "v1", "services") },
    Watched { kind: ObjectKind::Pod, collection: PODS },
    Watched { kind: ObjectKind::EndpointSlice, collection: builtin("discovery.k8s.io", "v1", "endpointslices") },
    Watched { kind: ObjectKind::HTTPRoute, collection: defined("gateway.networking.k8s.io", "v1", "httproutes") },
    Watched { kind: ObjectKind::GRPCRoute, collection: defined("gateway.networking.k8s.io", "v1", "grpcroutes") },
    Watched { kind: ObjectKind::TrafficPolicy, collection: defined("mesh.byrnie.io", "v1alpha1", "trafficpolicies") },
    Watched { kind: ObjectKind::PeerPolicy, collection: defined("mesh.byrnie.io", "v1alpha1", "peerpolicies") },
    Watched { kind: ObjectKind::MeshConfig, collection: MESH_CONFIGS },
];

const MESH_CONFIGS: Collection = defined("mesh.byrnie.io", "v1alpha1", "meshconfigs");

const SECRETS: Collection = builtin("", "v1", "secrets");
const CONFIG_MAPS: Collection = builtin("", "v1", "configmaps");
const PODS: Collection = builtin("", "v1", "pods");
const DEPLOYMENTS: Collection = builtin("apps", "v1", "deployments");
const LEASES: Collection = builtin("coordination.k8s.io", "v1", "leases");
const EVENTS: Collection = builtin("events.k8s.io", "v1", "events");
const WEBHOOK_CONFIGURATIONS: Collection =
    builtin("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations");
const NAMESPACES: Collection = Collection { metadata_only: true, ..builtin("", "v1", "namespaces") };

const fn builtin(group: &'static str, version: &'static str, plural: &'static str) -> Collection {
    Collection { group, version, plural, metadata_only: false, is_builtin: true }
}

const fn defined(group: &'static str, version: &'static str, plural: &'static str) -> Collection {
    Collection { is_builtin: false, ..builtin(group, version, plural) }
}

impl Collection {
    /// `/api/v1`, `/apis/mesh.byrnie.io/v1alpha1`
    fn version_path(&self) -> String {
        match self.group {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        }
    }

    /// `v1`, `mesh.byrnie.io/v1alpha1`
    fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// The name of the CustomResourceDefinition that it needs.
    pub fn definition(&self) -> Option<String> {
        (!self.is_builtin).then(|| format!("{}.{}", self.plural, self.group))
    }
}

impl Scope {
    /// All Secrets of a namespace that have this name: one or none.
    pub fn secret(namespace: &str, name: &str) -> Self {
        Self { namespace: Some(namespace.into()), ..Self::named(SECRETS, name) }
    }

    /// The ConfigMaps of all namespaces that have this name.
    pub fn config_maps_named(name: &str) -> Self {
        Self::named(CONFIG_MAPS, name)
    }

    /// All ConfigMaps of a namespace that have this name: one or none.
    pub fn config_map(namespace: &str, name: &str) -> Self {
        Self { namespace: Some(namespace.into()), ..Self::named(CONFIG_MAPS, name) }
    }

    /// All MeshConfigs that have this name: one or none.
    pub fn mesh_config(name: &str) -> Self {
        Self::named(MESH_CONFIGS, name)
    }

    /// All MutatingWebhookConfigurations that have this name: one or none.
    pub fn webhook_configuration(name: &str) -> Self {
        Self::named(WEBHOOK_CONFIGURATIONS, name)
    }

    /// The Namespaces with a label, whatever its value; only their metadata.
    pub fn namespaces_labelled(label: &str) -> Self {
        Self { selector: Some(format!("labelSelector={}", escaped(label))), ..Self::from(NAMESPACES) }
    }

    /// The Namespaces with a label of this value; only their metadata.
    pub fn namespaces_with(label: &str, value: &str) -> Self {
        Self { selector: Some(labelled(label, value)), ..Self::from(NAMESPACES) }
    }

    /// The Pods of a namespace with a label of this value.
    pub fn pods_with(namespace: &str, label: &str, value: &str) -> Self {
        Self { namespace: Some(namespace.into()), selector: Some(labelled(label, value)), ..Self::from(PODS) }
    }

    /// The Pods of a namespace.
    pub fn pods_of(namespace: &str) -> Self {
        Self { namespace: Some(namespace.into()), ..Self::from(PODS) }
    }

    /// The metadata of all Pods.
    pub fn metadata_of_pods() -> Self {
        Self::from(Collection { metadata_only: true, ..PODS })
    }

    fn named(collection: Collection, name: &str) -> Self {
        Self { selector: Some(format!("fieldSelector=metadata.name%3D{name}")), ..Self::from(collection) }
    }

    /// `/api/v1/pods`, `/api/v1/namespaces/shop/secrets?fieldSelector=metadata.name%3Dkey`, with room for a query.
    pub fn path(&self) -> String {
        let namespace = self.namespace.as_ref().map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
        let selector = self.selector.as_ref().map(|selector| format!("{selector}&")).unwrap_or_default();
        format!("{}{namespace}/{}?{selector}", self.collection.version_path(), self.collection.plural)
    }

    /// Whether only `metadata` is asked for.
    pub fn is_metadata_only(&self) -> bool {
        self.collection.metadata_only
    }
}

impl ObjectPath {
    /// A Secret.
    pub fn secret(namespace: &str, name: &str) -> Self {
        Self::new(SECRETS, namespace, name)
    }

    /// A ConfigMap.
    pub fn config_map(namespace: &str, name: &str) -> Self {
        Self::new(CONFIG_MAPS, namespace, name)
    }

    /// A Pod.
    pub fn pod(namespace: &str, name: &str) -> Self {
        Self::new(PODS, namespace, name)
    }

    /// A Namespace.
    pub fn namespace(name: &str) -> Self {
        Self::new(NAMESPACES, "", name)
    }

    /// A MutatingWebhookConfiguration.
    pub fn webhook_configuration(name: &str) -> Self {
        Self::new(WEBHOOK_CONFIGURATIONS, "", name)
    }

    /// A Lease.
    pub fn lease(namespace: &str, name: &str) -> Self {
        Self::new(LEASES, namespace, name)
    }

    /// A Deployment.
    pub fn deployment(namespace: &str, name: &str) -> Self {
        Self::new(DEPLOYMENTS, namespace, name)
    }

    /// A CustomResourceDefinition.
    pub fn definition(name: &str) -> Self {
        Self::new(DEFINITIONS, "", name)
    }

    /// An Event.
    pub fn event(namespace: &str, name: &str) -> Self {
        Self::new(EVENTS, namespace, name)
    }

    /// An object of a kind that is watched.
    ///
    /// # Panics
    /// For a kind that is not.
    pub fn of(object: &ObjectRef) -> Self {
        let watched = WATCHED.into_iter().find(|watched| watched.kind == object.kind);
        let collection = watched.expect("every kind that an operator writes is watched").collection;
        Self::new(collection, &object.namespace, &object.name)
    }

    fn new(collection: Collection, namespace: &str, name: &str) -> Self {
        Self { collection, namespace: namespace.into(), name: name.into() }
    }

    /// `v1`, `mesh.byrnie.io/v1alpha1`: what the object says of itself.
    pub fn api_version(&self) -> String {
        self.collection.api_version()
    }

    /// The path of the collection within its namespace: where an object is created.
    pub(super) fn collection_path(&self) -> String {
        let namespace = match &*self.namespace {
            "" => String::new(),
            namespace => format!("/namespaces/{namespace}"),
        };
        format!("{}{namespace}/{}", self.collection.version_path(), self.collection.plural)
    }

    /// The path of the object itself.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.collection_path(), self.name)
    }
}

/// The part of a query that selects by a label.
fn labelled(label: &str, value: &str) -> String {
    format!("labelSelector={}%3D{value}", escaped(label))
}

fn escaped(label: &str) -> String {
    label.replace('/', "%2F")
}

impl From<Collection> for Scope {
    fn from(collection: Collection) -> Self {
        Self { collection, namespace: None, selector: None }
    }
}

impl fmt::Display for ObjectPath {
    /// `secrets/byrnie-system/byrnie-ca`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.namespace {
            "" => write!(f, "{}/{}", self.collection.plural, self.name),
            namespace => write!(f, "{}/{namespace}/{}", self.collection.plural, self.name),
        }
    }
}
