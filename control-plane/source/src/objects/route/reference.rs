//! What routes refer to: parents and backends.

use std::sync::Arc;

use byrnie_model::{
    ServiceName,
    route::{BackendTarget, ParentRef as Parent},
};
use serde::Deserialize;

use crate::{
    field::Cursor,
    objects::{
        check,
        scalar::{Bounded, Port},
    },
};

/// One of `spec.parentRefs`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ParentRef {
    group: Option<Arc<str>>,
    kind: Option<Arc<str>>,
    namespace: Option<Arc<str>>,
    name: Arc<str>,
    section_name: Option<Arc<str>>,
    port: Option<Port>,
}

/// `spec.useDefaultGateways` (GEP-3793): about gateways, nothing to the mesh.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum DefaultGateways {
    All,
    None,
}

/// What `backendRef` of a filter names.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ObjectReference {
    pub group: Option<Arc<str>>,
    pub kind: Option<Arc<str>>,
    pub name: Arc<str>,
    pub namespace: Option<Arc<str>>,
    pub port: Option<Port>,
}

/// One of `backendRefs`, with the filters of its kind of route.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BackendRef<F> {
    group: Option<Arc<str>>,
    kind: Option<Arc<str>>,
    name: Arc<str>,
    namespace: Option<Arc<str>>,
    port: Option<Port>,
    weight: Option<Bounded<0, 1_000_000>>,
    #[serde(default = "Vec::new")]
    pub filters: Vec<F>,
}

/// `spec.parentRefs` of a route in `namespace`.
pub(super) fn parents(found: &[ParentRef], namespace: &Arc<str>, at: Cursor<'_>) -> Vec<Parent> {
    at.at_most(found.len(), 32);
    let mut parents: Vec<Parent> = Vec::with_capacity(found.len());
    for (index, reference) in found.iter().enumerate() {
        let at = at.index(index);
        check_names(&reference.group, &reference.kind, &reference.name, &reference.namespace, at);
        if let Some(section) = reference.section_name.as_deref().filter(|section| !check::is_dns_subdomain(section)) {
            at.key("sectionName").refuse(check::not_a_subdomain(section));
        }
        let parent = Parent {
            group: reference.group.clone().unwrap_or_else(|| "gateway.networking.k8s.io".into()),
            kind: reference.kind.clone().unwrap_or_else(|| "Gateway".into()),
            namespace: reference.namespace.clone().unwrap_or_else(|| namespace.clone()),
            name: reference.name.clone(),
            port: reference.port.map(Port::number),
            section_name: reference.section_name.clone(),
        };
        if let Some(earlier) = parents.iter().position(|earlier| is_same_object(earlier, &parent)) {
            refuse_repetition(&parents[earlier], earlier, &parent, at);
        }
        parents.push(parent);
    }
    parents
}

/// The CEL rules of `parentRefs`: several references to one parent tell their port or section, each another.
fn refuse_repetition(earlier: &Parent, index: usize, parent: &Parent, at: Cursor<'_>) {
    let is_whole = |parent: &Parent| parent.port.is_none() && parent.section_name.is_none();
    if earlier == parent {
        at.refuse(format!("is the same as parentRefs[{index}]: each may be there once"));
    } else if is_whole(earlier) || is_whole(parent) {
        at.refuse(format!(
            "names the same parent as parentRefs[{index}]: each of them must then give a port or a sectionName"
        ));
    }
}

fn is_same_object(one: &Parent, other: &Parent) -> bool {
    (&one.group, &one.kind, &one.namespace, &one.name) == (&other.group, &other.kind, &other.namespace, &other.name)
}

impl<F> BackendRef<F> {
    /// What it names, seen from a route in `namespace`.
    pub(super) fn target(&self, namespace: &Arc<str>, at: Cursor<'_>) -> BackendTarget {
        target(&self.group, &self.kind, &self.name, &self.namespace, self.port, namespace, at)
    }

    /// Its share.
    pub(super) fn weight(&self) -> u32 {
        self.weight.map_or(1, u32::from)
    }
}

impl ObjectReference {
    /// Refuses what the schema of a backend refuses.
    pub(super) fn check(&self, at: Cursor<'_>) {
        target(&self.group, &self.kind, &self.name, &self.namespace, self.port, &"default".into(), at);
    }
}

fn target(
    group: &Option<Arc<str>>,
    kind: &Option<Arc<str>>,
    name: &Arc<str>,
    namespace: &Option<Arc<str>>,
    port: Option<Port>,
    own: &Arc<str>,
    at: Cursor<'_>,
) -> BackendTarget {
    check_names(group, kind, name, namespace, at);
    let (group, kind) = (group.as_deref().unwrap_or(""), kind.as_deref().unwrap_or("Service"));
    if (group, kind) != ("", "Service") {
        return BackendTarget::Other(format!("{}/{kind}", if group.is_empty() { "core" } else { group }).into());
    }
    if port.is_none() {
        at.key("port").refuse("is missing: a Service as backend needs a port");
    }
    let namespace = namespace.clone().unwrap_or_else(|| own.clone());
    BackendTarget::Service(ServiceName::new(namespace, name.clone()), port.map(Port::number))
}

fn check_names(
    group: &Option<Arc<str>>,
    kind: &Option<Arc<str>>,
    name: &str,
    namespace: &Option<Arc<str>>,
    at: Cursor<'_>,
) {
    if let Some(group) = group.as_deref().filter(|group| !group.is_empty() && !check::is_dns_subdomain(group)) {
        at.key("group").refuse(format!("{group:?} is no API group: empty (core) or a DNS name is accepted"));
    }
    if let Some(kind) = kind.as_deref().filter(|kind| !check::is_kind(kind)) {
        at.key("kind").refuse(format!("{kind:?} is no kind: letters, digits and '-' are accepted, as in Service"));
    }
    if name.is_empty() || name.len() > 253 {
        at.key("name").refuse(format!("found {} bytes, 1 to 253 are accepted", name.len()));
    }
    if let Some(namespace) = namespace.as_deref().filter(|namespace| !check::is_dns_label(namespace)) {
        at.key("namespace").refuse(check::not_a_label(namespace));
    }
}
