//! What a micro-proxy tells of itself and of its traffic: admin pages, metrics, access log, load reports.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use byrnie_tests::{
    app::{App, reply},
    http,
    mesh::Mesh,
    objects::{Pod, service},
    pair::CART,
    sidecar::{Proxy, Sidecar},
};
use bytes::Bytes;
use hyper::Method;
use serde_json::Value;

/// `shop/web-1` calls Service `shop/cart`, whose one Pod is `shop/cart-1`; both have a micro-proxy.
struct Shop {
    mesh: Mesh,
    web: Pod,
    client: Sidecar,
    server: Sidecar,
}

impl Shop {
    async fn start(app: &App) -> Result<Self> {
        let web = Pod::new("shop", "web-1", "web").calling(CART);
        let cart = Pod::new("shop", "cart-1", "cart").serving(8080, app.address());
        let files = [
            ("cart.yaml", service("shop", "cart", "http", 80, 8080)),
            (&*web.file(), web.yaml()),
            (&*cart.file(), cart.yaml()),
        ];
        let mesh = Mesh::start(&files).await?;
        let server = Sidecar::of(Proxy::Micro, &mesh, &cart.workload()).await?;
        let client = Sidecar::of(Proxy::Micro, &mesh, &web.workload()).await?;
        Ok(Self { mesh, web, client, server })
    }

    async fn get(&self, path: &str) -> Result<u16> {
        Ok(http::get(self.web.upstream(CART), "cart.shop", path).await?.status)
    }
}

async fn page(sidecar: &Sidecar, path: &str) -> Result<String> {
    let answer = http::get(sidecar.admin(), "localhost", path).await?;
    ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.body);
    Ok(answer.body)
}

