//! The command on a cluster: what it asks of the API server, and what it makes of the answers. There are no nodes here,
//! so that nothing can be forwarded.

use std::{path::Path, process::Stdio};

use anyhow::{Context, Result, ensure};
use byrnie_tests::{
    kubernetes::{ApiServer, gateway_crds},
    objects::free_address,
    process::byrnie,
    wait::until,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// `byrnie ARGUMENTS` as the user of a kubeconfig, to be started.
fn command(kubeconfig: &Path, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(byrnie()?);
    command.args(arguments).arg("--kubeconfig").arg(kubeconfig).env_remove("KUBECONFIG");
    command.stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

/// Its exit code, standard output and standard error.
async fn run(kubeconfig: &Path, arguments: &[&str]) -> Result<(Option<i32>, String, String)> {
    let output = command(kubeconfig, arguments)?.output().await?;
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Ok((output.status.code(), out, err))
}

/// `byrnie wait` that runs, and what it prints.
struct Waiting {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Waiting {
    fn start(server: &ApiServer, arguments: &[&str]) -> Result<Self> {
        let mut command = command(&server.kubeconfig(), &[&["wait"], arguments].concat())?;
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("it is a pipe")?).lines();
        Ok(Self { child, lines })
    }

    async fn line(&mut self) -> Result<String> {
        self.lines.next_line().await?.context("it has ended")
    }

    /// Its exit code and standard error, once it has ended.
    async fn end(self) -> Result<(Option<i32>, String)> {
        let output = self.child.wait_with_output().await?;
        Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}

/// The shared server with all definitions, and a namespace.
async fn stage(what: &str) -> Result<(&'static ApiServer, String)> {
    let server = ApiServer::shared().await?;
    server.apply_crds(&gateway_crds()?).await?;
    server.apply_crds(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/byrnie-crds/templates")).await?;
    Ok((server, server.namespace(what).await?))
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    })
}

/// Writes the status of an object, as the control plane does.
async fn tell(server: &ApiServer, namespace: &str, object: &str, status: &Value) -> Result<()> {
    let patch = json!({"status": status}).to_string();
    let arguments =
        ["patch", object, "--namespace", namespace, "--subresource=status", "--type=merge", "--patch", &patch];
    server.kubectl(&arguments).await?;
    Ok(())
}

async fn route(server: &ApiServer, namespace: &str) -> Result<()> {
    let route = format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: cart, namespace: {namespace}}}
spec:
  parentRefs:
  - {{group: '', kind: Service, name: cart}}
  - {{group: '', kind: Service, name: shelf, port: 81}}
  - {{name: edge}}
  rules: [{{backendRefs: [{{name: cart, port: 80}}]}}]
"
    );
    server.apply(&route).await
}

/// The status of [`route`], with a Gateway's that never comes to anything.
fn parents(first: &Value, second: &Value) -> Value {
    let parent = |controller: &str, parent: Value, condition: &Value| {
        let accepted = self::condition("Accepted", "True", "Accepted", "governs port 80");
        json!({"controllerName": controller, "parentRef": parent, "conditions": [accepted, condition]})
    };
    let service = json!({"group": "", "kind": "Service", "name": "cart"});
    let port = json!({"group": "", "kind": "Service", "name": "shelf", "port": 81});
    let refused = condition("Programmed", "False", "Invalid", "no such listener");
    json!({"parents": [
        parent("example.com/gateway", json!({"name": "edge"}), &refused),
        parent("byrnie.io/mesh", service, first),
        parent("byrnie.io/mesh", port, second),
    ]})
}

#[tokio::test]
async fn wait_returns_when_all_parents_of_ours_are_programmed() -> Result<()> {
    let (server, namespace) = stage("waited").await?;
    route(server, &namespace).await?;
    let object = format!("HTTPRoute/{namespace}/cart");
    let mut waiting = Waiting::start(server, &["httproutes/cart", "-n", &namespace])?;
    let line = waiting.line().await?;
    assert!(line.starts_with(&format!("{object}: ")) && line.contains("generation 1"), "{line}");
    let all = condition("Programmed", "True", "Programmed", "12/12 proxies");
    let some = condition("Programmed", "Unknown", "Pending", "7/12 proxies");
    tell(server, &namespace, "httproute/cart", &parents(&all, &some)).await?;
    let line = waiting.line().await?;
    assert_eq!(line, format!("{object}: Service/{namespace}/shelf:81: Pending: 7/12 proxies"));
    tell(server, &namespace, "httproute/cart", &parents(&all, &all)).await?;
    let line = waiting.line().await?;
    assert!(line.starts_with(&format!("{object} is live: ")) && line.contains("12/12 proxies"), "{line}");
    assert_eq!(waiting.end().await?, (Some(0), String::new()));
    Ok(())
}

