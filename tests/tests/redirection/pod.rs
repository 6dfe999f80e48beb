//! A Pod: a machine on the node's bridge, with what an injected Pod has and with applications.

use std::{
    fs::{self, File},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use byrnie_tests::{
    agent::{arguments, injected},
    app::{App, Asked, reply, reply_with_trailers},
    http,
    mesh::Mesh,
    netns::{Namespace, run},
    process::{Process, program},
    sidecar::{Proxy, join_token},
    tcp::TcpApp,
    wait::until,
};

use crate::{
    calls::SOMEBODY,
    ground::Family,
    names::{APART, ECHO, GREETING, GREETS, GRPC, HTTP, OPEN, PROGRAMS},
};

/// Of what applications are.
pub const APPLICATION: u32 = 1000;
/// Of something else.
pub const OTHER: u32 = 2000;
/// Of what sidecars are.
pub const PROXY: u32 = 1337;

/// What `byrnie-init` has said, in the Pod's folder.
const INIT_LOG: &str = "init.log";

/// A running Pod.
pub struct Pod {
    name: &'static str,
    number: u8,
    proxy: Option<Proxy>,
    namespace: Namespace,
    folder: PathBuf,
    sidecar: Vec<Process>,
    _apps: Apps,
}

struct Apps {
    _http: Vec<App>,
    _tcp: [TcpApp; 2],
}

impl Pod {
    /// Makes the machine and starts the applications; as for a sidecar, there is none yet. The name is that of its account
    /// too.
    pub fn make(name: &'static str, number: u8, proxy: Option<Proxy>) -> Result<Self> {
        let namespace = Namespace::make(name)?;
        run("ip", &format!("link add {name} type veth peer name eth0 netns {name}"))?;
        run("ip", &format!("link set {name} master bridge up"))?;
        for (address, gateway) in
            [(format!("10.77.0.{number}/24"), "10.77.0.1"), (format!("fd77::{number}/64 nodad"), "fd77::1")]
        {
            run("ip", &format!("-n {name} addr add {address} dev eth0"))?;
            run("ip", &format!("-n {name} link set eth0 up"))?;
            run("ip", &format!("-n {name} route add default via {gateway}"))?;
        }
        let folder = PathBuf::from("/run/pods").join(name);
        fs::create_dir_all(&folder)?;
        let _apps = namespace.run(APPLICATION, Apps::start(name))?;
        Ok(Self { name, number, proxy, namespace, folder, sidecar: Vec::new(), _apps })
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Which sidecar it has; none where it is outside the mesh.
    pub fn proxy(&self) -> Option<Proxy> {
        self.proxy
    }

    pub fn at(&self, family: Family, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip(family), port)
    }

    fn ip(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => [10, 77, 0, self.number].into(),
            // A number in decimal is written as one in hexadecimal: `fd77::10` for 10.77.0.10.
            Family::V6 => IpAddr::V6(format!("fd77::{}", self.number).parse().expect("an address")),
        }
    }

    /// A port of its Service of this family, that nobody but a sidecar answers.
    pub fn service(&self, family: Family, port: u16) -> SocketAddr {
        SocketAddr::new(self.service_ip(family), port)
    }

    fn service_ip(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => [10, 96, 0, self.number].into(),
            Family::V6 => IpAddr::V6(format!("fd96::{}", self.number).parse().expect("an address")),
        }
    }

    /// The Pod, with an annotation more or none, and for each family a Service and a headless one.
    pub fn objects(&self, annotation: &str) -> String {
        let (name, [v4, v6]) = (self.name, [Family::V4, Family::V6].map(|family| self.ip(family)));
        let (status, sidecar) = match self.proxy {
            Some(_) => {
                ("byrnie.io/status: injected", ", initContainers: [{name: byrnie-proxy, restartPolicy: Always}]")
            }
            None => ("", ""),
        };
        let pod = format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, labels: {{app: {name}}}, annotations: {{{status}{annotation}}}}}
spec: {{serviceAccountName: {name}{sidecar}}}
status:
  phase: Running
  podIP: {v4}
  podIPs: [{{ip: {v4}}}, {{ip: '{v6}'}}]
  conditions: [{{type: Ready, status: 'True'}}]
