//! Port 15020 of a real micro-proxy: what a kubelet asks of the application, and the metrics of both.

use std::{
    fs::{self, File},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use byrnie_tests::{
    agent::Agent,
    app::{App, reply, reply_with_trailers, with_header},
    http::{self, Answer},
    mesh::Mesh,
    objects::{Pod, free_address, service},
    process::{Process, byrnie, program},
    sidecar::{Proxy, Sidecar},
    wait::until,
};
use hyper::{Method, body::Bytes};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// A micro-proxy with a port for probes. The Pod's address is one of loopback; the application listens there.
struct Micro {
    process: Process,
    folder: tempfile::TempDir,
    at: SocketAddr,
    admin: SocketAddr,
}

impl Micro {
    /// Without a control plane: probes do not wait for one.
    async fn start(pod: &Pod, probes: &Value, scrape: Option<Value>) -> Result<Self> {
        Self::joining(free_address(15010), "", pod, probes, scrape).await
    }

    async fn joining(xds: SocketAddr, token: &str, pod: &Pod, probes: &Value, scrape: Option<Value>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (token_file, log) = (folder.path().join("token"), folder.path().join("log"));
        fs::write(&token_file, token)?;
        let admin = free_address(15000);
        let mut command = Command::new(program("byrnie-proxy")?);
        command.args(["--workload", &pod.workload(), "--xds-address", &xds.to_string(), "--probe-port", "0"]);
        command.args(["--admin-address", &admin.to_string()]).arg("--token-file").arg(token_file);
        command.env("BYRNIE_PROBES", probes.to_string());
        command.env("BYRNIE_SCRAPE", scrape.map(|scrape| scrape.to_string()).unwrap_or_default());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let process = Process::start("byrnie-proxy", &mut command)?;
        let mut micro = Self { process, folder, at: SocketAddr::new(pod.ip(), 0), admin };
        until("the port is told", async || {
            micro.process.check().with_context(|| micro.log())?;
            let log = micro.log();
            let told = log.split_whitespace().find_map(|word| word.strip_prefix("probes="));
            let Some(told) = told else { return Ok(false) };
            micro.at.set_port(told.parse::<SocketAddr>()?.port());
            Ok(true)
        })
        .await?;
        Ok(micro)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Asks as a kubelet does.
    async fn asked(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        let host = headers
            .iter()
            .find(|(name, _)| *name == "host")
            .map_or(self.at.to_string(), |(_, host)| (*host).to_owned());
        let usual = [("user-agent", "kube-probe/1.30"), ("accept", "*/*"), ("connection", "close")];
        let own = headers.iter().copied().filter(|(name, _)| *name != "host");
        let headers: Vec<_> = usual.into_iter().chain(own).collect();
        http::send(self.at, Method::GET, &host, path, &headers, Bytes::new()).await
    }

    async fn probe(&self, kind: &str) -> Result<Answer> {
        self.asked(&format!("/byrnie/probe/app/{kind}"), &[]).await
    }
}

fn pod() -> Pod {
    Pod::new("shop", "cart-1", "cart")
}

fn http_get(port: u16, path: &str) -> Value {
    json!({"httpGet": {"path": path, "port": port}, "timeoutSeconds": 5})
}

/// Takes connections and never says a word.
async fn silent(address: SocketAddr) -> Result<JoinHandle<()>> {
    let listener = TcpListener::bind(address).await?;
    Ok(tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_probe_is_the_kubelets_own() -> Result<()> {
    let pod = pod();
    let app = App::at(SocketAddr::new(pod.ip(), 8080), |asked| match asked.uri.as_str() {
        "/live?deep=1" if asked.header("x-probe") == Some("1") => reply(200, "alive"),
        "/late" => reply(503, "not yet"),
        "/long" => reply(200, vec![b'x'; 1 << 20]),
        "/moved" => with_header(reply(302, ""), "location", "live?deep=1"),
        "/round" => with_header(reply(307, ""), "location", "/round"),
        "/away" => with_header(reply(301, "gone"), "location", "http://example.com/"),
        _ => reply(404, ""),
    })
    .await?;
    let mut probes = json!({"/byrnie/probe/app/named": {"httpGet": {
        "path": "/live?deep=1", "port": 8080, "httpHeaders": [{"name": "Host", "value": "cart.example"}]}}});
    for (kind, path) in [
        ("liveness", "/live?deep=1"),
        ("late", "/late"),
        ("long", "/long"),
        ("moved", "/moved"),
        ("round", "/round"),
        ("away", "/away"),
    ] {
        probes[format!("/byrnie/probe/app/{kind}")] = http_get(8080, path);
    }
    let micro = Micro::start(&pod, &probes, None).await?;

    let headers = [("x-probe", "1")];
    let alive = micro.asked("/byrnie/probe/app/liveness", &headers).await?;
    assert_eq!((alive.status, alive.body.as_str()), (200, "alive"));
    let asked = app.take_asked().pop().context("it was asked")?;
    assert_eq!((asked.method.as_str(), asked.host), ("GET", format!("{}:8080", pod.ip())));
    assert_eq!(
        asked.headers.iter().find(|(name, _)| name == "user-agent").map(|(_, value)| value.as_str()),
        Some("kube-probe/1.30")
    );

    let named = micro.asked("/byrnie/probe/app/named", &[("x-probe", "1"), ("host", "cart.example")]).await?;
    assert_eq!((named.status, app.take_asked()[0].host.as_str()), (200, "cart.example"));
    assert_eq!(micro.asked("/byrnie/probe/app/moved", &headers).await?.body, "alive");

    let late = micro.probe("late").await?;
    assert_eq!((late.status, late.body.as_str()), (503, "not yet"));
    assert_eq!(micro.probe("long").await?.body.len(), 10 << 10);
    app.take_asked();
    let round = micro.probe("round").await?;
    assert_eq!((round.status, app.take_asked().len()), (503, 10), "{}", round.body);
    let away = micro.probe("away").await?;
    assert_eq!((away.status, away.header("location")), (301, None));

    let unknown = micro.probe("other").await?;
    assert_eq!(unknown.status, 404);
    let posted = http::send(micro.at, Method::POST, "x", "/byrnie/probe/app/late", &[], Bytes::new()).await?;
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
    assert!(micro.log().contains("the probe fails"), "{}", micro.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_refuses_or_hangs_fails_in_time_and_says_why() -> Result<()> {
    let pod = pod();
    let silent = silent(SocketAddr::new(pod.ip(), 8081)).await?;
    let probe = |action: &str, port: u16| json!({action: {"port": port}, "timeoutSeconds": 1});
    let probes = json!({
        "/byrnie/probe/app/refused": probe("httpGet", 8080),
        "/byrnie/probe/app/hangs": probe("httpGet", 8081),
        "/byrnie/probe/app/no-health": probe("grpc", 8081),
        "/byrnie/probe/app/closed": probe("tcpSocket", 8080),
        "/byrnie/probe/app/open": probe("tcpSocket", 8081),
        "/byrnie/probe/app/pre-stop": probe("httpGet", 8080),
    });
    let micro = Micro::start(&pod, &probes, None).await?;
    for (kind, status, says) in [
        ("refused", 503, "Connection refused"),
        ("hangs", 503, "no answer within 950ms"),
        ("no-health", 503, "no answer within 950ms"),
        ("closed", 503, "Connection refused"),
        ("open", 200, "connected"),
    ] {
        let begun = Instant::now();
        let answer = micro.probe(kind).await?;
        assert_eq!(answer.status, status, "{kind}: {}", answer.body);
        assert!(answer.body.contains(says), "{kind}: {}", answer.body);
        assert!(begun.elapsed() < Duration::from_secs(5), "{kind}: {:?}", begun.elapsed());
    }
    // A kubelet takes any answer of a hook as a success.
    assert!(micro.probe("pre-stop").await.is_err());
    silent.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_has_the_time_that_it_takes_and_any_answer_is_a_good_one() -> Result<()> {
    let pod = pod();
    let _app = App::at(SocketAddr::new(pod.ip(), 8080), |asked| match asked.uri.as_str() {
        "/end" => reply(500, "could not"),
        _ => reply(404, ""),
    })
    .await?;
    let micro = Micro::start(&pod, &json!({"/byrnie/probe/app/pre-stop": http_get(8080, "/end")}), None).await?;
    let answer = micro.probe("pre-stop").await?;
    assert_eq!((answer.status, answer.body.as_str()), (500, "could not"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_probe_asks_for_the_service() -> Result<()> {
    let pod = pod();
    let _app = App::http2_at(SocketAddr::new(pod.ip(), 9000), |asked| {
        let serves = asked.uri.ends_with("/grpc.health.v1.Health/Check") && asked.body.ends_with(b"\x0a\x04cart");
        let message: &[u8] = if serves { &[0, 0, 0, 0, 2, 8, 1] } else { &[0, 0, 0, 0, 2, 8, 2] };
        let reply = reply_with_trailers(Bytes::copy_from_slice(message), &[("grpc-status", "0")]);
        with_header(reply, "content-type", "application/grpc")
    })
    .await?;
    let probes = json!({
        "/byrnie/probe/app/readiness": {"grpc": {"port": 9000, "service": "cart"}},
        "/byrnie/probe/app/liveness": {"grpc": {"port": 9000}},
    });
    let micro = Micro::start(&pod, &probes, None).await?;
    assert_eq!(micro.probe("readiness").await?.status, 200);
    let liveness = micro.probe("liveness").await?;
    assert_eq!((liveness.status, liveness.body.contains("does not answer SERVING")), (503, true), "{}", liveness.body);
    Ok(())
}

/// One request a connection, by TLS with a certificate that nobody vouches for.
async fn serve_tls(address: SocketAddr) -> Result<JoinHandle<()>> {
    let key = rcgen::generate_simple_self_signed(vec!["elsewhere.example".to_owned()])?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], key.signing_key.into())?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(address).await?;
    Ok(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).await.unwrap_or(0);
            let status = if asked[..length].starts_with(b"GET /live HTTP/1.1\r\n") { "200 OK" } else { "400 Bad" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nhi");
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_with_whoever_is_there() -> Result<()> {
    let pod = pod();
    let tls = serve_tls(SocketAddr::new(pod.ip(), 8443)).await?;
    let _plain = App::at(SocketAddr::new(pod.ip(), 8080), |_| reply(200, "")).await?;
    let get = |port| json!({"httpGet": {"path": "/live", "port": port, "scheme": "HTTPS"}, "timeoutSeconds": 5});
    let probes = json!({"/byrnie/probe/app/liveness": get(8443), "/byrnie/probe/app/plain": get(8080)});
    let micro = Micro::start(&pod, &probes, None).await?;
    let answer = micro.probe("liveness").await?;
    assert_eq!((answer.status, answer.body.as_str()), (200, "hi"));
    let plain = micro.probe("plain").await?;
    assert_eq!((plain.status, plain.body.contains("no TLS with ")), (503, true), "{}", plain.body);
    tls.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_and_metrics_are_there_where_only_the_mesh_may_call() -> Result<()> {
    let strict = "apiVersion: mesh.byrnie.io/v1alpha1
kind: PeerPolicy
metadata: {name: peers, namespace: shop}
spec: {mode: Strict}
";
    let mesh =
        Mesh::start(&[("cart.yaml", service("shop", "cart", "http", 80, 8080)), ("p.yaml", strict.to_owned())]).await?;
    let cart = pod();
    let at = SocketAddr::new(cart.ip(), 18080);
    let app = App::at(at, |asked| match asked.uri.as_str() {
        "/metrics" => with_header(reply(200, "app_orders_total 7\n"), "content-type", "text/plain; version=0.0.4"),
        _ => reply(200, "cart"),
    })
    .await?;
    let cart = cart.serving(8080, app.address());
    let web = Pod::new("shop", "web-1", "web").calling("cart.shop:80");
    for pod in [&cart, &web] {
        mesh.write(&pod.file(), &pod.yaml())?;
    }
    let token = Command::new(byrnie()?)
        .args(["token", "--workload", &cart.workload()])
        .arg("--state")
        .arg(mesh.state())
        .output()?;
    ensure!(token.status.success(), "{token:?}");
    let probes = json!({"/byrnie/probe/app/liveness": http_get(18080, "/live")});
    let scrape = json!({"port": 18080, "path": "/metrics", "scheme": "http"});
    let micro = Micro::joining(mesh.xds(), str::from_utf8(&token.stdout)?, &cart, &probes, Some(scrape)).await?;
    let _web = Sidecar::of(Proxy::Micro, &mesh, &web.workload()).await?;
    until("the mesh may call", async || {
        Ok(http::get(web.upstream("cart.shop:80"), "cart.shop", "/").await?.status == 200)
    })
    .await?;

    let outside = http::get(SocketAddr::new(cart.ip(), 8080), "cart.shop", "/live").await;
    assert!(outside.is_err(), "{outside:?}");
    assert_eq!(micro.probe("liveness").await?.status, 200);
    let metrics = micro.asked("/stats/prometheus", &[]).await?.body;
    assert!(metrics.starts_with("app_orders_total 7\n"), "{metrics}");
    assert!(metrics.contains("\nbyrnie_requests_total{reporter=\"destination\""), "{metrics}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_of_both_are_one_text() -> Result<()> {
    let pod = pod();
    let at = SocketAddr::new(pod.ip(), 8080);
    let app = App::at(at, |asked| {
        let (kind, text) = match asked.uri.as_str() {
            "/m?format=prometheus&name=a" => {
                ("text/plain; version=0.0.4", "process_open_fds 3\n# TYPE a counter\na 1\n")
            }
            _ => ("text/html", "<html>"),
        };
        with_header(reply(200, text), "content-type", kind)
    })
    .await?;
    let scrape = json!({"port": 8080, "path": "/m?format=prometheus", "scheme": "http"});
    let micro = Micro::start(&pod, &json!({}), Some(scrape)).await?;
    let both = micro
        .asked("/metrics?name=a", &[("authorization", "Bearer x"), ("accept", "application/openmetrics-text")])
        .await?;
    assert_eq!(both.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let lines: Vec<_> = both.body.lines().collect();
    assert_eq!(lines[..3], ["process_open_fds 3", "# TYPE a counter", "a 1"]);
    assert_eq!(lines.iter().filter(|line| line.contains("process_open_fds")).count(), 1, "the application's is left");
    assert!(lines.contains(&"# TYPE process_cpu_seconds_total counter") && !lines.contains(&"# EOF"), "{}", both.body);
    assert!(lines.contains(&"byrnie_pod_scrape_failures_total 0"), "{}", both.body);
    let asked = app.take_asked().pop().context("it was asked")?;
    assert_eq!((asked.header("authorization"), asked.header("accept-encoding")), (Some("Bearer x"), Some("identity")));

    // A page is no metric, and would take the sidecar's own with it.
    let own = micro.asked("/metrics", &[]).await?.body;
    assert!(own.contains("\nbyrnie_pod_scrape_failures_total 1\n") && own.contains("\nprocess_open_fds "), "{own}");
    drop(app);
    until("nobody is there", async || {
        let own = micro.asked("/metrics", &[("x-prometheus-scrape-timeout-seconds", "1")]).await?.body;
        Ok(own.contains("byrnie_process_resident_memory_peak_bytes") && !own.contains("_failures_total 1\n"))
    })
    .await?;
    assert!(micro.log().contains("no metrics of the application"), "{}", micro.log());

    let plain = http::get(micro.admin, "localhost", "/metrics").await?;
    assert!(plain.body.ends_with("# EOF\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_without_probes_has_the_own_metrics_there() -> Result<()> {
    let micro = Micro::start(&pod(), &json!({}), None).await?;
    let own = micro.asked("/stats/prometheus", &[]).await?.body;
    assert!(own.contains("\n# TYPE process_open_fds gauge\n") && !own.contains("scrape_failures"), "{own}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_has_the_metrics_of_its_envoy() -> Result<()> {
    let web = Pod::new("shop", "web-1", "web");
    let mesh = Mesh::start(&[(&*web.file(), web.yaml())]).await?;
    let agent = Agent::start(&mesh, &web.workload()).await?;
    let _envoy = agent.envoy().await?;
    let log = agent.log();
    let told = log.split_whitespace().find_map(|word| word.strip_prefix("probes=")).context("the port is told")?;
    let at = SocketAddr::new(web.ip(), told.parse::<SocketAddr>()?.port());
    let metrics = http::get(at, "localhost", "/stats/prometheus").await?.body;
    assert!(metrics.contains("# TYPE envoy_server_live gauge\nenvoy_server_live{} 1\n"), "{metrics}");
    Ok(())
}

#[test]
fn a_start_by_probes_that_cannot_be_made_names_the_field() -> Result<()> {
    let mut command = Command::new(program("byrnie-proxy")?);
    command.args(["--workload", "shop/cart-1", "--xds-address", "127.0.0.1:1", "--token-file", "t"]);
    let output = command.env("BYRNIE_PROBES", r#"{"/p": {"grpc": {"port": "x"}}}"#).output()?;
    let error = String::from_utf8(output.stderr)?;
    let wanted = "byrnie-proxy: BYRNIE_PROBES: /p: grpc.port: found \"x\"; a number from 1 to 65535 is accepted\n";
    assert_eq!((output.status.code(), error.as_str()), (Some(1), wanted));
    Ok(())
}
