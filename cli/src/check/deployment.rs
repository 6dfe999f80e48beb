//! How a Deployment of the mesh stands.

use serde_json::Value;

use super::report::Check;

/// How the replicas of a Deployment stand; `name` is that of the check.
pub fn deployment(name: &'static str, object: &str, found: &Value, namespace: &str) -> Check {
    let count = |at: &str| found.pointer(at).and_then(Value::as_u64).unwrap_or_default();
    let wanted = found["spec"]["replicas"].as_u64().unwrap_or(1);
    let (available, updated) = (count("/status/availableReplicas"), count("/status/updatedReplicas"));
    let is_seen = count("/status/observedGeneration") >= count("/metadata/generation");
    let text = format!("{available} of {wanted} replicas are available");
    let conditions = found["status"]["conditions"].as_array();
    let is_failing = |one: &&Value| one["type"] == "ReplicaFailure" && one["status"] == "True";
    let failure = conditions.into_iter().flatten().find(is_failing).and_then(|failing| failing["message"].as_str());
    let hint = format!("kubectl describe pods --namespace {namespace} --selector app.kubernetes.io/name={object}");
    match failure {
        Some(failure) => Check::fault(name, format!("{text}: {failure}"), hint),
        None if available == 0 => Check::fault(name, text, hint),
        None if available < wanted => Check::warning(name, text, hint),
        None if !is_seen || updated < wanted => {
            Check::warning(name, format!("{text}, {updated} of them as the Deployment now says"), hint)
        }
        None => Check::ok(name, text),
    }
}
