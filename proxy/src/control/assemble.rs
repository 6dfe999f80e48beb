//! From what the control plane sent to what the workers work by.

use std::sync::Arc;

use byrnie_balance::{Breakers, Hosts, Member};
use byrnie_config::{Cluster, Discovery, Endpoints, Listener};
use byrnie_xds::Resources;

use crate::config::{ByAddress, Config, Named, Upstream};

/// The configuration after `before`. What did not change is shared with it. Without an identity (`has_identity`)
/// listeners with TLS are left out: they could only fail.
pub fn assemble(before: &Config, resources: &Resources, has_identity: bool) -> Config {
    let upstreams = resources.clusters.iter().map(|(name, cluster)| {
        let endpoints = endpoints(cluster, &resources.endpoints);
        (Arc::clone(name), upstream(before.upstreams.get(name), cluster, endpoints))
    });
    Config {
        generation: before.generation + 1,
        warm: resources.warm,
        has_identity,
        listeners: listeners(&resources.listeners, has_identity),
        absent: Arc::clone(&resources.absent),
        routes: Arc::clone(&resources.routes),
        upstreams: upstreams.collect(),
    }
}

fn listeners(all: &Arc<Named<Listener>>, has_identity: bool) -> Arc<Named<Listener>> {
    if has_identity {
        return Arc::clone(all);
    }
    let is_plain =
        |listener: &Listener| listener.chains.iter().chain(&listener.default).all(|chain| chain.tls.is_none());
    let plain = all.iter().filter(|(_, listener)| is_plain(listener));
    Arc::new(plain.map(|(name, listener)| (Arc::clone(name), Arc::clone(listener))).collect())
}

/// Those of a cluster; none where EDS has no answer yet.
fn endpoints(cluster: &Cluster, known: &Named<Endpoints>) -> Option<Arc<Endpoints>> {
    match &cluster.discovery {
        Discovery::Eds(name) => known.get(name).cloned(),
        Discovery::Static(endpoints) => Some(Arc::clone(endpoints)),
        Discovery::OriginalDestination => None,
    }
}

fn upstream(
    before: Option<&Arc<Upstream>>,
    cluster: &Arc<Cluster>,
    endpoints: Option<Arc<Endpoints>>,
) -> Arc<Upstream> {
    let Some(before) = before else {
        let (hosts, breakers) = (Hosts::new(cluster.first_check), Breakers::new(cluster.limits));
        return Arc::new(with(&hosts, breakers.into(), cluster, endpoints));
    };
    let same_cluster = is_same(&before.cluster, cluster);
    let same_endpoints = match &endpoints {
        Some(endpoints) => is_same(&before.endpoints, endpoints),
        None => before.endpoints.list.is_empty(),
    };
    if same_cluster && same_endpoints { Arc::clone(before) } else { Arc::new(next(before, cluster, endpoints)) }
}

/// The control plane may send again what it sent before.
fn is_same<T: PartialEq>(one: &Arc<T>, other: &Arc<T>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

fn next(before: &Upstream, cluster: &Arc<Cluster>, endpoints: Option<Arc<Endpoints>>) -> Upstream {
    let fresh = || Breakers::new(cluster.limits).into();
    let same_limits = before.cluster.limits == cluster.limits;
    let breakers = if same_limits { Arc::clone(&before.breakers) } else { fresh() };
    // Hosts that nobody checked yet, or that nobody checks any more, begin anew.
    match before.cluster.first_check == cluster.first_check {
        true => with(&before.hosts, breakers, cluster, endpoints),
        false => with(&before.hosts.anew(cluster.first_check), breakers, cluster, endpoints),
    }
}

fn with(
    hosts: &Hosts<ByAddress>,
    breakers: Arc<Breakers>,
    cluster: &Arc<Cluster>,
    endpoints: Option<Arc<Endpoints>>,
) -> Upstream {
    let endpoints = endpoints.unwrap_or_default();
    Upstream { cluster: Arc::clone(cluster), hosts: hosts.update(members(&endpoints)), endpoints, breakers }
}

fn members(endpoints: &Endpoints) -> impl Iterator<Item = Member<ByAddress>> {
    endpoints.list.iter().map(|endpoint| Member {
        key: ByAddress(endpoint.clone()),
        weight: endpoint.weight,
        reported: endpoint.reported,
    })
}

#[cfg(test)]
mod tests;
