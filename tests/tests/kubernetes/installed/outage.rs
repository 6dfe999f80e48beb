//! An API server that is away for a minute, under load.

use std::time::Duration;

use anyhow::{Context, Result};
use byrnie_tests::{
    app::App,
    load::Load,
    objects::{Pod, http_route, service},
};

use super::{SYSTEM, Stage};

const OUTAGE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_without_the_api_server_costs_no_request_and_what_is_said_afterwards_is_followed() -> Result<()> {
    let mut stage = Stage::start().await?;
    let namespace = stage.namespace.clone();
    let host: &'static str = format!("cart.{namespace}").leak();
    stage.server.apply(&service(&namespace, "cart", "http", 80, 8080)).await?;
    let web = Pod::new(&namespace, "web-1", "web").calling(&format!("{host}:80"));
    let first = App::named("cart-1").await?;
    let cart = Pod::new(&namespace, "cart-1", "cart").serving(8080, first.address());
    let _web = stage.sidecar(&web, "web", &stage.replicas[0]).await?;
    let _cart = stage.sidecar(&cart, "cart", &stage.replicas[1]).await?;
    stage
        .server
        .apply(&http_route(
            &namespace,
            "cart",
            "{kind: Service, name: cart}",
            "- backendRefs: [{name: cart, port: 80}]",
        ))
        .await?;
    stage.until_condition(["httproute", "cart"], "Programmed", "True").await?;
    let roots = stage.any_roots().await?;
    let upstream = web.upstream(&format!("{host}:80"));
    byrnie_tests::wait::until("the Service answers", async || {
        Ok(byrnie_tests::http::get(upstream, host, "/").await?.status == 200)
    })
    .await?;
    let load = Load::start(upstream, host);
    load.answered_by("cart-1").await?;
    let caller = first.asked();
    let caller = caller[0].header("x-forwarded-client-cert").context("the caller has an identity")?;
    assert!(caller.contains(&format!("/ns/{namespace}/sa/web")), "{caller}");

    stage.server.kill()?;
    stage.server.compact().await?;
    tokio::time::sleep(OUTAGE).await;
    assert!(stage.holder().await.is_err(), "nobody can hold the Lease");
    stage.server.restart().await?;
    stage.until_held().await?;

    let second = App::named("cart-2").await?;
    let next = Pod::new(&namespace, "cart-2", "cart").serving(8080, second.address());
    let _next = stage.sidecar(&next, "cart", &stage.replicas[0]).await?;
    stage.server.kubectl(&["delete", "pod", "cart-1", "--namespace", &namespace, "--force"]).await?;
    load.answered_by("cart-2").await?;
    stage.server.kubectl(&["delete", "httproute", "cart", "--namespace", &namespace]).await?;
    stage
        .server
        .apply(&http_route(
            &namespace,
            "later",
            "{kind: Service, name: cart}",
            "- backendRefs: [{name: cart, port: 80}]",
        ))
        .await?;
    stage.until_condition(["httproute", "later"], "Programmed", "True Programmed").await?;
    println!("{} requests with the API server away for {OUTAGE:?}", load.answered());
    load.finish().await?;
    stage.until_roots(&namespace, &roots).await?;
    stage.until_roots(SYSTEM, &roots).await?;
    assert_eq!(stage.said("made a new root"), 1, "{}", stage.logs());
    stage.finish()
}