#[tokio::test]
async fn wait_ends_when_a_proxy_refuses_or_the_object_is_not_accepted_or_the_time_is_up() -> Result<()> {
    let (server, namespace) = stage("waited").await?;
    let policy =
        format!("apiVersion: mesh.byrnie.io/v1alpha1\nkind: TrafficPolicy\nmetadata: {{namespace: {namespace}, ");
    for name in ["cart", "lost", "slow"] {
        server.apply(&format!("{policy}name: {name}}}\nspec: {{targetRef: {{name: cart}}, retry: {{}}}}\n")).await?;
    }
    let mut waiting = Waiting::start(server, &["tp/cart", "--namespace", &namespace])?;
    waiting.line().await?;
    let refused = condition("Programmed", "False", "Refused", "shop/web-1 refused CDS shop/cart:80: no");
    tell(server, &namespace, "tp/cart", &json!({"conditions": [refused]})).await?;
    let (code, said) = waiting.end().await?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Refused: shop/web-1 refused CDS shop/cart:80: no"), "{said}");

    let lost = condition("Accepted", "False", "TargetNotFound", "Service cart does not exist");
    tell(server, &namespace, "tp/lost", &json!({"conditions": [lost]})).await?;
    let (code, _, said) = run(&server.kubeconfig(), &["wait", "trafficpolicy/lost", "-n", &namespace]).await?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("TargetNotFound: Service cart does not exist"), "{said}");

    let slow = condition("Programmed", "Unknown", "Pending", "0/1 proxies");
    tell(server, &namespace, "tp/slow", &json!({"conditions": [slow]})).await?;
    let arguments = ["wait", "trafficpolicies/slow", "-n", &namespace, "--timeout", "1s"];
    let (code, _, said) = run(&server.kubeconfig(), &arguments).await?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is not live within 1s: Pending: 0/1 proxies"), "{said}");
    Ok(())
}

#[tokio::test]
async fn wait_tells_by_its_exit_code_that_it_could_not_ask() -> Result<()> {
    let (server, namespace) = stage("waited").await?;
    let (code, _, said) = run(&server.kubeconfig(), &["wait", "pp/none", "-n", &namespace]).await?;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(&format!("PeerPolicy/{namespace}/none is not there")), "{said}");
    let nobody = nobody(server, &namespace).await?;
    let (code, _, said) = run(&nobody, &["wait", "meshconfig/default"]).await?;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("MeshConfig/default") && said.contains("cannot get resource"), "{said}");
    let (code, _, said) = run(&server.kubeconfig(), &["wait", "service/cart"]).await?;
    assert_eq!(code, Some(2), "{said}");
    Ok(())
}

/// The checks that `byrnie check` printed, and its exit code.
async fn check(kubeconfig: &Path, arguments: &[&str]) -> Result<(Option<i32>, Vec<Value>)> {
    let (code, out, err) = run(kubeconfig, &[&["check", "-o", "json"], arguments].concat()).await?;
    let checks: Value = serde_json::from_str(&out).with_context(|| err)?;
    Ok((code, checks.as_array().cloned().unwrap_or_default()))
}

/// The result of a check, and what it found.
fn told<'a>(checks: &'a [Value], name: &str) -> (&'a str, &'a str) {
    let check = checks.iter().find(|check| check["check"] == name);
    let field = |field: &str| check.and_then(|check| check[field].as_str()).unwrap_or_default();
    (field("result"), field("found"))
}

/// A user without any right.
async fn nobody(server: &ApiServer, namespace: &str) -> Result<std::path::PathBuf> {
    server.kubectl(&["create", "serviceaccount", "nobody", "--namespace", namespace]).await?;
    server.kubeconfig_of(namespace, "nobody").await
}

#[tokio::test]
async fn check_before_an_installation_tells_what_the_user_may_not_do() -> Result<()> {
    let (server, namespace) = stage("checked").await?;
    let (code, checks) = check(&server.kubeconfig(), &["--pre", "--byrnie-namespace", &namespace]).await?;
    assert_eq!(code, Some(0), "{checks:#?}");
    assert_eq!(checks.len(), 4, "{checks:#?}");
    let (result, found) = told(&checks, "api-server");
    assert!(result == "ok" && found.starts_with("Kubernetes v1."), "{found}");
    assert_eq!(told(&checks, "rights").0, "ok");
    let (result, found) = told(&checks, "gateway-api");
    assert!(result == "ok" && found.contains("channel standard") && found.contains("retry"), "{found}");
    assert_eq!(told(&checks, "definitions"), ("ok", "the 3 of this version"), "as the API server keeps them");

    let (code, checks) = check(&nobody(server, &namespace).await?, &["--pre"]).await?;
    assert_eq!(code, Some(1), "{checks:#?}");
    let (result, found) = told(&checks, "rights");
    assert_eq!(result, "fault");
    let missing = "clusterroles, clusterrolebindings, mutatingwebhookconfigurations, deployments";
    assert!(found.ends_with(&format!("customresourcedefinitions, {missing}")), "{found}");
    for name in ["gateway-api", "definitions"] {
        let (result, found) = told(&checks, name);
        assert!(result == "warning" && found.contains("cannot get resource"), "{name}: {found}");
    }
    Ok(())
}

