//! From a key to the labels that users read: Istio's names, values from the model.
//!
//! | label | value |
//! | --- | --- |
//! | `reporter` | `source` of the application's own calls, `destination` of those of peers |
//! | `source_workload`, `source_workload_namespace` | the Pod of this proxy; of a peer the account that it proved |
//! | `source_principal`, `destination_principal` | `spiffe://...` |
//! | `destination_workload`, `destination_workload_namespace` | as of the source |
//! | `destination_service` | `NAMESPACE/NAME`, as Byrnie writes it everywhere; `passthrough` beyond the mesh |
//! | `destination_service_name`, `destination_service_namespace`, `destination_port` | its parts, and the port of the Service (`reporter="source"`) or of the Pod |
//! | `request_protocol` | `http`, `grpc`, `tcp` |
//! | `response_code` | `0` where there was no response |
//! | `grpc_response_status` | the number; empty where there is none |
//! | `response_flags` | Envoy's, `-` where all is well |
//! | `connection_security_policy` | `mutual_tls`, `none`; `unknown` where there was no endpoint |
//!
//! What is not known is `unknown`. The rule of a request stands in the access log only: rules times statuses times
//! peers are too many series.

use std::borrow::Cow;

use byrnie_config::Direction;
use byrnie_identity::SpiffeId;

use super::{
    Own,
    key::{Ends, Key, OTHER_GRPC_STATUS, OTHER_STATUS},
};

/// Names and values in their order.
pub type Labels = Vec<(&'static str, Cow<'static, str>)>;

const UNKNOWN: Cow<'static, str> = Cow::Borrowed("unknown");

/// The cluster of addresses that no service has.
const OUTBOUND_PASSTHROUGH: &str = "out/passthrough";

/// Labels of everything that came after the limit.
const OVERFLOW: Cow<'static, str> = Cow::Borrowed("overflow");

/// A port of a Service as names in the configuration have it.
#[derive(Debug, PartialEq, Eq)]
struct Destination<'a> {
    /// `shop/cart`
    service: Option<&'a str>,
    port: Option<&'a str>,
}

/// Of requests.
pub fn of_request(own: &Own, key: &Key<'_>) -> Labels {
    let outcome = key.outcome;
    let mut labels = of_ends(own, &key.ends);
    labels.push(("request_protocol", if outcome.is_grpc { "grpc" } else { "http" }.into()));
    let code = match outcome.status {
        OTHER_STATUS => Cow::Borrowed("other"),
        status => status.to_string().into(),
    };
    labels.push(("response_code", code));
    let grpc = match outcome.grpc_status {
        None => Cow::Borrowed(""),
        Some(OTHER_GRPC_STATUS) => Cow::Borrowed("other"),
        Some(status) => status.to_string().into(),
    };
    labels.push(("grpc_response_status", grpc));
    labels.push(("response_flags", outcome.flag.into()));
    labels
}

/// Of connections. What is counted while they are open has no `response_flags`.
pub fn of_connection(own: &Own, key: &Key<'_>) -> Labels {
    let mut labels = of_ends(own, &key.ends);
    labels.push(("request_protocol", "tcp".into()));
    if !key.outcome.flag.is_empty() {
        labels.push(("response_flags", key.outcome.flag.into()));
    }
    labels
}

/// Whether these are of connections that are over.
pub fn are_of_closed(labels: &Labels) -> bool {
    labels.last().is_some_and(|(name, _)| *name == "response_flags")
}

/// In place of `labels`, where there are too many.
pub fn overflow(labels: &Labels) -> Labels {
    let value = |name: &&'static str, value: &Cow<'static, str>| match *name {
        "reporter" | "request_protocol" => value.clone(),
        _ => OVERFLOW,
    };
    labels.iter().map(|(name, old)| (*name, value(name, old))).collect()
}

