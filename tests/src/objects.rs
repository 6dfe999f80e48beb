//! Kubernetes objects as text, for tests that are not about the text.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// A Pod in explicit mode.
#[derive(Clone, Debug)]
pub struct Pod {
    namespace: String,
    name: String,
    account: String,
    app: String,
    ip: IpAddr,
    inbound: Vec<String>,
    upstreams: Vec<(SocketAddr, String)>,
    annotations: Vec<String>,
    labels: Vec<String>,
    sidecar: &'static str,
    ready: bool,
}

/// A loopback address that nobody else has: not another test of this process, not another process of the tests. So
/// ports can be the ones that users know, and none is lost to somebody else between choosing and binding it.
pub fn address() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    IpAddr::V4(Ipv4Addr::new(127, NETWORK.0, (n / 250) as u8, (n % 250 + 1) as u8))
}

/// 127.N.0.0/16 is this process's as long as it holds the port that claims it. A network where programs of a test that
/// was killed still listen is nobody's.
static NETWORK: LazyLock<(u8, TcpListener)> = LazyLock::new(|| {
    let claim = |n: u8| Some((n, TcpListener::bind((Ipv4Addr::new(127, n, 255, 254), 15999)).ok()?));
    let is_free = |(n, _): &(u8, TcpListener)| listeners(*n) == 1;
    (20..=250).filter_map(claim).find(is_free).expect("fewer than 230 processes run tests")
});

/// How many sockets listen in 127.N.0.0/16: proc_net(5) writes addresses as numbers of the machine's order, and state 0A
/// is LISTEN.
fn listeners(n: u8) -> usize {
    let network = u32::from_ne_bytes([127, n, 0, 0]);
    let mask = u32::from_ne_bytes([255, 255, 0, 0]);
    let is_ours = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        let address = fields.next().and_then(|local| u32::from_str_radix(local.split(':').next()?, 16).ok());
        address.is_some_and(|address| address & mask == network) && fields.nth(1) == Some("0A")
    };
    std::fs::read_to_string("/proc/net/tcp").expect("Linux").lines().filter(is_ours).count()
}

/// A port of an address that nobody else has.
pub fn free_address(port: u16) -> SocketAddr {
    SocketAddr::new(address(), port)
}

impl Pod {
    /// `NAMESPACE/NAME` with label and account `app`, on an address of its own.
    pub fn new(namespace: &str, name: &str, app: &str) -> Self {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let (account, app) = (app.to_owned(), app.to_owned());
        let (inbound, upstreams, annotations, labels) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (ip, sidecar, ready) = (address(), "", true);
        Self { namespace, name, account, app, ip, inbound, upstreams, annotations, labels, sidecar, ready }
    }

    /// On a given address.
    pub fn at(mut self, ip: IpAddr) -> Self {
        self.ip = ip;
        self
    }

    /// With another account.
    pub fn account(mut self, account: &str) -> Self {
        account.clone_into(&mut self.account);
        self
    }

    /// As the injector leaves it: with its mark, and the sidecar's container.
    pub fn injected(mut self) -> Self {
        self.sidecar = ", initContainers: [{name: byrnie-proxy, image: none, restartPolicy: Always}]";
        self.annotations.push("byrnie.io/status: injected".to_owned());
        self
    }

    /// With a label more.
    pub fn labelled(mut self, key: &str, value: &str) -> Self {
        self.labels.push(format!(", {key}: \"{value}\""));
        self
    }

    /// With a sidecar listening on `port` of the Pod's address for the application at `application`.
    pub fn serving(mut self, port: u16, application: SocketAddr) -> Self {
        self.inbound.push(format!("{}:{port}={application}", self.ip));
        self
    }

    /// With `SERVICE.NAMESPACE:PORT` offered to its application on the next port of the Pod's address from 15101.
    pub fn calling(mut self, service: &str) -> Self {
        let listen = SocketAddr::new(self.ip, 15101 + self.upstreams.len() as u16);
        self.upstreams.push((listen, service.to_owned()));
        self
    }

