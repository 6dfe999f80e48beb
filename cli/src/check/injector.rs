//! Whether Pods get their sidecars: the injector's replicas, the configuration by which the API server asks them, and the
//! Pods that were missed.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use byrnie_control_plane::cluster_names::{INJECTOR as NAME, TRUST_CONFIG_MAP, TRUST_KEY};
use byrnie_source::{CallError, ObjectPath};
use serde_json::Value;

use super::{
    Asked,
    certificates::{self, Certificate},
    deployment::deployment,
    missed,
    report::{Check, Report},
};

/// What does not work where the API server cannot ask.
const REFUSED: &str = "Pods that should have a sidecar cannot be made";

/// Makes the checks.
pub async fn run(asked: &Asked<'_>, report: &mut Report) {
    let namespace = asked.installation.namespace();
    let replicas = asked.calls.read(&ObjectPath::deployment(namespace, NAME)).await;
    let configuration = asked.calls.read(&ObjectPath::webhook_configuration(NAME)).await;
    if let (Ok(None), Ok(None)) = (&replicas, &configuration) {
        return report.add(Check::ok("injector", "not installed: no Pod gets a sidecar by itself"));
    }
    report.add(match &replicas {
        Ok(Some(found)) => deployment("injector", NAME, found, namespace),
        Ok(None) => {
            let hint = format!("`byrnie install` has it, or kubectl delete mutatingwebhookconfiguration {NAME}");
            Check::fault("injector", format!("no Deployment {namespace}/{NAME}: {REFUSED}"), hint)
        }
        Err(error) => Check::unknown("injector", &format!("Deployment {namespace}/{NAME}"), error),
    });
    report.add(match &configuration {
        Ok(Some(found)) => match asked.roots().await {
            Ok(roots) => webhooks(found, roots.as_deref(), namespace),
            Err(error) => Check::unknown("webhooks", &format!("ConfigMap {namespace}/{TRUST_CONFIG_MAP}"), &error),
        },
        Ok(None) => {
            let found = format!("no MutatingWebhookConfiguration {NAME}: no Pod gets a sidecar");
            Check::fault("webhooks", found, "`byrnie install | kubectl apply --server-side -f -`")
        }
        Err(error) => Check::unknown("webhooks", &format!("MutatingWebhookConfiguration {NAME}"), error),
    });
    missed::run(asked, report).await;
}

impl Asked<'_> {
    /// The roots of the mesh, where they can be read; that they are there is another check.
    async fn roots(&self) -> Result<Option<Vec<Certificate>>, CallError> {
        let map = self.calls.read(&ObjectPath::config_map(self.installation.namespace(), TRUST_CONFIG_MAP)).await?;
        let text = map.as_ref().and_then(|map| map["data"][TRUST_KEY].as_str());
        Ok(text.and_then(|text| certificates::read(text.as_bytes()).ok()))
    }
}

fn webhooks(found: &Value, roots: Option<&[Certificate]>, namespace: &str) -> Check {
    let name = "webhooks";
    let webhooks = found["webhooks"].as_array().map_or(&[][..], Vec::as_slice);
    if webhooks.is_empty() {
        let hint = "`byrnie install | kubectl apply --server-side -f -`";
        return Check::fault(name, format!("MutatingWebhookConfiguration {NAME} has none"), hint);
    }
    let hint = format!("the injector writes the roots there: kubectl logs --namespace {namespace} deployment/{NAME}");
    for webhook in webhooks {
        let title = webhook["name"].as_str().unwrap_or_default();
        let place = webhook.pointer("/clientConfig/service/namespace").and_then(Value::as_str);
        if let Some(other) = place.filter(|place| *place != namespace) {
            let hint = format!("--byrnie-namespace {other} asks about that installation");
            return Check::fault(name, format!("{title} asks the injector of namespace {other}"), hint);
        }
        if let Err(why) = proven(webhook, roots) {
            return Check::fault(name, format!("clientConfig.caBundle of {title} {why}: {REFUSED}"), hint);
        }
    }
    Check::ok(name, format!("{} in MutatingWebhookConfiguration {NAME}, with the roots of the mesh", webhooks.len()))
}

/// Whether what a webhook proves the injector by holds the roots. Beside them there may be those before them.
fn proven(webhook: &Value, roots: Option<&[Certificate]>) -> Result<(), String> {
    let bundle = webhook.pointer("/clientConfig/caBundle").and_then(Value::as_str).ok_or("is missing")?;
    let text = STANDARD.decode(bundle).map_err(|error| format!("cannot be read: {error}"))?;
    let found = certificates::read(&text).map_err(|error| format!("cannot be read: {error:#}"))?;
    let found: BTreeSet<_> = found.into_iter().map(|certificate| certificate.der).collect();
    match roots.is_none_or(|roots| roots.iter().all(|root| found.contains(&root.der))) {
        true => Ok(()),
        false => Err("has other roots than the mesh".to_owned()),
    }
}

#[cfg(test)]
mod tests;
