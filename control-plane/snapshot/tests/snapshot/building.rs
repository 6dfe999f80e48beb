use std::sync::Arc;

use byrnie_model::{
    Capture, EndpointState, Protocol, ServiceKind, Update, World,
    policy::{Balancer, HashKey},
    route::RouteKind,
};
use byrnie_proto::{
    Kind,
    envoy::envoy::config::{
        cluster::v3::{Cluster, cluster::LbPolicy},
        core::v3::HealthStatus,
        endpoint::v3::ClusterLoadAssignment,
        route::v3::{RouteConfiguration, route::Action, route_action::ClusterSpecifier},
    },
};
use byrnie_snapshot::{Builder, Built, Client, Dialect, Reference, Snapshot, View};
use prost::Message;

use crate::sample::{
    NAMESPACE, calling, endpoint, endpoints, mesh, name, policy, prefix, put, put_endpoints, route, rule, service,
    workload,
};

/// A mesh that moves on, update by update.
#[derive(Default)]
struct Moving {
    world: World,
    builder: Builder,
    snapshot: Snapshot,
}

impl Moving {
    fn from(updates: impl IntoIterator<Item = Update>) -> Self {
        let mut moving = Self::default();
        moving.apply(updates);
        moving
    }

    /// What was built for it.
    fn apply(&mut self, updates: impl IntoIterator<Item = Update>) -> Built {
        let before = self.builder.built();
        let (world, touched) = self.world.apply(updates);
        self.snapshot = self.builder.advance(world.clone(), &touched);
        self.world = world;
        let after = self.builder.built();
        Built {
            clusters: after.clusters - before.clusters,
            endpoints: after.endpoints - before.endpoints,
            listeners: after.listeners - before.listeners,
            routes: after.routes - before.routes,
        }
    }

    /// The names that differ from what stood before.
    fn changed(&mut self, updates: impl IntoIterator<Item = Update>) -> Vec<String> {
        let old = self.snapshot.clone();
        self.apply(updates);
        let text = |change: byrnie_snapshot::Change| format!("{} {}", change.kind, change.name);
        self.snapshot.changes(&old).into_iter().map(text).collect()
    }

    fn envoy<M: Message + Default>(&self, kind: Kind, name: &str) -> Option<M> {
        self.shown(&View::Dialect(Dialect::Envoy), kind, name)
    }

    fn shown<M: Message + Default>(&self, view: &View, kind: Kind, name: &str) -> Option<M> {
        Some(M::decode(self.snapshot.at(view, kind, name)?.body().clone()).unwrap())
    }

    fn names(&self, dialect: Dialect, kind: Kind) -> Vec<String> {
        let view = View::Dialect(dialect);
        self.snapshot.names(&view, kind).map(ToString::to_string).collect()
    }
}

fn nothing() -> Built {
    Built::default()
}

const HTTP: Protocol = Protocol::Http1;

fn cart() -> Moving {
    Moving::from([
        put(service("cart", &[(80, HTTP), (81, Protocol::Tcp)])),
        put_endpoints("cart", [(80, vec![endpoint("10.0.0.1:80=cart")]), (81, vec![endpoint("10.0.0.1:81=cart")])]),
        put(service("web", &[(80, HTTP)])),
    ])
}

fn cart_endpoints(http: &[&str]) -> Update {
    let http = http.iter().map(|text| endpoint(text)).collect();
    put_endpoints("cart", [(80, http), (81, vec![endpoint("10.0.0.1:81=cart")])])
}

#[test]
fn an_endpoint_of_a_known_account_rebuilds_one_resource() {
    let mut mesh = cart();
    let built = mesh.apply([cart_endpoints(&["10.0.0.1:80=cart", "10.0.0.2:80=cart"])]);
    assert_eq!(built, Built { endpoints: 1, ..nothing() });
}