#[tokio::test]
async fn check_and_the_verbs_that_ask_say_that_nothing_is_installed_or_that_there_is_no_server() -> Result<()> {
    let (server, namespace) = stage("checked").await?;
    let (code, checks) = check(&server.kubeconfig(), &["--byrnie-namespace", &namespace]).await?;
    assert_eq!(code, Some(1), "{checks:#?}");
    let none = format!("no Deployment {namespace}/byrnie-control-plane");
    assert_eq!(told(&checks, "deployment"), ("fault", &*none));
    let (code, out, _) = run(&server.kubeconfig(), &["check", "--byrnie-namespace", &namespace]).await?;
    assert_eq!(code, Some(1));
    assert!(out.contains("fault    deployment") && out.contains("byrnie install"), "{out}");
    for verb in [&["proxy-status"][..], &["stat"], &["describe", "Service/a/b"], &["proxy-config", "cluster", "a/b"]] {
        let arguments = [verb, &["--byrnie-namespace", &namespace]].concat();
        let (code, _, said) = run(&server.kubeconfig(), &arguments).await?;
        assert_eq!(code, Some(1), "{said}");
        for part in ["app.kubernetes.io/name=byrnie-control-plane", &namespace, "none is there", "byrnie check"] {
            assert!(said.contains(part), "{part:?} is missing: {said}");
        }
    }

    let kubeconfig = std::fs::read_to_string(server.kubeconfig())?;
    let away = server.folder().join("away.kubeconfig");
    std::fs::write(&away, kubeconfig.replace(&server.address().to_string(), &free_address(6443).to_string()))?;
    let (code, checks) = check(&away, &[]).await?;
    assert_eq!((code, checks.len()), (Some(2), 1), "{checks:#?}");
    assert_eq!(told(&checks, "api-server").0, "fault");
    Ok(())
}

#[tokio::test]
async fn check_judges_an_installation_by_its_objects() -> Result<()> {
    let (server, namespace) = stage("checked").await?;
    let shown = Command::new(byrnie()?).args(["install", "--namespace", &namespace, "--skip-crds"]).output().await?;
    let shown = String::from_utf8(shown.stdout)?;
    let is_deployment = |document: &&str| document.lines().any(|line| line == "kind: Deployment");
    let deployment = shown.split("\n---\n").find(is_deployment).context("it has a Deployment")?;
    server.apply(deployment).await?;
    let status = json!({"replicas": 2, "readyReplicas": 1, "availableReplicas": 1, "updatedReplicas": 2, "observedGeneration": 1});
    tell(server, &namespace, "deployment/byrnie-control-plane", &status).await?;
    let (code, checks) = check(&server.kubeconfig(), &["--byrnie-namespace", &namespace]).await?;
    assert_eq!(code, Some(1), "{checks:#?}");
    assert_eq!(told(&checks, "deployment"), ("warning", "1 of 2 replicas are available"));
    assert_eq!(told(&checks, "images").0, "warning", "no controller makes Pods here");
    let lease = format!("no Lease leases/{namespace}/byrnie-control-plane");
    assert_eq!(told(&checks, "lease"), ("fault", &*lease));
    let secret = format!("no Secret {namespace}/byrnie-ca");
    assert_eq!(told(&checks, "keys"), ("fault", &*secret));
    let (result, found) = told(&checks, "trust");
    assert!(result == "fault" && found.contains("ConfigMap byrnie-trust is missing in"), "{found}");
    let (result, found) = told(&checks, "control-plane");
    assert!(result == "warning" && found.contains("no ready Pod"), "{found}");
    Ok(())
}

#[tokio::test]
async fn what_a_user_may_not_read_is_a_warning_of_that_check_alone() -> Result<()> {
    let (server, namespace) = stage("checked").await?;
    let nobody = nobody(server, &namespace).await?;
    let (code, checks) = check(&nobody, &["--byrnie-namespace", &namespace]).await?;
    assert_eq!((code, told(&checks, "api-server").0), (Some(0), "ok"), "{checks:#?}");
    let unread =
        ["deployment", "images", "lease", "keys", "trust", "injector", "webhooks", "sidecars", "control-plane"];
    for name in ["rights", "definitions"].iter().chain(&unread) {
        let (result, found) = told(&checks, name);
        assert!(result == "warning" && !found.is_empty(), "{name}: {checks:#?}");
    }
    let (code, _, said) = run(&nobody, &["proxy-status", "--byrnie-namespace", &namespace]).await?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cannot list the Pods of namespace") && said.contains("\"pods\""), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_replica_that_nothing_can_be_forwarded_to_is_named() -> Result<()> {
    let (server, namespace) = stage("replicas").await?;
    let pod = format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: one, namespace: {namespace}, labels: {{app.kubernetes.io/name: byrnie-control-plane}}}}
