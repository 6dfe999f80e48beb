//! One resource of any kind.

use std::{collections::BTreeSet, sync::Arc};

use byrnie_proto::{
    Kind,
    envoy::envoy::config::{
        cluster::v3::Cluster as WireCluster, endpoint::v3::ClusterLoadAssignment,
        listener::v3::Listener as WireListener, route::v3::RouteConfiguration,
    },
};
use prost::Message;

use crate::{
    Cluster, Discovery, Endpoints, Listener, Refused, RouteTable,
    fields::At,
    listener::{Filter, Routes},
    route::Action,
};

/// A resource that was read and can be honoured.
#[derive(Clone, Debug)]
pub enum Resource {
    /// LDS.
    Listener(Arc<Listener>),
    /// RDS.
    Route(Arc<RouteTable>),
    /// CDS.
    Cluster(Arc<Cluster>),
    /// EDS.
    Endpoints(Arc<Endpoints>),
}

/// What a resource needs before it can serve.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Of which kind.
    pub kind: Kind,
    /// By which name.
    pub name: Arc<str>,
}

impl Resource {
    /// Reads the message `body` of a resource of `kind`, which has to be of this `name`.
    pub fn read(kind: Kind, name: &str, body: &[u8]) -> Result<Self, Refused> {
        let at = &At::ROOT;
        match kind {
            Kind::Listener => {
                let wire: WireListener = decode(body)?;
                named(&wire.name, name, "name")?;
                Ok(Self::Listener(Arc::new(Listener::read(&wire, at)?)))
            }
            Kind::Route => {
                let wire: RouteConfiguration = decode(body)?;
                named(&wire.name, name, "name")?;
                Ok(Self::Route(Arc::new(RouteTable::read(&wire, at)?)))
            }
            Kind::Cluster => {
                let wire: WireCluster = decode(body)?;
                named(&wire.name, name, "name")?;
                Ok(Self::Cluster(Arc::new(Cluster::read(&wire, at)?)))
            }
            Kind::Endpoints => {
                let wire: ClusterLoadAssignment = decode(body)?;
                named(&wire.cluster_name, name, "cluster_name")?;
                Ok(Self::Endpoints(Arc::new(Endpoints::read(&wire, at)?)))
            }
            Kind::Secret => Err(at.refuse("secrets are not taken: the proxy makes its own key")),
        }
    }

    /// What has to be there first: routes and clusters of a listener, clusters of a route, endpoints of a cluster.
    /// Each once.
    pub fn references(&self) -> Vec<Reference> {
        let mut found = BTreeSet::new();
        match self {
            Self::Listener(listener) => {
                for chain in listener.chains.iter().chain(&listener.default) {
                    of_filter(&chain.filter, &mut found);
                }
            }
            Self::Route(table) => of_table(table, &mut found),
            Self::Cluster(cluster) => {
                if let Discovery::Eds(name) = &cluster.discovery {
                    found.insert(Reference { kind: Kind::Endpoints, name: name.clone() });
                }
            }
            Self::Endpoints(_) => {}
        }
        found.into_iter().collect()
    }
}

fn of_filter(filter: &Filter, found: &mut BTreeSet<Reference>) {
    match filter {
        Filter::Http(http) => match &http.routes {
            Routes::Named(name) => drop(found.insert(Reference { kind: Kind::Route, name: name.clone() })),
            Routes::Inline(table) => of_table(table, found),
        },
        Filter::Tcp(tcp) => {
            let clusters = tcp.clusters.iter().map(|(name, _)| Reference { kind: Kind::Cluster, name: name.clone() });
            found.extend(clusters);
        }
        Filter::Close => {}
    }
}

fn of_table(table: &RouteTable, found: &mut BTreeSet<Reference>) {
    for route in table.routes() {
        if let Action::Forward(forward) = &route.action {
            let name = |target: &crate::Target| target.cluster.clone();
            found.extend(forward.targets.iter().map(|to| Reference { kind: Kind::Cluster, name: name(to) }));
        }
    }
}

fn decode<T: Message + Default>(body: &[u8]) -> Result<T, Refused> {
    T::decode(body).map_err(|error| At::ROOT.refuse(error.to_string()))
}

/// A client would look for it by one name and find it under the other.
fn named(found: &str, name: &str, field: &'static str) -> Result<(), Refused> {
    if found == name { Ok(()) } else { Err(At::ROOT.field(field).unlike(found, name)) }
}

#[cfg(test)]
mod tests {
    use byrnie_proto::envoy::envoy::config::route::v3::{
        Route, RouteAction, RouteMatch, VirtualHost, WeightedCluster, route, route_action::ClusterSpecifier,
        route_match::PathSpecifier, weighted_cluster::ClusterWeight,
    };

    use super::*;
    use crate::value::testing::set;

    fn table() -> RouteConfiguration {
        let to = |name: &str| ClusterWeight { name: name.to_owned(), weight: set(1), ..Default::default() };
        let weighted = WeightedCluster { clusters: vec![to("b"), to("a"), to("b")], ..Default::default() };
        let action =
            RouteAction { cluster_specifier: Some(ClusterSpecifier::WeightedClusters(weighted)), ..Default::default() };
        let path = RouteMatch { path_specifier: Some(PathSpecifier::Prefix("/".to_owned())), ..Default::default() };
        let one = Route { r#match: Some(path), action: Some(route::Action::Route(action)), ..Default::default() };
        let host = VirtualHost {
            name: "h".to_owned(),
            domains: vec!["*".to_owned()],
            routes: vec![one],
            ..Default::default()
        };
        RouteConfiguration { name: "route/x".to_owned(), virtual_hosts: vec![host], ..Default::default() }
    }

    #[test]
    fn a_table_refers_to_each_cluster_once() {
        let read = Resource::read(Kind::Route, "route/x", &table().encode_to_vec()).unwrap();
        let names: Vec<_> = read.references().into_iter().map(|to| (to.kind, to.name.to_string())).collect();
        assert_eq!(names, [(Kind::Cluster, "a".to_owned()), (Kind::Cluster, "b".to_owned())]);
    }

    #[test]
    fn a_resource_is_what_it_is_sent_as() {
        let body = table().encode_to_vec();
        let error = Resource::read(Kind::Route, "route/y", &body).unwrap_err().to_string();
        assert_eq!(error, "name: found \"route/x\"; accepted: route/y");
        assert!(Resource::read(Kind::Route, "route/x", &body[..body.len() - 1]).is_err());
        assert!(Resource::read(Kind::Secret, "workload", &[]).is_err());
    }
}
