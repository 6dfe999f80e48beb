//! Proxies that Byrnie's control plane configures: byrnie-proxy and Envoy, in explicit mode.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use byrnie_tests::{
    mesh::Mesh,
    objects::{Pod, free_address, service},
    process::byrnie,
    tools,
};

use super::{ENDPOINTS, Launch, Peer, Plan, Ready, SERVICES, entrance};
use crate::load::Application;

/// The three services of a path: name, declared protocol, target port.
const PAIR: [(&str, &str, u16); 3] = [("http", "http", 8080), ("grpc", "grpc", 8081), ("bytes", "tcp", 8082)];
const HOP: [(&str, &str, u16); 3] =
    [("plain-http", "http", 8080), ("plain-grpc", "grpc", 8081), ("plain-bytes", "tcp", 8082)];

pub async fn plan(peer: Peer, workers: usize, application: Application) -> Result<Plan> {
    let folder = tempfile::tempdir()?;
    let program = match peer {
        Peer::Envoy => tools::path("envoy")?,
        _ => micro_proxy()?,
    };
    let target = Pod::new("bench", "target-1", "target")
        .serving(8080, application.http)
        .serving(8081, application.grpc)
        .serving(8082, application.bytes);
    let names = PAIR.iter().chain(&HOP).map(|(name, ..)| (*name).to_owned());
    let names: Vec<_> = names.chain((0..SERVICES - 6).map(|n| format!("other-{n}"))).collect();
    let called: Vec<_> = names.iter().map(|name| format!("{name}.bench:80")).collect();
    let client = called.iter().fold(Pod::new("bench", "client-1", "client"), |pod, name| pod.calling(name));
    let files = [
        ("services.yaml", services()),
        ("target.yaml", target.yaml()),
        ("client.yaml", client.yaml()),
        ("plain.yaml", Pod::new("bench", "plain-1", "plain").at(application.http.ip()).yaml()),
    ];
    let mesh = Mesh::start(&files).await?;
    let launch = |pod: &Pod| match peer {
        Peer::Envoy => envoy(&program, &mesh, pod, workers, folder.path()),
        _ => micro(&program, &mesh, pod, workers, folder.path()),
    };
    let places = |at: usize| [0, 1, 2].map(|n| client.upstream(&called[at + n]));
    let (pair, hop) = (entrance(&places(0), true), entrance(&places(3), true));
    Ok(Plan { client: launch(&client)?, server: launch(&target)?, pair, hop, folder, _mesh: Some(mesh) })
}

/// Those of the pair lead to the Pod with a sidecar, those of the hop to one without. Behind all others are Pods of the
/// mesh, so that each has a TLS context.
fn services() -> String {
    let three = |services: &[(&str, &str, u16); 3], app: &str| -> Vec<String> {
        let one =
            |(name, protocol, port): &(&str, &str, u16)| select(&service("bench", name, protocol, 80, *port), app);
        services.iter().map(one).collect()
    };
    let mut documents = three(&PAIR, "target");
    documents.extend(three(&HOP, "plain"));
    for n in 0..SERVICES - 6 {
        let name = format!("other-{n}");
        documents.push(service("bench", &name, "http", 80, 8080));
        for endpoint in 0..ENDPOINTS {
            let application = SocketAddr::from(([127, 0, 0, 1], 18080));
            documents.push(Pod::new("bench", &format!("{name}-{endpoint}"), &name).serving(8080, application).yaml());
        }
    }
    documents.join("---\n")
}

/// A Service that selects another `app` than its own name.
fn select(service: &str, app: &str) -> String {
    let lines = service.lines().map(|line| {
        if line.trim_start().starts_with("selector:") {
            format!("  selector: {{app: {app}}}\n")
        } else {
            format!("{line}\n")
        }
    });
    lines.collect()
}

fn envoy(program: &Path, mesh: &Mesh, pod: &Pod, workers: usize, folder: &Path) -> Result<Launch> {
    let admin = free_address(15000);
    let mut bootstrap = Command::new(byrnie()?);
    bootstrap.args(["bootstrap", "envoy", "--workload", &pod.workload()]);
    bootstrap.args(["--xds-address", &mesh.xds().to_string(), "--envoy-admin-address", &admin.to_string()]);
    let printed = succeeded(bootstrap.arg("--state").arg(mesh.state()))?;
    let stem = pod.workload().replace('/', "-");
    let file = folder.join(format!("{stem}.yaml"));
    fs::write(&file, printed)?;
    let file = file.to_string_lossy().into_owned();
    let fixed = ["--use-dynamic-base-id", "--disable-hot-restart", "-l", "warning"].map(str::to_owned);
    let mut arguments = vec!["-c".to_owned(), file, "--concurrency".to_owned(), workers.to_string()];
    arguments.extend(fixed);
    let log = folder.join(format!("{stem}.log"));
    Ok(Launch { program: program.to_owned(), arguments, ready: Ready::Admin(admin), log })
}

fn micro(program: &Path, mesh: &Mesh, pod: &Pod, workers: usize, folder: &Path) -> Result<Launch> {
    let admin = free_address(15000);
    let stem = pod.workload().replace('/', "-");
    let token = folder.join(format!("{stem}.token"));
    let mut mint = Command::new(byrnie()?);
    fs::write(&token, succeeded(mint.args(["token", "--workload", &pod.workload(), "--state"]).arg(mesh.state()))?)?;
    let settings = [
        ("--workload", pod.workload()),
        ("--xds-address", mesh.xds().to_string()),
        ("--token-file", token.to_string_lossy().into_owned()),
        ("--admin-address", admin.to_string()),
        ("--workers", workers.to_string()),
        ("--access-log", "off".to_owned()),
        ("--log", "warn".to_owned()),
    ];
    let arguments = settings.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
    let log = folder.join(format!("{stem}.log"));
    Ok(Launch { program: program.to_owned(), arguments, ready: Ready::Admin(admin), log })
}

/// As it is shipped, unless another build is named.
fn micro_proxy() -> Result<PathBuf> {
    let program = match std::env::var_os("BYRNIE_PROXY") {
        Some(program) => program.into(),
        None => byrnie()?.with_file_name("../proxy/byrnie-proxy"),
    };
    ensure!(program.is_file(), "{} is not there: cargo build --profile proxy -p byrnie-proxy", program.display());
    Ok(program)
}

fn succeeded(command: &mut Command) -> Result<Vec<u8>> {
    let Output { status, stdout, stderr } = command.output().context("cannot run byrnie")?;
    ensure!(status.success(), "byrnie: {}", String::from_utf8_lossy(&stderr));
    Ok(stdout)
}
