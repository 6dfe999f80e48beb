//! How long the webhook takes to answer, and what it costs.
//!
//! `cargo build --release -p byrnie -p byrnie-control-plane -p byrnie-injector` and then
//! `cargo run --release -p byrnie-tests --bin injector-bench -- --rate 200 --seconds 30`
//!
//! The injector runs as the chart has it, at a real API server with a real control plane. Reviews of a Pod of a Deployment
//! are sent by one connection of HTTP/2, as an API server sends them, each at its time whether or not the one before was
//! answered; latencies count from that time, and include this client.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use byrnie_tests::{injector::Injector, kubernetes::ApiServer, replica::Replica, wait::until};
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_rustls::TlsConnector;

const SYSTEM: &str = "byrnie-system";
const SHOP: &str = "shop";

/// Times admissions.
#[derive(Debug, Parser)]
struct Args {
    /// Reviews a second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// For so long.
    #[arg(long, default_value_t = 30)]
    seconds: u32,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result<()> {
    let args = Args::parse();
    let server = ApiServer::start().await?;
    let kubeconfig = server.install(SYSTEM).await?;
    server.kubectl(&["create", "namespace", SHOP]).await?;
    server.kubectl(&["label", "namespace", SHOP, "byrnie.io/inject=enabled"]).await?;
    let replica = Replica::start(kubeconfig, SYSTEM, "replica-1", &[])?;
    replica.ready().await?;
    let roots = roots(&server).await?;
    let mut injector = Injector::start(&server, SYSTEM, replica.xds(), &roots, &[]).await?;
    injector.register(&server).await?;
    injector.ready().await?;

    let sender = connect(injector.address(), &roots).await?;
    let before = injector.process().usage()?;
    let mut latencies = sent(&sender, &args).await?;
    let after = injector.process().usage()?;
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    let spent = (after.cpu_seconds - before.cpu_seconds) * 1000.0 / latencies.len() as f64;
    println!("{} admissions, {} a second, one connection", latencies.len(), args.rate);
    println!("latency in ms: p50 {:.2}, p90 {:.2}, p99 {:.2}, max {:.2}", at(0.5), at(0.9), at(0.99), at(1.0));
    println!("cpu: {spent:.3} ms an admission");
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("memory in MiB: {:.1}, at most {:.1}", mib(after.resident_bytes), mib(after.peak_resident_bytes));
    Ok(())
}

async fn roots(server: &ApiServer) -> Result<String> {
    let output = "--output=jsonpath={.data.root\\.crt}";
    let mut found = String::new();
    until("the roots are there", async || {
        let asked = ["get", "configmap", "byrnie-trust", "--namespace", SYSTEM, "--ignore-not-found", output];
        found = server.kubectl(&asked).await?;
        Ok(!found.is_empty())
    })
    .await?;
    Ok(found)
}

async fn connect(address: SocketAddr, roots: &str) -> Result<SendRequest<Full<Bytes>>> {
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots.as_bytes()) {
        store.add(root?)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(format!("byrnie-injector.{SYSTEM}.svc"))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    // It ends with the process.
    tokio::spawn(connection);
    Ok(sender)
}

/// The latency of each review.
async fn sent(sender: &SendRequest<Full<Bytes>>, args: &Args) -> Result<Vec<Duration>> {
    let (body, started) = (Bytes::from(review().to_string()), Instant::now());
    let mut running = JoinSet::new();
    for number in 0..args.rate * args.seconds {
        let due = started + Duration::from_secs(1) * number / args.rate;
        tokio::time::sleep_until(due.into()).await;
        let (mut sender, body) = (sender.clone(), body.clone());
        running.spawn(async move {
            let request = Request::post(format!("https://byrnie-injector.{SYSTEM}.svc/inject?timeout=5s"));
            let response = sender.send_request(request.body(Full::new(body))?).await?;
            let text = response.into_body().collect().await?.to_bytes();
            let latency = due.elapsed();
            let answer: Value = serde_json::from_slice(&text)?;
            ensure!(answer["response"]["patchType"] == "JSONPatch", "{answer}");
            Ok(latency)
        });
    }
    let mut latencies = Vec::new();
    while let Some(answered) = running.join_next().await {
        latencies.push(answered.context("a review panicked")??);
    }
    Ok(latencies)
}

/// Of a Pod as a Deployment makes it.
fn review() -> Value {
    let container = |name: &str| {
        json!({
            "name": name,
            "image": "example.com/cart:1",
            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
            "env": (0..20).map(|n| json!({"name": format!("VARIABLE_{n}"), "value": "value"})).collect::<Vec<_>>(),
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTP"}, "periodSeconds": 10},
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
            "terminationMessagePath": "/dev/termination-log",
            "imagePullPolicy": "IfNotPresent",
        })
    };
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": SHOP,
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
            "object": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"generateName": "cart-6d4f-", "labels": {"app": "cart"}},
                "spec": {
                    "serviceAccountName": "cart",
                    "restartPolicy": "Always",
                    "containers": [container("app"), container("helper")],
                },
            },
            "dryRun": false,
        },
    })
}
