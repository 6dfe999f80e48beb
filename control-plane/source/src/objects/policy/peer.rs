//! PeerPolicy: who may call the workloads of a namespace.

use std::collections::BTreeMap;

use byrnie_model::{ObjectKind, policy::PeerPolicy};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Mode;
use crate::{
    field::Cursor,
    objects::{
        meta::{Strict, StringMap},
        scalar::Port,
    },
};

/// Whether callers of workloads must prove who they are. The narrowest policy that selects a Pod holds, whole; between
/// equals the oldest, then the first by name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// Which Pods of the policy's namespace. All of them where it is left out.
    #[serde(default)]
    selector: Selector,
    /// Whether callers must prove who they are.
    mode: Mode,
    /// Ports whose mode differs, by their number at the Pod, not at the Service.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["port"]))]
    ports: Vec<PortMode>,
}

/// Which Pods.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Selector {
    /// Labels that a Pod must have, all of them.
    #[serde(default)]
    match_labels: StringMap,
}

/// One port.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PortMode {
    /// The port of the Pod.
    port: Port,
    /// Whether callers of this port must prove who they are.
    mode: Mode,
}

/// Reads a PeerPolicy.
pub(crate) fn read(object: Strict<Spec>, at: Cursor<'_>) -> PeerPolicy {
    let Strict { metadata, spec, .. } = object;
    let (spec_at, mut ports) = (at.key("spec"), BTreeMap::new());
    let ports_at = spec_at.key("ports");
    for (index, PortMode { port, mode }) in spec.ports.into_iter().enumerate() {
        if ports.insert(port.number(), mode.into()).is_some() {
            ports_at.index(index).key("port").refuse(format!("{} is there twice", port.number()));
        }
    }
    PeerPolicy {
        origin: metadata.origin(ObjectKind::PeerPolicy),
        created: metadata.created(),
        namespace: metadata.namespace(),
        selector: spec.selector.match_labels,
        mode: spec.mode.into(),
        ports,
    }
}
