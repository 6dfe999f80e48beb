//! What a client is started with: who it is and where it finds the control plane. Everything else comes from there.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use serde_json::{Value, json};

/// A client before it knows anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// The Pod that it speaks for, `NAMESPACE/POD`: `node.id`.
    pub workload: String,
    /// Where xDS is spoken.
    pub server: Server,
    /// The roots of the control plane's certificate, PEM; `None` = plain text, for a loopback address.
    pub trust: Option<Source>,
    /// Proves to the control plane who the client is.
    pub token: Option<Source>,
    /// Where Envoy's admin interface listens. It is open to all who reach it.
    pub admin: SocketAddr,
    /// Whether only differences are sent, as a client that is told nothing else should ask for.
    pub delta: bool,
}

/// Whom a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// The control plane itself.
    Address(XdsAddress),
    /// An agent beside the client, at a Unix socket of this path: it passes everything on but secrets, which it has.
    Agent(String),
}

/// Where a client has a text from.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// It stands in the bootstrap.
    Inline(String),
    /// It stands in a file that the client reads: roots when it starts, a token whenever it connects.
    File(String),
}

/// `HOST:PORT`; IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XdsAddress {
    host: String,
    port: u16,
}

/// A text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address of a control plane: HOST:PORT is accepted, an IPv6 address in brackets")]
pub struct AddressError(String);

/// The name of the control plane's cluster in Envoy.
const XDS: &str = "xds";
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

impl Bootstrap {
    /// The usual client of `workload`: plain text, no token, admin on a port that the system chooses, differences.
    pub fn new(workload: impl fmt::Display, server: impl Into<Server>) -> Self {
        let admin = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { workload: workload.to_string(), server: server.into(), trust: None, token: None, admin, delta: true }
    }

    /// What `node` is.
    fn node(&self) -> Value {
        let namespace = self.workload.split('/').next();
        json!({ "id": self.workload, "cluster": namespace })
    }
}

/// The bootstrap of an Envoy, for `envoy -c FILE.yaml`: JSON, which is YAML too.
pub fn envoy(bootstrap: &Bootstrap) -> String {
    text(&of_envoy(bootstrap))
}

/// The same in one line, for `envoy --config-yaml`.
pub fn envoy_argument(bootstrap: &Bootstrap) -> String {
    of_envoy(bootstrap).to_string()
}

fn of_envoy(bootstrap: &Bootstrap) -> Value {
    let mut ads = json!({ "resource_api_version": "V3", "ads": {} });
    if matches!(bootstrap.server, Server::Agent(_)) {
        // It is live when it has its configuration, however late that comes: the agent tells a kubelet.
        ads["initial_fetch_timeout"] = json!("0s");
    }
    json!({
        "node": bootstrap.node(),
        "admin": { "address": socket_address(&bootstrap.admin.ip().to_string(), bootstrap.admin.port()) },
        "dynamic_resources": {
            "ads_config": {
                "api_type": if bootstrap.delta { "DELTA_GRPC" } else { "GRPC" },
                "transport_api_version": "V3",
                "set_node_on_first_message_only": true,
                "grpc_services": [grpc_service(bootstrap)],
            },
            "cds_config": ads,
            "lds_config": ads,
        },
        // Every few seconds it reports what it calls, for `byrnie stat`.
        "cluster_manager": {
            "load_stats_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [grpc_service(bootstrap)],
            },
        },
        "static_resources": { "clusters": [control_plane(bootstrap)] },
        "layered_runtime": { "layers": [
            // Envoy refuses a route whose regex is of more than 100 instructions, which one UUID is.
            { "name": "byrnie", "static_layer": { "re2.max_program_size.error_level": 32768 } },
            // What operators set on a running proxy by its admin interface.
            { "name": "admin", "admin_layer": {} },
        ] },
    })
}

/// The bootstrap of a proxyless gRPC client, for the file that `GRPC_XDS_BOOTSTRAP` names (gRFC A27). It holds no token
/// and no roots: gRPC takes neither from here, and proves a control plane with TLS by the roots of the system.
pub fn grpc(bootstrap: &Bootstrap) -> String {
    let credentials = if bootstrap.trust.is_some() { "tls" } else { "insecure" };
    text(&json!({
        "xds_servers": [{
            "server_uri": bootstrap.server.to_string(),
            "channel_creds": [{ "type": credentials }],
            "server_features": ["xds_v3"],
        }],
        "node": bootstrap.node(),
    }))
}

fn text(value: &Value) -> String {
    format!("{value:#}\n")
}

fn grpc_service(bootstrap: &Bootstrap) -> Value {
    let mut service = json!({ "envoy_grpc": { "cluster_name": XDS } });
    if let Some(Source::Inline(token)) = &bootstrap.token {
        service["initial_metadata"] = json!([{ "key": "authorization", "value": format!("Bearer {token}") }]);
    }
    if matches!(bootstrap.server, Server::Agent(_)) {
        // As long as the micro-proxy waits at most. Envoy's own 30 s would follow on those of an outage.
        service["envoy_grpc"]["retry_policy"] =
            json!({ "retry_back_off": { "base_interval": "0.2s", "max_interval": "10s" } });
    }
    service
}

