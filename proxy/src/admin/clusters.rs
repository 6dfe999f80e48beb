//! `/clusters`: endpoints with their health and load, as Envoy writes them.

use std::fmt::{self, Write};

use byrnie_balance::{Breakers, Flags, Host, Reported, Resource};
use byrnie_config::{Discovery, Endpoint};
use serde_json::{Value, json};

use crate::config::{Config, Upstream};

/// The limits by Envoy's names.
const LIMITS: [(&str, Resource); 4] = [
    ("max_connections", Resource::Connections),
    ("max_pending_requests", Resource::Pending),
    ("max_requests", Resource::Requests),
    ("max_retries", Resource::Retries),
];

/// `CLUSTER::ENDPOINT::NAME::VALUE`, one a line, clusters by name.
pub fn text(config: &Config) -> String {
    let mut text = String::new();
    // A string takes everything.
    let _ = sorted(config).into_iter().try_for_each(|upstream| cluster_lines(&mut text, upstream));
    text
}

/// `envoy.admin.v3.Clusters` in JSON.
pub fn json(config: &Config) -> Value {
    let clusters: Vec<_> = sorted(config).into_iter().map(cluster_status).collect();
    json!({ "cluster_statuses": clusters })
}

fn sorted(config: &Config) -> Vec<&Upstream> {
    let mut all: Vec<_> = config.upstreams.values().map(|upstream| &**upstream).collect();
    all.sort_unstable_by(|one, other| one.cluster.name.cmp(&other.cluster.name));
    all
}

fn cluster_lines(text: &mut String, upstream: &Upstream) -> fmt::Result {
    let name = &upstream.cluster.name;
    writeln!(text, "{name}::observability_name::{}", upstream.cluster.stat)?;
    for (limit, resource) in LIMITS {
        writeln!(text, "{name}::default_priority::{limit}::{}", upstream.breakers.limit(resource))?;
    }
    writeln!(text, "{name}::added_via_api::true")?;
    if let Discovery::Eds(service) = &upstream.cluster.discovery {
        writeln!(text, "{name}::eds_service_name::{service}")?;
    }
    for (index, endpoint, host) in upstream.hosts.iter() {
        let mut line =
            |what: &str, value: &dyn fmt::Display| writeln!(text, "{name}::{}::{what}::{value}", endpoint.address);
        line("cx_active", &host.active_connections())?;
        line("rq_active", &host.active_requests())?;
        line("hostname", &"")?;
        line("health_flags", &host.flags())?;
        line("weight", &upstream.hosts.weight(index))?;
        line("zone", &endpoint.zone)?;
        line("account", &endpoint.account.as_deref().unwrap_or_default())?;
        line("ejections", &host.ejections())?;
        line("priority", &0)?;
    }
    Ok(())
}

fn cluster_status(upstream: &Upstream) -> Value {
    let hosts: Vec<_> = upstream
        .hosts
        .iter()
        .map(|(index, endpoint, host)| host_status(endpoint, host, upstream.hosts.weight(index)))
        .collect();
    let mut status = json!({
        "name": *upstream.cluster.name,
        "added_via_api": true,
        "observability_name": *upstream.cluster.stat,
        "circuit_breakers": { "thresholds": [thresholds(&upstream.breakers)] },
        "host_statuses": hosts,
    });
    if let Discovery::Eds(service) = &upstream.cluster.discovery {
        status["eds_service_name"] = (**service).into();
    }
    status
}

fn thresholds(breakers: &Breakers) -> Value {
    let mut thresholds = json!({ "priority": "DEFAULT" });
    for (limit, resource) in LIMITS {
        thresholds[limit] = breakers.limit(resource).into();
    }
    thresholds
}

fn host_status(endpoint: &Endpoint, host: &Host, weight: u32) -> Value {
    // A 64-bit number is text in the JSON of protobuf.
    let gauge = |name: &str, value: u32| json!({ "type": "GAUGE", "name": name, "value": value.to_string() });
    json!({
        "address": socket_address(endpoint.address),
        "stats": [
            gauge("cx_active", host.active_connections()),
            gauge("rq_active", host.active_requests()),
            { "type": "COUNTER", "name": "ejections", "value": host.ejections().to_string() },
        ],
        "health_status": health(host.flags(), endpoint.reported),
        "weight": weight,
        "locality": { "zone": *endpoint.zone },
    })
}

