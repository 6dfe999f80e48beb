use std::time::{Duration, Instant, UNIX_EPOCH};

use byrnie_proto::envoy::{
    envoy::{
        config::{
            cluster::v3::{
                Cluster,
                cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig, LbPolicy},
            },
            core::v3::{
                Address, AggregatedConfigSource, ApiVersion, ConfigSource, Node, SocketAddress, TrafficDirection,
                address, config_source::ConfigSourceSpecifier, socket_address::PortSpecifier,
            },
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
            },
            listener::v3::{Filter, FilterChain, Listener, filter},
        },
        extensions::filters::network::tcp_proxy::v3::{TcpProxy, tcp_proxy},
        service::discovery::v3::{DeltaDiscoveryResponse, Resource},
    },
    google::protobuf::{self, Any, BoolValue},
};
use byrnie_xds::{Client, Listeners};
use prost::{Message, Name};

use super::*;
use crate::identity::testing::{Authority, CART};

/// What a control plane sent, in its order.
struct Sent {
    client: Client,
    now: Instant,
}

impl Sent {
    fn new() -> Self {
        let mut client = Client::new(Node::default(), &Listeners::All, false);
        let now = Instant::now();
        client.on_connected(now);
        while client.next_request().is_some() {}
        Self { client, now }
    }

    fn send<M: Message>(&mut self, kind: Kind, name: &str, version: &str, message: &M) {
        let any = Any { type_url: kind.type_url().to_owned(), value: message.encode_to_vec() };
        let resource =
            Resource { name: name.to_owned(), version: version.to_owned(), resource: Some(any), ..Default::default() };
        let response = DeltaDiscoveryResponse {
            type_url: kind.type_url().to_owned(),
            resources: vec![resource],
            nonce: version.to_owned(),
            ..Default::default()
        };
        self.client.on_response(response, self.now);
        while self.client.next_request().is_some() {}
    }
}

fn address(port: u32) -> Option<Address> {
    let port_specifier = Some(PortSpecifier::PortValue(port));
    let socket = SocketAddress { address: "127.0.0.1".to_owned(), port_specifier, ..Default::default() };
    Some(Address { address: Some(address::Address::SocketAddress(socket)) })
}

fn listener() -> Listener {
    let cluster_specifier = Some(tcp_proxy::ClusterSpecifier::Cluster("shop/cart:80".to_owned()));
    let proxy = TcpProxy { stat_prefix: "out/shop/cart_80".to_owned(), cluster_specifier, ..Default::default() };
    let config = Any { type_url: TcpProxy::type_url(), value: proxy.encode_to_vec() };
    let filter = Filter { name: TcpProxy::NAME.to_owned(), config_type: Some(filter::ConfigType::TypedConfig(config)) };
    Listener {
        name: "out/127.0.0.1:80".to_owned(),
        address: address(80),
        bind_to_port: Some(BoolValue { value: false }),
        traffic_direction: TrafficDirection::Outbound.into(),
        default_filter_chain: Some(FilterChain { filters: vec![filter], ..Default::default() }),
        ..Default::default()
    }
}

fn cluster(policy: LbPolicy) -> Cluster {
    let ads = ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..Default::default()
    };
    Cluster {
        name: "shop/cart:80".to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig { eds_config: Some(ads), ..Default::default() }),
        connect_timeout: Some(protobuf::Duration { seconds: 0, nanos: 250_000_000 }),
        lb_policy: policy.into(),
        ..Default::default()
    }
}

fn assignment() -> ClusterLoadAssignment {
    let endpoint = Endpoint { address: address(8080), ..Default::default() };
    let endpoint = LbEndpoint { host_identifier: Some(HostIdentifier::Endpoint(endpoint)), ..Default::default() };
    let locality = LocalityLbEndpoints { lb_endpoints: vec![endpoint], ..Default::default() };
    ClusterLoadAssignment { cluster_name: "shop/cart:80".to_owned(), endpoints: vec![locality], ..Default::default() }
}

fn sent() -> Sent {
    let mut sent = Sent::new();
    sent.send(Kind::Listener, "out/127.0.0.1:80", "l1", &listener());
    sent.send(Kind::Cluster, "shop/cart:80", "c1", &cluster(LbPolicy::Random));
    sent.send(Kind::Endpoints, "shop/cart:80", "e1", &assignment());
    sent
}

