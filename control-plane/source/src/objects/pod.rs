//! What a Pod says, as far as the mesh cares.

use std::{net::IpAddr, sync::Arc};

use byrnie_model::{Capture, ObjectKind, Origin, WorkloadName};

use super::{annotation, core, meta::StringMap, scalar::NumberOrName};
use crate::field::Cursor;

/// A Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// `shop/cart-7d9f`
    pub name: WorkloadName,
    /// The object.
    pub origin: Origin,
    /// Which Pod of this name, where an API server says so.
    pub uid: Option<Arc<str>>,
    /// Its labels.
    pub labels: StringMap,
    /// Its ServiceAccount.
    pub account: Arc<str>,
    /// Its node.
    pub node: Option<Arc<str>>,
    /// Its addresses.
    pub ips: Vec<IpAddr>,
    /// How its traffic comes to a sidecar.
    pub capture: Capture,
    /// Whether it serves, as [`core::PodStatus::is_ready`] has it.
    pub is_ready: bool,
    /// Whether its containers have ended.
    pub is_over: bool,
    /// Whether it is going away.
    pub is_terminating: bool,
    /// The TCP ports that have names.
    ports: Vec<(Arc<str>, u16)>,
}

/// Reads a Pod.
pub(crate) fn read(pod: core::Pod, at: Cursor<'_>) -> Pod {
    let capture = annotation::capture(&pod, at);
    annotation::tell_unread(&pod, at);
    Pod {
        name: WorkloadName::new(pod.metadata.namespace(), pod.metadata.name.clone()),
        origin: pod.metadata.origin(ObjectKind::Pod),
        uid: pod.metadata.uid.clone(),
        account: pod.spec.service_account_name.clone().unwrap_or_else(|| "default".into()),
        node: pod.spec.node_name.clone(),
        ips: pod.status.ips(),
        capture,
        is_ready: pod.status.is_ready(),
        is_over: pod.status.is_over(),
        is_terminating: pod.metadata.deletion_timestamp.is_some(),
        ports: pod.spec.named_ports(),
        labels: pod.metadata.labels,
    }
}

impl Pod {
    /// The port of the Pod that a `targetPort` means.
    pub fn port(&self, target: &NumberOrName) -> Option<u16> {
        match target {
            NumberOrName::Number(number) => Some(*number),
            NumberOrName::Name(wanted) => {
                self.ports.iter().find(|(name, _)| **name == **wanted).map(|(_, number)| *number)
            }
        }
    }
}