/// `envoy.admin.v3.HostHealthStatus`: what is false is left out.
fn health(flags: Flags, reported: Reported) -> Value {
    let reported = match reported {
        Reported::Healthy => "HEALTHY",
        Reported::Degraded => "DEGRADED",
        Reported::Draining => "DRAINING",
        Reported::Unhealthy => "UNHEALTHY",
    };
    let mut health = json!({ "eds_health_status": reported });
    let names = flags.to_string();
    for (flag, field) in [
        ("failed_active_hc", "failed_active_health_check"),
        ("failed_outlier_check", "failed_outlier_check"),
        ("degraded_active_hc", "failed_active_degraded_check"),
        ("active_hc_timeout", "failed_active_hc_timeout"),
    ] {
        if names.split('/').any(|name| name == flag) {
            health[field] = true.into();
        }
    }
    health
}

/// `envoy.config.core.v3.Address` in JSON.
pub fn socket_address(address: std::net::SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, sync::Arc};

    use byrnie_balance::{Answer, Check, FirstCheck, Hosts, Member};

    use super::*;
    use crate::{
        config::ByAddress,
        control::resources::{cluster, endpoints},
    };

    fn config() -> Config {
        let addresses: [SocketAddr; 2] = ["10.0.0.1:80", "[fd00::1]:80"].map(|address| address.parse().unwrap());
        let (cluster, endpoints) = (Arc::new(cluster("shop/cart:80")), endpoints("shop/cart:80", &addresses));
        let member =
            |endpoint: &Endpoint| Member { key: ByAddress(endpoint.clone()), weight: 1, reported: endpoint.reported };
        let hosts = Hosts::new(FirstCheck::NotNeeded).update(endpoints.list.iter().map(member));
        let checks = byrnie_balance::Checks {
            healthy_threshold: 1,
            unhealthy_threshold: 1,
            interval: std::time::Duration::from_secs(1),
            interval_jitter_percent: 0,
            no_traffic_interval: std::time::Duration::from_secs(1),
            no_traffic_healthy_interval: std::time::Duration::from_secs(1),
        };
        let (_, _, bad) = hosts.iter().nth(1).unwrap();
        Check::new().observe(&checks, bad, Answer::Refused, std::time::Instant::now());
        let (_, _, good) = hosts.iter().next().unwrap();
        good.open_connection();
        good.begin_request();
        let breakers = Arc::new(Breakers::new(cluster.limits));
        let upstream = Upstream { cluster, endpoints, hosts, breakers };
        Config { upstreams: [("shop/cart:80".into(), Arc::new(upstream))].into_iter().collect(), ..Config::default() }
    }

    #[test]
    fn lines_are_those_of_envoy() {
        let text = text(&config());
        for line in [
            "shop/cart:80::default_priority::max_requests::1",
            "shop/cart:80::added_via_api::true",
            "shop/cart:80::eds_service_name::shop/cart:80",
            "shop/cart:80::10.0.0.1:80::cx_active::1",
            "shop/cart:80::10.0.0.1:80::rq_active::1",
            "shop/cart:80::10.0.0.1:80::health_flags::healthy",
            "shop/cart:80::[fd00::1]:80::health_flags::/failed_active_hc",
            "shop/cart:80::[fd00::1]:80::weight::1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn json_is_read_as_envoys() {
        let json = json(&config());
        let cluster = &json["cluster_statuses"][0];
        assert_eq!((&cluster["name"], &cluster["eds_service_name"]), (&"shop/cart:80".into(), &"shop/cart:80".into()));
        let hosts = &cluster["host_statuses"];
        assert_eq!(hosts[0]["address"], json!({ "socket_address": { "address": "10.0.0.1", "port_value": 80 } }));
        assert_eq!(hosts[0]["stats"][1], json!({ "type": "GAUGE", "name": "rq_active", "value": "1" }));
        assert_eq!(hosts[0]["health_status"], json!({ "eds_health_status": "HEALTHY" }));
        assert_eq!(hosts[1]["health_status"]["failed_active_health_check"], true);
    }
}