#[test]
fn a_new_account_or_the_first_endpoint_outside_rebuilds_the_cluster_too() {
    let mut mesh = cart();
    let both = Built { endpoints: 1, clusters: 1, ..nothing() };
    assert_eq!(mesh.apply([cart_endpoints(&["10.0.0.1:80=cart", "10.0.0.2:80=other"])]), both);
    assert_eq!(mesh.apply([cart_endpoints(&["10.0.0.1:80=cart", "10.0.0.2:80=other", "10.0.0.3:80"])]), both);
    let more = ["10.0.0.1:80=cart", "10.0.0.2:80=other", "10.0.0.3:80", "10.0.0.4:80"];
    assert_eq!(mesh.apply([cart_endpoints(&more)]), Built { endpoints: 1, ..nothing() });
    let cluster: Cluster = mesh.envoy(Kind::Cluster, "shop/cart:80").unwrap();
    let sockets: Vec<_> = cluster.transport_socket_matches.iter().map(|socket| &*socket.name).collect();
    assert_eq!(sockets, ["shop/cart", "shop/other", "plain-text"]);
}

#[test]
fn a_route_rebuilds_routes_only_and_a_policy_clusters_and_routes() {
    let mut mesh = cart();
    let built = mesh.apply([route(RouteKind::Http, NAMESPACE, "cart", vec![rule(prefix("/"), &["web:80"])])]);
    assert_eq!((built.clusters, built.endpoints, built.listeners), (0, 0, 0));
    assert!(built.routes > 0);
    let built = mesh.apply([policy("cart", |policy| policy.panic_threshold = Some(20))]);
    assert!(built.clusters > 0 && built.routes > 0);
    assert_eq!(built.endpoints, 0);
}

#[test]
fn what_is_built_to_the_same_keeps_its_bytes_in_place() {
    let mut moving = cart();
    let at =
        |mesh: &Moving, kind, name| Arc::clone(mesh.snapshot.at(&View::Dialect(Dialect::Envoy), kind, name).unwrap());
    let before = at(&moving, Kind::Cluster, "shop/cart:80");
    let built = moving.apply([mesh(|_| ()), put(service("cart", &[(80, HTTP), (81, Protocol::Tcp), (82, HTTP)]))]);
    assert!(built.clusters >= 2);
    assert!(Arc::ptr_eq(&before, &at(&moving, Kind::Cluster, "shop/cart:80")));
}

#[test]
fn a_service_that_loses_a_port_or_goes_takes_its_resources_with_it() {
    let mut mesh = cart();
    let changed = mesh.changed([put(service("cart", &[(80, HTTP)]))]);
    assert_eq!(changed, ["CDS shop/cart:81", "LDS out/10.96.0.5:81", "EDS shop/cart:81"]);
    mesh.apply([Update::Service(name("cart"), None)]);
    let left: Vec<_> = mesh.snapshot.all().filter(|(_, resource)| resource.name().contains("cart")).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(mesh.names(Dialect::Envoy, Kind::Cluster).contains(&"shop/web:80".to_owned()));
}

#[test]
fn a_dns_alias_has_no_resources() {
    let mut mesh = cart();
    let alias =
        byrnie_model::Service { kind: ServiceKind::External("example.com".into()), ..service("cart", &[(80, HTTP)]) };
    mesh.apply([put(alias)]);
    assert!(!mesh.snapshot.all().any(|(_, resource)| resource.name().contains("cart")));
}

#[test]
fn two_services_at_one_address_show_the_first_by_name_and_then_the_other() {
    let mut mesh = cart();
    let owner = |mesh: &Moving| {
        let view = View::Dialect(Dialect::Envoy);
        mesh.snapshot.at(&view, Kind::Listener, "out/10.96.0.5:80").unwrap().origins()[0].object.name.to_string()
    };
    assert_eq!(owner(&mesh), "cart");
    mesh.apply([Update::Service(name("cart"), None)]);
    assert_eq!(owner(&mesh), "web");
    mesh.apply([put(service("cart", &[(80, HTTP)]))]);
    assert_eq!(owner(&mesh), "cart");
}

#[test]
fn a_port_without_endpoints_has_an_empty_assignment() {
    let mut mesh = cart();
    mesh.apply([Update::Endpoints(name("cart"), None)]);
    let assignment: ClusterLoadAssignment = mesh.shown(&View::Common, Kind::Endpoints, "shop/cart:80").unwrap();
    assert_eq!(assignment.cluster_name, "shop/cart:80");
    assert!(assignment.endpoints.is_empty());
}

