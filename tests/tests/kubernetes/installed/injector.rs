//! The injector: called by the API server as the chart registers it, with a certificate of the control plane.

mod client;

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, ensure};
use byrnie_tests::{injector::Injector, kubernetes::INJECTOR, wait::until, yaml};
use serde_json::{Value, json};

use super::{SYSTEM, Stage};

const IMAGES: [&str; 3] = ["--init-image=byrnie-init:1", "--proxy-image=byrnie-proxy:1", "--envoy-image=envoy:1"];

/// A replica of the control plane, an injector that is called, and the namespace `shop` with its label.
async fn start(replica: &[&str]) -> Result<(Stage, Injector)> {
    let mut stage = Stage::prepare(&[]).await?;
    stage.launch(1, replica).await?;
    let injector = injector(&stage, &[]).await?;
    injector.register(&stage.server).await?;
    injector.ready().await?;
    stage.server.kubectl(&["create", "namespace", "shop"]).await?;
    stage.server.kubectl(&["label", "namespace", "shop", "byrnie.io/inject=enabled"]).await?;
    // The API server takes up a configuration a moment after it is stored.
    until("Pods are injected", async || Ok(is_injected(&dry_run(&stage, &pod(json!({}))).await?))).await?;
    Ok((stage, injector))
}

async fn injector(stage: &Stage, arguments: &[&str]) -> Result<Injector> {
    let replica = &stage.replicas[0];
    replica.ready().await?;
    until("the roots are there", async || Ok(stage.roots(SYSTEM).await?.is_some())).await?;
    let roots = stage.roots(SYSTEM).await?.context("they are there")?;
    Injector::start(&stage.server, SYSTEM, replica.xds(), &roots, &[&IMAGES, arguments].concat()).await
}

/// What the chart grants is what is asked for.
fn finish(stage: Stage) -> Result<()> {
    let asked = stage.server.requests_of(SYSTEM, INJECTOR)?;
    let refused: Vec<_> = asked.iter().filter(|asked| asked.code == 403).collect();
    ensure!(refused.is_empty(), "{refused:#?}");
    let kinds: BTreeSet<_> = asked.iter().map(|asked| (asked.verb.as_str(), asked.resource.as_str())).collect();
    let granted = [
        ("get", "namespaces"),
        ("list", "configmaps"),
        ("list", "meshconfigs.mesh.byrnie.io"),
        ("list", "mutatingwebhookconfigurations.admissionregistration.k8s.io"),
        ("list", "namespaces"),
        ("patch", "mutatingwebhookconfigurations.admissionregistration.k8s.io"),
        ("watch", "configmaps"),
        ("watch", "meshconfigs.mesh.byrnie.io"),
        ("watch", "mutatingwebhookconfigurations.admissionregistration.k8s.io"),
        ("watch", "namespaces"),
    ];
    ensure!(kinds.is_subset(&granted.into()), "{kinds:#?}");
    stage.finish()
}

fn pod(fields: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "web-", "namespace": "shop"},
        "spec": {"serviceAccountName": "web", "containers": [{"name": "app", "image": "none"}]},
    });
    for (pointer, value) in fields.as_object().into_iter().flatten() {
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
        pod.pointer_mut(parent).expect("it is there")[field] = value.clone();
    }
    pod
}

/// The Pod as it would be stored.
async fn dry_run(stage: &Stage, pod: &Value) -> Result<Value> {
    let file = tempfile::NamedTempFile::new_in(stage.folder.path())?;
    fs::write(file.path(), pod.to_string())?;
    let file = file.path().to_string_lossy();
    let stored = stage.server.kubectl(&["create", "--dry-run=server", "--output=json", "--filename", &file]).await?;
    Ok(serde_json::from_str(&stored)?)
}

async fn refusal(stage: &Stage, pod: &Value) -> Result<String> {
    let refused = dry_run(stage, pod).await.err().context("it is let through")?;
    Ok(refused.to_string())
}

fn is_injected(pod: &Value) -> bool {
    pod["metadata"]["annotations"]["byrnie.io/status"] == "injected"
}

