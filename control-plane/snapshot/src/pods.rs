use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use byrnie_model::{Capture, MeshConfig, Workload, WorkloadName};
use imbl::{OrdMap, ordmap::DiffItem};

/// The workloads in the mesh by their addresses: what a listener is built from when a micro-proxy asks for one pod. A
/// clone shares everything.
#[derive(Clone, Debug, Default)]
pub struct Pods {
    mesh: Arc<MeshConfig>,
    /// One address may be of several workloads: of pods on the host's network, and in explicit mode.
    by_ip: OrdMap<(IpAddr, WorkloadName), Arc<Workload>>,
}

impl Pods {
    /// Mesh-wide settings.
    pub fn mesh(&self) -> &MeshConfig {
        &self.mesh
    }

    /// The workload whose sidecar answers at `address`; the first by name.
    pub fn at(&self, address: SocketAddr) -> Option<&Arc<Workload>> {
        let from = (address.ip(), WorkloadName::new("", ""));
        let there = self.by_ip.range(from..).take_while(|((ip, _), _)| *ip == address.ip());
        there.map(|(_, workload)| workload).find(|workload| workload.is_meshed_at(address))
    }

    pub(crate) fn set_mesh(&mut self, mesh: &Arc<MeshConfig>) {
        self.mesh = Arc::clone(mesh);
    }

    /// Puts `new` in the place of `old`, the same workload.
    pub(crate) fn replace(&mut self, old: Option<&Arc<Workload>>, new: Option<&Arc<Workload>>) {
        for (ip, workload) in old.into_iter().flat_map(|old| addresses(old).map(move |ip| (ip, old))) {
            self.by_ip.remove(&(ip, workload.name.clone()));
        }
        for (ip, workload) in new.into_iter().flat_map(|new| addresses(new).map(move |ip| (ip, new))) {
            self.by_ip.insert((ip, workload.name.clone()), Arc::clone(workload));
        }
    }

    /// The addresses whose pods differ between `old` and this, in proportion to the difference; all of them where the
    /// mesh's settings do.
    pub(crate) fn changes(&self, old: &Self) -> BTreeSet<IpAddr> {
        if self.mesh != old.mesh {
            return self.by_ip.keys().chain(old.by_ip.keys()).map(|(ip, _)| *ip).collect();
        }
        let ip = |item| match item {
            DiffItem::Add((ip, _), _) | DiffItem::Remove((ip, _), _) => *ip,
            DiffItem::Update { new: ((ip, _), _), .. } => *ip,
        };
        old.by_ip.diff(&self.by_ip).map(ip).collect()
    }
}

/// Where a workload's sidecar answers.
fn addresses(workload: &Workload) -> impl Iterator<Item = IpAddr> {
    let (ips, inbound) = match &workload.capture {
        Capture::Outside => (&[][..], &[][..]),
        Capture::Redirected { .. } => (&*workload.ips, &[][..]),
        Capture::Explicit { inbound, .. } => (&[][..], &**inbound),
    };
    let called = inbound.iter().flat_map(|port| port.called(&workload.ips)).map(|address| address.ip());
    ips.iter().copied().chain(called)
}
