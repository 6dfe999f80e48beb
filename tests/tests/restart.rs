//! The control plane away and back: nothing stops, nothing is sent again.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};
use byrnie_tests::{
    app::App,
    http,
    load::Load,
    mesh::Mesh,
    objects::{Pod, http_route, service},
    pair::Pair,
    sidecar::{Sidecar, Variant},
};

const KINDS: [&str; 3] = ["dynamic_active_clusters", "dynamic_listeners", "dynamic_route_configs"];

/// How many resources of each kind but secrets this control plane has sent since it started.
async fn sent(mesh: &Mesh) -> Result<BTreeMap<String, u64>> {
    let metrics = http::get(mesh.admin(), "localhost", "/metrics").await?.body;
    let samples = metrics.lines().filter_map(|line| line.strip_prefix("byrnie_xds_resources_total{kind=\""));
    let one = |sample: &str| -> Result<(String, u64)> {
        let (kind, count) = sample.split_once("\"} ").with_context(|| sample.to_owned())?;
        Ok((kind.to_owned(), count.parse()?))
    };
    let mut sent = samples.map(one).collect::<Result<BTreeMap<_, _>>>()?;
    sent.remove("SDS");
    Ok(sent)
}

/// Everything but secrets, whose certificates are issued for each stream: kind, name, view and version.
async fn snapshot(mesh: &Mesh) -> Result<Vec<String>> {
    let all = mesh.debug("/debug/snapshot").await?;
    let line = |one: &serde_json::Value| format!("{} {} {} {}", one["kind"], one["name"], one["view"], one["version"]);
    let mut lines: Vec<_> =
        all.as_array().context("a list")?.iter().filter(|one| one["kind"] != "SDS").map(line).collect();
    lines.sort();
    Ok(lines)
}

async fn until_connected(pair: &Pair) -> Result<()> {
    for sidecar in [&pair.client, &pair.server] {
        pair.mesh
            .until("the sidecar is connected", async |_| {
                Ok(sidecar.counter(&["control_plane.connected_state"]).await? == 1)
            })
            .await?;
    }
    pair.mesh
        .until("the control plane lists both", async |mesh| {
            let clients = mesh.cli(&["proxy-status", "-o", "json"])?;
            Ok(clients.contains("\"shop/web-1\"") && clients.contains("\"shop/cart-1\""))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_control_plane_disturbs_nobody_and_sends_nothing_again() -> Result<()> {
    let app = App::named("cart").await?;
    let mut pair = Pair::start("http", app.address()).await?;
    until_connected(&pair).await?;
    let load = Load::start(pair.upstream(), "cart.shop");
    load.served(20).await?;
    let (root, before) = (fs::read(pair.mesh.state().join("ca/root.crt"))?, snapshot(&pair.mesh).await?);
    let mut held = Vec::new();
    for kind in KINDS {
        held.push((pair.client.versions(kind).await?, pair.server.versions(kind).await?));
    }

    pair.mesh.kill();
    for sidecar in [&pair.client, &pair.server] {
        pair.mesh
            .until("the sidecar has noticed", async |_| {
                Ok(sidecar.counter(&["control_plane.connected_state"]).await? == 0)
            })
            .await?;
    }
    load.served(100).await?;
    pair.mesh.restart().await?;
    until_connected(&pair).await?;
    load.served(100).await?;

    assert_eq!(fs::read(pair.mesh.state().join("ca/root.crt"))?, root, "the CA is the same");
    assert_eq!(snapshot(&pair.mesh).await?, before, "versions are the same");
    for (kind, held) in KINDS.iter().zip(held) {
        assert_eq!((pair.client.versions(kind).await?, pair.server.versions(kind).await?), held, "{kind}");
    }
    // A change that comes after all that a new stream may bring: when it is there, nothing else can be on its way.
    pair.mesh.write("later.yaml", &service("shop", "later", "http", 80, 8080))?;
    for sidecar in [&pair.client, &pair.server] {
        pair.mesh
            .until("the new cluster has come", async |_| {
                let clusters = sidecar.versions(KINDS[0]).await?;
                Ok(clusters.iter().any(|(name, _)| name == "shop/later:80"))
            })
            .await?;
    }
    let expected = [("CDS", 2), ("EDS", 2), ("LDS", 0), ("RDS", 0)].map(|(kind, count)| (kind.to_owned(), count));
    assert_eq!(sent(&pair.mesh).await?, BTreeMap::from(expected), "only the new cluster was sent, to both");
    load.finish().await.with_context(|| pair.client.log())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_while_the_control_plane_was_away_is_in_force_when_it_is_back() -> Result<()> {
    let (old, new) = (App::named("old").await?, App::named("new").await?);
    let mut pair = Pair::start("http", old.address()).await?;
    assert_eq!(pair.get("/").await?.body, "old");
    pair.mesh.kill();
    let other = Pod::new("shop", "new-1", "new").at(new.address().ip());
    pair.mesh.write("new.yaml", &service("shop", "new", "http", 80, new.address().port()))?;
    pair.mesh.write(&other.file(), &other.yaml())?;
    let rules = "- backendRefs: [{name: new, port: 80}]";
    pair.mesh.write("route.yaml", &http_route("shop", "cart", "{kind: Service, name: cart}", rules))?;
    assert_eq!(pair.get("/").await?.body, "old", "nobody tells yet");
    pair.mesh.restart().await?;
    pair.mesh.until("the new route is followed", async |_| Ok(pair.get("/").await?.body == "new")).await?;
    pair.mesh.kill();
    for file in ["new.yaml", "route.yaml", &other.file()] {
        pair.mesh.remove(file)?;
    }
    pair.mesh.restart().await?;
    pair.mesh.until("and what was removed is gone", async |_| Ok(pair.get("/").await?.body == "old")).await?;
    pair.mesh
        .until("its cluster too", async |_| {
            Ok(!pair.client.versions(KINDS[0]).await?.iter().any(|(name, _)| name == "shop/new:80"))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envoy_started_while_the_control_plane_is_away_is_ready_when_it_is_back() -> Result<()> {
    let app = App::named("cart").await?;
    let web = Pod::new("shop", "web-1", "web").calling("cart.shop:80");
    let cart = Pod::new("shop", "cart-1", "cart").serving(8080, app.address());
    let mut mesh = Mesh::start(&[
        ("cart.yaml", service("shop", "cart", "http", 80, 8080)),
        (&web.file(), web.yaml()),
        (&cart.file(), cart.yaml()),
    ])
    .await?;
    let _server = Sidecar::start(&mesh, &cart.workload()).await?;
    mesh.kill();
    let mut client = Sidecar::launch(Variant::Delta, &mesh, &web.workload())?;
    mesh.until("envoy runs and has tried", async |_| {
        Ok(client.counter(&["cluster.", "upstream_cx_connect_fail"]).await? > 0)
    })
    .await?;
    assert_eq!(http::get(client.admin(), "localhost", "/ready").await?.status, 503);
    mesh.restart().await?;
    client.until_ready().await?;
    // The server's certificate is from before, the client's from after.
    let answer = http::get(web.upstream("cart.shop:80"), "cart.shop", "/").await?;
    assert_eq!((answer.status, &*answer.body), (200, "cart"));
    assert!(app.asked()[0].header("x-forwarded-client-cert").is_some_and(|text| text.contains("sa/web")));
    Ok(())
}