fn of_ends(own: &Own, ends: &Ends<'_>) -> Labels {
    let peer = party(ends.peer);
    let me = [own.workload.clone().into(), own.namespace.clone().into(), own.principal()];
    let (reporter, source, destination) = match ends.direction {
        Direction::Inbound => ("destination", peer, me),
        Direction::Outbound => ("source", me, peer),
    };
    let called = match ends.direction {
        Direction::Inbound => by_stat(ends.stat),
        Direction::Outbound if ends.cluster == OUTBOUND_PASSTHROUGH => Destination { service: None, port: None },
        Direction::Outbound => by_cluster(ends.cluster).unwrap_or_else(|| by_stat(ends.stat)),
    };
    let or_unknown = |value: Option<&str>| value.map_or(UNKNOWN, |value| value.to_owned().into());
    let (namespace, name) = called.service.and_then(|service| service.split_once('/')).unzip();
    let service =
        if ends.cluster == OUTBOUND_PASSTHROUGH { Cow::Borrowed("passthrough") } else { or_unknown(called.service) };
    let [source_workload, source_namespace, source_principal] = source;
    let [workload, workload_namespace, principal] = destination;
    let policy = match ends.secured {
        None => "unknown",
        Some(false) => "none",
        Some(true) => "mutual_tls",
    };
    vec![
        ("reporter", reporter.into()),
        ("source_workload", source_workload),
        ("source_workload_namespace", source_namespace),
        ("source_principal", source_principal),
        ("destination_workload", workload),
        ("destination_workload_namespace", workload_namespace),
        ("destination_principal", principal),
        ("destination_service", service),
        ("destination_service_name", or_unknown(name)),
        ("destination_service_namespace", or_unknown(namespace)),
        ("destination_port", or_unknown(called.port)),
        ("connection_security_policy", policy.into()),
    ]
}

/// Name, namespace and principal of an identity.
fn party(principal: &str) -> [Cow<'static, str>; 3] {
    match principal.parse::<SpiffeId>() {
        Ok(id) => {
            let account = id.account();
            [account.name().to_owned().into(), account.namespace().to_owned().into(), principal.to_owned().into()]
        }
        Err(_) => [UNKNOWN, UNKNOWN, UNKNOWN],
    }
}

/// `shop/cart:80`, `direct/shop/db:5432/shop/postgres`; nothing else names a Service.
fn by_cluster(cluster: &str) -> Option<Destination<'_>> {
    let direct = cluster.strip_prefix("direct/").filter(|rest| rest.contains('/'));
    let of_service = direct.map_or(cluster, |rest| match rest.match_indices('/').nth(1) {
        Some((end, _)) => &rest[..end],
        None => rest,
    });
    let (service, port) = of_service.rsplit_once(':')?;
    is_service(service).then_some(Destination { service: Some(service), port: Some(port) })
}

/// `out/shop/cart_80`, `in/shop/cart_8080`, `in/8080`, `out/pods/shop/db_5432`, `out/pods/8080`.
fn by_stat(stat: &str) -> Destination<'_> {
    let is_port = |port: &&str| port.parse::<u16>().is_ok();
    let rest = stat.split_once('/').map_or(stat, |(_, rest)| rest);
    let rest = match rest.strip_prefix("pods/") {
        Some(of_pods) if of_pods.contains('/') || is_port(&of_pods) => of_pods,
        _ => rest,
    };
    match rest.rsplit_once('_') {
        Some((service, port)) if is_service(service) => Destination { service: Some(service), port: Some(port) },
        _ => Destination { service: None, port: Some(rest).filter(is_port) },
    }
}

/// A Service is a DNS label that begins with a letter (RFC 1035): neither a pod's address nor a workload with a port.
fn is_service(text: &str) -> bool {
    let is_label = |name: &str| name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.contains('/');
    text.split_once('/').is_some_and(|(namespace, name)| !namespace.is_empty() && is_label(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called<'a>(service: &'a str, port: &'a str) -> Destination<'a> {
        let text = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        Destination { service: text(service), port: text(port) }
    }

    #[test]
    fn names_of_the_configuration_say_which_service_is_called() {
        assert_eq!(by_cluster("shop/cart:80"), Some(called("shop/cart", "80")));
        assert_eq!(by_cluster("direct/shop/db:5432/shop/postgres"), Some(called("shop/db", "5432")));
        assert_eq!(by_cluster("direct/shop/db:5432"), Some(called("shop/db", "5432")));
        assert_eq!(by_cluster("direct/db:5432"), Some(called("direct/db", "5432")));
        for other in ["out/10.1.2.3:8080", "out/[fd00::1]:8080", "out/passthrough", "in/shop/cart-1:8080", ""] {
            assert_eq!(by_cluster(other), None, "{other}");
        }
        for (stat, service, port) in [
            ("out/shop/cart_80", "shop/cart", "80"),
            ("in/shop/cart_8080", "shop/cart", "8080"),
            ("in/8080", "", "8080"),
            ("out/pods/shop/db_5432", "shop/db", "5432"),
            ("out/pods/8080", "", "8080"),
            ("out/pods/db_80", "pods/db", "80"),
            ("out", "", ""),
            ("in/passthrough", "", ""),
        ] {
            assert_eq!(by_stat(stat), called(service, port), "{stat}");
        }
    }
}
