//! What policies are told, how often anything is written, and what is asked when nothing happens.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use byrnie_tests::{
    objects::{Pod, http_route, peer_policy, service, traffic_policy},
    wait::until,
};

use super::{ROUTES, Stage, condition};

const RULES: &str = "- backendRefs: [{name: cart, port: 80}]";
const PARENT: &str = "{kind: Service, name: cart}";

/// How long it is looked that nothing is asked.
const REST: Duration = Duration::from_secs(30);

/// Two names for which no status may be written.
const DENIAL: &str = "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-status}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [gateway.networking.k8s.io], apiVersions: [v1], operations: [UPDATE], resources: [httproutes/status]}
  validations: [{expression: \"!(object.metadata.name in ['probe', 'denied'])\", message: no status for this one}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-status}
spec: {policyName: no-status, validationActions: [Deny]}
";

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_told_and_nothing_is_written_or_asked_that_need_not_be() -> Result<()> {
    let mut stage = Stage::start().await?;
    stage.server.apply(&service(&stage.namespace, "cart", "http", 80, 8080)).await?;
    let web = Pod::new(&stage.namespace, "web-1", "web").calling(&format!("cart.{}:80", stage.namespace));
    let _web = stage.sidecar(&web, "web", &stage.replicas[0]).await?;
    policies(&stage).await?;
    mesh(&mut stage).await?;
    edits(&stage).await?;
    denied(&stage).await?;

    until("the audit log stands", async || {
        let before = stage.asked()?.len();
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(stage.asked()?.len() == before)
    })
    .await?;
    let before = stage.asked()?.len();
    tokio::time::sleep(REST).await;
    let asked = stage.asked()?;
    let more: Vec<_> = asked[before..].iter().filter(|asked| asked.verb != "watch").collect();
    ensure!(more.is_empty(), "asked at rest: {more:#?}");
    stage.finish()
}

async fn policies(stage: &Stage) -> Result<()> {
    let Stage { server, namespace, .. } = stage;
    let first = traffic_policy(namespace, "cart", "").replacen("name: cart", "name: first", 1);
    server.apply(&first).await?;
    stage.until_condition(["trafficpolicy", "first"], "Programmed", "True Programmed 1/1 proxies").await?;
    server.apply(&first.replacen("name: first", "name: second", 1)).await?;
    let told = format!("True Conflicted Service {namespace}/cart already has TrafficPolicy/{namespace}/first");
    let second = stage.until_condition(["trafficpolicy", "second"], "Conflicted", &told).await?;
    ensure!(condition(&second, "Accepted").starts_with("False Conflicted"), "{second}");
    server.kubectl(&["delete", "trafficpolicy", "first", "--namespace", namespace]).await?;
    let second = stage.until_condition(["trafficpolicy", "second"], "Programmed", "True Programmed").await?;
    ensure!(condition(&second, "Accepted").starts_with("True") && condition(&second, "Conflicted").trim().is_empty());

    server.apply(&peer_policy(namespace, "strict", "{mode: Strict}")).await?;
    let strict = stage.until_condition(["peerpolicy", "strict"], "Programmed", "True Programmed").await?;
    ensure!(condition(&strict, "Accepted").starts_with("True Accepted governs calls to workloads"), "{strict}");
    Ok(())
}

/// Another trust domain than that of the keys is refused, and keeps no replica from starting.
async fn mesh(stage: &mut Stage) -> Result<()> {
    let mesh = "apiVersion: mesh.byrnie.io/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec: {trustDomain: elsewhere.example}
";
    stage.server.apply(mesh).await?;
    stage.until_condition(["meshconfig", "default"], "Accepted", "False Invalid spec.trustDomain").await?;
    stage.replicas[1].restart()?;
    stage.replicas[1].ready().await?;
    stage.server.kubectl(&["delete", "meshconfig", "default"]).await?;
    stage.server.apply(&mesh.replace("elsewhere.example", "cluster.local")).await?;
    stage.until_condition(["meshconfig", "default"], "Programmed", "True Programmed").await?;
    Ok(())
}

/// However often an object changes, it is written once a second.
async fn edits(stage: &Stage) -> Result<()> {
    let Stage { server, namespace, .. } = stage;
    let route = |n: u32| {
        http_route(namespace, "busy", PARENT, &format!("- matches: [{{path: {{value: /{n}}}}}]\n  {}", &RULES[2..]))
    };
    server.apply(&route(0)).await?;
    stage.until_condition(["httproute", "busy"], "Programmed", "True").await?;
    let (before, started) = (stage.writes(ROUTES, "busy")?, Instant::now());
    server.apply(&(1..=20).map(route).collect::<Vec<_>>().join("---\n")).await?;
    until("the last edit is told", async || {
        let route = stage.object("httproute", "busy").await?;
        let said = super::conditions(&route, "Programmed").is_some_and(|said| {
            said["status"] == "True" && said["observedGeneration"] == route["metadata"]["generation"]
        });
        Ok(said && route["metadata"]["generation"] == 21)
    })
    .await?;
    let (took, writes) = (started.elapsed(), stage.writes(ROUTES, "busy")? - before);
    ensure!((1..=took.as_secs() as usize + 1).contains(&writes), "{writes} writes within {took:?}");
    Ok(())
}

/// One object whose status may not be written holds up no other, and is tried again later and later.
async fn denied(stage: &Stage) -> Result<()> {
    let Stage { server, namespace, .. } = stage;
    let route = |name: &str| http_route(namespace, name, PARENT, RULES);
    server.apply(&route("probe")).await?;
    stage.until_condition(["httproute", "probe"], "Programmed", "True").await?;
    server.apply(DENIAL).await?;
    let patch = r#"[{"op": "replace", "path": "/status/parents/0/conditions/0/message", "value": "changed"}]"#;
    let try_it = ["patch", "httproute", "probe", "--namespace", namespace, "--subresource=status", "--type=json"];
    let try_it = [&try_it[..], &["--dry-run=server", "--patch", patch]].concat();
    until("the denial holds", async || Ok(server.kubectl(&try_it).await.is_err())).await?;

    let holder = &stage.replicas[stage.holder().await?];
    server.apply(&route("denied")).await?;
    let mut failed = Vec::new();
    for failures in 1..=3 {
        until("a write fails", async || Ok(holder.metric("byrnie_status_write_failures_total").await? >= failures))
            .await?;
        failed.push(Instant::now());
        if failures == 1 {
            server.apply(&route("busy")).await?;
            stage.until_condition(["httproute", "busy"], "Programmed", "True").await?;
        }
    }
    let slack = Duration::from_millis(500);
    let pauses: Vec<_> = failed.windows(2).map(|pair| pair[1] - pair[0] + slack).collect();
    ensure!(pauses[0] >= Duration::from_secs(2) && pauses[1] >= Duration::from_secs(4), "{pauses:?}");
    ensure!(holder.log().matches("the status was not written").count() == 1, "{}", holder.log());
    server.kubectl(&["delete", "validatingadmissionpolicybinding", "no-status"]).await?;
    stage.until_condition(["httproute", "denied"], "Programmed", "True").await?;
    Ok(())
}
