//! The definitions of our own kinds at a real API server: they are taken, and refuse what the mesh would refuse.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};
use byrnie_tests::{kubernetes::ApiServer, process::byrnie, wait::until};
use serde_json::Value;

/// What a TrafficPolicy says beside its target, and what is told of it.
const BAD_TRAFFIC: &[(&str, &str)] = &[
    ("connectTimeout: 0s", "spec.connectTimeout: Invalid value: \"0s\": a duration longer than 0s is accepted"),
    ("connectTimeout: fast", "spec.connectTimeout: Invalid value: \"fast\": a duration such as 10s, 1m30s or 250ms is"),
    ("connectTimeouts: 5s", "unknown field \"spec.connectTimeouts\""),
    (
        "targetRef: {name: cart, kind: Pod}",
        "spec.targetRef.kind: Unsupported value: \"Pod\": supported values: \"Service\"",
    ),
    (
        "targetRef: {name: cart, group: apps}",
        "spec.targetRef.group: Unsupported value: \"apps\": supported values: \"\"",
    ),
    ("targetRef: {name: Cart}", "spec.targetRef.name: Invalid value: \"Cart\""),
    ("targetRef: {}", "spec.targetRef.name: Required value"),
    (
        "balancer: {type: Least}",
        "supported values: \"RoundRobin\", \"Random\", \"LeastRequest\", \"RingHash\", \"Maglev\"",
    ),
    (
        "balancer: {type: Random, choices: 3}",
        "spec.balancer.choices: Invalid value: has no meaning for type Random, only for LeastRequest",
    ),
    (
        "balancer: {type: RingHash}",
        "spec.balancer: Invalid value: hashKey is missing: type RingHash needs header, cookie or source",
    ),
    (
        "balancer: {type: Random, hashKey: {source: true}}",
        "spec.balancer.hashKey: Invalid value: has no meaning for type Random",
    ),
    (
        "balancer: {type: Maglev, hashKey: {source: true}, minimumRingSize: 5}",
        "spec.balancer.minimumRingSize: Invalid value: has no meaning for type Maglev, only for RingHash",
    ),
    (
        "balancer: {type: RingHash, hashKey: {source: true}, tableSize: 7}",
        "spec.balancer.tableSize: Invalid value: has no meaning for type RingHash, only for Maglev",
    ),
    (
        "balancer: {type: Maglev, hashKey: {source: true}, tableSize: 4995225}",
        "spec.balancer.tableSize: Invalid value: 4995225: is no prime: a prime up to 5000011 is accepted",
    ),
    (
        "balancer: {type: Maglev, hashKey: {source: false}}",
        "exactly one of header, cookie and source: true is accepted",
    ),
    (
        "balancer: {type: Maglev, hashKey: {source: true, header: x}}",
        "exactly one of header, cookie and source: true is accepted",
    ),
    ("balancer: {type: Maglev, hashKey: {header: 'a b'}}", "spec.balancer.hashKey.header: Invalid value: \"a b\""),
    (
        "balancer: {type: Random}, slowStart: {window: 10s}",
        "spec.slowStart: Invalid value: found with balancer.type Random: works with RoundRobin or LeastRequest only",
    ),
    ("retry: {attempts: 101}", "spec.retry.attempts in body should be less than or equal to 100"),
    ("retry: {when: [oops]}", "spec.retry.when[0] in body should match '^([45][0-9][0-9]|5xx|gateway-error|"),
    ("retry: {when: [200]}", "spec.retry.when[0] in body should be greater than or equal to 400"),
    ("retry: {when: [503, 503]}", "spec.retry.when[1]: Duplicate value: 503"),
    ("retry: {backoff: {base: 1s, max: 10ms}}", "spec.retry.backoff.max: Invalid value: 10ms is shorter than base, 1s"),
    (
        "healthCheck: {}",
        "spec.healthCheck: Invalid value: exactly one of http, grpc and tcp is accepted (tcp: {} connects)",
    ),
    (
        "healthCheck: {tcp: {}, grpc: {}}",
        "spec.healthCheck: Invalid value: exactly one of http, grpc and tcp is accepted",
    ),
    (
        "healthCheck: {tcp: {}, timeout: 20s}",
        "spec.healthCheck.timeout: Invalid value: 20s is longer than interval, 10s",
    ),
    ("healthCheck: {tcp: {}, interval: 1s, timeout: 1500ms}", "1500ms is longer than interval, 1s"),
    ("healthCheck: {http: {path: ok}}", "spec.healthCheck.http.path in body should match '^/'"),
    (
        "healthCheck: {http: {path: /, expectedStatuses: [299-200]}}",
        "spec.healthCheck.http.expectedStatuses[0]: Invalid value: \"299-200\": a range of statuses begins",
    ),
    ("limits: {requests: 4294967296}", "spec.limits.requests in body should be less than or equal to 4294967295"),
];