"
        );
        let services = [(Family::V4, "v4", "IPv4"), (Family::V6, "v6", "IPv6")].map(|(family, suffix, accepted)| {
            let ip = self.service_ip(family);
            format!(
                "---
apiVersion: v1
kind: Service
metadata: {{name: {name}-{suffix}, namespace: shop}}
spec:
  clusterIP: '{ip}'
  clusterIPs: ['{ip}']
  ipFamilies: [{accepted}]
  selector: {{app: {name}}}
  ports:
  - {{name: http, port: 80, targetPort: {HTTP}}}
  - {{name: grpc, port: 81, targetPort: {GRPC}}}
  - {{name: tcp-echo, port: 82, targetPort: {ECHO}}}
  - {{name: greeted, port: 83, targetPort: {GREETS}}}
  - {{name: unknown, port: 84, targetPort: {HTTP}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}-headless-{suffix}, namespace: shop}}
spec:
  clusterIP: None
  ipFamilies: [{accepted}]
  selector: {{app: {name}}}
  ports:
  - {{name: http, port: {HTTP}}}
  - {{name: grpc, port: {GRPC}}}
  - {{name: tcp-echo, port: {ECHO}}}
  - {{name: greeted, port: {GREETS}}}
  - {{name: http-apart, port: {APART}}}
"
            )
        });
        pod + &services.concat()
    }

    /// Runs `byrnie-init` as its init container would, and gives what it says.
    pub fn init(&self, arguments: &str) -> Result<String> {
        let mut command = Command::new(program("byrnie-init")?);
        command.args(arguments.split_ascii_whitespace());
        let output = self.namespace.within(0, || command.output())?;
        let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).trim().to_owned());
        ensure!(output.status.success(), "{}: byrnie-init {arguments}: {}", self.name, said[1]);
        Ok(said[0].clone())
    }

    /// The rules and chains of `nat`, of both families.
    pub fn rules(&self, backend: &str) -> Result<String> {
        let saved = |command: &str| {
            let command = format!("{command}-{backend}-save");
            let text = self.namespace.within(0, || run(&command, "-t nat"))?;
            let is_rule = |line: &&str| line.starts_with("-A ") || line.contains(" - ");
            anyhow::Ok(text.lines().filter(is_rule).map(|line| format!("{line}\n")).collect::<String>())
        };
        Ok(saved("iptables")? + &saved("ip6tables")?)
    }

    /// Gives it what Kubernetes would mount: a token of its account, and the roots.
    pub fn enrol(&self, mesh: &Mesh) -> Result<()> {
        fs::write(self.folder.join("token"), join_token(mesh, &format!("shop/{}", self.name))?)?;
        fs::copy(mesh.state().join("ca/root.crt"), self.folder.join("root.crt"))?;
        Ok(chown(&self.folder, Some(PROXY), Some(PROXY))?)
    }

    /// Starts its containers with the arguments that are injected, in their order, and gives `byrnie-init`, which is the last
    /// and has these arguments too.
    pub fn start(&mut self, xds: SocketAddr, init: &str) -> Result<Process> {
        self.start_sidecar(xds)?;
        let pod = injected(&self.folder, self.proxy.context("it has a sidecar")?)?;
        let told = File::create(self.folder.join(INIT_LOG))?;
        let mut command = Command::new(program("byrnie-init")?);
        command.args(arguments(&pod, "byrnie-init", &[])?).args(init.split_ascii_whitespace());
        command.stdin(Stdio::null()).stdout(told.try_clone()?).stderr(told);
        self.namespace.start(0, "byrnie-init", &mut command)
    }

    /// Waits until `byrnie-init` has ended, after which the application would start.
    pub async fn started(&self, mut init: Process) -> Result<()> {
        let ended = init.ended().await;
        let said = fs::read_to_string(self.folder.join(INIT_LOG))?;
        let context = || format!("{}: {said}\n{}", self.name, self.logs());
        ensure!(ended.with_context(context)?.success(), context());
        ensure!(said.contains("; proven: ") && said.contains("; the sidecar is ready after "), "{}: {said}", self.name);
        Ok(())
    }

    /// Ends its sidecar as a crash would, and starts it anew with what it has kept.
    pub async fn restart_sidecar(&mut self, xds: SocketAddr) -> Result<()> {
        self.kill_sidecar();
        self.start_sidecar(xds)?;
        self.until_health(200).await
    }

    fn start_sidecar(&mut self, xds: SocketAddr) -> Result<()> {
        match self.proxy.context("it has a sidecar")? {
            Proxy::Micro => self.start_container("byrnie-proxy", "byrnie-proxy", "micro.log", xds),
            Proxy::Envoy => {
                self.start_container("byrnie-agent", "byrnie-proxy", "agent.log", xds)?;
                self.start_container("byrnie-proxy", "envoy", "envoy.log", xds)
            }
        }
    }

    pub fn kill_sidecar(&mut self) {
        self.sidecar.clear();
    }

    fn start_container(&mut self, container: &str, program: &str, log: &str, xds: SocketAddr) -> Result<()> {
        let (place, workload) = (self.folder.display().to_string(), format!("shop/{}", self.name));
        let here = [
            ("$(POD_NAMESPACE)/$(POD_NAME)", &*workload),
            ("$(POD_NAMESPACE)", "shop"),
            ("byrnie-control-plane.byrnie-system.svc:15012", &xds.to_string()),
            ("/var/run/secrets/byrnie", &place),
            ("/etc/byrnie", &place),
            ("/var/lib/byrnie", &place),
        ];
        let pod = injected(&self.folder, self.proxy.context("it has a sidecar")?)?;
        let told = File::create(self.folder.join(log))?;
        let mut command = Command::new(Path::new(PROGRAMS).join(program));
        command.args(arguments(&pod, container, &here)?);
        command.stdin(Stdio::null()).stdout(told.try_clone()?).stderr(told);
        self.sidecar.push(self.namespace.start(PROXY, container, &mut command)?);
        Ok(())
    }

    /// Waits until the sidecar says with this status whether it is ready.
    pub async fn until_health(&mut self, status: u16) -> Result<()> {
        let path = "/healthz/ready";
        let told = until(path, async || {
            self.sidecar.iter_mut().try_for_each(Process::check)?;
            let at = self.at(Family::V4, 15021);
            Ok(self.run(0, http::get(at, "localhost", path))?.status == status)
        });
        told.await.with_context(|| format!("{}:\n{}", self.name, self.logs()))
    }

    /// Waits until its micro-proxy has on disk a resource of this name.
    pub async fn until_kept(&self, name: &str) -> Result<()> {
        until("it is kept", async || {
            let kept = fs::read(self.folder.join("xds-resources"))?;
            Ok(kept.windows(name.len()).any(|octets| octets == name.as_bytes()))
        })
        .await
        .with_context(|| format!("{}, {name}", self.name))
    }

    /// What its sidecar has logged.
    fn logs(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        ["micro.log", "agent.log", "envoy.log"].map(read).concat()
    }

    /// Does it as a process of the Pod, of this user.
    pub fn run<T: Send>(&self, user: u32, act: impl Future<Output = T> + Send) -> T {
        self.namespace.run(user, act)
    }
}

impl Apps {
    async fn start(name: &'static str) -> Result<Self> {
        let any = |port| SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        let mut http = Vec::new();
        for port in [HTTP, OPEN, APART] {
            http.push(App::at(any(port), move |asked| reply(200, told(name, asked))).await?);
        }
        let status = [("grpc-status", "0")];
        http.push(App::http2_at(any(GRPC), move |asked| reply_with_trailers(told(name, asked), &status)).await?);
        let tcp = [TcpApp::echo_at(any(ECHO), "").await?, TcpApp::echo_at(any(GREETS), GREETING).await?];
        Ok(Self { _http: http, _tcp: tcp })
    }
}

/// Who asked: the account of the certificate that its sidecar has seen, where it has.
fn told(name: &str, asked: &Asked) -> String {
    let account = asked.header("x-forwarded-client-cert").and_then(|text| {
        let (_, uri) = text.split_once("URI=")?;
        uri.split([';', ',']).next()?.rsplit('/').next()
    });
    format!("{name} asked by {}", account.unwrap_or(SOMEBODY))
}
