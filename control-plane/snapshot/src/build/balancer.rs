//! Balancers: how a cluster chooses an endpoint, and what consistent hashing hashes.

use byrnie_model::policy::{Balancer, HashKey, SlowStart, TrafficPolicy};
use byrnie_proto::envoy::envoy::config::{
    cluster::v3::{
        Cluster,
        cluster::{
            LbConfig, LbPolicy, LeastRequestLbConfig, MaglevLbConfig, RingHashLbConfig, RoundRobinLbConfig,
            SlowStartConfig,
        },
    },
    route::v3::route_action::{
        HashPolicy,
        hash_policy::{ConnectionProperties, Cookie, Header, PolicySpecifier},
    },
};

use super::pack;

/// The least busy of two chosen by chance, where nothing is said: it evens out slow endpoints, and costs as much as
/// round robin.
const DEFAULT: Balancer = Balancer::LeastRequest { choices: 2 };

/// Sets the balancer of a cluster for Envoy.
pub fn set(cluster: &mut Cluster, policy: Option<&TrafficPolicy>) {
    let balancer = policy.and_then(|policy| policy.balancer.as_ref()).unwrap_or(&DEFAULT);
    let slow_start = policy.and_then(|policy| policy.slow_start).map(slow_start);
    let (kind, config) = match balancer {
        Balancer::RoundRobin => (LbPolicy::RoundRobin, slow_start.map(round_robin)),
        Balancer::Random => (LbPolicy::Random, None),
        Balancer::LeastRequest { choices } => {
            let config = LeastRequestLbConfig {
                choice_count: pack::number(*choices),
                slow_start_config: slow_start,
                ..Default::default()
            };
            (LbPolicy::LeastRequest, Some(LbConfig::LeastRequestLbConfig(config)))
        }
        Balancer::RingHash { minimum_ring_size, .. } => {
            let size = minimum_ring_size.map(pack::long);
            let config = RingHashLbConfig { minimum_ring_size: size, ..Default::default() };
            (LbPolicy::RingHash, Some(LbConfig::RingHashLbConfig(config)))
        }
        Balancer::Maglev { table_size, .. } => {
            let config = MaglevLbConfig { table_size: table_size.map(pack::long) };
            (LbPolicy::Maglev, Some(LbConfig::MaglevLbConfig(config)))
        }
    };
    cluster.set_lb_policy(kind);
    cluster.lb_config = config;
}

/// What a policy's balancer hashes.
pub fn hash_key(policy: &TrafficPolicy) -> Option<&HashKey> {
    match policy.balancer.as_ref()? {
        Balancer::RingHash { key, .. } | Balancer::Maglev { key, .. } => Some(key),
        Balancer::RoundRobin | Balancer::Random | Balancer::LeastRequest { .. } => None,
    }
}

/// What is hashed, for a route.
pub fn hash_policy(key: &HashKey) -> HashPolicy {
    let specifier = match key {
        HashKey::Header(name) => {
            PolicySpecifier::Header(Header { header_name: name.to_string(), ..Default::default() })
        }
        HashKey::Cookie { name, ttl, path } => PolicySpecifier::Cookie(Cookie {
            name: name.to_string(),
            ttl: ttl.map(pack::duration),
            path: path.as_deref().unwrap_or_default().to_owned(),
            ..Default::default()
        }),
        HashKey::Source => PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip: true }),
    };
    HashPolicy { policy_specifier: Some(specifier), ..Default::default() }
}

fn round_robin(slow_start: SlowStartConfig) -> LbConfig {
    LbConfig::RoundRobinLbConfig(RoundRobinLbConfig { slow_start_config: Some(slow_start) })
}

fn slow_start(slow_start: SlowStart) -> SlowStartConfig {
    SlowStartConfig {
        slow_start_window: Some(pack::duration(slow_start.window)),
        min_weight_percent: pack::percent(slow_start.minimum_percent),
        ..Default::default()
    }
}
