//! Objects of Kubernetes' own groups, with the fields that the mesh needs.

use std::{net::IpAddr, sync::Arc};

use serde::Deserialize;

use super::{
    meta::{Meta, StringMap},
    scalar::{NumberOrName, Port},
};

/// `Service.spec`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// `ClusterIP` and so on; only `ExternalName` matters.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// An address, `None` or nothing.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Option<String>,
    /// All addresses, the first of them [`Self::cluster_ip`].
    #[serde(rename = "clusterIPs")]
    pub cluster_ips: Vec<String>,
    /// `IPv4`, `IPv6`, in order of preference.
    pub ip_families: Vec<IpFamily>,
    /// The ports.
    pub ports: Vec<ServicePort>,
    /// Labels of its Pods.
    pub selector: StringMap,
    /// Whether Pods that are not ready take traffic.
    pub publish_not_ready_addresses: bool,
    /// The DNS name that an `ExternalName` Service stands for.
    pub external_name: Option<Arc<str>>,
}

/// One of `Service.spec.ports`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// Its name, which a Service with one port need not give.
    #[serde(default)]
    pub name: Option<Arc<str>>,
    /// The port clients call.
    pub port: Port,
    /// `TCP` where nothing is said.
    #[serde(default)]
    pub protocol: Transport,
    /// What it speaks.
    #[serde(default)]
    pub app_protocol: Option<Arc<str>>,
    /// The port of the Pods; the same as `port` where nothing is said.
    #[serde(default)]
    pub target_port: Option<NumberOrName>,
}

/// `protocol` of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Transport {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub enum IpFamily {
    #[serde(rename = "IPv4")]
    V4,
    #[serde(rename = "IPv6")]
    V6,
}

/// `EndpointSlice` of `discovery.k8s.io/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSlice {
    /// `metadata`
    pub metadata: Meta,
    /// `IPv4`, `IPv6` or `FQDN`; the last has no endpoints for the mesh.
    pub address_type: AddressType,
    /// The endpoints.
    #[serde(default)]
    pub endpoints: Vec<SliceEndpoint>,
    /// The ports of each of them.
    #[serde(default)]
    pub ports: Vec<SlicePort>,
}

/// `addressType` of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub enum AddressType {
    IPv4,
    IPv6,
    #[serde(rename = "FQDN")]
    Fqdn,
}

/// One of `endpoints` of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SliceEndpoint {
    /// Addresses, which are interchangeable; the API server allows several, kube-proxy uses the first.
    pub addresses: Vec<String>,
    /// Whether it takes traffic.
    pub conditions: SliceConditions,
    /// The Pod behind it.
    pub target_ref: Option<TargetRef>,
    /// Its zone.
    pub zone: Option<Arc<str>>,
    /// Its node.
    pub node_name: Option<Arc<str>>,
}

/// `conditions` of an endpoint (KEP-1672). `None` = unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs)]
pub struct SliceConditions {
    pub ready: Option<bool>,
    pub serving: Option<bool>,
    pub terminating: Option<bool>,
}

/// What an endpoint is, in Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs)]
pub struct TargetRef {
    pub kind: Option<String>,
    pub namespace: Option<Arc<str>>,
    pub name: Arc<str>,
}

/// One of `ports` of a slice. Its name is that of the Service's port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs)]
pub struct SlicePort {
    pub name: Option<Arc<str>>,
    pub port: Option<Port>,
    pub protocol: Transport,
}

/// `Pod`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// `metadata`
    pub metadata: Meta,
    /// `spec`
    #[serde(default)]
    pub spec: PodSpec,
    /// `status`
    #[serde(default)]
    pub status: PodStatus,
}

/// `Pod.spec`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// `default` where nothing is said.
    pub service_account_name: Option<Arc<str>>,
    /// Where it runs.
    pub node_name: Option<Arc<str>>,
    /// Whether its address is its node's.
    pub host_network: bool,
    /// Its containers, whose ports have names.
    pub containers: Vec<Container>,
    /// Containers that run before; those that restart always are sidecars, with ports of their own.
    pub init_containers: Vec<Container>,
}

/// A container, for its named ports, and for whether it is the mesh's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// `Always` makes an init container a sidecar.
    pub restart_policy: Option<String>,
    /// Its ports.
    pub ports: Vec<ContainerPort>,
}

/// One of `ports` of a container.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct ContainerPort {
    #[serde(default)]
    pub name: Option<Arc<str>>,
    pub container_port: Port,
    #[serde(default)]
    pub protocol: Transport,
}

/// `Pod.status`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`
    pub phase: Option<String>,
    /// Its first address.
    #[serde(rename = "podIP")]
    pub pod_ip: Option<IpAddr>,
    /// All its addresses, one of each family.
    #[serde(rename = "podIPs")]
    pub pod_ips: Vec<PodIp>,
    /// What holds; of these only `Ready` matters.
    pub conditions: Vec<PodCondition>,
}

/// One of `status.podIPs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub struct PodIp {
    pub ip: IpAddr,
}

/// One of `status.conditions`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub struct PodCondition {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
}

impl IpFamily {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl PodStatus {
    /// All addresses, each once, `podIP` first.
    pub fn ips(&self) -> Vec<IpAddr> {
        let mut ips: Vec<IpAddr> = self.pod_ip.into_iter().collect();
        for ip in self.pod_ips.iter().map(|entry| entry.ip) {
            if !ips.contains(&ip) {
                ips.push(ip);
            }
        }
        ips
    }

    /// Whether its containers are over: it is nobody's endpoint, whatever its conditions say.
    pub fn is_over(&self) -> bool {
        matches!(self.phase.as_deref(), Some("Succeeded" | "Failed"))
    }

    /// Whether its containers serve. A kubelet always writes the condition `Ready`; where an object has no conditions
    /// at all it was written by hand, and serves unless its phase says that it does not.
    pub fn is_ready(&self) -> bool {
        match self.conditions.iter().find(|condition| condition.kind == "Ready") {
            Some(ready) => ready.status == "True" && !self.is_over(),
            None => self.conditions.is_empty() && matches!(self.phase.as_deref(), None | Some("Running")),
        }
    }
}

impl PodSpec {
    /// Whether one of its sidecars has the name.
    pub fn has_sidecar(&self, name: &str) -> bool {
        self.sidecars().any(|sidecar| sidecar.name == name)
    }

    /// The TCP ports that containers have given names. Of several of one name the first counts.
    pub fn named_ports(&self) -> Vec<(Arc<str>, u16)> {
        self.containers
            .iter()
            .chain(self.sidecars())
            .flat_map(|container| &container.ports)
            .filter(|port| port.protocol == Transport::Tcp)
            .filter_map(|port| Some((port.name.clone()?, port.container_port.number())))
            .collect()
    }

    fn sidecars(&self) -> impl Iterator<Item = &Container> {
        self.init_containers.iter().filter(|init| init.restart_policy.as_deref() == Some("Always"))
    }
}