fn control_plane(bootstrap: &Bootstrap) -> Value {
    let (address, is_name) = match &bootstrap.server {
        Server::Address(XdsAddress { host, port }) => (socket_address(host, *port), host.parse::<IpAddr>().is_err()),
        Server::Agent(path) => (json!({ "pipe": { "path": path } }), false),
    };
    let endpoint = json!({ "endpoint": { "address": address } });
    let mut cluster = json!({
        "name": XDS,
        "type": if is_name { "STRICT_DNS" } else { "STATIC" },
        "connect_timeout": "1s",
        // A name may lead to addresses of both families while the control plane listens on one.
        "dns_lookup_family": "ALL",
        "load_assignment": { "cluster_name": XDS, "endpoints": [{ "lb_endpoints": [endpoint] }] },
        "typed_extension_protocol_options": {
            HTTP_OPTIONS: {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {
                    // A control plane that vanished without closing is noticed, and another one is asked.
                    "http2_protocol_options": { "connection_keepalive": { "interval": "30s", "timeout": "5s" } },
                },
            },
        },
    });
    if let Some(Source::File(token)) = &bootstrap.token {
        cluster["typed_extension_protocol_options"][HTTP_OPTIONS]["http_filters"] =
            json!([token_of_file(token), upstream_codec()]);
    }
    if let (Some(roots), Server::Address(xds)) = (&bootstrap.trust, &bootstrap.server) {
        cluster["transport_socket"] = transport_socket(xds, roots);
    }
    cluster
}

/// Adds the token to each stream, as it stands in the file at that moment: the kubelet replaces it long before it
/// expires. Of Envoy 1.40's other ways `credential_injector` reads a file once (it watches only an SDS file, which the
/// kubelet does not write), and `%FILE_CONTENT()%` is not to be had in `initial_metadata`.
fn token_of_file(path: &str) -> Value {
    let path = lua_text(path);
    let code = format!(
        r#"function envoy_on_request(handle)
  local file, why = io.open({path})
  local token = file and (file:read("*a") or ""):match("%S+")
  if file then file:close() end
  if token then
    handle:headers():replace("authorization", "Bearer " .. token)
  else
    handle:logErr("no token to show to the control plane: " .. (why or {path} .. " is empty"))
  end
end
"#
    );
    json!({
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": { "inline_string": code },
        },
    })
}

/// A text as it is written in Lua (manual of 5.1, section 2.1).
fn lua_text(text: &str) -> String {
    let mut written = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => written.extend(['\\', c]),
            c if c.is_ascii_control() => written += &format!("\\{:03}", u32::from(c)),
            c => written.push(c),
        }
    }
    written + "\""
}

/// What the filters of a cluster have to end with.
fn upstream_codec() -> Value {
    json!({
        "name": "envoy.filters.http.upstream_codec",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
        },
    })
}

fn transport_socket(xds: &XdsAddress, roots: &Source) -> Value {
    let san_type = if xds.ip().is_some() { "IP_ADDRESS" } else { "DNS" };
    let san = json!({ "san_type": san_type, "matcher": { "exact": xds.host } });
    let mut context = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {
            // Envoy's client side stops at TLS 1.2 unless it is told otherwise.
            "tls_params": { "tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3" },
            "alpn_protocols": ["h2"],
            "validation_context": {
                "trusted_ca": roots.data_source(),
                "match_typed_subject_alt_names": [san],
            },
        },
    });
    // An address is no server name (RFC 6066, section 3).
    if xds.ip().is_none() {
        context["sni"] = json!(xds.host);
    }
    json!({ "name": "envoy.transport_sockets.tls", "typed_config": context })
}

fn socket_address(host: &str, port: u16) -> Value {
    json!({ "socket_address": { "address": host, "port_value": port } })
}

impl Source {
    fn data_source(&self) -> Value {
        match self {
            Self::Inline(text) => json!({ "inline_string": text }),
            Self::File(path) => json!({ "filename": path }),
        }
    }
}

impl XdsAddress {
    /// Whether it never leaves this machine: there the control plane is served in plain text.
    pub fn is_loopback(&self) -> bool {
        self.ip().map_or(self.host == "localhost", |ip| ip.is_loopback())
    }

    /// Whether nobody can call it: the address that listens on all interfaces.
    pub fn is_unspecified(&self) -> bool {
        self.ip().is_some_and(|ip| ip.is_unspecified())
    }

    fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl From<XdsAddress> for Server {
    fn from(address: XdsAddress) -> Self {
        Self::Address(address)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Agent(path) => write!(f, "unix:{path}"),
        }
    }
}

impl From<SocketAddr> for XdsAddress {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl FromStr for XdsAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        let wrong = || AddressError(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if host.is_empty() || !host.bytes().all(fits) {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port: port.parse().map_err(|_| wrong())? })
    }
}

