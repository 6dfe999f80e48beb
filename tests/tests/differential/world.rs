//! One control plane, the client's sidecar and three servers' sidecars, shared by all scenarios of a combination: each
//! scenario has Services, routes and policies of its own, and a port of its own at each server.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result};
use byrnie_tests::{
    mesh::Mesh,
    objects::{self, Pod, free_address, peer_policy},
    sidecar::{Proxy, Sidecar},
};

use crate::{
    backend::{App, Backend, Log},
    record::Transcript,
    scenarios::Scenario,
    stage::Stage,
};

/// How many servers have a sidecar.
pub const SERVERS: usize = 3;

/// Which data planes stand where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planes {
    pub client: Proxy,
    pub server: Proxy,
}

/// What a scenario needs in the mesh. In texts `$` stands for the scenario's name and a dash: Service `$cart`.
#[derive(Clone, Default)]
pub struct Plan {
    services: Vec<Service>,
    objects: Vec<(String, String)>,
}

#[derive(Clone)]
struct Service {
    name: String,
    protocol: String,
    port: u16,
    endpoints: Vec<(Place, App)>,
    is_strict: bool,
}

/// Where an application runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Behind the sidecar of this server.
    Mesh(usize),
    /// On a Pod without a sidecar.
    Plain,
    /// Behind the first server's sidecar, but the Pod that says so has another account.
    Impostor,
}

/// A running combination.
pub struct World {
    pub mesh: Mesh,
    web: Pod,
    servers: Vec<Pod>,
    client: Mutex<Sidecar>,
    sidecars: Mutex<Vec<Sidecar>>,
}

impl Plan {
    pub fn new() -> Self {
        Self::default()
    }

    /// A Service `$name` whose port 80 is declared to speak `protocol` (empty: undeclared).
    pub fn service(mut self, name: &str, protocol: &str, endpoints: Vec<(Place, App)>) -> Self {
        let (name, protocol) = (name.to_owned(), protocol.to_owned());
        self.services.push(Service { name, protocol, port: 80, endpoints, is_strict: false });
        self
    }

    /// A Service with one application behind the first server's sidecar.
    pub fn app(self, name: &str, protocol: &str, app: App) -> Self {
        self.service(name, protocol, vec![(Place::Mesh(0), app)])
    }

    /// The last Service has this port.
    pub fn port(mut self, port: u16) -> Self {
        self.services.last_mut().expect("there is a Service").port = port;
        self
    }

    /// The sidecars of the last Service take mesh TLS only.
    pub fn strict(mut self) -> Self {
        self.services.last_mut().expect("there is a Service").is_strict = true;
        self
    }

    /// An object more.
    pub fn object(mut self, file: &str, yaml: String) -> Self {
        self.objects.push((file.to_owned(), yaml));
        self
    }

    /// An HTTPRoute for Service `$cart` with these rules.
    pub fn route(self, rules: &str) -> Self {
        let yaml = objects::http_route("shop", "$route", "{kind: Service, name: $cart}", rules);
        self.object("route.yaml", yaml)
    }

    /// A TrafficPolicy for Service `$cart`.
    pub fn policy(self, spec: &str) -> Self {
        self.object("policy.yaml", objects::traffic_policy("shop", "$cart", spec))
    }
}

/// Everything of a world before its processes run.
struct Layout {
    web: Pod,
    servers: Vec<Pod>,
    strict: Vec<u16>,
    next_port: u16,
    files: Vec<(String, String)>,
}

impl World {
    /// Starts it with these scenarios; all sidecars are ready when this returns.
    pub async fn start(planes: Planes, scenarios: Vec<Arc<Scenario>>) -> Result<(Arc<Self>, Vec<Stage>)> {
        let mut layout = Layout::new();
        let mut parts = Vec::new();
        for scenario in scenarios.clone() {
            parts.push(layout.add(Arc::clone(&scenario)).await.with_context(|| scenario.name)?);
        }
        let files = layout.files();
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
        let mesh = Mesh::start(&files).await?;
        let mut sidecars = Vec::new();
        for server in &layout.servers {
            sidecars.push(Sidecar::of(planes.server, &mesh, &server.workload()).await?);
        }
        let client = Sidecar::of(planes.client, &mesh, &layout.web.workload()).await?;
        let Layout { web, servers, .. } = layout;
        let (client, sidecars) = (Mutex::new(client), Mutex::new(sidecars));
        let world = Arc::new(Self { mesh, web, servers, client, sidecars });
        let stages = scenarios.into_iter().zip(parts);
        let stages = stages.map(|(scenario, parts)| Stage::new(scenario, Arc::clone(&world), parts)).collect();
        Ok((world, stages))
    }

    /// Where the client's application calls a Service.
    pub fn upstream(&self, service: &str, port: u16) -> SocketAddr {
        self.web.upstream(&format!("{service}.shop:{port}"))
    }