#[test]
fn draining_endpoints_are_spared_while_a_ready_one_is_left() {
    let mut mesh = cart();
    let draining = |text| byrnie_model::Endpoint { state: EndpointState::Draining, ..endpoint(text) };
    let health = |mesh: &Moving| -> Vec<_> {
        let assignment: ClusterLoadAssignment = mesh.shown(&View::Common, Kind::Endpoints, "shop/cart:80").unwrap();
        assignment.endpoints[0].lb_endpoints.iter().map(|endpoint| endpoint.health_status()).collect()
    };
    mesh.apply([put_endpoints("cart", [(80, vec![draining("10.0.0.1:80"), endpoint("10.0.0.2:80")])])]);
    assert_eq!(health(&mesh), [HealthStatus::Draining, HealthStatus::Healthy]);
    mesh.apply([put_endpoints("cart", [(80, vec![draining("10.0.0.1:80")])])]);
    assert_eq!(health(&mesh), [HealthStatus::Healthy]);
}

#[test]
fn without_any_judgement_of_health_there_is_no_panic_into_draining_endpoints() {
    let mut mesh = cart();
    let panic = |mesh: &Moving| {
        let cluster: Cluster = mesh.envoy(Kind::Cluster, "shop/cart:80").unwrap();
        cluster.common_lb_config.unwrap().healthy_panic_threshold.unwrap().value
    };
    assert_eq!(panic(&mesh), 0.0);
    mesh.apply([policy("cart", |policy| {
        policy.outlier = Some(byrnie_model::policy::OutlierEjection {
            consecutive_errors: 3,
            interval: crate::sample::millis(1000),
            base_ejection_time: crate::sample::millis(1000),
            max_ejection_percent: 50,
            failure_percent: None,
        });
    })]);
    assert_eq!(panic(&mesh), 50.0);
}

#[test]
fn the_routes_of_a_service_follow_the_policy_of_the_service_that_they_lead_to() {
    let mut mesh = cart();
    mesh.apply([route(RouteKind::Http, NAMESPACE, "web", vec![rule(prefix("/"), &["cart:80"])])]);
    let hashes = |mesh: &Moving| {
        let routes: RouteConfiguration = mesh.envoy(Kind::Route, "route/shop/web:80").unwrap();
        let Some(Action::Route(action)) = &routes.virtual_hosts[0].routes[0].action else { panic!("{routes:?}") };
        action.hash_policy.len()
    };
    assert_eq!(hashes(&mesh), 0);
    let ring = Balancer::RingHash { key: HashKey::Header("x-user".into()), minimum_ring_size: None };
    mesh.apply([policy("cart", |policy| policy.balancer = Some(ring))]);
    assert_eq!(hashes(&mesh), 1);
}

#[test]
fn a_consumer_route_is_shown_to_its_namespace_alone() {
    let mut mesh = cart();
    mesh.apply([route(RouteKind::Http, "bank", "cart", vec![rule(prefix("/"), &["web:80"])])]);
    let target = |namespace: &str| {
        let client = Client { workload: byrnie_model::WorkloadName::new(namespace, "x"), dialect: Dialect::Envoy };
        let resource = mesh.snapshot.find(&client, Kind::Route, "route/shop/cart:80").unwrap();
        let routes = RouteConfiguration::decode(resource.body().clone()).unwrap();
        let Some(Action::Route(action)) = routes.virtual_hosts[0].routes[0].action.clone() else { panic!() };
        let Some(ClusterSpecifier::Cluster(cluster)) = action.cluster_specifier else { panic!() };
        assert_eq!(resource.refers(), [Reference { kind: Kind::Cluster, name: cluster.as_str().into() }]);
        cluster
    };
    assert_eq!((target("bank").as_str(), target("shop").as_str()), ("shop/web:80", "shop/cart:80"));
    mesh.apply([Update::Route(byrnie_model::RouteName::new(RouteKind::Http, "bank", "cart"), None)]);
    let view = View::Namespace(Dialect::Envoy, "bank".into());
    assert!(mesh.snapshot.at(&view, Kind::Route, "route/shop/cart:80").is_none());
}

