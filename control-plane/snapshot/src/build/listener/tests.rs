use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use byrnie_identity::Account;
use byrnie_model::{
    Endpoint, EndpointState, InboundPort, MeshConfig, ObjectKind, Origin, PeerMode, PolicyName, Protocol, Served,
    ServiceEndpoints, ServiceKind, ServiceName, ServicePort, UnknownOutbound, Update, UpstreamPort, WorkloadName,
    policy::PeerPolicy,
};
use byrnie_proto::{
    Kind,
    envoy::envoy::{
        config::{
            cluster::v3::Cluster,
            listener::v3::{FilterChain, Listener, filter::ConfigType},
        },
        extensions::filters::{
            common::set_filter_state::v3::filter_state_value::SharedWithUpstream,
            network::{
                http_connection_manager::v3::HttpConnectionManager, set_filter_state::v3::Config as SetFilterState,
                tcp_proxy::v3::TcpProxy,
            },
        },
    },
};
use prost::{Message, Name};

use super::*;

fn service(name: &str, kind: ServiceKind, ports: &[(u16, Protocol)]) -> Service {
    let port = |&(number, protocol): &(u16, Protocol)| ServicePort { number, name: None, protocol };
    Service {
        name: ServiceName::new("shop", name),
        origin: Origin::of(ObjectKind::Service, "shop", name),
        kind,
        ports: ports.iter().map(port).collect(),
    }
}

fn virtual_at(ips: &[&str]) -> ServiceKind {
    ServiceKind::Virtual(ips.iter().map(|ip| ip.parse().unwrap()).collect())
}

fn workload(capture: Capture, served: &[(u16, Protocol)]) -> Workload {
    let entry =
        |&(port, protocol): &(u16, Protocol)| Served { port, protocol, service: ServiceName::new("shop", "cart") };
    Workload {
        name: WorkloadName::new("shop", "cart-1"),
        origin: Origin::of(ObjectKind::Pod, "shop", "cart-1"),
        uid: None,
        account: Account::new("shop", "cart"),
        labels: BTreeMap::new(),
        ips: vec!["10.1.0.1".parse().unwrap()],
        zone: None,
        capture,
        served: served.iter().map(entry).collect(),
    }
}

fn bound(protocol: Protocol) -> Workload {
    let inbound = InboundPort { listen: at("127.0.1.10:8080"), application: at("127.0.0.1:18080") };
    let upstream =
        |port: u16| UpstreamPort { listen: at("127.0.0.1:15101"), service: ServiceName::new("shop", "cart"), port };
    let capture = Capture::Explicit { inbound: vec![inbound], upstreams: vec![upstream(80)] };
    workload(capture, &[(8080, protocol)])
}

fn endpoint(address: &str, account: Option<&str>) -> Endpoint {
    let account = account.map(|name| Account::new("shop", name));
    Endpoint { address: at(address), state: EndpointState::Ready, account, workload: None, zone: None }
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn world(updates: impl IntoIterator<Item = Update>) -> World {
    World::default().apply(updates).0
}

fn with_service(service: &Service) -> World {
    world([Update::Service(service.name.clone(), Some(Arc::new(service.clone())))])
}

fn policy(mode: PeerMode, ports: &[(u16, PeerMode)]) -> Update {
    let policy = PeerPolicy {
        origin: Origin::of(ObjectKind::PeerPolicy, "shop", "peers"),
        created: 0,
        namespace: "shop".into(),
        selector: BTreeMap::new(),
        mode,
        ports: ports.iter().copied().collect(),
    };
    Update::PeerPolicy(PolicyName::new("shop", "peers"), Some(Arc::new(policy)))
}

fn listeners(resources: &[Resource]) -> Vec<Listener> {
    decode(resources, Kind::Listener)
}

fn clusters(resources: &[Resource]) -> Vec<Cluster> {
    decode(resources, Kind::Cluster)
}

fn decode<T: Message + Default>(resources: &[Resource], kind: Kind) -> Vec<T> {
    resources.iter().filter(|r| r.kind() == kind).map(|r| T::decode(&**r.body()).unwrap()).collect()
}

fn chain_names(listener: &Listener) -> Vec<&str> {
    listener.filter_chains.iter().map(|chain| &*chain.name).collect()
}

fn chain<'a>(listener: &'a Listener, name: &str) -> &'a FilterChain {
    listener.filter_chains.iter().find(|chain| chain.name == name).unwrap()
}