    /// The address of a server.
    pub fn server(&self, index: usize, port: u16) -> SocketAddr {
        SocketAddr::new(self.servers[index].ip(), port)
    }

    /// An error where one of the sidecars has ended.
    pub fn check(&self) -> Result<()> {
        self.client.lock().expect("no holder panics").check()?;
        self.sidecars.lock().expect("no holder panics").iter_mut().try_for_each(Sidecar::check)
    }
}

/// What a scenario has in a world.
pub struct Parts {
    pub services: BTreeMap<String, Ports>,
    pub plain: Vec<Pod>,
    pub backends: Vec<Backend>,
    pub log: Log,
    pub transcript: Transcript,
}

/// Where a Service is.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// Of the Service.
    pub port: u16,
    /// Of its Pods.
    pub target: u16,
    pub endpoints: usize,
}

impl Layout {
    fn new() -> Self {
        let servers = (1..=SERVERS).map(|n| Pod::new("shop", &format!("server-{n}"), &format!("server-{n}")));
        let servers = servers.map(|pod| pod.labelled("role", "server")).collect();
        let web = Pod::new("shop", "web-1", "web");
        Self { web, servers, strict: Vec::new(), next_port: 8000, files: Vec::new() }
    }

    async fn add(&mut self, scenario: Arc<Scenario>) -> Result<Parts> {
        let plan = (scenario.plan)();
        let log = Log::new();
        let mut parts = Parts {
            services: BTreeMap::new(),
            plain: Vec::new(),
            backends: Vec::new(),
            log: log.clone(),
            transcript: Transcript::default(),
        };
        for service in plan.services {
            let target = self.next_port;
            self.next_port += 1;
            let name = format!("{}-{}", scenario.name, service.name);
            let ports = Ports { port: service.port, target, endpoints: service.endpoints.len() };
            parts.services.insert(service.name.clone(), ports);
            self.web = self.web.clone().calling(&format!("{name}.shop:{}", service.port));
            self.files.push((format!("{name}.yaml"), service.yaml(&name, target)));
            if service.is_strict {
                self.strict.push(target);
            }
            for (index, (place, app)) in service.endpoints.into_iter().enumerate() {
                let log = log.of(format!("{}/{index}", service.name));
                let address = self.place(place, &name, index, target, &mut parts);
                parts.backends.push(app.start(address, log).await?);
            }
        }
        for (file, yaml) in plan.objects {
            self.files.push((format!("{}-{file}", scenario.name), scenario.named(&yaml)));
        }
        Ok(parts)
    }

    /// The address on which an application listens.
    fn place(&mut self, place: Place, name: &str, index: usize, target: u16, parts: &mut Parts) -> SocketAddr {
        match place {
            Place::Mesh(server) => {
                let application = free_address(target);
                let pod = self.servers[server].clone().serving(target, application);
                self.servers[server] = pod.labelled(&format!("s-{name}"), "yes");
                application
            }
            Place::Plain => {
                let pod = Pod::new("shop", &format!("{name}-{index}"), "plain").labelled(&format!("s-{name}"), "yes");
                self.files.push((pod.file(), pod.yaml()));
                let address = SocketAddr::new(pod.ip(), target);
                parts.plain.push(pod);
                address
            }
            Place::Impostor => {
                let application = free_address(target);
                self.servers[0] = self.servers[0].clone().serving(target, application);
                let pod = Pod::new("shop", &format!("{name}-{index}"), "another").at(self.servers[0].ip());
                let pod = pod.serving(target, application).labelled(&format!("s-{name}"), "yes");
                self.files.push((pod.file(), pod.yaml()));
                application
            }
        }
    }

    fn files(&self) -> Vec<(String, String)> {
        let mut files = self.files.clone();
        files.extend(self.servers.iter().chain([&self.web]).map(|pod| (pod.file(), pod.yaml())));
        if !self.strict.is_empty() {
            let ports: Vec<_> = self.strict.iter().map(|port| format!("{{port: {port}, mode: Strict}}")).collect();
            let spec = format!(
                "{{mode: Permissive, selector: {{matchLabels: {{role: server}}}}, ports: [{}]}}",
                ports.join(", ")
            );
            files.push(("peers.yaml".to_owned(), peer_policy("shop", "peers", &spec)));
        }
        files
    }
}

impl Service {
    fn yaml(&self, name: &str, target: u16) -> String {
        let Self { protocol, port, .. } = self;
        let declared = if protocol.is_empty() { String::new() } else { format!(", appProtocol: {protocol}") };
        format!(
            "apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec:
  selector: {{s-{name}: \"yes\"}}
  ports: [{{port: {port}, targetPort: {target}{declared}}}]
"
        )
    }
}
