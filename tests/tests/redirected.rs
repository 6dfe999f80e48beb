//! The listeners of a Pod whose traffic is redirected. There is one such test, since their ports are fixed.

use anyhow::{Context, Result};
use byrnie_tests::{
    mesh::Mesh,
    objects::{Pod, http_route},
    sidecar::Sidecar,
    tcp,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_real_envoy_accepts_every_listener_of_a_redirected_pod() -> Result<()> {
    let services = "apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  ipFamilyPolicy: RequireDualStack
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10, 'fd00::10']
  selector: {app: cart}
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: grpc, port: 81, targetPort: 8081}
  - {name: tcp-any, port: 82, targetPort: 8082}
  - {name: https, port: 443, targetPort: 8443}
  - {name: unknown, port: 83, targetPort: 8083}
---
apiVersion: v1
kind: Service
metadata: {name: database, namespace: shop}
spec:
  clusterIP: None
  selector: {app: cart}
  ports:
  - {name: mysql, port: 3306}
  - {name: http, port: 9000}
  - {name: unknown, port: 9001}
---
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: shop}
spec: {type: ExternalName, externalName: example.org, ports: [{port: 80}]}
";
    let rules = "- backendRefs: [{name: cart, port: 80, weight: 9}, {name: cart, port: 81, weight: 1}]";
    let pods = ["cart-1", "cart-2"].map(|name| Pod::new("shop", name, "cart").injected());
    let policy = "apiVersion: mesh.byrnie.io/v1alpha1
kind: PeerPolicy
metadata: {name: peers, namespace: shop}
spec: {mode: Permissive, ports: [{port: 8080, mode: Strict}, {port: 7777, mode: Strict}]}
";
    let mesh = Mesh::start(&[
        ("services.yaml", services.to_owned()),
        ("policy.yaml", policy.to_owned()),
        ("route.yaml", http_route("shop", "cart", "{kind: Service, name: cart, port: 80}", rules)),
        (&pods[0].file(), pods[0].yaml()),
        (&pods[1].file(), pods[1].yaml()),
    ])
    .await?;
    let sidecar = Sidecar::start(&mesh, "shop/cart-1").await?;

    let listeners = sidecar.config("dynamic_listeners").await?;
    let refused: Vec<_> = listeners.iter().filter(|listener| listener.get("error_state").is_some()).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let names: Vec<_> = sidecar.versions("dynamic_listeners").await?.into_iter().map(|(name, _)| name).collect();
    let address = |port: u16| format!("out/10.96.0.10:{port}");
    let headless = |pod: &Pod, port: u16| format!("out/{}:{port}", pod.ip());
    let mut expected = vec!["in".to_owned(), "out".to_owned(), "out/[fd00::10]:80".to_owned()];
    expected.extend([80, 81, 82, 443, 83].map(address));
    expected.extend([3306, 9000, 9001].map(|port| headless(&pods[1], port)));
    for name in &expected {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
    for api in ["cluster_manager.cds.update_rejected", "listener_manager.lds.update_rejected", "update_rejected"] {
        assert_eq!(sidecar.counter(&[api]).await?, 0, "{api}: {}", sidecar.log());
    }
    assert_eq!(sidecar.counter(&["listener_create_failure"]).await?, 0, "{}", sidecar.log());

    let clients: serde_json::Value = serde_json::from_str(&mesh.cli(&["proxy-status", "-o", "json"])?)?;
    let client = clients.as_array().context("a list")?.iter().find(|client| client["node"] == "shop/cart-1");
    let refused = &client.context("the sidecar is listed")?["refused"];
    assert!(refused.as_array().is_none_or(Vec::is_empty), "{refused:#}");

    // Called without a redirection, the listeners see themselves as the destination: they close, and do not loop.
    for port in [15001, 15006] {
        let at = std::net::SocketAddr::new(pods[0].ip(), port);
        let called = tcp::exchange(at, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", 1).await;
        assert!(called.is_err(), "{port}: {called:?}");
    }
    Ok(())
}