/// The configuration of the filter of type `T` in the chain.
fn filter<T: Message + Name + Default>(chain: &FilterChain) -> T {
    let configs = chain.filters.iter().filter_map(|filter| match &filter.config_type {
        Some(ConfigType::TypedConfig(any)) => Some(any),
        _ => None,
    });
    let found = configs.into_iter().find(|any| any.type_url == T::type_url()).unwrap();
    T::decode(&*found.value).unwrap()
}

fn offered(chain: &FilterChain) -> String {
    let state = filter::<SetFilterState>(chain).on_new_connection.remove(0);
    assert_eq!(state.shared_with_upstream(), SharedWithUpstream::Once);
    format!("{state:?}")
}

fn referred(resource: &Resource) -> Vec<(Kind, &str)> {
    resource.refers().iter().map(|reference| (reference.kind, &*reference.name)).collect()
}

#[test]
fn a_virtual_address_has_a_listener_a_port_that_takes_only_what_is_handed_to_it() {
    let cart = service("cart", virtual_at(&["10.96.0.5", "fd00::5"]), &[(80, Protocol::Http1), (90, Protocol::Tcp)]);
    let resources = outbound(&with_service(&cart), &cart);
    let names: Vec<_> = resources.iter().map(|resource| &**resource.name()).collect();
    assert_eq!(names, ["out/10.96.0.5:80", "out/[fd00::5]:80", "out/10.96.0.5:90", "out/[fd00::5]:90"]);
    assert!(listeners(&resources).iter().all(|listener| listener.bind_to_port.is_some_and(|bind| !bind.value)));
    assert_eq!(referred(&resources[0]), [(Kind::Route, "route/shop/cart:80")]);
    assert_eq!(referred(&resources[2]), [(Kind::Cluster, "shop/cart:90")]);
    assert_eq!(resources[0].origins(), [cart.origin]);
}

#[test]
fn a_declared_port_is_never_kept_waiting_by_detection() {
    for protocol in [Protocol::Http1, Protocol::Http2, Protocol::Grpc, Protocol::Tcp, Protocol::Tls] {
        let cart = service("cart", virtual_at(&["10.96.0.5"]), &[(80, protocol)]);
        let listener = listeners(&outbound(&with_service(&cart), &cart)).remove(0);
        assert!(listener.listener_filters.is_empty(), "{protocol}");
        let expected = if protocol.is_http() { "http" } else { "tcp" };
        assert_eq!(chain_names(&listener), [expected], "{protocol}");
    }
}

#[test]
fn an_undeclared_port_offers_what_was_detected_and_is_not_kept_waiting_for_long() {
    let cart = service("cart", virtual_at(&["10.96.0.5"]), &[(80, Protocol::Undeclared)]);
    let resources = outbound(&with_service(&cart), &cart);
    let listener = listeners(&resources).remove(0);
    assert!(offered(chain(&listener, "http1")).contains("\"byrnie-http,http/1.1\""));
    assert!(offered(chain(&listener, "http2")).contains("\"byrnie-http,h2\""));
    assert!(offered(chain(&listener, "tcp")).contains("\"byrnie-tcp\""));
    assert!(listener.continue_on_listener_filters_timeout);
    assert_eq!(listener.listener_filters_timeout.unwrap().nanos, 100_000_000);
    assert_eq!(referred(&resources[0]), [(Kind::Cluster, "shop/cart:80"), (Kind::Route, "route/shop/cart:80")]);
}

