//! A Pod as the mesh sees it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use byrnie_identity::Account;
use byrnie_model::{Capture, Origin, Place, Protocol, Served, Workload};

use super::Index;
use crate::{
    findings::{Finding, Severity},
    objects::{Pod, ZONE, annotation::INBOUND},
};

/// A port that a Service forwards to and the sidecar does not listen on, beside one that it listens on for nobody: a slip
/// in one of the two. A port alone is left out on purpose, as those of metrics are.
pub(super) fn crossed_ports(workload: &Workload) -> Option<Finding> {
    let Capture::Explicit { inbound, .. } = &workload.capture else { return None };
    let called = workload.served.iter().find(|served| !inbound.iter().any(|port| port.listen.port() == served.port))?;
    let uncalled = inbound.iter().find(|port| !workload.served.iter().any(|s| s.port == port.listen.port()))?;
    let (service, port, listen) = (&called.service, called.port, uncalled.listen.port());
    Some(Finding {
        place: workload.origin.place.as_deref().cloned(),
        column: None,
        severity: Severity::Warning,
        object: Some(workload.origin.object.clone()),
        field: Some(format!("metadata.annotations[{INBOUND}]")),
        message: format!(
            "Service {service} forwards to port {port}, where this sidecar does not listen; it listens on {listen}, \
             which no Service forwards to"
        ),
    })
}

impl Index {
    /// The workload that a Pod is; `None` where its containers are over.
    pub(super) fn workload(&self, pod: &Pod, place: &Option<Arc<Place>>) -> Option<Workload> {
        if pod.is_over {
            return None;
        }
        let node_zone = pod.node.as_ref().and_then(|node| self.zones.get(node));
        Some(Workload {
            name: pod.name.clone(),
            origin: Origin { place: place.clone(), ..pod.origin.clone() },
            uid: pod.uid.clone(),
            account: Account::new(pod.name.namespace(), pod.account.clone()),
            labels: pod.labels.clone(),
            ips: pod.ips.clone(),
            zone: node_zone.or_else(|| pod.labels.get(ZONE)).cloned(),
            capture: pod.capture.clone(),
            served: self.served(pod),
        })
    }

    /// The ports that Services forward to.
    fn served(&self, pod: &Pod) -> Vec<Served> {
        let mut services: Vec<_> = self.services.selecting(pod.name.namespace(), &pod.labels).collect();
        services.sort_unstable_by(|one, other| one.model.name.cmp(&other.model.name));
        let mut served: BTreeMap<u16, Served> = BTreeMap::new();
        let mut disputed = BTreeSet::new();
        for service in services {
            for (port, target) in service.model.ports.iter().zip(&service.targets) {
                let Some(number) = pod.port(target) else { continue };
                let declared = port.protocol;
                let service = &service.model.name;
                let entry = served.entry(number);
                let known =
                    entry.or_insert_with(|| Served { port: number, protocol: declared, service: service.clone() });
                match known.protocol {
                    // Who declares nothing disputes nothing.
                    protocol if protocol == declared || declared == Protocol::Undeclared => {}
                    Protocol::Undeclared if !disputed.contains(&number) => known.protocol = declared,
                    _ => {
                        disputed.insert(number);
                        known.protocol = Protocol::Undeclared;
                    }
                }
            }
        }
        served.into_values().collect()
    }
}
