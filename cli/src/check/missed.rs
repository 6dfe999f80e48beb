//! Pods that should have a sidecar and have none.

use std::collections::{BTreeMap, BTreeSet};

use byrnie_control_plane::cluster_names::INJECT;
use byrnie_injector::{Cause, Decision, Namespace, Place, Reason, Settings, decide, has_sidecar, is_injected};
use byrnie_source::{CallError, ObjectPath, Scope};
use serde_json::Value;

use super::{
    Asked,
    report::{Check, Report},
};
use crate::inject::{namespace, settings};

const NAME: &str = "sidecars";

/// As many namespaces as are told one by one, and Pods of each.
const TOLD: usize = 10;
const NAMED: usize = 3;

/// Why Pods of a namespace have none, and what is to be done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// They were there before whoever asks for a sidecar did, or while nobody was asked.
    Earlier,
    /// The API server selects by labels alone.
    Annotation,
    /// They would be refused if they were made anew.
    Refused(String),
    /// It cannot be.
    Impossible(String),
}

/// Pods of a namespace that were missed for the same reason: their names, and what has made them.
type Missed = BTreeMap<Why, (Vec<String>, BTreeSet<&'static str>)>;

/// Makes the check.
pub async fn run(asked: &Asked<'_>, report: &mut Report) {
    match asked.sidecars().await {
        Ok(checks) => checks.into_iter().for_each(|check| report.add(check)),
        Err(error) => report.add(Check::unknown(NAME, "the Pods and their namespaces", &error)),
    }
}

impl Asked<'_> {
    async fn sidecars(&self) -> Result<Vec<Check>, CallError> {
        let labelled = self.calls.list(&Scope::namespaces_with(INJECT.0, INJECT.1)).await?;
        let labelled: BTreeMap<_, _> = labelled.iter().map(namespace).map(|one| (one.name.clone(), one)).collect();
        let pods = self.calls.list(&Scope::metadata_of_pods()).await?;
        let settings = settings(&self.calls, self.installation.namespace()).await?;
        let mut checks = Vec::new();
        for name in candidates(&pods, &labelled) {
            let namespace = match labelled.get(&name) {
                Some(found) => found.clone(),
                None => match self.calls.read(&ObjectPath::namespace(&name)).await? {
                    Some(found) => namespace(&found),
                    None => continue,
                },
            };
            let pods = self.calls.list(&Scope::pods_of(&name)).await?;
            checks.extend(told(&name, missed(&pods, &namespace, &settings)));
        }
        Ok(limited(checks, pods.iter().filter(|pod| seems_injected(pod)).count()))
    }
}

/// The namespaces with Pods that have no sidecar, and that somebody may want to have one.
fn candidates(pods: &[Value], labelled: &BTreeMap<String, Namespace>) -> BTreeSet<String> {
    let says_yes = |pod: &Value| ["labels", "annotations"].iter().any(|list| pod["metadata"][list][INJECT.0] == "true");
    let namespace = |pod: &Value| pod["metadata"]["namespace"].as_str().map(str::to_owned);
    let without = pods.iter().filter(|pod| !seems_injected(pod));
    without.filter_map(|pod| namespace(pod).filter(|name| labelled.contains_key(name) || says_yes(pod))).collect()
}

/// By a Pod's metadata, which shows no containers. A mark that was copied with it is told of by the control plane, unless the
/// Pod wants no sidecar anyway.
fn seems_injected(pod: &Value) -> bool {
    is_injected(pod) && pod["metadata"]["labels"][INJECT.0] != "false"
}

/// Those that run, or are to.
fn missed(pods: &[Value], namespace: &Namespace, settings: &Settings) -> Missed {
    let is_over = |pod: &Value| {
        !pod["metadata"]["deletionTimestamp"].is_null()
            || ["Succeeded", "Failed"].iter().any(|phase| pod["status"]["phase"] == *phase)
    };
    let is_labelled = namespace.labels.get(INJECT.0).is_some_and(|value| value == INJECT.1);
    let mut missed = Missed::new();
    for pod in pods.iter().filter(|pod| !has_sidecar(pod) && !is_over(pod)) {
        let why = match decide(pod, namespace, settings) {
            Ok(Decision::Inject(Cause::Pod(Place::Annotation), _)) if !is_labelled => Why::Annotation,
            Ok(Decision::Inject(..)) => Why::Earlier,
            Ok(Decision::Skip(reason @ Reason::PodSecurity { .. })) => Why::Impossible(reason.to_string()),
            Ok(Decision::Skip(_)) => continue,
            Err(refusal) => Why::Refused(refusal.to_string()),
        };
        let (names, makers) = missed.entry(why).or_default();
        names.push(pod["metadata"]["name"].as_str().unwrap_or_default().to_owned());
        makers.extend(maker(pod));
    }
    missed
}

/// What `kubectl rollout restart` takes for the kind of object that has made a Pod.
fn maker(pod: &Value) -> Option<&'static str> {
    let owner = pod["metadata"]["ownerReferences"].as_array()?.iter().find(|owner| owner["controller"] == true)?;
    match owner["kind"].as_str()? {
        "ReplicaSet" => Some("deployment"),
        "StatefulSet" => Some("statefulset"),
        "DaemonSet" => Some("daemonset"),
        _ => None,
    }
}

fn told(namespace: &str, missed: Missed) -> impl Iterator<Item = Check> {
    missed.into_iter().map(move |(why, (names, makers))| {
        let more = names.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names = names[..names.len().min(NAMED)].join(", ");
        let makers: Vec<_> = makers.into_iter().collect();
        let anew = match makers.as_slice() {
            [] => format!("make the Pods of namespace {namespace} anew"),
            makers => format!("kubectl rollout restart {} --namespace {namespace}", makers.join(",")),
        };
        let (why, hint) = match why {
            Why::Earlier => ("they were made before one was asked for".to_owned(), anew),
            Why::Annotation => {
                let why = "the API server asks by labels, and they have byrnie.io/inject as an annotation".to_owned();
                (why, "give the Pods, or their namespace, the label".to_owned())
            }
            Why::Refused(why) => (why, format!("mend it: such a Pod is refused when it is made anew; then {anew}")),
            Why::Impossible(why) => (why, "byrnie.io/inject=\"false\" says that it is meant".to_owned()),
        };
        Check::warning(NAME, format!("none beside {names}{more} of namespace {namespace}: {why}"), hint)
    })
}

/// The first of them and the number of the others, or that there are none.
fn limited(mut checks: Vec<Check>, injected: usize) -> Vec<Check> {
    if checks.is_empty() {
        return vec![Check::ok(NAME, format!("beside {injected} Pods, and none is missing"))];
    }
    let more = checks.len().saturating_sub(TOLD);
    checks.truncate(TOLD);
    if more > 0 {
        checks.push(Check::warning(
            NAME,
            format!("and in {more} more namespaces or for more reasons"),
            "mend these first",
        ));
    }
    checks
}

#[cfg(test)]
mod tests;
