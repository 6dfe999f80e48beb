//! The webhook configuration: which Pods the API server asks about, and that what is applied again leaves its `caBundle`.

use std::fs;

use anyhow::{Context, Result};
use byrnie_tests::{kubernetes::ApiServer, wait::until, yaml};
use serde_json::{Value, json};

use crate::install;

const CONFIGURATION: [&str; 3] = ["mutatingwebhookconfiguration", "byrnie-injector", "--output=json"];

/// Writes the roots there, as the injector does.
pub async fn write_bundle(server: &ApiServer) -> Result<()> {
    patch(server, "byrnie-injector", "clientConfig/caBundle", &bundle(server).await?.into()).await
}

/// Changes what is the chart's, so that an upgrade has to change it again.
pub async fn meddle(server: &ApiServer) -> Result<()> {
    patch(server, "somebody", "timeoutSeconds", &9.into()).await
}

async fn patch(server: &ApiServer, manager: &str, field: &str, value: &Value) -> Result<()> {
    let place = |index| format!("/webhooks/{index}/{field}");
    let patch = json!([0, 1].map(|index| json!({"op": "add", "path": place(index), "value": value}))).to_string();
    let manager = format!("--field-manager={manager}");
    let arguments = ["patch", CONFIGURATION[0], CONFIGURATION[1], "--type=json", &manager, "--patch", &patch];
    server.kubectl(&arguments).await?;
    Ok(())
}

/// Holds that they are as the chart has them, but for the injector's `caBundle`.
pub async fn are_the_charts_with_their_bundle(server: &ApiServer) -> Result<()> {
    let found = server.kubectl(&[&["get"], &CONFIGURATION[..]].concat()).await?;
    let found: Value = serde_json::from_str(&found)?;
    let bundle = bundle(server).await?;
    let mut wanted = configuration("byrnie-system")?;
    for webhook in wanted["webhooks"].as_array_mut().context("a list")? {
        webhook["clientConfig"]["caBundle"] = bundle.as_str().into();
    }
    assert_eq!(found["webhooks"], wanted["webhooks"]);
    Ok(())
}

#[tokio::test]
async fn nothing_but_pods_of_the_mesh_needs_the_injector() -> Result<()> {
    let server = ApiServer::shared().await?;
    let (home, elsewhere) = (server.namespace("mesh").await?, server.namespace("elsewhere").await?);
    let shop = server.namespace("shop").await?;
    // The Service stays away, so that there is nobody to ask.
    server.apply(&configuration(&home)?.to_string()).await?;
    server.kubectl(&["label", "namespace", &shop, &home, "kube-system", "byrnie.io/inject=enabled"]).await?;
    let asked = format!(
        "failed calling webhook \"namespace.inject.byrnie.io\": failed to call webhook: Post \
                         \"https://byrnie-injector.{home}.svc:443/inject?timeout=5s\": service \"byrnie-injector\" \
                         not found"
    );
    let by_pod = asked.replace("\"namespace.", "\"pod.");
    let cases = [
        (&*shop, json!({}), &*asked),
        (&shop, json!({"byrnie.io/inject": "true"}), &asked),
        (&shop, json!({"byrnie.io/inject": "flase"}), &asked),
        (&shop, json!({"byrnie.io/inject": "false"}), ""),
        (&elsewhere, json!({}), ""),
        (&elsewhere, json!({"byrnie.io/inject": "false"}), ""),
        (&elsewhere, json!({"byrnie.io/inject": "true"}), &by_pod),
        (&home, json!({"byrnie.io/inject": "true"}), ""),
        ("kube-system", json!({}), ""),
        ("kube-system", json!({"byrnie.io/inject": "true"}), ""),
        ("kube-public", json!({"byrnie.io/inject": "true"}), ""),
        ("kube-node-lease", json!({"byrnie.io/inject": "true"}), ""),
    ];
    // The API server takes up a configuration a moment after it is stored.
    let labels = json!({});
    until("the API server asks", async || Ok(!refusal(server, &shop, &labels).await?.is_empty())).await?;
    for (namespace, labels, expected) in cases {
        let told = refusal(server, namespace, &labels).await?;
        assert!(told.contains(expected) && told.is_empty() == expected.is_empty(), "{namespace} {labels}: {told:?}");
    }
    // Of other objects nobody is asked.
    server.kubectl(&["create", "configmap", "settings", "--namespace", &shop]).await?;
    server.kubectl(&["create", "deployment", "web", "--image=none", "--namespace", &shop]).await?;
    Ok(())
}

/// What the API server tells of a Pod with these labels; nothing where it makes it. None is kept.
async fn refusal(server: &ApiServer, namespace: &str, labels: &Value) -> Result<String> {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "app", "image": "none"}]},
    });
    let file = tempfile::NamedTempFile::new_in(server.folder())?;
    fs::write(file.path(), pod.to_string())?;
    let made = server.kubectl(&["create", "--dry-run=server", "--filename", &file.path().to_string_lossy()]).await;
    Ok(made.err().map(|error| error.to_string()).unwrap_or_default())
}

/// As `byrnie install` prints it.
fn configuration(namespace: &str) -> Result<Value> {
    let printed = yaml::documents(&install(&["--skip-crds", "--namespace", namespace])?)?;
    let found = printed.into_iter().find(|one| one["kind"] == "MutatingWebhookConfiguration");
    found.context("byrnie install prints no webhook configuration")
}

/// Roots, as they stand in a `caBundle`.
async fn bundle(server: &ApiServer) -> Result<String> {
    let output = "--output=jsonpath={.clusters[0].cluster.certificate-authority-data}";
    server.kubectl(&["config", "view", "--raw", "--flatten", output]).await
}