/// Names, specs and what is told of them, of the other kinds.
const BAD_OTHERS: &[(&str, &str, &str, &str)] = &[
    (
        "PeerPolicy",
        "p",
        "{mode: Lenient}",
        "spec.mode: Unsupported value: \"Lenient\": supported values: \"Permissive\", \"Strict\"",
    ),
    (
        "PeerPolicy",
        "p",
        "{mode: Strict, ports: [{port: 80, mode: Strict}, {port: 80, mode: Strict}]}",
        "spec.ports[1]: Duplicate value: {\"port\":80}",
    ),
    (
        "PeerPolicy",
        "p",
        "{mode: Strict, ports: [{port: 0, mode: Strict}]}",
        "spec.ports[0].port in body should be greater than or equal to 1",
    ),
    (
        "MeshConfig",
        "other",
        "{}",
        "metadata.name: Invalid value: found \"other\": the one MeshConfig is named \"default\"",
    ),
    ("MeshConfig", "default", "{trustDomain: Example}", "spec.trustDomain: Invalid value: \"Example\""),
    ("MeshConfig", "default", "{clusterDomain: a..b}", "spec.clusterDomain: Invalid value: \"a..b\""),
    ("MeshConfig", "default", "{outbound: {unknown: Drop}}", "supported values: \"Passthrough\", \"Refuse\""),
    (
        "MeshConfig",
        "default",
        "{injection: {allowedAnnotations: [inject]}}",
        "spec.injection.allowedAnnotations[0]: Unsupported value: \"inject\": supported values: \"proxy\"",
    ),
    (
        "MeshConfig",
        "default",
        "{injection: {allowedAnnotations: [proxy, proxy]}}",
        "spec.injection.allowedAnnotations[1]: Duplicate value: \"proxy\"",
    ),
    ("MeshConfig", "default", "{injection: {proxy: Envoy}}", "supported values: \"micro\", \"envoy\""),
    ("MeshConfig", "default", "{injection: {logLevel: loud}}", "spec.injection.logLevel: Invalid value: \"loud\""),
    ("MeshConfig", "default", "{injection: {preStopDelay: 1500ms}}", "whole seconds from 0s to 1h are accepted"),
    ("MeshConfig", "default", "{injection: {preStopDelay: 61m}}", "whole seconds from 0s to 1h are accepted"),
    ("MeshConfig", "default", "{injection: {preStopDelay: soon}}", "a duration such as 10s, 1m30s or 250ms is"),
    (
        "MeshConfig",
        "default",
        "{injection: {proxyResources: {requests: {cpu: much}}}}",
        "spec.injection.proxyResources.requests.cpu in body should match",
    ),
    (
        "MeshConfig",
        "default",
        "{injection: {proxyResources: {requests: {cpu: 2}, limits: {cpu: 1900m}}}}",
        "spec.injection.proxyResources.limits.cpu: Invalid value: is below requests.cpu",
    ),
    (
        "MeshConfig",
        "default",
        "{injection: {proxyResources: {requests: {memory: 1Gi}, limits: {memory: 64Mi}}}}",
        "spec.injection.proxyResources.limits.memory: Invalid value: is below requests.memory",
    ),
];

#[tokio::test]
async fn the_definitions_of_the_chart_and_of_the_command_are_taken_as_structural() -> Result<()> {
    let server = defined().await?;
    let printed = Command::new(byrnie()?).arg("crds").output()?;
    ensure!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    server.apply(&String::from_utf8(printed.stdout)?).await?;
    let found = server.kubectl(&["get", "crd", "--output", "json"]).await?;
    let mut own = 0;
    for definition in serde_json::from_str::<Value>(&found)?["items"].as_array().into_iter().flatten() {
        if definition["spec"]["group"] != "mesh.byrnie.io" {
            continue;
        }
        own += 1;
        let conditions = definition["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let is = |what: &str| conditions.iter().any(|one| one["type"] == what && one["status"] == "True");
        assert!(is("Established") && is("NamesAccepted") && !is("NonStructuralSchema"), "{conditions:?}");
    }
    assert_eq!(own, 3);
    Ok(())
}

#[tokio::test]
async fn every_example_of_the_pages_is_taken() -> Result<()> {
    let server = defined().await?;
    let namespace = server.namespace("examples").await?;
    let mut tried = 0;
    for page in ["policies.md", "objects.md"] {
        let text = fs::read_to_string(root().join("docs").join(page))?;
        let blocks = text.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next());
        let objects = blocks.flat_map(|block| block.split("---\n")).filter(|text| text.contains("mesh.byrnie.io/"));
        for object in objects {
            let object = object.replace("namespace: shop", &format!("namespace: {namespace}"));
            assert_eq!(refusal(server, &object).await?, "", "{object}");
            tried += 1;
        }
    }
    assert!(tried > 5, "only {tried} examples");
    Ok(())
}

