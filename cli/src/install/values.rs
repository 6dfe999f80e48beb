//! The values of the chart. The schema by which Helm checks them and the table in the chart's README are made of these
//! types; the defaults stand in the chart's `values.yaml`.

use std::{collections::BTreeMap, num::NonZeroU32};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::{Map, Value};

/// What the chart takes.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Values {
    /// The image of the control plane, and how nodes fetch it and the others.
    image: Image,
    /// How many replicas of the control plane; all of them serve, and one of them writes for all.
    replicas: NonZeroU32,
    /// How many replicas a drain of nodes leaves.
    pod_disruption_budget: PodDisruptionBudget,
    /// What is logged: a level (error, warn, info, debug or trace), or a list such as info,byrnie_ads=debug.
    log_level: String,
    /// The form of the log: json has one object a line.
    log_format: LogFormat,
    /// How long a workload's certificate lasts, 10s to 24h; it is renewed at two thirds of that.
    #[serde(deserialize_with = "lifetime")]
    #[schemars(regex(pattern = LIFETIME))]
    leaf_lifetime: String,
    /// A Secret of the control plane's namespace that holds an issuer of your own (tls.crt, tls.key, ca.crt, as
    /// cert-manager writes them). Empty: the control plane makes a CA, and keeps it in the Secret byrnie-ca.
    #[serde(deserialize_with = "secret")]
    #[schemars(regex(pattern = SECRET), length(max = 253))]
    issuer_secret: String,
    /// Requests and limits of a replica of the control plane.
    resources: Map<String, Value>,
    /// Labels of the nodes on which replicas of the control plane and the injector may run.
    node_selector: BTreeMap<String, String>,
    /// Taints of nodes that replicas bear.
    tolerations: Vec<Map<String, Value>>,
    /// Where replicas of the control plane run. Empty: each on a host of its own where that can be.
    affinity: Map<String, Value>,
    /// How those of the control plane spread, for example over zones; select them by app.kubernetes.io/name: byrnie-control-plane.
    topology_spread_constraints: Vec<Map<String, Value>>,
    /// The PriorityClass of replicas, such as system-cluster-critical.
    priority_class_name: String,
    /// Annotations of replicas.
    pod_annotations: BTreeMap<String, String>,
    /// More labels of replicas.
    pod_labels: BTreeMap<String, String>,
    /// The Service that proxies call.
    service: Service,
    /// What puts sidecars into Pods as they are made.
    injector: Injector,
    /// What Helm hands to a chart that is part of another one. It means nothing here.
    #[serde(default)]
    global: Map<String, Value>,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Image {
    /// Where it is, without a tag.
    #[serde(deserialize_with = "repository")]
    #[schemars(length(min = 1))]
    repository: String,
    /// Its tag, also with a digest (1.2@sha256:...). Empty: the version of the chart.
    tag: String,
    /// When a node fetches it, the injector's image and those that are injected.
    pull_policy: PullPolicy,
    /// Secrets by which nodes fetch it and the injector's. What is injected is fetched by those of its Pod.
    pull_secrets: Vec<PullSecret>,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PullSecret {
    /// Its name.
    name: String,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PodDisruptionBudget {
    /// Whether there is one; there is none for a single replica.
    enabled: bool,
    /// As many replicas stay.
    min_available: NonZeroU32,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Injector {
    /// Whether there is one. Without it no Pod gets a sidecar by itself.
    enabled: bool,
    /// How many replicas; all of them serve.
    replicas: NonZeroU32,
    /// Its image.
    image: Named,
    /// The image of the init container that redirects the traffic of a Pod.
    init_image: Named,
    /// The image of the sidecar.
    proxy_image: Named,
    /// The image of the sidecar of Pods that want Envoy.
    envoy_image: Envoy,
    /// Requests and limits of a replica.
    resources: Map<String, Value>,
    /// Where replicas run. Empty: each on a host of its own where that can be.
    affinity: Map<String, Value>,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    /// Where it is, without a tag.
    #[serde(deserialize_with = "repository")]
    #[schemars(length(min = 1))]
    repository: String,
    /// Its tag, also with a digest. Empty: the version of the chart.
    tag: String,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Envoy {
    /// Where it is, without a tag.
    #[serde(deserialize_with = "repository")]
    #[schemars(length(min = 1))]
    repository: String,
    /// Its tag, also with a digest. Envoy 1.40 or later, with its Lua filter.
    #[serde(deserialize_with = "tag")]
    #[schemars(length(min = 1))]
    tag: String,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum LogFormat {
    Json,
    Text,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Service {
    /// Annotations of the Service that proxies call.
    annotations: BTreeMap<String, String>,
}

const LIFETIME: &str = "^[1-9][0-9]{0,8}[hms]$";
const SECRET: &str = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$";

/// The program checks the bounds too, when it starts; Helm sees the pattern alone.
fn lifetime<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    byrnie_control_plane::leaf_lifetime(&text)
        .map_err(|accepted| D::Error::custom(format!("found {text:?}: {accepted}")))?;
    Ok(text)
}

fn repository<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Err(D::Error::custom("found nothing: the name of an image is accepted"));
    }
    Ok(text)
}

fn tag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Err(D::Error::custom("found nothing: the tag of an image is accepted"));
    }
    Ok(text)
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() || text.len() <= 253 && text.split('.').all(|part| label(part).is_ok()) {
        return Ok(text);
    }
    Err(D::Error::custom(format!("found {text:?}: the name of a Secret, or nothing, is accepted")))
}

/// The name of a namespace (RFC 1123).
pub fn label(text: &str) -> Result<String, String> {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=63).contains(&text.len()) && text.chars().all(is_inner) && !text.starts_with('-') && !text.ends_with('-') {
        return Ok(text.to_owned());
    }
    Err("at most 63 small letters, digits and -, none of which at an end, are accepted".to_owned())
}

#[cfg(test)]
mod tests;
