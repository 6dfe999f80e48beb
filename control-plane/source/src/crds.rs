//! The definitions of our own kinds as an API server takes them (`apiextensions.k8s.io/v1`).
//!
//! The schemas are derived from the types in [`objects`](crate::objects) that read the objects, with their doc comments
//! as descriptions; what fields must hold together is in `rules`. `charts/byrnie-crds` holds what comes out.

mod rules;
mod status;
mod structural;
mod yaml;

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

pub use self::yaml::yaml;
use crate::objects::policy::{mesh, peer, traffic};

/// What a definition says beside the schema of `spec`.
struct Kind {
    name: &'static str,
    plural: &'static str,
    /// What `kubectl get` takes in place of the plural. `mc`, for MeshConfig, is OpenShift's MachineConfig.
    short: &'static str,
    is_namespaced: bool,
    /// Title, JSONPath and what it is, of the columns of `kubectl get` before those that all kinds have.
    columns: &'static [(&'static str, &'static str, &'static str)],
}

const GROUP: &str = "mesh.byrnie.io";
const VERSION: &str = "v1alpha1";

const TRAFFIC_POLICY: Kind = Kind {
    name: "TrafficPolicy",
    plural: "trafficpolicies",
    short: "tp",
    is_namespaced: true,
    columns: &[
        ("Target", ".spec.targetRef.name", "The Service that is spoken of"),
        ("Balancer", ".spec.balancer.type", "How an endpoint is chosen, where the policy says so"),
    ],
};

const PEER_POLICY: Kind = Kind {
    name: "PeerPolicy",
    plural: "peerpolicies",
    short: "pp",
    is_namespaced: true,
    columns: &[("Mode", ".spec.mode", "Whether callers must prove who they are")],
};

const MESH_CONFIG: Kind = Kind {
    name: "MeshConfig",
    plural: "meshconfigs",
    short: "meshcfg",
    is_namespaced: false,
    columns: &[
        ("Trust-Domain", ".spec.trustDomain", "The trust domain of all identities"),
        ("Mode", ".spec.peer.mode", "Whether callers must prove who they are, where no PeerPolicy speaks"),
    ],
};

/// The CustomResourceDefinitions of TrafficPolicy, PeerPolicy and MeshConfig, in this order.
pub fn definitions() -> Vec<Value> {
    vec![
        definition::<traffic::Spec>(&TRAFFIC_POLICY),
        definition::<peer::Spec>(&PEER_POLICY),
        definition::<mesh::Spec>(&MESH_CONFIG),
    ]
}

fn definition<S: JsonSchema>(kind: &Kind) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{}.{GROUP}", kind.plural),
            "labels": {"app.kubernetes.io/name": "byrnie", "app.kubernetes.io/part-of": "byrnie"},
        },
        "spec": {
            "group": GROUP,
            "scope": if kind.is_namespaced { "Namespaced" } else { "Cluster" },
            "names": {
                "kind": kind.name,
                "listKind": format!("{}List", kind.name),
                "plural": kind.plural,
                "singular": kind.name.to_lowercase(),
                "shortNames": [kind.short],
                "categories": ["byrnie"],
            },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": columns(kind),
                "schema": {"openAPIV3Schema": schema::<S>(kind)},
            }],
        },
    })
}

/// The schema of whole objects.
fn schema<S: JsonSchema>(kind: &Kind) -> Value {
    let spec = structural::schema::<S>();
    let text = |what: &str| json!({"type": "string", "description": what});
    let mut metadata = json!({"type": "object"});
    if !kind.is_namespaced {
        // Named so that a rule can point at it.
        metadata["properties"] = json!({"name": {"type": "string"}});
    }
    let mut schema = json!({
        "type": "object",
        "description": spec["description"],
        "required": ["spec"],
        "properties": {
            "apiVersion": text("mesh.byrnie.io/v1alpha1"),
            "kind": text(kind.name),
            "metadata": metadata,
            "spec": spec,
            "status": status::schema(),
        },
    });
    schema["properties"]["spec"]["description"] = json!("What is wanted.");
    rules::add(kind.name, &mut schema);
    schema
}

fn columns(kind: &Kind) -> Value {
    let column = |name: &str, path: &str, what: &str, of: &str| {
        let fields = [("name", name), ("type", of), ("jsonPath", path), ("description", what)];
        Value::from(fields.into_iter().map(|(key, text)| (key.to_owned(), text.into())).collect::<Map<_, _>>())
    };
    let own = kind.columns.iter().map(|(name, path, what)| column(name, path, what, "string"));
    let condition = |name: &str, what: &str| {
        column(name, &format!(".status.conditions[?(@.type==\"{name}\")].status"), what, "string")
    };
    let accepted = condition("Accepted", "Whether the mesh takes the object");
    let programmed = condition("Programmed", "Whether all proxies that need it have it");
    let age = column("Age", ".metadata.creationTimestamp", "Time since it was created", "date");
    own.chain([accepted, programmed, age]).collect()
}

#[cfg(test)]
mod tests;