#[tokio::test]
async fn what_the_mesh_would_refuse_is_refused_at_admission_with_what_is_accepted() -> Result<()> {
    let server = defined().await?;
    let mut wrong = Vec::new();
    for (fields, expected) in BAD_TRAFFIC {
        let target = if fields.contains("targetRef") { "" } else { "targetRef: {name: cart}, " };
        let told = refusal(server, &object("TrafficPolicy", "p", &format!("{{{target}{fields}}}"))).await?;
        wrong.extend((!told.contains(expected)).then(|| format!("{fields}: {told}")));
    }
    for (kind, name, spec, expected) in BAD_OTHERS {
        let told = refusal(server, &object(kind, name, spec)).await?;
        wrong.extend((!told.contains(expected)).then(|| format!("{kind} {name} {spec}: {told}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn quantities_mean_what_they_mean_in_a_pod() -> Result<()> {
    let server = defined().await?;
    let same = [
        ("1e3", "1k"),
        (".5", "500m"),
        ("700m", "0.7"),
        ("1.", "+1"),
        ("99999999999999999999", "1e99"),
        ("1e-99", "1n"),
    ];
    for (request, limit) in same {
        let resources = format!("{{requests: {{memory: \"{request}\"}}, limits: {{memory: \"{limit}\"}}}}");
        let config = object("MeshConfig", "default", &format!("{{injection: {{proxyResources: {resources}}}}}"));
        let template = format!(
            "{{metadata: {{labels: {{app: a}}}}, spec: {{containers: [{{name: a, image: a, resources: {resources}}}]}}}}"
        );
        let set =
            object("ReplicaSet", "a", &format!("{{selector: {{matchLabels: {{app: a}}}}, template: {template}}}"))
                .replace("mesh.byrnie.io/v1alpha1", "apps/v1");
        for object in [config, set] {
            assert_eq!(refusal(server, &object).await?, "", "{object}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn fields_are_explained_and_objects_listed_by_short_names() -> Result<()> {
    let server = defined().await?;
    let namespace = server.namespace("explained").await?;
    // What `explain` shows is published a moment after the kind is served.
    let explain = ["explain", "trafficpolicy.spec.healthCheck"];
    until("the fields are explained", async || Ok(server.kubectl(&explain).await.is_ok())).await?;
    let text = server.kubectl(&explain).await?;
    assert!(text.contains("Asks by GET.") && text.contains("Default: 10s"), "{text}");
    let spec = "{targetRef: {name: cart}, retry: {}}";
    server.apply(&object("TrafficPolicy", "cart", spec).replace("default", &namespace)).await?;
    server.apply(&object("PeerPolicy", "cart", "{mode: Strict}").replace("default", &namespace)).await?;
    for kinds in ["tp,pp", "byrnie"] {
        let listed = server.kubectl(&["get", kinds, "--namespace", &namespace, "--no-headers"]).await?;
        assert!(listed.contains("trafficpolicy.mesh.byrnie.io/cart") && listed.contains("Strict"), "{listed}");
    }
    let attempts = ["get", "tp", "cart", "--namespace", &namespace, "--output=jsonpath={.spec.retry.attempts}"];
    assert_eq!(server.kubectl(&attempts).await?, "2", "the schema's default");
    Ok(())
}

/// The shared server, with the definitions of the chart.
async fn defined() -> Result<&'static ApiServer> {
    let server = ApiServer::shared().await?;
    server.apply_crds(&root().join("charts/byrnie-crds/templates")).await?;
    Ok(server)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// An object of the namespace `default`, which the kind MeshConfig has no use for.
fn object(kind: &str, name: &str, spec: &str) -> String {
    let namespace = if kind == "MeshConfig" { "" } else { ", namespace: default" };
    format!(
        "apiVersion: mesh.byrnie.io/v1alpha1
kind: {kind}
metadata: {{name: {name}{namespace}}}
spec: {spec}
"
    )
}

/// What the API server would tell of an object; nothing where it takes it. Nothing is kept.
async fn refusal(server: &ApiServer, object: &str) -> Result<String> {
    let file = tempfile::NamedTempFile::new_in(server.folder())?;
    fs::write(file.path(), object)?;
    let name = file.path().to_string_lossy();
    let created = server.kubectl(&["create", "--dry-run=server", "--filename", &name]).await;
    Ok(created.err().map(|error| error.to_string()).unwrap_or_default())
}
