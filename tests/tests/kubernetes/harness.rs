//! The API server of the tests is a real one: what the mesh relies on, and what it must survive, happens.

use std::time::Duration;

use anyhow::{Context, Result};
use byrnie_tests::{
    kubernetes::{ApiServer, Audited, gateway_crds},
    wait::until,
};
use serde_json::Value;
use tokio::time::timeout;

/// What workloads' tokens are for.
const AUDIENCE: &str = "byrnie.io/ca";

#[tokio::test]
async fn the_kinds_of_the_gateway_api_are_served() -> Result<()> {
    let server = ApiServer::shared().await?;
    server.apply_crds(&gateway_crds()?).await?;
    let namespace = server.namespace("routes").await?;
    let route = format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: cart, namespace: {namespace}}}
spec:
  parentRefs: [{{group: '', kind: Service, name: cart}}]
  rules: [{{backendRefs: [{{name: cart, port: 80}}]}}]
"
    );
    server.apply(&route).await?;
    let path = format!("/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes/cart");
    let answer = server.get(&path).await?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let kept: Value = serde_json::from_str(&answer.body)?;
    assert_eq!(kept["spec"]["rules"][0]["matches"][0]["path"]["value"], "/", "the schema's default");
    let refused = server.apply(&route.replace("port: 80", "port: 0")).await.unwrap_err().to_string();
    assert!(refused.contains("spec.rules[0].backendRefs[0].port"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_token_is_good_for_its_audience_alone() -> Result<()> {
    let server = ApiServer::shared().await?;
    let namespace = server.namespace("tokens").await?;
    server
        .apply(&format!(
            "apiVersion: v1
kind: ServiceAccount
metadata: {{name: cart, namespace: {namespace}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: cart-1, namespace: {namespace}}}
spec: {{serviceAccountName: cart, containers: [{{name: cart, image: none}}]}}
"
        ))
        .await?;
    let token = server.token(&namespace, "cart", AUDIENCE, Some(["Pod", "cart-1"])).await?;
    let status = server.review(&token, AUDIENCE).await?;
    assert_eq!(status["authenticated"], true, "{status}");
    assert_eq!(status["user"]["username"], format!("system:serviceaccount:{namespace}:cart"));
    assert_eq!(status["user"]["extra"]["authentication.kubernetes.io/pod-name"][0], "cart-1");
    let status = server.review(&token, "elsewhere").await?;
    assert_ne!(status["authenticated"], true, "{status}");
    // Another one, since for ten seconds the server remembers which tokens were good.
    let lost = server.token(&namespace, "cart", AUDIENCE, Some(["Pod", "cart-1"])).await?;
    server.kubectl(&["delete", "pod", "cart-1", "--namespace", &namespace, "--force"]).await?;
    let refused = async || Ok(server.review(&lost, AUDIENCE).await?["authenticated"] != true);
    until("the token is refused whose Pod has gone", refused).await
}

#[tokio::test]
async fn an_account_may_do_only_what_a_role_grants() -> Result<()> {
    let server = ApiServer::shared().await?;
    let namespace = server.namespace("roles").await?;
    server.kubectl(&["create", "serviceaccount", "reader", "--namespace", &namespace]).await?;
    let reader = server.kubeconfig_of(&namespace, "reader").await?;
    let list = ["get", "services", "--namespace", &namespace];
    let refused = server.kubectl_as(&reader, &list).await.unwrap_err().to_string();
    let who = format!("User \"system:serviceaccount:{namespace}:reader\" cannot list resource \"services\"");
    assert!(refused.contains(&who), "{refused}");
    let role = ["create", "role", "reader", "--verb=list", "--resource=services", "--namespace", &namespace];
    server.kubectl(&role).await?;
    let account = format!("--serviceaccount={namespace}:reader");
    server.kubectl(&["create", "rolebinding", "reader", "--role=reader", &account, "--namespace", &namespace]).await?;
    until("the role counts", async || Ok(server.kubectl_as(&reader, &list).await.is_ok())).await?;
    until("both answers are known", async || {
        let requests = server.requests_of(&namespace, "reader")?;
        let listed = |code| {
            let (verb, resource) = ("list".to_owned(), "services".to_owned());
            Audited { verb, resource, namespace: namespace.clone(), name: String::new(), code }
        };
        Ok(requests.contains(&listed(403)) && requests.contains(&listed(200)))
    })
    .await
}

#[tokio::test]
async fn a_server_that_was_killed_keeps_its_objects_and_refuses_compacted_history() -> Result<()> {
    let mut server = ApiServer::start().await?;
    let namespace = server.namespace("kept").await?;
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    server.kubectl(&["create", "configmap", "one", "--namespace", &namespace]).await?;
    let before = version(&server, &path).await?;
    server.kubectl(&["create", "configmap", "two", "--namespace", &namespace]).await?;
    server.kill()?;
    assert!(server.get("/readyz").await.is_err(), "it was killed");
    let compacted = server.compact().await?;
    assert!(compacted > before);
    server.restart().await?;
    let names = server.kubectl(&["get", "configmaps", "--namespace", &namespace, "--output", "name"]).await?;
    assert_eq!(names, "configmap/one\nconfigmap/two\n");
    let watch = server.get(&format!("{path}?watch=1&timeoutSeconds=5&resourceVersion={before}")).await?;
    let gone: Value = serde_json::from_str(&watch.body).context(watch.body.clone())?;
    let status = if gone["type"] == "ERROR" { &gone["object"] } else { &gone };
    assert_eq!((&status["code"], &status["reason"]), (&410.into(), &"Expired".into()), "{}", watch.body);
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_paused_answers_when_it_goes_on() -> Result<()> {
    let server = ApiServer::start().await?;
    server.pause()?;
    let answer = timeout(Duration::from_secs(1), server.get("/version")).await;
    assert!(answer.is_err(), "{answer:?}");
    server.resume()?;
    assert_eq!(server.get("/version").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn controllers_fill_a_new_namespace_and_follow_services() -> Result<()> {
    let server = ApiServer::with_controllers().await?;
    let namespace = server.namespace("shop").await?;
    server
        .apply(&format!(
            "apiVersion: v1
kind: Node
metadata: {{name: node-1}}
---
apiVersion: v1
kind: Service
metadata: {{name: cart, namespace: {namespace}}}
spec: {{selector: {{app: cart}}, ports: [{{port: 80, appProtocol: http}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: cart-1, namespace: {namespace}, labels: {{app: cart}}}}
spec: {{nodeName: node-1, containers: [{{name: cart, image: none}}]}}
"
        ))
        .await?;
    let running = r#"{"status": {"podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}],
        "conditions": [{"type": "Ready", "status": "True"}]}}"#;
    server
        .kubectl(&["patch", "pod", "cart-1", "--namespace", &namespace, "--subresource=status", "--patch", running])
        .await?;
    let slices = ["get", "endpointslices", "--namespace", &namespace, "--output=jsonpath={..endpoints[*].addresses}"];
    until("the endpoints follow", async || Ok(server.kubectl(&slices).await?.contains("10.0.0.7"))).await?;
    server.kubectl(&["get", "serviceaccount", "default", "--namespace", &namespace]).await?;
    server.kubectl(&["get", "configmap", "kube-root-ca.crt", "--namespace", &namespace]).await?;
    // There is no kubelet that would say that the Pod has ended.
    server.kubectl(&["delete", "pod", "cart-1", "--namespace", &namespace, "--force"]).await?;
    server.kubectl(&["delete", "namespace", &namespace, "--timeout=60s"]).await?;
    Ok(())
}

/// The version at which a list stands.
async fn version(server: &ApiServer, path: &str) -> Result<u64> {
    let list: Value = serde_json::from_str(&server.get(path).await?.body)?;
    Ok(list["metadata"]["resourceVersion"].as_str().context("a list has a version")?.parse()?)
}