/// The value of the only line of a metric whose labels hold all parts.
fn metric(text: &str, name: &str, parts: &[&str]) -> Result<f64> {
    let of_name = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    let fitting: Vec<_> = of_name.filter(|line| parts.iter().all(|part| line.contains(part))).collect();
    let [line] = &fitting[..] else { anyhow::bail!("{name} {parts:?}: {fitting:?} in\n{text}") };
    Ok(line.rsplit_once(' ').context("a value")?.1.parse()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_told_by_both_sides_with_istios_labels_and_logged() -> Result<()> {
    let app = App::http1(|asked| reply(if asked.uri == "/bad" { 500 } else { 200 }, "hello")).await?;
    let shop = Shop::start(&app).await?;
    for path in ["/", "/", "/bad"] {
        shop.get(path).await?;
    }
    let of_client = page(&shop.client, "/stats/prometheus").await?;
    let cart = "source_principal=\"spiffe://cluster.local/ns/shop/sa/";
    let seen = ["reporter=\"source\"", "destination_service=\"shop/cart\"", "source_workload=\"web-1\"", cart];
    for (code, count) in [("response_code=\"200\"", 2.0), ("response_code=\"500\"", 1.0)] {
        let parts = [&seen[..], &[code, "connection_security_policy=\"mutual_tls\""]].concat();
        assert_eq!(metric(&of_client, "byrnie_requests_total", &parts)?, count);
        assert_eq!(metric(&of_client, "byrnie_request_duration_milliseconds_count", &parts)?, count);
        assert_eq!(metric(&of_client, "byrnie_response_bytes_sum", &parts)?, 5.0 * count);
    }
    let of_server = page(&shop.server, "/metrics").await?;
    let seen = ["reporter=\"destination\"", "destination_service_name=\"cart\"", cart, "code=\"200\"", "mutual_tls"];
    assert_eq!(metric(&of_server, "byrnie_requests_total", &seen)?, 2.0);
    assert_eq!(metric(&of_client, "byrnie_proxy_xds_connected", &[])?, 1.0);
    assert_eq!(metric(&of_client, "byrnie_proxy_xds_nacks_total", &[])?, 0.0);
    assert_eq!(metric(&of_client, "byrnie_upstream_endpoints", &["shop/cart:80", "\"healthy\""])?, 1.0);
    assert!(metric(&of_client, "byrnie_certificate_expiry_timestamp_seconds", &[])? > 1.7e9);

    let told = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/telemetry.md"))?;
    let families = of_client.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let is_told = |name: &&str| told.contains(&format!("`{name}`")) || told.contains(&format!("`{name}_total`"));
    assert_eq!(families.filter(|name| !is_told(name)).collect::<Vec<_>>(), [""; 0], "missing in docs/telemetry.md");
    let pages = page(&shop.client, "/help").await?;
    let paths = pages.lines().filter_map(|line| line.split([' ', '?']).nth(1));
    assert_eq!(paths.filter(|path| !told.contains(path)).collect::<Vec<_>>(), [""; 0], "missing in docs/telemetry.md");

    let log = shop.client.log();
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let bad = lines.iter().find(|line| line["path"] == "/bad").with_context(|| log.clone())?;
    assert_eq!((&bad["response_code"], &bad["authority"]), (&500.into(), &"cart.shop".into()));
    assert_eq!((&bad["upstream_cluster"], &bad["response_flags"]), (&"shop/cart:80".into(), &"-".into()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_for_a_kubelet_tells_whether_it_is_ready_and_takes_no_orders() -> Result<()> {
    let app = App::http1(|_| reply(200, "hello")).await?;
    let shop = Shop::start(&app).await?;
    let health = shop.server.health()?;
    for path in ["/ready", "/healthz/ready"] {
        let answer = http::get(health, "localhost", path).await?;
        assert_eq!((answer.status, &*answer.body), (200, "LIVE\n"));
    }
    for path in ["/config_dump", "/stats", "/logging", "/drain", "/quitquitquit"] {
        assert_eq!(http::get(health, "localhost", path).await?.status, 404, "{path}");
    }
    assert_eq!(shop.get("/").await?, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_serves_is_shown_as_an_envoy_shows_it() -> Result<()> {
    let app = App::http1(|_| reply(200, "hello")).await?;
    let shop = Shop::start(&app).await?;
    assert_eq!(shop.get("/").await?, 200);
    // Beside the other, at the same address (SO_REUSEPORT).
    let envoy = Sidecar::start(&shop.mesh, &shop.web.workload()).await?;
    for kind in ["dynamic_active_clusters", "dynamic_route_configs", "dynamic_listeners"] {
        let held = shop.client.versions(kind).await?;
        assert!(!held.is_empty() && held.iter().all(|(_, version)| !version.is_empty()), "{kind}: {held:?}");
        // An Envoy holds these and more.
        let theirs = envoy.versions(kind).await?;
        assert!(held.iter().all(|one| theirs.contains(one)), "{kind}: {held:?} {theirs:?}");
    }
    let dump: Value = serde_json::from_str(&page(&shop.client, "/config_dump").await?)?;
    assert_eq!(dump["configs"][0]["bootstrap"]["node"]["id"], "shop/web-1");
    assert!(!dump.to_string().contains("PRIVATE KEY"));
    assert_eq!(http::get(shop.client.admin(), "localhost", "/config_dump?resource=x").await?.status, 404);

    let lines = page(&shop.client, "/clusters").await?;
    assert!(lines.lines().any(|line| line.starts_with("shop/cart:80::") && line.ends_with("::health_flags::healthy")));
    let json: Value = serde_json::from_str(&page(&shop.client, "/clusters?format=json").await?)?;
    let names: Vec<_> = json["cluster_statuses"].as_array().context("a list")?.iter().map(|one| &one["name"]).collect();
    assert!(names.contains(&&Value::from("shop/cart:80")), "{names:?}");
    let certificates: Value = serde_json::from_str(&page(&shop.server, "/certs").await?)?;
    let uri = &certificates["certificates"][0]["cert_chain"][0]["subject_alt_names"][0]["uri"];
    assert!(uri.as_str().is_some_and(|uri| uri.starts_with("spiffe://")), "{certificates}");
    assert!(page(&shop.client, "/help").await?.contains("POST /quitquitquit"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_change_and_calls_are_reported_with_their_latency() -> Result<()> {
    let app = App::http1(|_| reply(200, "hello")).await?;
    let shop = Shop::start(&app).await?;
    let level = async |query: &str| {
        let path = format!("/logging{query}");
        http::send(shop.client.admin(), Method::POST, "localhost", &path, &[], Bytes::new()).await
    };
    assert_eq!(level("?byrnie_proxy=debug").await?.body, "byrnie_proxy=debug\n");
    assert_eq!(level("?level=loud").await?.status, 400);
    assert_eq!(level("").await?.body, "byrnie_proxy=debug\n");

    let rows = || -> Result<Vec<Value>> { Ok(serde_json::from_str(&shop.mesh.cli(&["stat", "-o", "json"])?)?) };
    shop.mesh
        .until("calls are reported", async |_| {
            shop.get("/").await?;
            Ok(!rows()?.is_empty())
        })
        .await?;
    let shown = rows()?;
    let row = &shown[0];
    assert_eq!((&row["source"], &row["destination"]), (&"shop/web-1".into(), &"shop/cart:80".into()));
    assert_eq!(row["successRate"].as_f64(), Some(1.0), "{row}");
    assert!(row["p50Ms"].as_f64().is_some_and(|p50| p50 > 0.0), "{row}");
    Ok(())
}
