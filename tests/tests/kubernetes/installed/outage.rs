//! An API server that is away for a minute, under load.

use std::time::Duration;

use anyhow::{Context, Result};
use byrnie_tests::{
    app::App,
    http,
    load::Load,
    objects::{Pod, http_route, service},
    wait::until,
};

use super::{SYSTEM, Stage};

const OUTAGE: Duration = Duration::from_secs(60);
const PARENT: &str = "{kind: Service, name: cart}";
const NOT_READY: &str = r#"{"status": {"conditions": [{"type": "Ready", "status": "False"}]}}"#;
const RULES: &str = "- backendRefs: [{name: cart, port: 80}]";

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_without_the_api_server_costs_no_request_and_what_is_said_afterwards_is_followed() -> Result<()> {
    let mut stage = Stage::start().await?;
    let namespace = stage.namespace.clone();
    let host: &'static str = format!("cart.{namespace}").leak();
    stage.server.apply(&service(&namespace, "cart", "http", 80, 8080)).await?;
    let web = Pod::new(&namespace, "web-1", "web").calling(&format!("{host}:80"));
    let first = App::named("cart-1").await?;
    let cart = Pod::new(&namespace, "cart-1", "cart").serving(8080, first.address());
    let caller = stage.sidecar(&web, "web", &stage.replicas[0]).await?;
    let _cart = stage.sidecar(&cart, "cart", &stage.replicas[1]).await?;
    stage.server.apply(&http_route(&namespace, "cart", PARENT, RULES)).await?;
    stage.until_condition(["httproute", "cart"], "Programmed", "True").await?;
    let roots = stage.any_roots().await?;
    let upstream = web.upstream(&format!("{host}:80"));
    until("the Service answers", async || Ok(http::get(upstream, host, "/").await?.status == 200)).await?;
    let load = Load::start(upstream, host);
    load.answered_by("cart-1").await?;
    let asked = first.asked();
    let identity = asked[0].header("x-forwarded-client-cert").context("the caller has an identity")?;
    assert!(identity.contains(&format!("/ns/{namespace}/sa/web")), "{identity}");

    assert_eq!(stage.refused()?, []);
    stage.server.kill()?;
    stage.server.compact().await?;
    tokio::time::sleep(OUTAGE).await;
    assert!(stage.holder().await.is_err(), "nobody can hold the Lease");
    let answered = load.answered();
    stage.server.restart().await?;
    stage.until_held().await?;
    println!("{answered} requests with the API server away for {OUTAGE:?}");

    // A Pod that is an endpoint when it listens, in place of the other.
    let second = App::named("cart-2").await?;
    let next = Pod::new(&namespace, "cart-2", "next").account("cart").serving(8080, second.address());
    let _next = stage.sidecar(&next, "cart", &stage.replicas[0]).await?;
    stage.server.kubectl(&["label", "pod", "cart-2", "app=cart", "--overwrite", "--namespace", &namespace]).await?;
    // A Pod that left its Service would no longer know what the Service declares of its port.
    let patch = ["patch", "pod", "cart-1", "--namespace", &namespace, "--subresource=status", "--patch", NOT_READY];
    stage.server.kubectl(&patch).await?;
    load.answered_by("cart-2").await?;
    // An API server that starts knows no rights for a moment.
    let refused = stage.refused()?;
    stage.server.apply(&http_route(&namespace, "later", PARENT, RULES)).await?;
    stage.until_condition(["httproute", "later"], "Programmed", "True Programmed").await?;
    load.finish().await.with_context(|| {
        let log = caller.log();
        let failed: Vec<_> = log.lines().filter(|line| !line.contains("\"response_code\":200")).collect();
        failed.join("\n")
    })?;
    stage.until_roots(&namespace, &roots).await?;
    stage.until_roots(SYSTEM, &roots).await?;
    assert_eq!(stage.said("made a new root"), 1, "{}", stage.logs());
    assert_eq!(stage.refused()?, refused);
    Ok(())
}
