//! `byrnie inject --explain POD`: what becomes of a Pod that is there, and why it is as it is.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use byrnie_control_plane::cluster_names::INJECT;
use byrnie_injector::{Cause, Decision, Namespace, Place, Settings, decide, has_sidecar};
use byrnie_model::{ObjectKind, ObjectRef};
use byrnie_source::{CallError, Calls, Cluster, ObjectPath, objects::mesh_config};
use serde_json::{Value, json};

use super::{Args, explain, namespace};

/// Prints a row for each Pod. The exit code is 1 where one lacks a sidecar that it should have.
pub async fn run(args: &Args) -> Result<ExitCode> {
    let cluster = args.installation.kubeconfig().cluster().await?;
    let settings = settings(&cluster.calls(), args.installation.namespace()).await;
    let settings = settings.context("cannot read MeshConfig default")?;
    let (mut rows, mut is_good) = (Vec::new(), true);
    for name in &args.pods {
        let (space, name) = match name.split_once('/') {
            Some((space, name)) => (space, name),
            None => (args.namespace.as_deref().unwrap_or(cluster.default_namespace()), name.as_str()),
        };
        let (pod, namespace) = read(&cluster, space, name).await?;
        let told = told(&pod, &namespace, &settings);
        is_good &= told.is_good;
        rows.push(json!({"object": format!("Pod/{space}/{name}"), "injected": told.injected, "reason": told.reason}));
    }
    explain(args.output, rows);
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What holds for the Pods of a cluster whose control plane is in `namespace`. A MeshConfig that says what it cannot mean
/// changes nothing.
pub async fn settings(calls: &Calls, namespace: &str) -> Result<Settings, CallError> {
    let settings = Settings { namespace: namespace.to_owned(), ..Settings::default() };
    let config = ObjectRef { kind: ObjectKind::MeshConfig, namespace: "".into(), name: "default".into() };
    let found = calls.read(&ObjectPath::of(&config)).await?;
    let config = found.and_then(|found| mesh_config(&found).ok());
    Ok(config.map_or_else(|| settings.clone(), |config| settings.with(&config.injection)))
}

async fn read(cluster: &Cluster, space: &str, name: &str) -> Result<(Value, Namespace)> {
    let calls = cluster.calls();
    let path = ObjectPath::pod(space, name);
    let pod = calls.read(&path).await.with_context(|| format!("cannot read Pod {space}/{name}"))?;
    let Some(pod) = pod else { bail!("there is no Pod {space}/{name}; NAMESPACE/POD and --namespace name another") };
    let found = calls.read(&ObjectPath::namespace(space)).await;
    let found = found.with_context(|| format!("cannot read Namespace {space}"))?;
    Ok((pod, namespace(&found.unwrap_or_default())))
}

/// What there is to tell of a Pod.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    injected: bool,
    reason: String,
    is_good: bool,
}

/// By the same decision as when a Pod is made, which is over for this one.
fn told(pod: &Value, namespace: &Namespace, settings: &Settings) -> Told {
    let injected = has_sidecar(pod);
    let is_labelled = namespace.labels.get(INJECT.0).is_some_and(|value| value == INJECT.1);
    let (reason, is_good) = match decide(pod, namespace, settings) {
        // What is there may be of other settings, which are those of its time.
        Ok(Decision::Inject(cause, _)) if injected => (cause.to_string(), true),
        Ok(Decision::Inject(Cause::Pod(Place::Annotation), _)) if !is_labelled => {
            let why = "the API server asks by labels: give the Pod, or its namespace, the label";
            (format!("metadata.annotations[{}] is \"true\", and {why}", INJECT.0), false)
        }
        Ok(Decision::Inject(cause, _)) => {
            let why = "it was made before that, or while the injector was not asked: make it anew";
            (format!("{cause}, and it has no sidecar: {why}"), false)
        }
        Ok(Decision::Skip(reason)) => (reason.to_string(), true),
        Err(refusal) => (format!("refused: {refusal}"), injected),
    };
    Told { injected, reason, is_good }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(metadata: Value, labels: &[(&str, &str)]) -> Told {
        with(metadata, json!([]), labels)
    }

    fn with(metadata: Value, init: Value, labels: &[(&str, &str)]) -> Told {
        let spec = json!({"initContainers": init, "containers": [{"name": "app", "image": "cart"}]});
        let pod = json!({"metadata": metadata, "spec": spec});
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        told(&pod, &Namespace { name: "shop".to_owned(), labels }, &Settings::default())
    }

    #[test]
    fn a_pod_that_lacks_a_sidecar_is_told_what_to_do() {
        let labelled = [INJECT];
        let missed = of(json!({}), &labelled);
        let expected = "its namespace shop has the label byrnie.io/inject=enabled, and it has no sidecar: it was made \
                        before that, or while the injector was not asked: make it anew";
        assert_eq!(missed, Told { injected: false, reason: expected.to_owned(), is_good: false });
        let annotated = of(json!({"annotations": {"byrnie.io/inject": "true"}}), &[]);
        assert!(annotated.reason.ends_with("give the Pod, or its namespace, the label") && !annotated.is_good);
        let refused = of(json!({"annotations": {"byrnie.io/exclude-uids": "root"}}), &labelled);
        assert!(refused.reason.starts_with("refused: metadata.annotations[byrnie.io/exclude-uids]: "), "{refused:?}");
        assert!(!refused.is_good);
    }

    #[test]
    fn a_pod_that_is_as_it_should_be_is_told_why() {
        let mark = json!({"annotations": {"byrnie.io/status": "injected"}});
        let injected = with(mark, json!([{"name": "byrnie-proxy", "restartPolicy": "Always"}]), &[INJECT]);
        assert!(injected.injected && injected.is_good, "{injected:?}");
        assert_eq!(injected.reason, "its namespace shop has the label byrnie.io/inject=enabled");
        // The mark is a copy.
        let copied = json!({"byrnie.io/status": "injected"});
        let out = of(json!({"labels": {"byrnie.io/inject": "false"}, "annotations": copied}), &[INJECT]);
        let expected = "metadata.labels[byrnie.io/inject] is \"false\"";
        assert_eq!(out, Told { injected: false, reason: expected.to_owned(), is_good: true });
    }
}