    /// Not Ready.
    pub fn unready(mut self) -> Self {
        self.ready = false;
        self
    }

    /// `NAMESPACE/NAME`
    pub fn workload(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The name of its file.
    pub fn file(&self) -> String {
        format!("pod-{}-{}.yaml", self.namespace, self.name)
    }

    /// Its address.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Where its application calls `SERVICE.NAMESPACE:PORT`.
    pub fn upstream(&self, service: &str) -> SocketAddr {
        let found = self.upstreams.iter().find(|(_, known)| known == service);
        found.unwrap_or_else(|| panic!("{} does not call {service}", self.name)).0
    }

    /// The object.
    pub fn yaml(&self) -> String {
        let Self { namespace, name, account, app, ip, sidecar, .. } = self;
        let upstreams: Vec<_> = self.upstreams.iter().map(|(listen, service)| format!("{listen}={service}")).collect();
        let mut annotations = self.annotations.clone();
        if !self.inbound.is_empty() {
            annotations.push(format!("byrnie.io/inbound: \"{}\"", self.inbound.join(",")));
        }
        if !upstreams.is_empty() {
            annotations.push(format!("byrnie.io/upstreams: \"{}\"", upstreams.join(",")));
        }
        let annotations = annotations.join(", ");
        let labels = self.labels.concat();
        let ready = if self.ready { "True" } else { "False" };
        format!(
            "apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: {namespace}
  labels: {{app: {app}{labels}}}
  annotations: {{{annotations}}}
spec: {{serviceAccountName: {account}{sidecar}}}
status:
  phase: Running
  podIP: {ip}
  podIPs: [{{ip: {ip}}}]
  conditions: [{{type: Ready, status: \"{ready}\"}}]
"
        )
    }
}

/// A Service that selects `app: NAME`, of one port with a declared protocol (an appProtocol, or empty for none).
pub fn service(namespace: &str, name: &str, protocol: &str, port: u16, target: u16) -> String {
    let declared = if protocol.is_empty() { String::new() } else { format!(", appProtocol: {protocol}") };
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{app: {name}}}
  ports:
  - {{port: {port}, targetPort: {target}{declared}}}
"
    )
}

/// An HTTPRoute of `NAMESPACE/NAME` for a parent such as `{kind: Service, name: cart}`; `rules` is a YAML list.
pub fn http_route(namespace: &str, name: &str, parent: &str, rules: &str) -> String {
    route("HTTPRoute", namespace, name, parent, rules)
}

/// A GRPCRoute, as [`http_route`].
pub fn grpc_route(namespace: &str, name: &str, parent: &str, rules: &str) -> String {
    route("GRPCRoute", namespace, name, parent, rules)
}

fn route(kind: &str, namespace: &str, name: &str, parent: &str, rules: &str) -> String {
    let rules: String = rules.trim().lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  parentRefs:
  - {{group: \"\", {}
  rules:
{rules}",
        parent.trim().trim_start_matches('{')
    )
}

/// A TrafficPolicy of the Service of the same name; `spec` is the rest of its fields, a line each.
pub fn traffic_policy(namespace: &str, service: &str, spec: &str) -> String {
    let spec: String = spec.trim().lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: mesh.byrnie.io/v1alpha1
kind: TrafficPolicy
metadata: {{name: {service}, namespace: {namespace}}}
spec:
  targetRef: {{kind: Service, name: {service}}}
{spec}"
    )
}

/// A PeerPolicy with this `spec`, in flow style.
pub fn peer_policy(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: mesh.byrnie.io/v1alpha1
kind: PeerPolicy
metadata: {{name: {name}, namespace: {namespace}}}
spec: {spec}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_in_a_network_is_counted() {
        // Beyond the networks that tests claim, in which others listen meanwhile.
        let _held = TcpListener::bind("127.251.1.2:0").unwrap();
        assert!(listeners(251) > 0);
        assert_eq!(listeners(252), 0);
    }
}