#[test]
fn a_share_that_leads_nowhere_gets_its_error_by_weight() {
    let mut mesh = cart();
    mesh.apply([route(RouteKind::Http, NAMESPACE, "web", vec![rule(prefix("/"), &["cart:80*1", "gone:80*3"])])]);
    let routes: RouteConfiguration = mesh.envoy(Kind::Route, "route/shop/web:80").unwrap();
    let [first, second] = &*routes.virtual_hosts[0].routes else { panic!("{routes:?}") };
    let share = |route: &byrnie_proto::envoy::envoy::config::route::v3::Route| {
        let fraction = route.r#match.as_ref()?.runtime_fraction.as_ref()?;
        fraction.default_value.as_ref().map(|share| share.numerator)
    };
    assert!(matches!(first.action, Some(Action::Route(_))));
    assert_eq!(share(first), Some(250_000));
    assert!(matches!(&second.action, Some(Action::DirectResponse(answer)) if answer.status == 500));
    assert_eq!(share(second), None, "what is left");
}

#[test]
fn a_listener_of_a_workload_follows_the_service_that_it_calls() {
    let mut mesh = cart();
    mesh.apply([workload("caller", calling("late", 80))]);
    let built = mesh.apply([put(service("late", &[(80, HTTP)]))]);
    assert!(built.listeners > 0);
    let view = View::Workload(byrnie_model::WorkloadName::new(NAMESPACE, "caller"));
    assert_eq!(mesh.snapshot.names(&view, Kind::Listener).count(), 1);
    mesh.apply([workload("caller", Capture::Outside)]);
    assert_eq!(mesh.snapshot.names(&view, Kind::Listener).count(), 0);
}

#[test]
fn a_headless_services_listeners_follow_its_pods() {
    let mut mesh = cart();
    let headless = byrnie_model::Service { kind: ServiceKind::Headless, ..service("db", &[(5432, Protocol::Tcp)]) };
    mesh.apply([put(headless), endpoints("db", 5432, &["10.0.0.7:5432=db"])]);
    let listeners = |mesh: &Moving| mesh.names(Dialect::Envoy, Kind::Listener);
    assert!(listeners(&mesh).contains(&"out/10.0.0.7:5432".to_owned()));
    mesh.apply([endpoints("db", 5432, &["10.0.0.8:5432=db"])]);
    assert!(listeners(&mesh).contains(&"out/10.0.0.8:5432".to_owned()));
    assert!(!listeners(&mesh).contains(&"out/10.0.0.7:5432".to_owned()));
}

#[test]
fn grpc_clients_find_a_service_by_each_of_its_names_and_others_do_not() {
    let mesh = Moving::from([put(service("api", &[(50, Protocol::Grpc), (80, HTTP), (81, Protocol::Tcp)]))]);
    let names = mesh.names(Dialect::Grpc, Kind::Listener);
    assert_eq!(names, ["api.shop.svc.cluster.local:50", "api.shop.svc:50", "api.shop:50"]);
    let find = |namespace: &str, dialect| {
        let client = Client { workload: byrnie_model::WorkloadName::new(namespace, "x"), dialect };
        mesh.snapshot.find(&client, Kind::Listener, "api:50").is_some()
    };
    assert!(find(NAMESPACE, Dialect::Grpc));
    assert!(!find("bank", Dialect::Grpc));
    assert!(!find(NAMESPACE, Dialect::Envoy));
    assert_eq!(mesh.names(Dialect::Grpc, Kind::Cluster), ["shop/api:50", "shop/api:80"], "no bytes");
}

#[test]
fn a_grpc_cluster_has_no_transport_sockets_and_a_balancer_that_grpc_knows() {
    let mut mesh =
        Moving::from([put(service("api", &[(50, Protocol::Grpc)])), endpoints("api", 50, &["10.0.0.1:50=a"])]);
    let maglev = Balancer::Maglev { key: HashKey::Source, table_size: None };
    mesh.apply([policy("api", |policy| policy.balancer = Some(maglev))]);
    let cluster: Cluster = mesh.shown(&View::Dialect(Dialect::Grpc), Kind::Cluster, "shop/api:50").unwrap();
    assert!(cluster.transport_socket_matches.is_empty() && cluster.transport_socket.is_none());
    assert_eq!(cluster.lb_policy(), LbPolicy::RingHash);
}