#[test]
fn a_pod_of_a_headless_service_is_called_itself_as_the_account_that_it_has() {
    let db = service("db", ServiceKind::Headless, &[(5432, Protocol::Tcp)]);
    let known =
        [endpoint("10.1.0.1:5432", Some("db")), endpoint("10.1.0.2:5432", None), endpoint("10.1.0.3:5432", Some("db"))];
    let endpoints = ServiceEndpoints { ports: [(5432, known.to_vec())].into() };
    let (world, _) = with_service(&db).apply([Update::Endpoints(db.name.clone(), Some(Arc::new(endpoints)))]);
    let resources = outbound(&world, &db);
    let clusters = clusters(&resources);
    assert_eq!(clusters.len(), 2);
    assert_eq!((&*clusters[0].name, clusters[0].transport_socket.is_some()), ("direct/shop/db:5432", false));
    assert_eq!((&*clusters[1].name, clusters[1].transport_socket.is_some()), ("direct/shop/db:5432/shop/db", true));
    let targets: Vec<_> = listeners(&resources)
        .iter()
        .map(|l| format!("{:?}", filter::<TcpProxy>(chain(l, "tcp")).cluster_specifier))
        .collect();
    assert!(targets[0].contains("\"direct/shop/db:5432/shop/db\""), "{targets:?}");
    assert!(targets[1].contains("\"direct/shop/db:5432\""), "{targets:?}");
    assert_eq!(&**resources[2].name(), "out/10.1.0.1:5432");
}

#[test]
fn a_permissive_port_takes_mesh_tls_foreign_tls_and_plain_text_and_a_strict_one_mesh_tls_only() {
    let shop = bound(Protocol::Http1);
    let own = |world: &World| listeners(&of_workload(world, &shop)).remove(0);
    let permissive = own(&World::default());
    assert_eq!(chain_names(&permissive), ["8080/byrnie-http", "8080/byrnie-tcp", "8080/tls", "8080/http"]);
    let secured: Vec<_> = permissive.filter_chains.iter().map(|chain| chain.transport_socket.is_some()).collect();
    assert_eq!(secured, [true, true, false, false]);
    let strict = own(&world([policy(PeerMode::Strict, &[])]));
    assert_eq!(chain_names(&strict), ["8080/byrnie-http", "8080/byrnie-tcp"]);
    assert!(strict.default_filter_chain.is_none());
    let excepted = own(&world([policy(PeerMode::Strict, &[(8080, PeerMode::Permissive)])]));
    assert_eq!(chain_names(&excepted), chain_names(&permissive));
}

#[test]
fn silence_is_taken_for_plain_text_soon_where_a_server_may_speak_first_and_never_where_it_is_refused() {
    let listener = |protocol, world: &World| listeners(&of_workload(world, &bound(protocol))).remove(0);
    let permissive = World::default();
    let strict = world([policy(PeerMode::Strict, &[])]);
    for protocol in [Protocol::Tcp, Protocol::Undeclared] {
        assert_eq!(listener(protocol, &permissive).listener_filters_timeout.unwrap().seconds, 1, "{protocol}");
    }
    assert_eq!(listener(Protocol::Http1, &permissive).listener_filters_timeout, None);
    assert!(listener(Protocol::Http1, &permissive).continue_on_listener_filters_timeout);
    let refused = listener(Protocol::Tcp, &strict);
    assert!(refused.listener_filters_timeout.is_none() && !refused.continue_on_listener_filters_timeout);
    let undeclared = listener(Protocol::Undeclared, &permissive);
    assert!(chain_names(&undeclared).ends_with(&["8080/tls", "8080/http", "8080/tcp"]));
    assert_eq!(undeclared.listener_filters.len(), 2);
}

#[test]
fn a_redirected_pod_takes_every_port_on_one_listener_and_calls_its_application_from_its_own_source() {
    let ports = [(8080, Protocol::Http1), (5432, Protocol::Tcp)];
    let world = world([policy(PeerMode::Permissive, &[(9000, PeerMode::Strict)])]);
    let resources = of_workload(&world, &workload(Capture::Redirected { excluded: Vec::new() }, &ports));
    let clusters = clusters(&resources);
    let names: Vec<_> = clusters.iter().map(|cluster| &*cluster.name).collect();
    assert_eq!(names, ["in/passthrough", "in/shop/cart-1:8080", "in/shop/cart-1:5432"]);
    assert!(clusters.iter().all(|cluster| cluster.upstream_bind_config.is_some()));
    let listener = listeners(&resources).remove(0);
    assert_eq!(listener.use_original_dst, None);
    assert!(listener.bind_to_port.is_none());
    let chains = chain_names(&listener);
    let strict: Vec<_> = chains.iter().filter(|name| name.starts_with("9000/")).collect();
    assert_eq!(strict, [&"9000/byrnie-http", &"9000/byrnie-tcp"]);
    assert!(chains.contains(&"any/tcp") && chains.contains(&"loop"), "{chains:?}");
    assert_eq!(chains.len(), chains.iter().collect::<BTreeSet<_>>().len());
    let listener = resources.last().unwrap();
    assert_eq!(listener.origins().len(), 2);
    assert_eq!(listener.refers().len(), 3);
}

