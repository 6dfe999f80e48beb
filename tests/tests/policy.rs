//! Retries, health, ejection, balancing and limits, by default and by TrafficPolicy.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use byrnie_tests::{
    app::{App, Asked, reply, reply_with_trailers, with_header},
    http,
    mesh::Mesh,
    objects::{Pod, service, traffic_policy},
    pair::Pair,
    shop::Shop,
    sidecar::Sidecar,
    tcp::TcpApp,
};
use bytes::Bytes;
use hyper::Method;
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
};

/// Service `cart` with two Pods, each with a sidecar, and a client.
struct Two {
    mesh: Mesh,
    web: Pod,
    client: Sidecar,
    servers: [Option<Sidecar>; 2],
}

impl Two {
    async fn start(protocol: &str, applications: [SocketAddr; 2], files: &[(&str, String)]) -> Result<Self> {
        let web = Pod::new("shop", "web-1", "web").calling("cart.shop:80");
        let [first, second] = applications;
        let one = Pod::new("shop", "cart-1", "cart").serving(8080, first);
        let two = Pod::new("shop", "cart-2", "cart").serving(8080, second);
        let (web_file, one_file, two_file) = (web.file(), one.file(), two.file());
        let mut all = vec![
            ("cart.yaml", service("shop", "cart", protocol, 80, 8080)),
            (&*web_file, web.yaml()),
            (&*one_file, one.yaml()),
            (&*two_file, two.yaml()),
        ];
        all.extend(files.iter().map(|(name, text)| (*name, text.clone())));
        let mesh = Mesh::start(&all).await?;
        let mut servers = [None, None];
        for (server, pod) in servers.iter_mut().zip([&one, &two]) {
            *server = Some(Sidecar::start(&mesh, &pod.workload()).await?);
        }
        let client = Sidecar::start(&mesh, &web.workload()).await?;
        Ok(Self { mesh, web, client, servers })
    }

