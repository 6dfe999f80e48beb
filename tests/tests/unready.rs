//! An endpoint that is told before anybody listens there, as in a rollout.

use anyhow::Result;
use byrnie_tests::{
    app::App,
    load::Load,
    mesh::Mesh,
    objects::{Pod, service},
    sidecar::{Proxy, Sidecar},
};

/// Requests of four callers, while a Pod of two is Ready whose sidecar does not listen.
async fn costs(proxy: Proxy) -> Result<()> {
    let mesh = Mesh::start(&[("cart.yaml", service("shop", "cart", "http", 80, 8080))]).await?;
    let app = App::named("cart").await?;
    let cart = Pod::new("shop", "cart-1", "cart").serving(8080, app.address());
    let absent = Pod::new("shop", "cart-2", "cart").serving(8080, "127.0.0.1:9".parse()?);
    let web = Pod::new("shop", "web-1", "web").calling("cart.shop:80");
    for pod in [&cart, &web] {
        mesh.write(&pod.file(), &pod.yaml())?;
    }
    let _cart = Sidecar::of(proxy, &mesh, &cart.workload()).await?;
    let _web = Sidecar::of(proxy, &mesh, &web.workload()).await?;
    let load = Load::start(web.upstream("cart.shop:80"), "cart.shop");
    load.served(100).await?;
    mesh.write(&absent.file(), &absent.yaml())?;
    load.served(1000).await?;
    load.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_ready_before_its_sidecar_listens_costs_no_request_of_a_micro_proxy() -> Result<()> {
    costs(Proxy::Micro).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_ready_before_its_sidecar_listens_costs_no_request_of_an_envoy() -> Result<()> {
    costs(Proxy::Envoy).await
}