#[test]
fn a_pod_with_ipv6_listens_on_both_families() {
    let mut pod = workload(Capture::Redirected { excluded: Vec::new() }, &[]);
    assert_eq!(listeners(&of_workload(&World::default(), &pod)).len(), 1);
    pod.ips.push("fd00::1".parse().unwrap());
    let listeners = listeners(&of_workload(&World::default(), &pod));
    assert_eq!(listeners.iter().map(|listener| &*listener.name).collect::<Vec<_>>(), ["in", "out"]);
    assert!(listeners.iter().all(|listener| listener.additional_addresses.len() == 1));
}

#[test]
fn in_explicit_mode_a_workload_binds_what_it_was_given_and_awaits_a_service_that_is_not_there() {
    let pod = bound(Protocol::Http1);
    let alone = of_workload(&World::default(), &pod);
    assert_eq!(alone.iter().map(|r| &**r.name()).collect::<Vec<_>>(), ["in/127.0.1.10:8080", "in/127.0.1.10:8080"]);
    let cart = service("cart", ServiceKind::Virtual(Vec::new()), &[(80, Protocol::Http1)]);
    let resources = of_workload(&with_service(&cart), &pod);
    let out = resources.last().unwrap();
    assert_eq!(&**out.name(), "out/127.0.0.1:15101");
    assert_eq!(out.origins(), [pod.origin, cart.origin]);
    assert!(listeners(&resources).iter().all(|listener| listener.bind_to_port.is_none()));
    let other = service("cart", ServiceKind::Virtual(Vec::new()), &[(81, Protocol::Http1)]);
    assert_eq!(of_workload(&with_service(&other), &bound(Protocol::Http1)).len(), 2);
}

#[test]
fn a_workload_outside_the_mesh_has_nothing() {
    assert_eq!(of_workload(&World::default(), &workload(Capture::Outside, &[(80, Protocol::Http1)])), []);
}

#[test]
fn an_unknown_address_is_passed_through_or_closed_as_the_mesh_says() {
    let refusing = MeshConfig { unknown_outbound: UnknownOutbound::Refuse, ..Default::default() };
    let refers = |world: &World| shared(world).last().unwrap().refers().len();
    assert_eq!(refers(&World::default()), 1);
    assert_eq!(refers(&world([Update::Mesh(Arc::new(refusing))])), 0);
}

#[test]
fn a_request_passes_both_sides_unchanged_and_steers_no_router() {
    let cart = service("cart", virtual_at(&["10.96.0.5"]), &[(80, Protocol::Http1)]);
    let out = listeners(&outbound(&with_service(&cart), &cart)).remove(0);
    let taken_in = listeners(&of_workload(&World::default(), &bound(Protocol::Http1))).remove(0);
    for chain in [chain(&out, "http"), chain(&taken_in, "8080/http")] {
        let manager: HttpConnectionManager = filter(chain);
        assert_eq!(manager.stream_idle_timeout, Some(Default::default()));
        assert_eq!(manager.use_remote_address.map(|used| used.value), Some(false));
        assert_eq!(manager.generate_request_id.map(|made| made.value), Some(false));
        assert!(manager.skip_xff_append && manager.preserve_external_request_id);
        assert!(manager.internal_address_config.is_none());
    }
    let manager: HttpConnectionManager = filter(chain(&taken_in, "8080/byrnie-http"));
    assert_eq!(manager.local_reply_config.unwrap().mappers.len(), 1);
}