spec: {{nodeName: nowhere, containers: [{{name: control-plane, image: none}}]}}
"
    );
    server.apply(&pod).await?;
    let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    tell(server, &namespace, "pod/one", &ready).await?;
    until("the Pod counts as ready", async || {
        let (code, _, said) = run(&server.kubeconfig(), &["stat", "--byrnie-namespace", &namespace]).await?;
        ensure!(code == Some(1), "{said}");
        Ok(said.contains(&format!("no port-forward to Pod {namespace}/one: ")))
    })
    .await
}

#[tokio::test]
async fn pods_that_were_missed_are_found_and_explained() -> Result<()> {
    // Of its own: Pods of labelled namespaces are not made while nobody answers its webhooks.
    let server = &ApiServer::start().await?;
    let namespace = server.namespace("mesh").await?;
    let (_, checks) = check(&server.kubeconfig(), &["--byrnie-namespace", &namespace]).await?;
    assert_eq!(told(&checks, "injector"), ("", ""), "without a control plane nothing else is checked");
    let shown = Command::new(byrnie()?).args(["install", "--namespace", &namespace, "--skip-crds"]).output().await?;
    let shown = String::from_utf8(shown.stdout)?;
    for kind in ["Deployment", "MutatingWebhookConfiguration"] {
        for object in shown.split("\n---\n").filter(|one| one.contains(&format!("\nkind: {kind}\n"))) {
            server.apply(object).await?;
        }
    }
    let shop = server.namespace("shop").await?;
    let pods = format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: web-1, namespace: {shop}}}
spec: {{containers: [{{name: app, image: none}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: batch, namespace: {shop}, labels: {{byrnie.io/inject: 'false'}}}}
spec: {{containers: [{{name: app, image: none}}]}}
"
    );
    server.apply(&pods).await?;
    server.kubectl(&["label", "namespace", &shop, "byrnie.io/inject=enabled"]).await?;

    let (code, checks) = check(&server.kubeconfig(), &["--byrnie-namespace", &namespace]).await?;
    assert_eq!(code, Some(1), "{checks:#?}");
    assert_eq!(told(&checks, "injector"), ("fault", "0 of 2 replicas are available"), "no controller makes Pods here");
    let (result, found) = told(&checks, "webhooks");
    assert!(result == "fault" && found.contains("caBundle of namespace.inject.byrnie.io is missing"), "{found}");
    let missed = format!("none beside web-1 of namespace {shop}: they were made before one was asked for");
    let sidecars: Vec<_> = checks.iter().filter(|one| one["check"] == "sidecars").collect();
    assert!(sidecars.iter().any(|one| one["found"] == *missed), "{sidecars:#?}");

    let explain = async |pods: &[&str]| {
        let options = ["inject", "--explain", "--byrnie-namespace", &namespace, "-o", "json"];
        run(&server.kubeconfig(), &[&options, pods].concat()).await
    };
    let (code, out, said) = explain(&[&format!("{shop}/web-1"), &format!("{shop}/batch")]).await?;
    assert_eq!(code, Some(1), "{said}");
    let rows: Value = serde_json::from_str(&out)?;
    assert_eq!((&rows[0]["object"], &rows[0]["injected"]), (&json!(format!("Pod/{shop}/web-1")), &json!(false)));
    let reason = rows[0]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("has the label byrnie.io/inject=enabled, and it has no sidecar"), "{reason}");
    assert_eq!(rows[1]["reason"], "metadata.labels[byrnie.io/inject] is \"false\"");
    let (code, _, said) = explain(&["batch", "-n", &shop]).await?;
    assert_eq!((code, &*said), (Some(0), ""));
    server.apply_crds(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/byrnie-crds/templates")).await?;
    let config = "apiVersion: mesh.byrnie.io/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec: {injection: {allowedAnnotations: [proxy-cpu]}}
";
    server.apply(config).await?;
    server.kubectl(&["annotate", "pod", "web-1", "byrnie.io/log-level=debug", "--namespace", &shop]).await?;
    let (_, out, _) = explain(&["web-1", "-n", &shop]).await?;
    let refused = "metadata.annotations[byrnie.io/log-level]: the mesh's settings do not let a Pod set this";
    assert!(out.contains(refused), "{out}");
    let (code, _, said) = explain(&["none", "-n", &shop]).await?;
    assert!(code == Some(1) && said.contains(&format!("there is no Pod {shop}/none")), "{said}");
    Ok(())
}
