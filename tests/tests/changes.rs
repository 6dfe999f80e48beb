//! Changes under load: no request fails on the way. And what happens when the directory itself is changed or broken.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use byrnie_tests::{
    app::{App, reply},
    http,
    load::Load,
    mesh::{self, Mesh},
    objects::{Pod, http_route, peer_policy, service},
    pair::Pair,
    shop::Shop,
    sidecar::{Sidecar, Variant},
};

const CART: &str = "{kind: Service, name: cart}";

fn forward_to(service: &str) -> String {
    http_route("shop", "cart", CART, &format!("- backendRefs: [{{name: {service}, port: 80}}]"))
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_a_route_to_a_new_service_and_deleting_the_old_one_fails_no_request() -> Result<()> {
    move_a_route(Variant::Delta).await
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_a_route_fails_no_request_of_a_client_of_the_state_of_the_world() -> Result<()> {
    move_a_route(Variant::Sotw).await
}

async fn move_a_route(variant: Variant) -> Result<()> {
    let (old, new) = (App::named("old").await?, App::named("new").await?);
    let web = Pod::new("shop", "web-1", "web").calling("cart.shop:80");
    let one = Pod::new("shop", "old-1", "old").serving(8080, old.address());
    let two = Pod::new("shop", "new-1", "new").serving(8080, new.address());
    let mesh = Mesh::start(&[
        ("cart.yaml", service("shop", "cart", "http", 80, 8080)),
        ("old.yaml", service("shop", "old", "http", 80, 8080)),
        ("route.yaml", forward_to("old")),
        (&web.file(), web.yaml()),
        (&one.file(), one.yaml()),
        (&two.file(), two.yaml()),
    ])
    .await?;
    let _servers = [Sidecar::start(&mesh, &one.workload()).await?, Sidecar::start(&mesh, &two.workload()).await?];
    let client = Sidecar::speaking(variant, &mesh, &web.workload()).await?;
    let load = Load::start(web.upstream("cart.shop:80"), "cart.shop");
    load.answered_by("old").await?;

    // There and back, each time all at once, which the control plane has to bring into order.
    for (from, to) in [("old", "new"), ("new", "old"), ("old", "new")] {
        mesh.write(&format!("{to}.yaml"), &service("shop", to, "http", 80, 8080))?;
        mesh.write("route.yaml", &forward_to(to))?;
        mesh.remove(&format!("{from}.yaml"))?;
        load.answered_by(to).await?;
        mesh.until("the cluster that was left is gone", async |_| {
            let clusters = client.versions("dynamic_active_clusters").await?;
            Ok(!clusters.iter().any(|(name, _)| *name == format!("shop/{from}:80")))
        })
        .await?;
    }
    load.served(50).await?;
    load.finish().await.with_context(|| client.log())
}

#[tokio::test(flavor = "multi_thread")]
async fn renaming_a_port_fails_no_request() -> Result<()> {
    let app = App::named("cart").await?;
    let pair = Pair::start("http", app.address()).await?;
    let named = |name: &str| {
        service("shop", "cart", "http", 80, 8080).replace("- {port: 80", &format!("- {{name: {name}, port: 80"))
    };
    let load = Load::start(pair.upstream(), "cart.shop");
    for name in ["http-web", "http-shop", "web"] {
        pair.mesh.write("cart.yaml", &named(name))?;
        pair.mesh
            .until("the control plane has it", async |mesh| {
                Ok(mesh.cli(&["describe", "Service/shop/cart", "-o", "json"])?.contains(&format!("\"{name}\"")))
            })
            .await?;
        load.served(100).await?;
    }
    load.finish().await.with_context(|| pair.client.log())
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_from_5_to_1_and_back_fails_no_request() -> Result<()> {
    let mut pods = Vec::new();
    let mut apps = Vec::new();
    for n in 1..=5 {
        // Outside the mesh: what is tested is the client's side, and five more Envoys would test this machine.
        let pod = Pod::new("shop", &format!("cart-{n}"), "cart");
        apps.push(App::at(SocketAddr::new(pod.ip(), 8080), |_| reply(200, "cart")).await?);
        pods.push(pod);
    }
    let web = Pod::new("shop", "web-1", "web").calling("cart.shop:80");
    let mesh =
        Mesh::start(&[("cart.yaml", service("shop", "cart", "http", 80, 8080)), (&web.file(), web.yaml())]).await?;
    for pod in &pods {
        mesh.write(&pod.file(), &pod.yaml())?;
    }
    let client = Sidecar::start(&mesh, &web.workload()).await?;
    let members = async |count: u64| {
        mesh.until(&format!("{count} endpoints"), async |_| {
            Ok(client.counter(&["shop/cart_80.membership_total"]).await? == count)
        })
        .await
    };
    members(5).await?;
    let load = Load::start(web.upstream("cart.shop:80"), "cart.shop");
    load.served(50).await?;
    for pod in &pods[1..] {
        mesh.remove(&pod.file())?;
    }
    members(1).await?;
    load.served(50).await?;
    // As Kubernetes does: a Pod ends only after its endpoint was taken away.
    apps.truncate(1);
    load.served(50).await?;
    for pod in &pods[1..] {
        apps.push(App::at(SocketAddr::new(pod.ip(), 8080), |_| reply(200, "cart")).await?);
        mesh.write(&pod.file(), &pod.yaml())?;
    }
    members(5).await?;
    load.served(100).await?;
    load.finish().await.with_context(|| client.log())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_more_or_less_behind_a_service_fails_no_request() -> Result<()> {
    let (one, two) = (App::named("one").await?, App::named("two").await?);
    let pair = Pair::start("http", one.address()).await?;
    let other = Pod::new("shop", "cart-2", "cart").account("other").serving(8080, two.address());
    let load = Load::start(pair.upstream(), "cart.shop");
    load.served(20).await?;
    // Ready only when its sidecar is, as a kubelet would say.
    pair.mesh.write(&other.file(), &other.clone().unready().yaml())?;
    pair.mesh
        .until("the control plane knows the Pod", async |mesh| Ok(mesh.cli(&["describe", "Pod/shop/cart-2"]).is_ok()))
        .await?;
    let second = Sidecar::start(&pair.mesh, &other.workload()).await?;
    for _ in 0..2 {
        two.take_asked();
        pair.mesh.write(&other.file(), &other.yaml())?;
        pair.mesh.until("the other account is called", async |_| Ok(two.asked().len() > 5)).await?;
        load.served(50).await?;
        pair.mesh.write(&other.file(), &other.clone().unready().yaml())?;
        pair.mesh
            .until("one endpoint", async |_| Ok(pair.client.counter(&["shop/cart_80.membership_total"]).await? == 1))
            .await?;
        load.served(50).await?;
    }
    let identity = two.asked()[0].header("x-forwarded-client-cert").unwrap_or_default().to_owned();
    assert!(identity.contains("By=spiffe://cluster.local/ns/shop/sa/other"), "{identity}");
    load.finish().await.with_context(|| format!("{}\n{}", pair.client.log(), second.log()))
}

#[tokio::test(flavor = "multi_thread")]
async fn going_from_permissive_to_strict_and_back_fails_no_request_of_the_mesh() -> Result<()> {
    let app = App::named("cart").await?;
    let pair = Pair::start("http", app.address()).await?;
    let load = Load::start(pair.upstream(), "cart.shop");
    load.served(20).await?;
    for _ in 0..3 {
        pair.mesh.write("policy.yaml", &peer_policy("shop", "peers", "{mode: Strict}"))?;
        pair.mesh.until("strict", async |_| Ok(http::get(pair.inbound(), "cart", "/").await.is_err())).await?;
        load.served(50).await?;
        pair.mesh.remove("policy.yaml")?;
        pair.mesh.until("permissive", async |_| Ok(http::get(pair.inbound(), "cart", "/").await.is_ok())).await?;
        load.served(50).await?;
    }
    load.finish().await.with_context(|| pair.server.log())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_edit_keeps_the_last_good_version_in_force_and_is_told() -> Result<()> {
    if !mesh::is_directory("an API server refuses such an edit")? {
        return Ok(());
    }
    let web = Pod::new("shop", "web-1", "web").calling("cart.shop:80");
    let [one, two] = ["old", "new"].map(|name| Pod::new("shop", &format!("{name}-1"), name));
    let _old = App::at(SocketAddr::new(one.ip(), 8080), |_| reply(200, "old")).await?;
    let _new = App::at(SocketAddr::new(two.ip(), 8080), |_| reply(200, "new")).await?;
    let mesh = Mesh::start(&[
        ("cart.yaml", service("shop", "cart", "http", 80, 8080)),
        ("old.yaml", service("shop", "old", "http", 80, 8080)),
        ("new.yaml", service("shop", "new", "http", 80, 8080)),
        ("route.yaml", forward_to("old")),
        (&web.file(), web.yaml()),
        (&one.file(), one.yaml()),
        (&two.file(), two.yaml()),
    ])
    .await?;
    let client = Sidecar::start(&mesh, &web.workload()).await?;
    let load = Load::start(web.upstream("cart.shop:80"), "cart.shop");
    load.answered_by("old").await?;
    for (broken, told) in [
        ("kind: [not closed\n".to_owned(), "flow sequence"),
        (forward_to("new").replace("backendRefs", "backendRfs"), "backendRfs"),
        (forward_to("new").replace("port: 80", "port: 800000"), "800000"),
    ] {
        mesh.write("route.yaml", &broken)?;
        mesh.until(&format!("{told} is told"), async |mesh| {
            Ok(mesh.debug("/debug/findings").await?.to_string().contains(told))
        })
        .await?;
        load.answered_by("old").await?;
    }
    mesh.write("route.yaml", &forward_to("new"))?;
    load.answered_by("new").await?;
    mesh.until("nothing is left to tell", async |mesh| {
        Ok(!mesh.debug("/debug/findings").await?.to_string().contains("route.yaml"))
    })
    .await?;
    load.finish().await.with_context(|| client.log())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_requests_within_100_ms_however_the_file_is_written() -> Result<()> {
    if !mesh::is_directory("it is about how files are written")? {
        return Ok(());
    }
    let shop = Shop::start(&["cart", "old", "new"], &[("route.yaml", forward_to("old"))]).await?;
    let path = shop.mesh.config()?.join("route.yaml");
    for way in ["in place", "by rename"] {
        // The quickest of several: other tests share this machine.
        let mut quickest = Duration::MAX;
        for target in ["new", "old", "new", "old", "new", "old"] {
            let started = Instant::now();
            match way {
                "in place" => fs::write(&path, forward_to(target))?,
                _ => shop.mesh.write("route.yaml", &forward_to(target))?,
            }
            while shop.get("cart", "/").await?.body != target {
                ensure!(started.elapsed() < Duration::from_secs(20), "{way}: {target} is never called");
            }
            quickest = quickest.min(started.elapsed());
        }
        assert!(quickest < Duration::from_millis(100), "{way}: {quickest:?}");
    }
    Ok(())
}

/// Points `link` elsewhere in one step.
fn swap(link: &Path, target: &str) -> Result<()> {
    let next = link.with_file_name("..next");
    symlink(target, &next).with_context(|| format!("{}", next.display()))?;
    fs::rename(&next, link).with_context(|| format!("{} -> {}", next.display(), link.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_a_symlink_may_be_swapped() -> Result<()> {
    if !mesh::is_directory("it is about the directory itself")? {
        return Ok(());
    }
    follow_a_swap(
        "config-link",
        |folder| swap(&folder.join("config-link"), "one"),
        |folder| swap(&folder.join("config-link"), "two"),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_of_a_config_map_may_be_updated() -> Result<()> {
    if !mesh::is_directory("it is about the directory itself")? {
        return Ok(());
    }
    // As the kubelet lays it out: FILE -> ..data/FILE, ..data -> ..MOMENT, and `..data` is replaced.
    let lay_out = |folder: &Path| {
        let volume = folder.join("volume");
        fs::create_dir(&volume)?;
        fs::rename(folder.join("one"), volume.join("..2026_1"))?;
        for entry in fs::read_dir(volume.join("..2026_1"))? {
            let name = entry?.file_name();
            symlink(Path::new("..data").join(&name), volume.join(&name))?;
        }
        swap(&volume.join("..data"), "..2026_1")
    };
    let update = |folder: &Path| {
        let volume = folder.join("volume");
        fs::rename(folder.join("two"), volume.join("..2026_2"))?;
        swap(&volume.join("..data"), "..2026_2")?;
        Ok(fs::remove_dir_all(volume.join("..2026_1"))?)
    };
    follow_a_swap("volume", lay_out, update).await
}

/// Under load, moves a route from `old` to `new` by swapping a directory for another with the same names of files.
async fn follow_a_swap(
    place: &str,
    lay_out: impl FnOnce(&Path) -> Result<()>,
    update: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let web = Pod::new("shop", "web-1", "web").calling("cart.shop:80");
    let pods = ["old", "new"].map(|name| Pod::new("shop", &format!("{name}-1"), name));
    let at = |pod: &Pod| SocketAddr::new(pod.ip(), 8080);
    let _apps =
        [App::at(at(&pods[0]), |_| reply(200, "old")).await?, App::at(at(&pods[1]), |_| reply(200, "new")).await?];
    let write = |folder: &Path, target: &str| -> Result<()> {
        fs::create_dir(folder)?;
        for name in ["cart", "old", "new"] {
            fs::write(folder.join(format!("{name}.yaml")), service("shop", name, "http", 80, 8080))?;
        }
        for pod in pods.iter().chain([&web]) {
            fs::write(folder.join(pod.file()), pod.yaml())?;
        }
        Ok(fs::write(folder.join("route.yaml"), forward_to(target))?)
    };
    let mesh = Mesh::over(place, |folder| {
        write(&folder.join("one"), "old")?;
        write(&folder.join("two"), "new")?;
        lay_out(folder)
    })
    .await?;
    let client = Sidecar::start(&mesh, &web.workload()).await?;
    let load = Load::start(web.upstream("cart.shop:80"), "cart.shop");
    load.answered_by("old").await?;
    update(mesh.folder())?;
    load.answered_by("new").await?;
    load.finish().await.with_context(|| format!("{}\n{}", mesh.log(), client.log()))
}
