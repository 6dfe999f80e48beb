//! The Kubernetes objects that the mesh reads, with just the fields that it needs, checked as the API server would.
//!
//! A document of a directory or an object of a watch comes in as a JSON value; what comes out is in the model's
//! words wherever the object alone decides that, and otherwise ready to be joined by the [`Index`](crate::Index).

pub mod annotation;
mod check;
pub mod core;
pub mod meta;
pub mod pod;
pub(crate) mod policy;
mod quantity;
mod re2;
mod route;
pub mod scalar;
pub mod service;
pub mod slice;

use std::sync::Arc;

use byrnie_model::{
    MeshConfig, ObjectKind, ObjectRef,
    policy::{PeerPolicy, TrafficPolicy},
    route::Route,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::meta::{Bare, Loose, Meta, Strict};
pub use self::{check::is_dns_label, pod::Pod, service::Service, slice::Slice};
use crate::{
    field::{Cursor, Fault, Faults, FieldPath},
    findings::Severity,
};

/// One object, checked. All that is large is shared: there are as many of these as objects.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Object {
    Namespace,
    ServiceAccount,
    Node(Node),
    Service(Arc<Service>),
    EndpointSlice(Arc<Slice>),
    Pod(Arc<Pod>),
    Route(Arc<Route>),
    TrafficPolicy(Arc<TrafficPolicy>),
    PeerPolicy(Arc<PeerPolicy>),
    MeshConfig(Arc<MeshConfig>),
}

/// A Node, as far as the mesh cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: Arc<str>,
    /// `topology.kubernetes.io/zone`
    pub zone: Option<Arc<str>>,
}

/// The well-known label of a zone.
pub(crate) const ZONE: &str = "topology.kubernetes.io/zone";

/// What `apiVersion` and `kind` of an object mean here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// An object that Byrnie reads.
    Known(ObjectKind),
    /// `List`, or a list of one kind as the API server answers: its `items` are the objects.
    List,
    /// A kind that is no concern of Byrnie's: `apps/v1 Deployment`.
    Unknown(String),
}

/// Groups, versions and kinds that are read.
const KINDS: [(&str, &[&str], ObjectKind); 11] = [
    ("", &["v1"], ObjectKind::Namespace),
    ("", &["v1"], ObjectKind::Service),
    ("", &["v1"], ObjectKind::Pod),
    ("", &["v1"], ObjectKind::Node),
    ("", &["v1"], ObjectKind::ServiceAccount),
    ("discovery.k8s.io", &["v1"], ObjectKind::EndpointSlice),
    ("gateway.networking.k8s.io", &["v1", "v1beta1"], ObjectKind::HTTPRoute),
    ("gateway.networking.k8s.io", &["v1"], ObjectKind::GRPCRoute),
    (OWN_GROUP, &["v1alpha1"], ObjectKind::TrafficPolicy),
    (OWN_GROUP, &["v1alpha1"], ObjectKind::PeerPolicy),
    (OWN_GROUP, &["v1alpha1"], ObjectKind::MeshConfig),
];

const OWN_GROUP: &str = "mesh.byrnie.io";

/// What an object is, by its `apiVersion` and `kind`.
pub(crate) fn identify(value: &Value) -> Result<Identity, Fault> {
    let Value::Object(fields) = value else {
        return Err(fault("", format!("expected a Kubernetes object, found {}", name_of(value))));
    };
    let text = |field: &str| match fields.get(field) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.as_str()),
        Some(other) => Err(fault(field, format!("expected a text, found {}", name_of(other)))),
        None => Err(fault(field, "is missing: every Kubernetes object has apiVersion and kind".to_owned())),
    };
    let (api_version, kind) = (text("apiVersion")?, text("kind")?);
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let known = KINDS.iter().find(|(known, _, object)| *known == group && object.as_str() == kind);
    match known {
        Some((_, versions, object)) if versions.contains(&version) => Ok(Identity::Known(*object)),
        Some((_, versions, _)) => {
            let accepted: Vec<_> = versions.iter().map(|version| api(group, version)).collect();
            Err(fault(
                "apiVersion",
                format!("unknown version {api_version:?} of {kind}, {} is accepted", accepted.join(" or ")),
            ))
        }
        None if kind.ends_with("List") && fields.get("items").is_some_and(Value::is_array) => Ok(Identity::List),
        None if group == OWN_GROUP => {
            let kinds: Vec<_> = KINDS.iter().filter(|known| known.0 == group).map(|known| known.2.as_str()).collect();
            Err(fault("kind", format!("unknown kind {kind:?} of {OWN_GROUP}, expected one of {}", kinds.join(", "))))
        }
        None => Ok(Identity::Unknown(format!("{api_version} {kind}"))),
    }
}

impl Object {
    /// Its name, in the strings that it holds itself; `None` for objects that hold none.
    pub(crate) fn reference(&self) -> Option<ObjectRef> {
        match self {
            Self::Namespace | Self::ServiceAccount | Self::Node(_) => None,
            Self::Service(service) => Some(service.model.origin.object.clone()),
            Self::EndpointSlice(slice) => Some(ObjectRef {
                kind: ObjectKind::EndpointSlice,
                namespace: slice.namespace.clone(),
                name: slice.name.clone(),
            }),
            Self::Pod(pod) => Some(pod.origin.object.clone()),
            Self::Route(route) => Some(route.origin.object.clone()),
            Self::TrafficPolicy(policy) => Some(policy.origin.object.clone()),
            Self::PeerPolicy(policy) => Some(policy.origin.object.clone()),
            Self::MeshConfig(mesh) => mesh.origin.as_ref().map(|origin| origin.object.clone()),
        }
    }
}