/// Where `found` is not what is `wanted`; fields that are not wanted, which an API server adds, do not count.
fn difference(wanted: &Value, found: &Value, at: &str) -> Option<String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(_)) => {
            wanted.iter().find_map(|(name, value)| difference(value, &found[name], &format!("{at}.{name}")))
        }
        (Value::Array(wanted), Value::Array(list)) if wanted.len() == list.len() => {
            let pairs = wanted.iter().zip(list).enumerate();
            pairs.into_iter().find_map(|(index, (wanted, found))| difference(wanted, found, &format!("{at}[{index}]")))
        }
        _ => (wanted != found).then(|| format!("{at}: {found} in place of {wanted}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_stored_as_the_golden_files_have_them() -> Result<()> {
    let (stage, injector) = start(&[]).await?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../injector/tests/golden");
    let read = |name: &str, kind: &str| -> Result<Value> {
        let file = folder.join(format!("{name}.{kind}.yaml"));
        Ok(yaml::documents(&fs::read_to_string(file)?)?.swap_remove(0))
    };
    // Not those whose input an API server would not have let through, or would have filled in.
    for name in [
        "annotations",
        "deployment",
        "envoy",
        "init-containers",
        "job",
        "no-delay",
        "security-contexts",
        "several-containers",
    ] {
        let (mut pod, wanted) = (read(name, "input")?, read(name, "golden")?);
        // The admission plugin that would name one is off here.
        let account = pod["spec"].as_object_mut().context("a spec")?.entry("serviceAccountName");
        account.or_insert("default".into());
        let stored = dry_run(&stage, &pod).await.with_context(|| name.to_owned())?;
        assert_eq!(difference(&wanted, &stored, "Pod"), None, "{name}");
        // As when another webhook has changed the Pod and the API server asks again.
        let mut again = stored.clone();
        for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
            again["metadata"].as_object_mut().context("metadata")?.remove(field);
        }
        again.as_object_mut().context("a Pod")?.remove("status");
        assert_eq!(difference(&stored["spec"], &dry_run(&stage, &again).await?["spec"], "spec"), None, "{name} again");
    }
    assert!(injector.metric("byrnie_injector_admissions_total{outcome=\"injected\"}").await? > 8);
    finish(stage)
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_annotations_and_mesh_config_decide() -> Result<()> {
    let (stage, injector) = start(&[]).await?;
    stage.server.kubectl(&["create", "namespace", "elsewhere"]).await?;
    let elsewhere = |labels: Value| {
        let mut pod = pod(json!({"/metadata/labels": labels}));
        pod["metadata"]["namespace"] = json!("elsewhere");
        pod
    };
    for (pod, expected) in [
        (pod(json!({"/metadata/labels": {"byrnie.io/inject": "false"}})), false),
        (pod(json!({"/metadata/annotations": {"byrnie.io/inject": "false"}})), false),
        (pod(json!({"/spec/hostNetwork": true})), false),
        (elsewhere(json!({})), false),
        (elsewhere(json!({"byrnie.io/inject": "true"})), true),
    ] {
        assert_eq!(is_injected(&dry_run(&stage, &pod).await?), expected, "{pod}");
    }
    // A namespace that changes is known as it is now.
    let label = "pod-security.kubernetes.io/enforce=baseline";
    stage.server.kubectl(&["label", "namespace", "elsewhere", label]).await?;
    let wishing = elsewhere(json!({"byrnie.io/inject": "true"}));
    assert!(!is_injected(&dry_run(&stage, &wishing).await?));

    let wrong = pod(json!({"/metadata/annotations": {"byrnie.io/proxy-cpu": "lots"}}));
    let told = "admission webhook \"namespace.inject.byrnie.io\" denied the request: Pod shop/web-...: \
                metadata.annotations[byrnie.io/proxy-cpu]: found \"lots\": a quantity is accepted";
    let refused = refusal(&stage, &wrong).await?;
    assert!(refused.contains(told), "{refused}");

    let mesh = |injection: Value| {
        json!({
            "apiVersion": "mesh.byrnie.io/v1alpha1",
            "kind": "MeshConfig",
            "metadata": {"name": "default"},
            "spec": {"injection": injection},
        })
    };
    let image = pod(json!({"/metadata/annotations": {"byrnie.io/proxy-image": "mine:1"}}));
    assert!(is_injected(&dry_run(&stage, &image).await?));
    stage.server.apply(&mesh(json!({"allowedAnnotations": ["log-level"], "logLevel": "warn"})).to_string()).await?;
    injector.until("MeshConfig is known", async |_| Ok(dry_run(&stage, &image).await.is_err())).await?;
    let refused = refusal(&stage, &image).await?;
    assert!(refused.contains("do not let a Pod set this; leave it out"), "{refused}");
    let stored = dry_run(&stage, &pod(json!({}))).await?;
    let arguments = &stored["spec"]["initContainers"][0]["args"];
    assert!(arguments.as_array().context("arguments")?.contains(&json!("--log=warn")), "{arguments}");
    finish(stage)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registration_is_mended_and_the_certificate_renewed() -> Result<()> {
    let (stage, injector) = start(&["--leaf-lifetime=10s"]).await?;
    let bundles = async || {
        let output = "--output=jsonpath={.webhooks[*].clientConfig.caBundle}";
        let found = stage.server.kubectl(&["get", "mutatingwebhookconfiguration", INJECTOR, output]).await?;
        Ok::<_, anyhow::Error>(found.split(' ').map(str::to_owned).collect::<Vec<_>>())
    };
    let whole = bundles().await?;
    assert!(whole.len() == 2 && !whole[0].is_empty() && whole[0] == whole[1], "{whole:?}");
    let writes = async || injector.metric("byrnie_injector_ca_bundle_writes_total").await;
    let before = writes().await?;

    // Somebody else's roots in one of them, and none in the other.
    let output = "--output=jsonpath={.clusters[0].cluster.certificate-authority-data}";
    let other = stage.server.kubectl(&["config", "view", "--raw", "--flatten", output]).await?;
    let spoilt = json!([
        {"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": other},
        {"op": "remove", "path": "/webhooks/1/clientConfig/caBundle"},
    ]);
    let patch = ["patch", "mutatingwebhookconfiguration", INJECTOR, "--type=json", "--patch", &spoilt.to_string()];
    stage.server.kubectl(&patch).await?;
    injector.until("the roots are back", async |_| Ok(bundles().await? == whole)).await?;
    injector.ready().await?;
    assert_eq!(writes().await?, before + 1, "{}", injector.log());

    let expiry = async || injector.metric("byrnie_certificate_expiry_timestamp_seconds").await;
    let first = expiry().await?;
    injector.until("the certificate is another one", async |_| Ok(expiry().await? > first + 5)).await?;
    assert!(is_injected(&dry_run(&stage, &pod(json!({}))).await?));
    // What is as it should be is not written.
    assert_eq!(writes().await?, before + 1, "{}", injector.log());
    finish(stage)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_the_control_plane_and_for_its_registration() -> Result<()> {
    let mut stage = Stage::prepare(&[]).await?;
    stage.launch(1, &[]).await?;
    stage.replicas[0].ready().await?;
    until("the roots are there", async || Ok(stage.roots(SYSTEM).await?.is_some())).await?;
    let roots = stage.roots(SYSTEM).await?.context("they are there")?;
    stage.replicas[0].kill();
    let mut injector = Injector::start(&stage.server, SYSTEM, stage.replicas[0].xds(), &roots, &IMAGES).await?;
    let why = async |injector: &Injector, words: &str| {
        let what = format!("it is not ready: {words}");
        let told = async |injector: &Injector| {
            let (status, text) = injector.readiness().await?;
            ensure!(text.contains(words), "{text}");
            Ok(status == 503)
        };
        injector.until(&what, told).await
    };
    why(&injector, "the MutatingWebhookConfiguration byrnie-injector is not there").await?;
    injector.register(&stage.server).await?;
    why(&injector, "no certificate of the control plane yet").await?;
    stage.replicas[0].restart()?;
    injector.ready().await?;
    stage.server.kubectl(&["delete", "mutatingwebhookconfiguration", INJECTOR]).await?;
    why(&injector, "the MutatingWebhookConfiguration byrnie-injector is not there").await?;
    injector.process().terminate()?;
    assert!(injector.process().ended().await?.success(), "{}", injector.log());
    finish(stage)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_answers_by_the_last_certificate_while_the_control_plane_is_away() -> Result<()> {
    let mut stage = Stage::prepare(&[]).await?;
    stage.launch(1, &[]).await?;
    let folder = stage.folder.path().join("injector");
    let mut injector = injector(&stage, &["--state", folder.to_str().context("a path of UTF-8")?]).await?;
    injector.register(&stage.server).await?;
    injector.ready().await?;
    stage.replicas[0].kill();
    injector.restart().await?;
    injector.ready().await?;
    let log = injector.log();
    ensure!(log.contains("goes on with the stored certificate"), "{log}");
    finish(stage)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_is_answered() -> Result<()> {
    let (stage, injector) = start(&[]).await?;
    let roots = stage.roots(SYSTEM).await?.context("there are roots")?;
    let send = async |body: String| client::post(injector.address(), &roots, SYSTEM, body).await;
    let review = |object: Value| {
        json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "1",
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "operation": "CREATE",
                "namespace": "shop",
                "object": object,
            },
        })
    };
    for (body, status, words) in [
        (String::new(), 400, "the body cannot be read: admission.k8s.io/v1 AdmissionReview in JSON is accepted"),
        ("\u{0}".repeat(1000), 400, "the body cannot be read"),
        ("[".repeat(100_000), 400, "the body cannot be read"),
        (format!("[{}0]", "{\"a\":1},".repeat(1 << 20)), 400, "objects; 30000 are accepted"),
        (review(json!("hello")).to_string(), 200, "\"code\":422"),
        (review(json!({"metadata": {"name": "x".repeat(10 << 20)}})).to_string(), 200, "\"allowed\":true"),
        ("x".repeat(13 << 20), 413, "the body is longer than 12582912 octets, which are accepted"),
    ] {
        let beginning: String = body.chars().take(40).collect();
        let (found, text) = send(body).await.with_context(|| beginning.clone())?;
        let told: String = text.chars().take(300).collect();
        assert!(found == status && text.contains(words), "{beginning}: {found} {told}");
    }
    assert!(is_injected(&dry_run(&stage, &pod(json!({}))).await?));
    assert_eq!(injector.metric("byrnie_injector_admissions_total{outcome=\"malformed\"}").await?, 4);
    finish(stage)
}
