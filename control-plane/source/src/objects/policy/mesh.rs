//! MeshConfig: settings of the whole mesh.

use byrnie_identity::TrustDomain;
use byrnie_model::{MeshConfig, ObjectKind, UnknownOutbound};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Mode, injection::InjectionSpec};
use crate::{
    field::Cursor,
    objects::{check, meta::Strict},
};

/// Settings of the whole mesh. What is left out is the default.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Spec {
    /// The trust domain of all identities, as in spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/NAME. It stays what it was when
    /// the mesh began: a change is reported and has no effect. Default: cluster.local
    #[schemars(length(min = 1, max = 255), regex(pattern = "^[a-z0-9._-]+$"), extend("default" = "cluster.local"))]
    trust_domain: Option<String>,
    /// The suffix of the names of Services, as the cluster's DNS has it. Default: cluster.local
    #[schemars(length(max = 253), regex(pattern = check::SUBDOMAIN), extend("default" = "cluster.local"))]
    cluster_domain: Option<String>,
    /// Calls that leave the mesh.
    outbound: Option<Outbound>,
    /// Calls that arrive at workloads.
    peer: Option<Peer>,
    /// The sidecars that are injected.
    injection: Option<InjectionSpec>,
}

/// Calls that leave the mesh.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Outbound {
    /// What happens to calls to addresses that no Service has, of Pods whose traffic is redirected. Default: Passthrough
    #[schemars(extend("default" = "Passthrough"))]
    unknown: Option<Unknown>,
}

/// What happens to calls to addresses that no Service has.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
enum Unknown {
    /// They are carried as they are.
    Passthrough,
    /// They are closed.
    Refuse,
}

/// Calls that arrive at workloads.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Peer {
    /// Whether callers must prove who they are, where no PeerPolicy selects the workload. Default: Permissive
    #[schemars(extend("default" = "Permissive"))]
    mode: Option<Mode>,
}

/// Reads the MeshConfig.
pub(crate) fn read(object: &Strict<Spec>, at: Cursor<'_>) -> MeshConfig {
    let Strict { metadata, spec, .. } = object;
    if &*metadata.name != "default" {
        let message = format!("found {:?}: the one MeshConfig is named \"default\"", metadata.name);
        at.key("metadata").key("name").refuse(message);
    }
    let spec_at = at.key("spec");
    let defaults = MeshConfig::default();
    let trust_domain = match spec.trust_domain.as_deref().map(str::parse::<TrustDomain>) {
        None => defaults.trust_domain,
        Some(Ok(domain)) => domain,
        Some(Err(error)) => {
            spec_at.key("trustDomain").refuse(error.to_string());
            defaults.trust_domain
        }
    };
    if let Some(domain) = spec.cluster_domain.as_deref().filter(|domain| !check::is_dns_subdomain(domain)) {
        spec_at.key("clusterDomain").refuse(format!("{domain:?} is no DNS name: cluster.local is the usual one"));
    }
    MeshConfig {
        origin: Some(metadata.origin(ObjectKind::MeshConfig)),
        trust_domain,
        cluster_domain: spec.cluster_domain.clone().unwrap_or(defaults.cluster_domain),
        unknown_outbound: match spec.outbound.and_then(|outbound| outbound.unknown) {
            Some(Unknown::Refuse) => UnknownOutbound::Refuse,
            Some(Unknown::Passthrough) => UnknownOutbound::Passthrough,
            None => defaults.unknown_outbound,
        },
        peer_mode: spec.peer.and_then(|peer| peer.mode).map_or(defaults.peer_mode, Into::into),
        injection: spec.injection.as_ref().map(|one| one.read(spec_at.key("injection"))).unwrap_or_default(),
    }
}
