//! What a Service object says, in the model's words.

use std::{net::IpAddr, sync::Arc};

use byrnie_model::{self as model, ObjectKind, Protocol, ServiceKind, ServiceName};

use super::{
    check,
    core::{IpFamily, ServiceSpec, Transport},
    meta::{Loose, StringMap},
    scalar::NumberOrName,
};
use crate::field::Cursor;

/// A Service, checked, with what ties it to its Pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What clients see.
    pub model: model::Service,
    /// The TCP ports with the Pods' ports behind them, in the order of `model.ports`.
    pub targets: Vec<NumberOrName>,
    /// Labels of its Pods; empty where nothing is selected.
    pub selector: StringMap,
    /// Whether Pods that are not ready take traffic.
    pub publish_not_ready: bool,
    /// The families of its addresses, in order of preference; empty where the object says nothing.
    pub families: Vec<IpFamily>,
}

/// Reads a Service.
pub(crate) fn read(object: Loose<ServiceSpec>, at: Cursor<'_>) -> Service {
    let Loose { metadata, spec } = object;
    let spec_at = at.key("spec");
    let addresses = addresses(&spec, spec_at);
    let kind = match (spec.kind.as_deref(), spec.cluster_ip.as_deref()) {
        (Some("ExternalName"), _) => ServiceKind::External(external_name(&spec, spec_at)),
        (_, Some("None")) => ServiceKind::Headless,
        _ => ServiceKind::Virtual(addresses.clone()),
    };
    let mut ports: Vec<(model::ServicePort, NumberOrName)> = Vec::new();
    let ports_at = spec_at.key("ports");
    for (index, port) in spec.ports.iter().enumerate().filter(|(_, port)| port.protocol == Transport::Tcp) {
        let number = port.port.number();
        if ports.iter().any(|(known, _)| known.number == number) {
            ports_at.index(index).key("port").refuse(format!("TCP port {number} is there twice"));
            continue;
        }
        let name = port.name.clone().filter(|name| !name.is_empty());
        let protocol = Protocol::declared(port.app_protocol.as_deref(), name.as_deref(), number);
        let target = port.target_port.clone().unwrap_or(NumberOrName::Number(number));
        ports.push((model::ServicePort { number, name, protocol }, target));
    }
    let mut families = spec.ip_families;
    if families.is_empty() {
        for family in addresses.into_iter().map(IpFamily::of) {
            if !families.contains(&family) {
                families.push(family);
            }
        }
    }
    let (ports, targets) = ports.into_iter().unzip();
    let name = ServiceName::new(metadata.namespace(), metadata.name.clone());
    Service {
        model: model::Service { name, origin: metadata.origin(ObjectKind::Service), kind, ports },
        targets,
        selector: spec.selector,
        publish_not_ready: spec.publish_not_ready_addresses,
        families,
    }
}

fn addresses(spec: &ServiceSpec, at: Cursor<'_>) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    let mut add = |text: &str, at: Cursor<'_>| match text.parse() {
        Ok(address) if addresses.contains(&address) => {}
        Ok(address) => addresses.push(address),
        Err(_) => at.refuse(format!("{text:?} is no address: an IP address or None is accepted")),
    };
    let is_address = |text: &&str| !matches!(*text, "" | "None");
    if let Some(text) = spec.cluster_ip.as_deref().filter(is_address) {
        add(text, at.key("clusterIP"));
    }
    let list = at.key("clusterIPs");
    for (index, text) in spec.cluster_ips.iter().enumerate().filter(|(_, text)| is_address(&text.as_str())) {
        add(text, list.index(index));
    }
    addresses
}

fn external_name(spec: &ServiceSpec, at: Cursor<'_>) -> Arc<str> {
    let name = spec.external_name.clone().unwrap_or_else(|| "".into());
    if !check::is_dns_subdomain(name.trim_end_matches('.')) {
        at.key("externalName").refuse(format!("{name:?} is no DNS name: a Service of type ExternalName needs one"));
    }
    name
}
