//! One request from application to application through two sidecars, and what the way must not change.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use byrnie_tests::{
    app::{App, Asked, reply, reply_with_trailers, with_header},
    http::{self, Answer},
    mesh::Mesh,
    objects::{Pod, peer_policy, service},
    pair::Pair,
    sidecar::{Sidecar, Variant},
    tcp::{self, TcpApp},
};
use bytes::Bytes;
use hyper::Method;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_over_the_pair_carries_both_identities() -> Result<()> {
    let app = App::named("cart").await?;
    let pair = Pair::start("http", app.address()).await?;
    let answer = pair.get("/basket").await?;
    assert_eq!((answer.status, &*answer.body), (200, "cart"));
    let asked = app.take_asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].uri, "/basket");
    let certificate = asked[0].header("x-forwarded-client-cert").context("the application sees no identity")?;
    let parts: Vec<_> = certificate.split(';').collect();
    assert!(parts.contains(&"By=spiffe://cluster.local/ns/shop/sa/cart"), "{certificate}");
    assert!(parts.contains(&"URI=spiffe://cluster.local/ns/shop/sa/web"), "{certificate}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sidecars_that_ask_for_the_state_of_the_world_are_served_alike() -> Result<()> {
    let app = App::named("cart").await?;
    let web = Pod::new("shop", "web-1", "web").calling("cart.shop:80");
    let cart = Pod::new("shop", "cart-1", "cart").serving(8080, app.address());
    let mesh = Mesh::start(&[
        ("cart.yaml", service("shop", "cart", "http", 80, 8080)),
        (&web.file(), web.yaml()),
        (&cart.file(), cart.yaml()),
    ])
    .await?;
    let _server = Sidecar::speaking(Variant::Sotw, &mesh, &cart.workload()).await?;
    let client = Sidecar::speaking(Variant::Sotw, &mesh, &web.workload()).await?;
    let answer = http::get(web.upstream("cart.shop:80"), "cart.shop", "/").await?;
    assert_eq!((answer.status, &*answer.body), (200, "cart"));
    assert!(app.asked()[0].header("x-forwarded-client-cert").is_some_and(|text| text.contains("sa/web")));
    mesh.remove("cart.yaml")?;
    mesh.until("what is gone is taken away", async |_| {
        let clusters = client.versions("dynamic_active_clusters").await?;
        Ok(!clusters.iter().any(|(name, _)| name == "shop/cart:80"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_outside_the_mesh_is_served_in_permissive_mode_and_cannot_make_up_an_identity() -> Result<()> {
    let app = App::named("cart").await?;
    let pair = Pair::start("http", app.address()).await?;
    let made_up = [("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/shop/sa/admin")];
    let answer = http::send(pair.inbound(), Method::GET, "cart", "/", &made_up, Bytes::new()).await?;
    assert_eq!(answer.status, 200);
    let answer = pair.send(Method::GET, "/", &made_up, "").await?;
    assert_eq!(answer.status, 200);
    let asked = app.take_asked();
    assert_eq!(asked[0].header("x-forwarded-client-cert"), None);
    let through_the_pair = asked[1].header("x-forwarded-client-cert").unwrap_or_default();
    assert!(through_the_pair.contains("sa/web") && !through_the_pair.contains("sa/admin"), "{through_the_pair}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_mode_of_a_namespace_a_workload_or_a_port_closes_plain_text_and_serves_the_mesh() -> Result<()> {
    let app = App::named("cart").await?;
    let pair = Pair::start("http", app.address()).await?;
    let cases = [
        ("namespace", "{mode: Strict}", false),
        ("no policy of another workload", "{mode: Strict, selector: {matchLabels: {app: web}}}", true),
        ("workload", "{mode: Strict, selector: {matchLabels: {app: cart}}}", false),
        ("all ports but one", "{mode: Strict, ports: [{port: 8080, mode: Permissive}]}", true),
        ("port", "{mode: Permissive, ports: [{port: 8080, mode: Strict}]}", false),
    ];
    for (what, spec, is_served) in cases {
        pair.mesh.write("policy.yaml", &peer_policy("shop", "peers", spec))?;
        pair.mesh
            .until(&format!("{what}: plain text is served: {is_served}"), async |_| {
                Ok(http::get(pair.inbound(), "cart", "/").await.is_ok() == is_served)
            })
            .await?;
        assert_eq!(pair.get("/").await?.status, 200, "{what}");
    }
    let refused = http::get(pair.inbound(), "cart", "/").await;
    assert!(refused.is_err(), "the connection is closed, without an answer: {refused:?}");
    pair.mesh.remove("policy.yaml")?;
    pair.mesh.until("permissive again", async |_| Ok(http::get(pair.inbound(), "cart", "/").await?.status == 200)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mode_of_the_mesh_holds_where_no_peer_policy_speaks() -> Result<()> {
    let app = App::named("cart").await?;
    let pair = Pair::start("http", app.address()).await?;
    let config = "apiVersion: mesh.byrnie.io/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\n";
    pair.mesh.write("mesh.yaml", &format!("{config}spec: {{peer: {{mode: Strict}}}}\n"))?;
    pair.mesh
        .until("plain text is refused", async |_| Ok(http::get(pair.inbound(), "cart", "/").await.is_err()))
        .await?;
    pair.mesh.write("policy.yaml", &peer_policy("shop", "peers", "{mode: Permissive}"))?;
    pair.mesh
        .until("the namespace's policy wins", async |_| Ok(http::get(pair.inbound(), "cart", "/").await?.status == 200))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applications_own_tls_passes_from_outside_and_through_the_pair_and_is_closed_when_strict() -> Result<()> {
    let certified = rcgen::generate_simple_self_signed(vec!["cart.example".to_owned()])?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let app = TcpApp::serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await?;
            let mut word = [0; 4];
            stream.read_exact(&mut word).await?;
            stream.write_all(&word).await?;
            Ok(stream.shutdown().await?)
        }
    })
    .await?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certified.cert.der().clone())?;
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(client));
    let call = async |at: SocketAddr| -> Result<()> {
        let name = ServerName::try_from("cart.example")?;
        let mut stream = connector.connect(name, TcpStream::connect(at).await?).await?;
        stream.write_all(b"ping").await?;
        let mut word = [0; 4];
        stream.read_exact(&mut word).await?;
        ensure!(&word == b"ping");
        Ok(())
    };

    let pair = Pair::start("https", app.address()).await?;
    call(pair.upstream()).await.context("through the pair")?;
    call(pair.inbound()).await.context("from outside")?;
    pair.mesh.write("policy.yaml", &peer_policy("shop", "peers", "{mode: Strict}"))?;
    pair.mesh.until("TLS of others is closed", async |_| Ok(call(pair.inbound()).await.is_err())).await?;
    call(pair.upstream()).await.context("through the pair, strict")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_proves_another_account_than_its_endpoint_claims_is_not_called() -> Result<()> {
    let app = App::named("thief").await?;
    let web = Pod::new("shop", "web-1", "web").calling("cart.shop:80");
    let thief = Pod::new("shop", "thief-1", "thief").serving(8080, app.address());
    // Says of the thief's address that the account of `cart` is there.
    let cart = Pod::new("shop", "cart-1", "cart").at(thief.ip()).serving(8080, app.address());
    let mesh = Mesh::start(&[
        ("cart.yaml", service("shop", "cart", "http", 80, 8080)),
        (&web.file(), web.yaml()),
        (&thief.file(), thief.yaml()),
        (&cart.file(), cart.yaml()),
    ])
    .await?;
    let _thief = Sidecar::start(&mesh, &thief.workload()).await?;
    let client = Sidecar::start(&mesh, &web.workload()).await?;
    let answer = http::get(web.upstream("cart.shop:80"), "cart.shop", "/").await?;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(app.asked().is_empty(), "the thief got the request");
    assert!(client.counter(&["cluster.", "ssl.fail_verify_san"]).await? > 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_answers_are_as_without_sidecars_but_for_the_callers_certificate() -> Result<()> {
    let app = App::http1(|asked| {
        let answer = reply(418, format!("{} {}", asked.method, asked.uri));
        let answer = with_header(answer, "server", "kettle/1.0");
        with_header(with_header(answer, "set-cookie", "a=1"), "set-cookie", "b=2")
    })
    .await?;
    let pair = Pair::start("http", app.address()).await?;
    let headers = [
        ("user-agent", "spoon/2"),
        ("accept", "tea/*"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-request-id", "not-a-uuid"),
        ("x-custom", "one"),
        ("x-custom", "two"),
        ("cookie", "a=1; b=2"),
    ];
    let sets: [&[(&str, &str)]; 2] = [&[], &headers];
    for headers in sets {
        for (method, path, body) in [
            (Method::GET, "/a//b/../c%2Fd%20?q=%20&q=2", ""),
            (Method::POST, "/", "some text"),
            (Method::DELETE, "/x;y=z", ""),
            (Method::OPTIONS, "/", ""),
        ] {
            let body = Bytes::from_static(body.as_bytes());
            let without = http::send(app.address(), method.clone(), "Any.Host:99", path, headers, body.clone()).await?;
            let with = http::send(pair.upstream(), method, "Any.Host:99", path, headers, body).await?;
            assert_eq!(shown(&with), shown(&without));
            let asked = app.take_asked();
            assert_eq!(seen(&asked[1]), seen(&asked[0]));
        }
    }
    Ok(())
}

/// All of an answer but the moment at which it was made.
fn shown(answer: &Answer) -> (u16, BTreeMap<String, Vec<String>>, String) {
    (answer.status, by_name(&answer.headers, &["date"]), answer.body.clone())
}

/// All of a request but the caller's certificate, which the server's sidecar adds, and the scheme, which has a test of
/// its own. A length of 0 says what no length says (RFC 9112, section 6.3), and Envoy always says it.
fn seen(asked: &Asked) -> (String, String, String, String, BTreeMap<String, Vec<String>>, Bytes) {
    let Asked { method, uri, host, version, mut headers, body } = asked.clone();
    headers.retain(|(name, value)| (&**name, &**value) != ("content-length", "0"));
    (method, uri, host, version, by_name(&headers, &["x-forwarded-client-cert", "x-forwarded-proto"]), body)
}

fn by_name(headers: &[(String, String)], without: &[&str]) -> BTreeMap<String, Vec<String>> {
    let mut sorted = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in headers.iter().filter(|(name, _)| !without.contains(&name.as_str())) {
        sorted.entry(name.clone()).or_default().push(value.clone());
    }
    sorted
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_proto_of_the_application_is_kept_and_a_missing_one_says_http() -> Result<()> {
    let app = App::named("cart").await?;
    let pair = Pair::start("http", app.address()).await?;
    let cases: [&[(&str, &str)]; 3] = [&[], &[("x-forwarded-proto", "https")], &[("x-forwarded-proto", "http")]];
    for headers in cases {
        assert_eq!(pair.send(Method::GET, "/", headers, "").await?.status, 200);
        let asked = app.take_asked().remove(0);
        let sent = headers.first().map_or("http", |(_, value)| value);
        assert_eq!(asked.header("x-forwarded-proto"), Some(sent), "docs/wire.md names the one header that Envoy adds");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_can_give_no_orders_to_the_proxy_by_headers() -> Result<()> {
    let app = App::slow(async |_| {
        tokio::time::sleep(Duration::from_millis(200)).await;
        reply(503, "slow")
    })
    .await?;
    let pair = Pair::start("http", app.address()).await?;
    let orders = [
        ("x-envoy-upstream-rq-timeout-ms", "20"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-max-retries", "5"),
        ("x-envoy-upstream-rq-timeout-alt-response", "true"),
    ];
    let answer = pair.send(Method::GET, "/", &orders, "").await?;
    assert_eq!((answer.status, &*answer.body), (503, "slow"), "the application's own answer");
    assert_eq!(app.asked().len(), 1, "asked once");
    let foreign = app.asked()[0].headers.iter().any(|(name, _)| name.starts_with("x-envoy-"));
    assert!(!foreign, "{:?}", app.asked()[0].headers);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_0_is_served() -> Result<()> {
    let app = App::named("cart").await?;
    let pair = Pair::start("http", app.address()).await?;
    let mut stream = TcpStream::connect(pair.upstream()).await?;
    stream.write_all(b"GET /old HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no head")?;
    assert!(head.lines().next().unwrap_or_default().ends_with(" 200 OK"), "{head}");
    assert_eq!(body, "cart");
    assert_eq!(app.asked()[0].uri, "/old");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_passes_the_pair() -> Result<()> {
    let app = TcpApp::websocket().await?;
    let pair = Pair::start("http", app.address()).await?;
    let mut stream = TcpStream::connect(pair.upstream()).await?;
    let upgrade = "GET /live HTTP/1.1\r\nhost: cart\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await?;
    let head = tcp::read_head(&mut stream).await?;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    for word in [b"one!", b"two!"] {
        stream.write_all(word).await?;
        let mut back = [0; 4];
        stream.read_exact(&mut back).await?;
        assert_eq!(&back, word);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_passes_the_pair_with_its_trailers() -> Result<()> {
    let app = App::http2(|_| reply_with_trailers("pong", &[("grpc-status", "0"), ("x-end", "yes")])).await?;
    for protocol in ["kubernetes.io/h2c", "grpc"] {
        let pair = Pair::start(protocol, app.address()).await?;
        let headers = [("content-type", "application/grpc"), ("te", "trailers")];
        let (path, body) = ("/shop.Cart/Ping", Bytes::from_static(b"ping"));
        let answer = http::send_http2(pair.upstream(), Method::POST, "cart.shop", path, &headers, body).await?;
        assert_eq!((answer.status, &*answer.body), (200, "pong"), "{protocol}");
        assert_eq!((answer.trailer("grpc-status"), answer.trailer("x-end")), (Some("0"), Some("yes")), "{protocol}");
        let asked = app.take_asked();
        assert_eq!((&*asked[0].version, &*asked[0].uri, &asked[0].body[..]), ("HTTP/2.0", path, &b"ping"[..]));
        assert_eq!(asked[0].header("te"), Some("trailers"), "{protocol}");
        assert!(asked[0].header("x-forwarded-client-cert").is_some_and(|text| text.contains("sa/web")));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_a_protocol_whose_server_speaks_first_pass_the_pair_at_once() -> Result<()> {
    let app = TcpApp::echo("220 ready\n").await?;
    // 3306 is known for MySQL, so nothing is declared.
    let declared = service("shop", "cart", "", 3306, 8080);
    let pair = Pair::with_service(&declared, "cart.shop:3306", app.address()).await?;
    let at = pair.web.upstream("cart.shop:3306");
    let started = Instant::now();
    assert_eq!(tcp::exchange(at, b"", 10).await?, b"220 ready\n");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(tcp::exchange(at, b"hello", 15).await?, b"220 ready\nhello");
    assert!(pair.server.counter(&["listener.", "ssl.handshake"]).await? >= 2, "mesh TLS carried it");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undeclared_port_takes_http_and_protocols_whose_server_speaks_first() -> Result<()> {
    let (web, bytes) = (App::named("web").await?, TcpApp::echo("hi\n").await?);
    let object = "apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  selector: {app: cart}
  ports:
  - {name: one, port: 7001, targetPort: 8080}
  - {name: two, port: 7002, targetPort: 8081}
";
    let client = Pod::new("shop", "web-1", "web").calling("cart.shop:7001").calling("cart.shop:7002");
    let server = Pod::new("shop", "cart-1", "cart").serving(8080, web.address()).serving(8081, bytes.address());
    let files = [("cart.yaml", object.to_owned()), (&*client.file(), client.yaml()), (&*server.file(), server.yaml())];
    let mesh = Mesh::start(&files).await?;
    let called = Sidecar::start(&mesh, &server.workload()).await?;
    let _caller = Sidecar::start(&mesh, &client.workload()).await?;

    let answer = http::get(client.upstream("cart.shop:7001"), "cart.shop", "/").await?;
    assert_eq!((answer.status, &*answer.body), (200, "web"));
    let identity = web.asked()[0].header("x-forwarded-client-cert").unwrap_or_default().to_owned();
    assert!(identity.contains("sa/web"), "seen as HTTP on both sides: {identity:?}");
    let started = Instant::now();
    assert_eq!(tcp::exchange(client.upstream("cart.shop:7002"), b"", 3).await?, b"hi\n");
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    assert!(called.counter(&["listener.", "ssl.handshake"]).await? >= 2, "mesh TLS carried both");

    let started = Instant::now();
    assert_eq!(http::get(SocketAddr::new(server.ip(), 8080), "cart", "/").await?.body, "web", "from outside");
    assert_eq!(tcp::exchange(SocketAddr::new(server.ip(), 8081), b"", 3).await?, b"hi\n", "from outside");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    Ok(())
}
