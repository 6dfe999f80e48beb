//! `metadata`, and the frame that all objects share.

use std::{collections::BTreeMap, sync::Arc};

use byrnie_model::{ObjectKind, ObjectRef, Origin};
use serde::{Deserialize, de::IgnoredAny};

use super::{check, scalar::Timestamp};
use crate::{field::Cursor, findings::Severity};

/// Labels or annotations.
pub type StringMap = BTreeMap<Arc<str>, Arc<str>>;

/// The fields of `metadata` that the mesh needs. The others are known by name, so that a slip such as `anotations`
/// is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Meta {
    /// Its name.
    #[serde(default)]
    pub name: Arc<str>,
    /// Its namespace as written; [`Meta::namespace`] has the default.
    #[serde(default)]
    namespace: Option<Arc<str>>,
    /// `labels`
    #[serde(default)]
    pub labels: StringMap,
    /// `annotations`
    #[serde(default)]
    pub annotations: StringMap,
    /// `creationTimestamp`
    #[serde(default)]
    pub creation_timestamp: Option<Timestamp>,
    /// `deletionTimestamp`: there while the object is going away.
    #[serde(default)]
    pub deletion_timestamp: Option<Timestamp>,
    /// `generation`
    #[serde(default)]
    pub generation: i64,
    /// `uid`: tells it from others that had or will have its name.
    #[serde(default)]
    pub uid: Option<Arc<str>>,
    #[serde(default, rename = "generateName")]
    _generate_name: Ignored,
    #[serde(default, rename = "selfLink")]
    _self_link: Ignored,
    #[serde(default, rename = "resourceVersion")]
    _resource_version: Ignored,
    #[serde(default, rename = "deletionGracePeriodSeconds")]
    _deletion_grace_period_seconds: Ignored,
    #[serde(default, rename = "ownerReferences")]
    _owner_references: Ignored,
    #[serde(default, rename = "finalizers")]
    _finalizers: Ignored,
    #[serde(default, rename = "managedFields")]
    _managed_fields: Ignored,
}

/// A field that is known and of no concern: every value is taken, and all are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "IgnoredAny")]
pub struct Ignored;

/// Objects that only their `metadata` describes: Namespace, Node, ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Bare {
    /// `metadata`
    pub metadata: Meta,
}

/// An object of Kubernetes' own groups, of which only some fields matter; others are no mistake.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Loose<S> {
    /// `metadata`
    pub metadata: Meta,
    /// `spec`
    pub spec: S,
}

/// An object whose every field is known. `status` is for others to write.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Strict<S> {
    #[serde(rename = "apiVersion")]
    _api_version: Ignored,
    #[serde(rename = "kind")]
    _kind: Ignored,
    /// `metadata`
    pub metadata: Meta,
    /// `spec`
    pub spec: S,
    #[serde(default, rename = "status")]
    _status: Ignored,
}

impl From<IgnoredAny> for Ignored {
    fn from(_: IgnoredAny) -> Self {
        Self
    }
}

impl Meta {
    /// Its namespace, `default` where it names none.
    pub fn namespace(&self) -> Arc<str> {
        self.namespace.clone().unwrap_or_else(|| "default".into())
    }

    /// `creationTimestamp` in Unix seconds, `i64::MAX` where there is none, so that the object ranks last.
    pub fn created(&self) -> i64 {
        self.creation_timestamp.map_or(i64::MAX, |moment| moment.0)
    }

    /// How an operator names the object.
    pub fn reference(&self, kind: ObjectKind) -> ObjectRef {
        let namespace = if kind.is_namespaced() { self.namespace() } else { "".into() };
        ObjectRef { kind, namespace, name: self.name.clone() }
    }

    /// Where values made from the object come from; the place is added when the object is put into the index.
    pub fn origin(&self, kind: ObjectKind) -> Origin {
        Origin { object: self.reference(kind), generation: self.generation, place: None }
    }

    /// What the API server would refuse in every object's `metadata`.
    pub(crate) fn check(&self, kind: ObjectKind, at: Cursor<'_>) {
        let is_label = matches!(kind, ObjectKind::Service | ObjectKind::Namespace);
        match (&*self.name, is_label) {
            ("", _) => at.key("name").refuse("is missing: every object needs a name"),
            (name, true) if !check::is_dns_label(name) => at.key("name").refuse(check::not_a_label(name)),
            (name, false) if !check::is_dns_subdomain(name) => at.key("name").refuse(check::not_a_subdomain(name)),
            _ => {}
        }
        match &self.namespace {
            // The API server keeps no namespace of such an object.
            Some(namespace) if !kind.is_namespaced() => {
                let message = format!(
                    "found {namespace:?}, which is ignored: a {} belongs to no namespace and holds for the whole {}",
                    kind.as_str(),
                    if kind == ObjectKind::MeshConfig { "mesh" } else { "cluster" },
                );
                at.key("namespace").tell(Severity::Warning, message);
            }
            Some(namespace) if !check::is_dns_label(namespace) => {
                at.key("namespace").refuse(check::not_a_label(namespace));
            }
            _ => {}
        }
    }
}
