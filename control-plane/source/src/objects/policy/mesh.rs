//! MeshConfig: settings of the whole mesh.

use byrnie_identity::TrustDomain;
use byrnie_model::{MeshConfig, ObjectKind, UnknownOutbound};
use serde::Deserialize;

use super::Mode;
use crate::{
    field::Cursor,
    objects::{check, meta::Strict},
};

/// `spec`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Spec {
    trust_domain: Option<String>,
    cluster_domain: Option<String>,
    outbound: Option<Outbound>,
    peer: Option<Peer>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outbound {
    unknown: Option<Unknown>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Unknown {
    Passthrough,
    Refuse,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Peer {
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
    }
}