    async fn send(&self, method: Method, body: &'static str) -> Result<http::Answer> {
        let at = self.web.upstream("cart.shop:80");
        http::send(at, method, "cart.shop", "/", &[], Bytes::from_static(body.as_bytes())).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_saved_from_a_sidecar_that_is_gone_whatever_their_method() -> Result<()> {
    let (one, two) = (App::named("one").await?, App::named("two").await?);
    let mut mesh = Two::start("http", [one.address(), two.address()], &[]).await?;
    mesh.servers[0] = None;
    for method in [Method::GET, Method::POST] {
        for _ in 0..15 {
            let answer = mesh.send(method.clone(), "order").await?;
            assert_eq!((answer.status, &*answer.body), (200, "two"), "{method}");
        }
    }
    assert!(two.asked().iter().all(|asked| asked.method == "GET" || &asked.body[..] == b"order"));
    assert!(mesh.client.counter(&["cluster.", "cart_80", "upstream_rq_retry_success"]).await? > 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_saved_from_an_application_that_never_saw_them_whatever_their_method() -> Result<()> {
    let (one, two) = (App::named("one").await?, App::named("two").await?);
    let mesh = Two::start("http", [one.address(), two.address()], &[]).await?;
    drop(one);
    for method in [Method::GET, Method::POST] {
        for _ in 0..15 {
            let answer = mesh.send(method.clone(), "order").await?;
            assert_eq!((answer.status, &*answer.body), (200, "two"), "{method}");
        }
    }
    assert!(mesh.client.counter(&["cluster.", "cart_80", "upstream_rq_retry_success"]).await? > 0);
    drop(two);
    let answer = mesh.send(Method::POST, "order").await?;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("x-byrnie-undelivered"), None, "a word between sidecars only");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_cannot_say_undelivered_and_its_503_is_not_asked_for_again() -> Result<()> {
    let app = App::http1(|_| with_header(reply(503, "full"), "x-byrnie-undelivered", "true")).await?;
    let pair = Pair::start("http", app.address()).await?;
    let answer = pair.send(Method::POST, "/", &[], "order").await?;
    assert_eq!((answer.status, &*answer.body), (503, "full"));
    assert_eq!(answer.header("x-byrnie-undelivered"), None);
    assert_eq!(app.take_asked().len(), 1);
    let outside = http::get(pair.inbound(), "cart", "/").await?;
    assert_eq!((outside.status, outside.header("x-byrnie-undelivered")), (503, None), "from outside too");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_traffic_policys_retry_asks_another_endpoint_for_its_codes() -> Result<()> {
    let (bad, good) = (App::http1(|_| reply(503, "bad")).await?, App::named("good").await?);
    let policy = traffic_policy("shop", "cart", "retry: {attempts: 2, when: [503], backoff: {base: 10ms}}");
    let mesh = Two::start("http", [bad.address(), good.address()], &[("policy.yaml", policy)]).await?;
    for _ in 0..20 {
        assert_eq!(mesh.send(Method::GET, "").await?.body, "good");
    }
    assert!(!bad.take_asked().is_empty(), "it was asked first now and then");
    mesh.mesh.write("policy.yaml", &traffic_policy("shop", "cart", "retry: {attempts: 0}"))?;
    mesh.mesh.until("no retries", async |_| Ok(mesh.send(Method::GET, "").await?.status == 503)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_again_and_again_is_ejected() -> Result<()> {
    let (bad, good) = (App::http1(|_| reply(500, "bad")).await?, App::named("good").await?);
    let ejection =
        "outlierEjection: {consecutiveErrors: 3, interval: 1s, baseEjectionTime: 60s, maxEjectionPercent: 50}";
    let policy = traffic_policy("shop", "cart", ejection);
    let mesh = Two::start("http", [bad.address(), good.address()], &[("policy.yaml", policy)]).await?;
    mesh.mesh
        .until("the failing endpoint is ejected", async |_| {
            mesh.send(Method::GET, "").await?;
            Ok(mesh.client.counter(&["cart_80", "outlier_detection.ejections_active"]).await? == 1)
        })
        .await?;
    bad.take_asked();
    for _ in 0..20 {
        assert_eq!(mesh.send(Method::GET, "").await?.body, "good");
    }
    assert!(bad.asked().is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_health_check_over_mutual_tls_takes_an_endpoint_out_and_back() -> Result<()> {
    let sick = Arc::new(AtomicBool::new(true));
    let checked = Arc::new(AtomicU16::new(200));
    let (is_sick, status) = (Arc::clone(&sick), Arc::clone(&checked));
    let one = App::http1(move |asked| match &*asked.uri {
        "/healthz" if is_sick.load(Ordering::Relaxed) => reply(503, "sick"),
        "/healthz" => reply(status.load(Ordering::Relaxed), "fine"),
        _ => reply(200, "one"),
    })
    .await?;
    let two = App::named("two").await?;
    let mesh = Two::start("http", [one.address(), two.address()], &[]).await?;
    // Checks are rare until there is traffic.
    mesh.send(Method::GET, "").await?;
    let check = "healthCheck: {http: {path: /healthz, expectedStatuses: [200, \"202-204\"]}, interval: 300ms, \
        timeout: 300ms, unhealthyThreshold: 2, healthyThreshold: 2}";
    mesh.mesh.write("policy.yaml", &traffic_policy("shop", "cart", check))?;
    let membership = async |healthy: u64| {
        mesh.mesh
            .until(&format!("{healthy} of 2 are healthy"), async |_| {
                Ok(mesh.client.counter(&["cart_80.membership_healthy"]).await? == healthy
                    && mesh.client.counter(&["cart_80.health_check.attempt"]).await? > 4)
            })
            .await
    };
    membership(1).await?;
    for _ in 0..20 {
        assert_eq!(mesh.send(Method::GET, "").await?.body, "two");
    }
    let by_client = |asked: &Asked| asked.header("x-forwarded-client-cert").is_some_and(|text| text.contains("sa/web"));
    let asked = one.take_asked();
    assert!(asked.iter().any(|asked| asked.uri == "/healthz" && by_client(asked)), "checks prove who asks: {asked:?}");

    sick.store(false, Ordering::Relaxed);
    checked.store(203, Ordering::Relaxed);
    membership(2).await?;
    checked.store(201, Ordering::Relaxed);
    membership(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_and_tcp_health_checks_work_over_mutual_tls() -> Result<()> {
    // `grpc.health.v1.HealthCheckResponse{status: SERVING}` behind the prefix of an uncompressed message of 2 bytes.
    let serving: &[u8] = &[0, 0, 0, 0, 2, 0x08, 1];
    let grpc = App::http2(move |_| {
        with_header(reply_with_trailers(serving, &[("grpc-status", "0")]), "content-type", "application/grpc")
    })
    .await?;
    let tcp = TcpApp::echo("").await?;
    for (protocol, at, check) in [("grpc", grpc.address(), "grpc: {service: cart}"), ("tcp", tcp.address(), "tcp: {}")]
    {
        let pair = Pair::start(protocol, at).await?;
        TcpStream::connect(pair.upstream()).await?;
        let check = format!("healthCheck: {{{check}, interval: 1s, timeout: 1s}}");
        pair.mesh.write("policy.yaml", &traffic_policy("shop", "cart", &check))?;
        pair.mesh
            .until(&format!("{protocol}: checks succeed"), async |_| {
                Ok(pair.client.counter(&["cart_80.health_check.success"]).await? > 0)
            })
            .await?;
        assert_eq!(pair.client.counter(&["cart_80.health_check.failure"]).await?, 0, "{protocol}");
        assert_eq!(pair.client.counter(&["cart_80.membership_healthy"]).await?, 1, "{protocol}");
    }
    assert_eq!(grpc.asked()[0].uri, "/grpc.health.v1.Health/Check");
    Ok(())
}

/// A shop whose Service `cart` has three endpoints, which answer with their names.
async fn three(policy: &str) -> Result<(Shop, [App; 2])> {
    let mut files = vec![("policy.yaml".to_owned(), traffic_policy("shop", "cart", policy))];
    let mut apps = Vec::new();
    for name in ["cart-2", "cart-3"] {
        let pod = Pod::new("shop", name, "cart");
        files.push((pod.file(), pod.yaml()));
        apps.push(App::at(SocketAddr::new(pod.ip(), 8080), move |_| reply(200, name)).await?);
    }
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    let shop = Shop::start(&["cart"], &files).await?;
    Ok((shop, apps.try_into().expect("two")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_hash_by_header_and_a_maglev_by_cookie_stick_to_an_endpoint() -> Result<()> {
    for (policy, header, value) in [
        ("balancer: {type: RingHash, hashKey: {header: x-user}}", "x-user", "user-"),
        ("balancer: {type: Maglev, hashKey: {cookie: {name: session}}}", "cookie", "session=user-"),
    ] {
        let (shop, _apps) = three(policy).await?;
        let mut chosen = HashMap::new();
        for _ in 0..5 {
            for user in 0..12 {
                let value = format!("{value}{user}");
                let answer = shop.send(Method::GET, "cart", "/", &[(header, &value)]).await?;
                let first = chosen.entry(user).or_insert_with(|| answer.body.clone());
                assert_eq!(*first, answer.body, "{policy}: user {user} stays");
            }
        }
        // All twelve on one of three endpoints by chance: 3^-11.
        assert!(chosen.values().collect::<HashSet<_>>().len() > 1, "{policy}: {chosen:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_with_a_lifetime_is_given_to_those_who_have_none() -> Result<()> {
    let (shop, _apps) = three("balancer: {type: Maglev, hashKey: {cookie: {name: session, ttl: 1h, path: /}}}").await?;
    let first = shop.get("cart", "/").await?;
    let given = first.header("set-cookie").expect("a cookie is given");
    assert!(given.starts_with("session=") && given.contains("Max-Age=3600"), "{given}");
    let cookie = given.split(';').next().unwrap_or_default().replace('"', "");
    for _ in 0..12 {
        let answer = shop.send(Method::GET, "cart", "/", &[("cookie", &cookie)]).await?;
        assert_eq!(
            (answer.body, answer.headers.iter().any(|(name, _)| name == "set-cookie")),
            (first.body.clone(), false)
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_balancer_reaches_every_endpoint() -> Result<()> {
    let (shop, _apps) = three("balancer: {type: RoundRobin}").await?;
    for (kind, name) in [("RoundRobin", "ROUND_ROBIN"), ("Random", "RANDOM"), ("LeastRequest", "LEAST_REQUEST")] {
        shop.mesh.write("policy.yaml", &traffic_policy("shop", "cart", &format!("balancer: {{type: {kind}}}")))?;
        shop.mesh
            .until(kind, async |_| {
                let clusters = shop.client.config("dynamic_active_clusters").await?;
                let of_cart = clusters.iter().find(|one| one["cluster"]["name"] == "shop/cart:80");
                // Round robin is Envoy's default, which a dump leaves out.
                let policy =
                    of_cart.map(|one| one["cluster"]["lb_policy"].as_str().unwrap_or("ROUND_ROBIN").to_owned());
                Ok(policy.as_deref() == Some(name))
            })
            .await?;
        let mut reached = HashSet::new();
        for _ in 0..60 {
            reached.insert(shop.get("cart", "/").await?.body);
        }
        // 60 requests that all miss one of three: 3 * (2/3)^60 = 8e-11.
        assert_eq!(reached.len(), 3, "{kind}: {reached:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_requests_turns_more_away_at_once() -> Result<()> {
    let gate = Arc::new(Semaphore::new(0));
    let entered = Arc::clone(&gate);
    let app = App::slow(move |_: Asked| {
        let gate = Arc::clone(&entered);
        async move {
            gate.acquire().await.expect("the gate is never closed").forget();
            reply(200, "done")
        }
    })
    .await?;
    let pair = Pair::start("http", app.address()).await?;
    pair.mesh.write("policy.yaml", &traffic_policy("shop", "cart", "limits: {requests: 1, pending: 1}"))?;
    pair.mesh
        .until("the limit is in force", async |_| {
            let clusters = pair.client.config("dynamic_active_clusters").await?;
            let of_cart = clusters.iter().find(|one| one["cluster"]["name"] == "shop/cart:80");
            let limits = of_cart.map(|one| &one["cluster"]["circuit_breakers"]["thresholds"][0]["max_requests"]);
            Ok(limits.is_some_and(|limit| limit == 1))
        })
        .await?;
    let upstream = pair.upstream();
    let held = tokio::spawn(async move { http::get(upstream, "cart.shop", "/held").await });
    pair.mesh.until("one request is held", async |_| Ok(app.asked().len() == 1)).await?;
    let started = Instant::now();
    assert_eq!(pair.get("/more").await?.status, 503);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(app.asked().len(), 1);
    assert_eq!(pair.client.counter(&["cart_80.upstream_rq_active_overflow"]).await?, 1, "flag UO");
    gate.add_permits(2);
    assert_eq!(held.await??.body, "done");
    assert_eq!(pair.get("/again").await?.status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_timeout_bounds_each_try() -> Result<()> {
    let pod = Pod::new("shop", "cart-1", "cart");
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(pod.ip(), 8080))?;
    let listener = socket.listen(1)?;
    // A queue that is full and never emptied: who connects now gets no answer at all.
    let mut waiting = Vec::new();
    while let Ok(connected) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(listener.local_addr()?)).await
    {
        waiting.push(connected?);
    }
    let web = Pod::new("shop", "web-1", "web").calling("cart.shop:80");
    let mesh = Mesh::start(&[
        ("cart.yaml", service("shop", "cart", "http", 80, 8080)),
        ("policy.yaml", traffic_policy("shop", "cart", "connectTimeout: 200ms\nretry: {attempts: 1}")),
        (&web.file(), web.yaml()),
        (&pod.file(), pod.yaml()),
    ])
    .await?;
    let client = Sidecar::start(&mesh, &web.workload()).await?;
    let started = Instant::now();
    assert_eq!(http::get(web.upstream("cart.shop:80"), "cart.shop", "/").await?.status, 503);
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(390) && took < Duration::from_secs(3), "two tries of 200 ms: {took:?}");
    assert_eq!(client.counter(&["cart_80.upstream_cx_connect_timeout"]).await?, 2);
    Ok(())
}