impl fmt::Display for XdsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            Some(ip) => SocketAddr::new(ip, self.port).fmt(f),
            None => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("[redacted]"),
            Self::File(path) => path.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bootstrap(xds: &str) -> Bootstrap {
        Bootstrap::new("shop/cart-1", xds.parse::<XdsAddress>().unwrap())
    }

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn an_envoy_is_told_who_it_is_and_where_to_ask_and_nothing_secret_it_has_not() {
        let value = parsed(&envoy(&bootstrap("127.0.0.1:15010")));
        assert_eq!(value["node"], json!({ "id": "shop/cart-1", "cluster": "shop" }));
        let ads = &value["dynamic_resources"]["ads_config"];
        assert_eq!(ads["api_type"], "DELTA_GRPC");
        assert!(ads["grpc_services"][0].get("initial_metadata").is_none());
        let cluster = &value["static_resources"]["clusters"][0];
        assert_eq!(cluster["type"], "STATIC");
        assert!(cluster.get("transport_socket").is_none());
    }

    #[test]
    fn beside_an_agent_it_asks_at_a_socket_and_waits_for_as_long_as_it_takes() {
        let value = parsed(&envoy(&Bootstrap::new("shop/cart-1", Server::Agent("/run/xds.sock".to_owned()))));
        let resources = &value["dynamic_resources"];
        assert_eq!(resources["cds_config"]["initial_fetch_timeout"], "0s");
        assert_eq!(resources["lds_config"]["initial_fetch_timeout"], "0s");
        assert!(resources["ads_config"]["grpc_services"][0]["envoy_grpc"]["retry_policy"].is_object());
        let cluster = &value["static_resources"]["clusters"][0];
        let endpoint = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
        assert_eq!(
            (&cluster["type"], &endpoint["address"]["pipe"]["path"]),
            (&json!("STATIC"), &json!("/run/xds.sock"))
        );
    }

    #[test]
    fn a_token_travels_as_bearer_metadata_and_never_in_debug_output() {
        let bootstrap =
            Bootstrap { token: Some(Source::Inline("s3cret".to_owned())), delta: false, ..bootstrap("[::1]:15010") };
        let ads = &parsed(&envoy(&bootstrap))["dynamic_resources"]["ads_config"];
        assert_eq!(ads["api_type"], "GRPC");
        let metadata = json!([{ "key": "authorization", "value": "Bearer s3cret" }]);
        assert_eq!(ads["grpc_services"][0]["initial_metadata"], metadata);
        let reports = &parsed(&envoy(&bootstrap))["cluster_manager"]["load_stats_config"];
        assert_eq!(reports["grpc_services"][0]["initial_metadata"], metadata);
        assert!(!format!("{bootstrap:?}").contains("s3cret"));
    }

    #[test]
    fn a_host_name_is_resolved_and_with_tls_proven() {
        let bootstrap =
            Bootstrap { trust: Some(Source::Inline("PEM".to_owned())), ..bootstrap("byrnie.byrnie-system.svc:15012") };
        let cluster = &parsed(&envoy(&bootstrap))["static_resources"]["clusters"][0];
        assert_eq!(cluster["type"], "STRICT_DNS");
        let context = &cluster["transport_socket"]["typed_config"];
        assert_eq!(context["sni"], "byrnie.byrnie-system.svc");
        let validation = &context["common_tls_context"]["validation_context"];
        assert_eq!(validation["match_typed_subject_alt_names"][0]["san_type"], "DNS");
        assert_eq!(parsed(&grpc(&bootstrap))["xds_servers"][0]["channel_creds"][0]["type"], "tls");
    }

    #[test]
    fn a_token_in_a_file_is_read_for_each_stream_and_stands_nowhere_else() {
        let file = |path: &str| Some(Source::File(path.to_owned()));
        let xds = bootstrap("byrnie-control-plane.byrnie-system.svc:15012");
        let bootstrap = Bootstrap { trust: file("/roots/root.crt"), token: file("/a \"b\\c\n/token"), ..xds };
        let value = parsed(&envoy(&bootstrap));
        assert!(value["dynamic_resources"]["ads_config"]["grpc_services"][0].get("initial_metadata").is_none());
        let cluster = &value["static_resources"]["clusters"][0];
        let filters = &cluster["typed_extension_protocol_options"][HTTP_OPTIONS]["http_filters"];
        let code = filters[0]["typed_config"]["default_source_code"]["inline_string"].as_str().unwrap();
        assert!(code.contains(r#"io.open("/a \"b\\c\010/token")"#), "{code}");
        assert_eq!(filters[1]["name"], "envoy.filters.http.upstream_codec");
        let context = &cluster["transport_socket"]["typed_config"]["common_tls_context"];
        assert_eq!(context["validation_context"]["trusted_ca"], json!({ "filename": "/roots/root.crt" }));
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        assert_eq!("[::1]:15010".parse::<XdsAddress>().unwrap().to_string(), "[::1]:15010");
        assert_eq!("localhost:1".parse::<XdsAddress>().unwrap().to_string(), "localhost:1");
        for wrong in ["", "localhost", ":1", "localhost:http", "localhost:70000", "::1:15010x", "http://localhost:1"] {
            let error = wrong.parse::<XdsAddress>().expect_err(wrong).to_string();
            assert!(error.contains("HOST:PORT is accepted"), "{error}");
        }
    }
}