fn dumped(sent: &Sent, identity: Option<&Identity>, show: impl FnOnce(&Dump<'_>) -> Value) -> Value {
    let resources = sent.client.resources();
    let updated = Updated::default();
    updated.note(resources, UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    show(&Dump { resources, updated: &updated, identity, node: "shop/web-1", started: UNIX_EPOCH })
}

#[test]
fn a_list_is_shown_as_envoy_shows_it() {
    let sent = sent();
    let list = |name: &'static str| dumped(&sent, None, |dump| dump.section(name).unwrap())["configs"].clone();
    assert_eq!(
        list("dynamic_active_clusters"),
        json!([{
            "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.DynamicCluster",
            "version_info": "c1",
            "last_updated": "2027-01-15T08:00:00Z",
            "cluster": {
                "name": "shop/cart:80",
                "type": "EDS",
                "eds_cluster_config": { "eds_config": { "ads": {} }, "service_name": "shop/cart:80" },
                "connect_timeout": "0.250s",
                "lb_policy": "RANDOM",
                "common_lb_config": { "healthy_panic_threshold": { "value": 50 } },
                "circuit_breakers": { "thresholds": [{
                    "max_connections": 1024, "max_pending_requests": 1024, "max_requests": 1024, "max_retries": 3,
                }] },
                "typed_extension_protocol_options": {
                    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                        "common_http_protocol_options": { "idle_timeout": "3600s" },
                        "explicit_http_config": { "http_protocol_options": {} },
                    },
                },
            },
        }])
    );
    let listeners = list("dynamic_listeners");
    let [listener] = &listeners.as_array().unwrap()[..] else { panic!("one listener") };
    assert_eq!(listener["name"], "out/127.0.0.1:80");
    let state = &listener["active_state"];
    assert_eq!((&state["version_info"], &state["listener"]["bind_to_port"]), (&"l1".into(), &false.into()));
    let filter = &state["listener"]["default_filter_chain"]["filters"][0];
    assert_eq!(filter["typed_config"]["cluster"], "shop/cart:80");
    let endpoints = list("dynamic_endpoint_configs");
    let endpoint = &endpoints[0]["endpoint_config"]["endpoints"][0]["lb_endpoints"][0];
    assert_eq!(endpoint["endpoint"]["address"]["socket_address"]["port_value"], 8080);
    assert!(dumped(&sent, None, |dump| dump.section("nothing").unwrap_or_default()).is_null());
}

#[test]
fn what_was_refused_stands_beside_what_serves() {
    let mut sent = sent();
    sent.send(Kind::Cluster, "shop/cart:80", "c2", &cluster(LbPolicy::Maglev));
    let mut wrong = listener();
    wrong.name = "out/127.0.0.1:81".to_owned();
    wrong.address = None;
    sent.send(Kind::Listener, "out/127.0.0.1:81", "l2", &wrong);
    let list = |name: &'static str| dumped(&sent, None, |dump| dump.section(name).unwrap())["configs"].clone();
    let clusters = list("dynamic_active_clusters");
    assert_eq!((&clusters[0]["version_info"], &clusters[0]["cluster"]["lb_policy"]), (&"c1".into(), &"RANDOM".into()));
    assert_eq!(clusters[0]["error_state"]["version_info"], "c2");
    assert!(clusters[0]["error_state"]["details"].as_str().unwrap().contains("lb_policy"), "{clusters}");
    let listeners = list("dynamic_listeners");
    assert_eq!(listeners.as_array().unwrap().len(), 2);
    assert!(listeners[0].get("error_state").is_none());
    assert_eq!(
        (&listeners[1]["name"], &listeners[1]["error_state"]["version_info"]),
        (&"out/127.0.0.1:81".into(), &"l2".into())
    );
}

#[test]
fn the_whole_dump_has_every_list_and_no_key() {
    let authority = Authority::new();
    let identity = authority.identity(CART, Duration::from_secs(3_600));
    let dump = dumped(&sent(), Some(&identity), |dump| dump.whole());
    let kinds: Vec<_> = dump["configs"].as_array().unwrap().iter().map(|one| one["@type"].as_str().unwrap()).collect();
    let expected = ["Bootstrap", "Clusters", "Endpoints", "Listeners", "Routes", "Secrets"];
    assert_eq!(kinds, expected.map(|kind| format!("type.googleapis.com/envoy.admin.v3.{kind}ConfigDump")));
    assert_eq!(dump["configs"][0]["bootstrap"]["node"]["id"], "shop/web-1");
    let secrets = &dump["configs"][5]["dynamic_active_secrets"];
    assert_eq!(secrets[0]["secret"]["tls_certificate"]["private_key"]["inline_string"], "[redacted]");
    assert_eq!(secrets[1]["name"], "trust");
    assert!(!dump.to_string().contains("BEGIN"));
}

#[test]
fn a_resource_keeps_its_time_until_its_version_changes() {
    let mut sent = sent();
    let updated = Updated::default();
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let cluster_at = |updated: &Updated| updated.at(Kind::Cluster, &"shop/cart:80".into());
    updated.note(sent.client.resources(), at(1));
    sent.send(Kind::Endpoints, "shop/cart:80", "e2", &assignment());
    updated.note(sent.client.resources(), at(2));
    assert_eq!(cluster_at(&updated), Some(at(1)));
    assert_eq!(updated.at(Kind::Endpoints, &"shop/cart:80".into()), Some(at(2)));
    sent.send(Kind::Cluster, "shop/cart:80", "c2", &cluster(LbPolicy::LeastRequest));
    updated.note(sent.client.resources(), at(3));
    assert_eq!(cluster_at(&updated), Some(at(3)));
    updated.note(&Resources::default(), at(4));
    assert_eq!(cluster_at(&updated), None);
}

#[test]
fn durations_are_written_as_protobuf_does() {
    assert_eq!(duration(Duration::from_secs(3)), "3s");
    assert_eq!(duration(Duration::from_millis(1_050)), "1.050s");
    assert_eq!(duration(Duration::from_micros(25)), "0.000025000s");
    assert_eq!(limit(None), "0s");
}