/// Takes away fields that are null, as the API server does.
pub(crate) fn prune(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(prune),
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(prune);
        }
        _ => {}
    }
}

/// The name of an object of a known kind, where it has one, for telling whose faults are told.
fn reference(kind: ObjectKind, value: &Value) -> Option<ObjectRef> {
    let metadata = value.get("metadata")?;
    let name = metadata.get("name")?.as_str().filter(|name| !name.is_empty())?;
    let namespace = match kind.is_namespaced() {
        true => metadata.get("namespace").map_or(Some("default"), Value::as_str)?,
        false => "",
    };
    Some(ObjectRef { kind, namespace: namespace.into(), name: name.into() })
}

/// How many faults of one object are told; a slip at the top of a long list would otherwise bury all others.
pub(crate) const MOST_FAULTS: usize = 20;

/// An object of a known kind, read and checked.
pub(crate) struct Read {
    /// Its name, where it has one. It shares the strings of the content.
    pub object: Option<ObjectRef>,
    /// What it says; `None` where something is an error.
    pub content: Option<Object>,
    /// What is to be told of it; of many faults the first ones.
    pub told: Vec<Fault>,
}

/// Reads and checks an object of a known kind.
pub(crate) fn read(kind: ObjectKind, value: &Value) -> Read {
    let faults = Faults::default();
    let (content, mut told) = match checked(kind, value, faults.root()) {
        Ok(object) => {
            let told = faults.into_vec();
            let is_usable = told.iter().all(|fault| fault.severity != Severity::Error);
            (is_usable.then_some(object), told)
        }
        Err(fault) => (None, vec![fault]),
    };
    let more = told.split_off(told.len().min(MOST_FAULTS));
    if let Some(severity) = more.iter().map(|fault| fault.severity).min() {
        let message = format!("and {} more of the same object", more.len());
        told.push(Fault { path: FieldPath::default(), severity, message });
    }
    let own = content.as_ref().and_then(Object::reference);
    Read { object: own.or_else(|| reference(kind, value)), content, told }
}

/// Reads a MeshConfig, as an API server gives it, where nothing else of the mesh is followed. An error tells all that is
/// wrong with it, each with its field.
pub fn mesh_config(value: &Value) -> Result<MeshConfig, String> {
    let read = read(ObjectKind::MeshConfig, value);
    match read.content {
        Some(Object::MeshConfig(config)) => Ok(Arc::unwrap_or_clone(config)),
        _ => {
            let told: Vec<_> = read.told.iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect();
            Err(told.join("; "))
        }
    }
}

fn checked(kind: ObjectKind, value: &Value, at: Cursor<'_>) -> Result<Object, Fault> {
    let checked = |meta: &Meta| meta.check(kind, at.key("metadata"));
    Ok(match kind {
        ObjectKind::Namespace | ObjectKind::Node | ObjectKind::ServiceAccount => {
            let Bare { metadata } = typed(value)?;
            checked(&metadata);
            match kind {
                ObjectKind::Namespace => Object::Namespace,
                ObjectKind::Node => {
                    Object::Node(Node { zone: metadata.labels.get(ZONE).cloned(), name: metadata.name })
                }
                _ => Object::ServiceAccount,
            }
        }
        ObjectKind::Service => {
            let object: Loose<core::ServiceSpec> = typed(value)?;
            checked(&object.metadata);
            Object::Service(Arc::new(service::read(object, at)))
        }
        ObjectKind::EndpointSlice => {
            let object: core::EndpointSlice = typed(value)?;
            checked(&object.metadata);
            Object::EndpointSlice(Arc::new(slice::read(object)))
        }
        ObjectKind::Pod => {
            let object: core::Pod = typed(value)?;
            checked(&object.metadata);
            Object::Pod(Arc::new(pod::read(object, at)))
        }
        ObjectKind::HTTPRoute => {
            let object: Strict<route::http::Spec> = typed(value)?;
            checked(&object.metadata);
            Object::Route(Arc::new(route::http::read(&object, at)))
        }
        ObjectKind::GRPCRoute => {
            let object: Strict<route::grpc::Spec> = typed(value)?;
            checked(&object.metadata);
            Object::Route(Arc::new(route::grpc::read(&object, at)))
        }
        ObjectKind::TrafficPolicy => {
            let object: Strict<policy::traffic::Spec> = typed(value)?;
            checked(&object.metadata);
            Object::TrafficPolicy(Arc::new(policy::traffic::read(object, at)))
        }
        ObjectKind::PeerPolicy => {
            let object: Strict<policy::peer::Spec> = typed(value)?;
            checked(&object.metadata);
            Object::PeerPolicy(Arc::new(policy::peer::read(object, at)))
        }
        ObjectKind::MeshConfig => {
            let object: Strict<policy::mesh::Spec> = typed(value)?;
            checked(&object.metadata);
            Object::MeshConfig(Arc::new(policy::mesh::read(&object, at)))
        }
    })
}

fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, Fault> {
    serde_path_to_error::deserialize(value).map_err(|error| Fault {
        path: FieldPath::from(error.path()),
        severity: Severity::Error,
        message: error.inner().to_string(),
    })
}

fn fault(field: &str, message: String) -> Fault {
    let faults = Faults::default();
    match field {
        "" => faults.root().refuse(message),
        field => faults.root().key(field).refuse(message),
    }
    faults.into_vec().remove(0)
}

fn api(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

fn name_of(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(value) => format!("the number {value}"),
        Value::String(value) => format!("the text {value:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
