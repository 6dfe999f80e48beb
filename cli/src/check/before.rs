//! What must hold before an installation: the API server, the user's rights, the definitions of further kinds.

use byrnie_source::{CallError, ObjectPath, crds};
use serde_json::Value;

use super::{
    Asked,
    report::{Check, Report},
};

/// The oldest minor version of Kubernetes 1 that the mesh is said to work with.
const OLDEST: u64 = 27;

/// What an installation creates: group, resource, and whether it is the namespace's.
const CREATES: [(&str, &str, bool); 6] = [
    ("", "namespaces", false),
    ("apiextensions.k8s.io", "customresourcedefinitions", false),
    ("rbac.authorization.k8s.io", "clusterroles", false),
    ("rbac.authorization.k8s.io", "clusterrolebindings", false),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", false),
    ("apps", "deployments", true),
];

/// The kinds of the Gateway API that the mesh reads.
const GATEWAY: [&str; 2] = ["httproutes.gateway.networking.k8s.io", "grpcroutes.gateway.networking.k8s.io"];

/// Makes the checks; whether there is an API server that answers.
pub async fn run(asked: &Asked<'_>, is_new: bool, report: &mut Report) -> bool {
    match asked.calls.version().await {
        Ok(found) => report.add(version(&found)),
        Err(error) => {
            let what = format!("{} does not answer: {error}", asked.installation.kubeconfig());
            report.add(Check::fault("api-server", what, "name the kubeconfig and context that reach it"));
            return false;
        }
    }
    report.add(match asked.missing_rights().await {
        Ok(missing) => rights(&missing, is_new),
        Err(error) => Check::unknown("rights", "what this user may do", &error),
    });
    report.add(match asked.definitions(&GATEWAY).await {
        Ok(found) => gateway_api(&found),
        Err(error) => Check::unknown("gateway-api", "its CustomResourceDefinitions", &error),
    });
    let own = crds::definitions();
    let names: Vec<_> = own.iter().map(|one| one["metadata"]["name"].as_str().unwrap_or_default()).collect();
    report.add(match asked.definitions(&names).await {
        Ok(found) => definitions(&own, &found, is_new),
        Err(error) => Check::unknown("definitions", "the mesh's own CustomResourceDefinitions", &error),
    });
    true
}

impl Asked<'_> {
    /// What an installation creates and this user may not.
    async fn missing_rights(&self) -> Result<Vec<String>, CallError> {
        let mut missing = Vec::new();
        for (group, resource, is_namespaced) in CREATES {
            let namespace = is_namespaced.then(|| self.installation.namespace());
            if !self.calls.may("create", group, resource, namespace).await? {
                missing.push(resource.to_owned());
            }
        }
        Ok(missing)
    }

    async fn definitions(&self, names: &[&str]) -> Result<Vec<Option<Value>>, CallError> {
        let mut found = Vec::new();
        for name in names {
            found.push(self.calls.read(&ObjectPath::definition(name)).await?);
        }
        Ok(found)
    }
}

fn version(found: &Value) -> Check {
    let name = "api-server";
    let version = found["gitVersion"].as_str().unwrap_or_default();
    // `27+` on some distributions.
    let number = |field: &str| found[field].as_str().and_then(|text| text.trim_end_matches('+').parse::<u64>().ok());
    let wanted = format!("Kubernetes 1.{OLDEST} or later is needed");
    match (number("major"), number("minor")) {
        (Some(major), Some(minor)) if (major, minor) >= (1, OLDEST) => Check::ok(name, format!("Kubernetes {version}")),
        (Some(_), Some(_)) => Check::fault(name, format!("Kubernetes {version}"), wanted),
        _ => Check::warning(name, format!("it does not tell its version: {found}"), wanted),
    }
}

fn rights(missing: &[String], is_new: bool) -> Check {
    let name = "rights";
    let found = format!("this user may not create {}", missing.join(", "));
    match missing.is_empty() {
        true => Check::ok(name, "this user may install Byrnie"),
        false if is_new => Check::fault(name, found, "install as a user who may, such as a cluster-admin"),
        false => Check::warning(name, found, "to install or upgrade, be a user who may"),
    }
}

