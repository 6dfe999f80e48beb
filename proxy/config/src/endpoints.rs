//! Endpoints of a cluster.

use std::{collections::HashSet, net::SocketAddr, sync::Arc};

use byrnie_balance::Reported;
use byrnie_proto::envoy::{
    envoy::config::{
        core::v3::{HealthStatus, Locality, Metadata},
        endpoint::v3::{
            self as wire, ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints, cluster_load_assignment,
            endpoint::HealthCheckConfig, lb_endpoint::HostIdentifier, locality_lb_endpoints,
        },
    },
    google::protobuf::{Struct, value::Kind},
};

use crate::{
    Refused,
    fields::{At, fields},
    value::{address, each, number},
};

/// The metadata by which the transport of an endpoint is chosen (`Cluster.transport_socket_matches`).
const SOCKET_MATCH: &str = "envoy.transport_socket_match";
/// The only key in it.
pub const ACCOUNT_KEY: &str = "sa";

/// `envoy.config.endpoint.v3.ClusterLoadAssignment`, all of one priority.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoints {
    /// `cluster_name`.
    pub name: Arc<str>,
    /// In their order, without the localities around them.
    pub list: Vec<Endpoint>,
}

/// `LbEndpoint`.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// `endpoint.address`.
    pub address: SocketAddr,
    /// The account that its sidecar proves: `sa` in `envoy.transport_socket_match`; none outside the mesh.
    pub account: Option<Arc<str>>,
    /// `load_balancing_weight`, 1 where absent.
    pub weight: u32,
    /// `locality.zone`, may be empty.
    pub zone: Arc<str>,
    /// `health_status`.
    pub reported: Reported,
}

fields! {
    ClusterLoadAssignment {
        cluster_name: honoured,
        endpoints: honoured,
        named_endpoints: refused,
        policy: honoured,
    }
    cluster_load_assignment::Policy {
        drop_overloads: refused,
        overprovisioning_factor: idle "there is one priority",
        endpoint_stale_after: refused,
        weighted_priority_health: idle "there is one priority",
    }
    LocalityLbEndpoints {
        locality: honoured "the zone",
        metadata: idle "nothing reads it",
        lb_endpoints: honoured,
        load_balancing_weight: idle "no cluster here weighs localities",
        priority: refused,
        proximity: idle "nothing reads it"
        ; lb_config: locality_lb_endpoints::LbConfig {
            LoadBalancerEndpoints load_balancer_endpoints: refused,
            LedsClusterLocalityConfig leds_cluster_locality_config: refused,
        }
    }
    Locality {
        region: idle "zones are compared, nothing else",
        zone: honoured,
        sub_zone: idle "zones are compared, nothing else",
    }
    LbEndpoint {
        health_status: honoured,
        metadata: honoured "`envoy.transport_socket_match: {sa: ACCOUNT}`; others are without effect",
        load_balancing_weight: honoured "above 0"
        ; host_identifier: HostIdentifier {
            Endpoint endpoint: honoured,
            EndpointName endpoint_name: refused,
        }
    }
    wire::Endpoint {
        address: honoured,
        health_check_config: honoured,
        hostname: idle "read by automatic host rewrites only, which are refused",
        additional_addresses: refused,
        observability_name: idle "endpoints are shown by address",
    }
    HealthCheckConfig {
        port_value: refused,
        hostname: refused,
        address: refused,
        disable_active_health_check: refused,
    }
}

impl Endpoints {
    /// Reads a `ClusterLoadAssignment`.
    pub(crate) fn read(assignment: &ClusterLoadAssignment, at: &At<'_>) -> Result<Self, Refused> {
        at.check(assignment)?;
        if let Some(policy) = &assignment.policy {
            at.field("policy").check(policy)?;
        }
        let mut list = Vec::new();
        let at = &at.field("endpoints");
        for (index, locality) in assignment.endpoints.iter().enumerate() {
            let at = &at.index(index);
            at.check(locality)?;
            let zone: Arc<str> = locality.locality.as_ref().map_or("", |locality| &locality.zone).into();
            let read = |one: &LbEndpoint, at: &At<'_>| Endpoint::read(one, &zone, at);
            list.append(&mut each(&locality.lb_endpoints, &at.field("lb_endpoints"), read)?);
        }
        let mut seen = HashSet::with_capacity(list.len());
        // Envoy keeps the first of several with one address.
        list.retain(|endpoint| seen.insert(endpoint.address));
        Ok(Self { name: assignment.cluster_name.as_str().into(), list })
    }
}

impl Endpoint {
    fn read(endpoint: &LbEndpoint, zone: &Arc<str>, at: &At<'_>) -> Result<Self, Refused> {
        at.check(endpoint)?;
        let weight = number(endpoint.load_balancing_weight).unwrap_or(1);
        if weight == 0 {
            return Err(at.field("load_balancing_weight").unlike(weight, "above 0"));
        }
        let account = account_of(&endpoint.metadata, &at.field("metadata"))?;
        let reported = match at.field("health_status").known(endpoint.health_status)? {
            HealthStatus::Unknown | HealthStatus::Healthy => Reported::Healthy,
            HealthStatus::Degraded => Reported::Degraded,
            HealthStatus::Draining => Reported::Draining,
            HealthStatus::Unhealthy | HealthStatus::Timeout => Reported::Unhealthy,
        };
        let at = &at.field("endpoint");
        let Some(HostIdentifier::Endpoint(host)) = &endpoint.host_identifier else {
            return Err(at.refuse("missing"));
        };
        at.check(host)?;
        if let Some(check) = &host.health_check_config {
            at.field("health_check_config").check(check)?;
        }
        Ok(Self {
            address: address(&host.address, &at.field("address"))?,
            account,
            weight,
            zone: zone.clone(),
            reported,
        })
    }
}

fn account_of(metadata: &Option<Metadata>, at: &At<'_>) -> Result<Option<Arc<str>>, Refused> {
    let Some(given) = metadata.as_ref().and_then(|metadata| metadata.filter_metadata.get(SOCKET_MATCH)) else {
        return Ok(None);
    };
    Ok(account(given, &at.field("filter_metadata").key(SOCKET_MATCH))?.map(Into::into))
}

/// The account of a `{sa: "shop/cart"}`; none where it is empty. Nothing else may stand there.
pub fn account<'m>(fields: &'m Struct, at: &At<'_>) -> Result<Option<&'m str>, Refused> {
    let mut found = None;
    for (key, value) in &fields.fields {
        match (key.as_str(), &value.kind) {
            (ACCOUNT_KEY, Some(Kind::StringValue(account))) => found = Some(account.as_str()),
            _ => return Err(at.key(key).unlike(value, "`sa` with a text")),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