/// The definitions in the order of [`GATEWAY`].
fn gateway_api(found: &[Option<Value>]) -> Check {
    let name = "gateway-api";
    let hint = "kubectl apply --server-side -f https://github.com/kubernetes-sigs/gateway-api/releases/download/\
                v1.6.3/standard-install.yaml";
    let missing: Vec<_> =
        GATEWAY.iter().zip(found).filter(|(_, found)| found.is_none()).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        return Check::warning(name, format!("no {}: no such routes", missing.join(" and no ")), hint);
    }
    let annotation = |what: &str| {
        let annotations = found.iter().flatten().map(|one| &one["metadata"]["annotations"]);
        let key = format!("gateway.networking.k8s.io/{what}");
        annotations.filter_map(|one| one[&key].as_str()).next().unwrap_or("unknown").to_owned()
    };
    let (version, channel) = (annotation("bundle-version"), annotation("channel"));
    let retry = match found.iter().flatten().next().is_some_and(has_retry) {
        true => "",
        false => "; its HTTPRoute has no `retry`, which the API server drops: a TrafficPolicy has it",
    };
    Check::ok(name, format!("version {version}, channel {channel}{retry}"))
}

/// Whether the schema of HTTPRoute keeps `spec.rules[].retry`.
fn has_retry(definition: &Value) -> bool {
    let mut versions = definition["spec"]["versions"].as_array().into_iter().flatten();
    let schema = versions.find(|version| version["name"] == "v1").map(|version| &version["schema"]["openAPIV3Schema"]);
    let rule = "/properties/spec/properties/rules/items/properties/retry";
    schema.is_some_and(|schema| schema.pointer(rule).is_some())
}

fn definitions(own: &[Value], found: &[Option<Value>], is_new: bool) -> Check {
    let name = "definitions";
    let hint = "`byrnie crds | kubectl apply --server-side -f -`";
    let title = |one: &Value| one["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let missing: Vec<_> =
        own.iter().zip(found).filter(|(_, found)| found.is_none()).map(|(own, _)| title(own)).collect();
    if is_new && missing.len() == own.len() {
        return Check::ok(name, "none of the mesh's own kinds yet; `byrnie install` brings them");
    }
    if !missing.is_empty() {
        return Check::warning(name, format!("not installed: {}", missing.join(", ")), hint);
    }
    let pairs = own.iter().zip(found.iter().flatten());
    let differences: Vec<_> = pairs
        .filter_map(|(own, found)| {
            Some(format!("{}: {}", title(own), difference(&own["spec"], &found["spec"], "spec")?))
        })
        .collect();
    match differences.is_empty() {
        true => Check::ok(name, format!("the {} of this version", own.len())),
        false => {
            let hint = format!("{hint} makes them those of this version, or use the command of theirs");
            Check::warning(name, format!("not those of this version: {}", differences.join("; ")), hint)
        }
    }
}

/// Where what is there first differs from what is wanted. What the server adds by itself is none; within a schema it
/// adds nothing.
fn difference(wanted: &Value, found: &Value, path: &str) -> Option<String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            let missing = wanted.iter().find_map(|(key, wanted)| {
                let path = format!("{path}.{key}");
                match found.get(key) {
                    Some(found) => difference(wanted, found, &path),
                    None => Some(format!("{path} is missing")),
                }
            });
            let is_schema = path.contains(".schema");
            let added = || found.keys().find(|key| is_schema && !wanted.contains_key(*key));
            missing.or_else(|| added().map(|key| format!("{path}.{key} is unknown")))
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            let mut pairs = wanted.iter().zip(found).enumerate();
            pairs.find_map(|(index, (wanted, found))| difference(wanted, found, &format!("{path}[{index}]")))
        }
        _ if is_same(wanted, found) => None,
        _ => Some(format!("{path} differs")),
    }
}

/// Numbers are numbers, however they are written.
fn is_same(wanted: &Value, found: &Value) -> bool {
    wanted == found || matches!((wanted.as_f64(), found.as_f64()), (Some(wanted), Some(found)) if wanted == found)
}

#[cfg(test)]
mod tests;
