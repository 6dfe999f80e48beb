use serde_json::json;

use super::*;

fn pod(name: &str, maker: &str, metadata: Value, rest: Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": name, "namespace": "shop", "ownerReferences": [{"kind": maker, "controller": true}]},
        "spec": {"containers": [{"name": "app", "image": "cart"}]},
    });
    for (within, fields) in [("metadata", metadata), ("", rest)] {
        let within = if within.is_empty() { &mut pod } else { &mut pod[within] };
        for (field, value) in fields.as_object().into_iter().flatten() {
            within[field] = value.clone();
        }
    }
    pod
}

/// What is found and what is to be done, of Pods of the namespace shop.
fn checks(pods: &[Value], labels: &[(&str, &str)]) -> Vec<(String, String)> {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let namespace = Namespace { name: "shop".to_owned(), labels };
    let mut report = Report::default();
    told("shop", missed(pods, &namespace, &Settings::default())).for_each(|check| report.add(check));
    let field = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let document = report.document();
    document.as_array().unwrap().iter().map(|one| (field(one, "found"), field(one, "hint"))).collect()
}

#[test]
fn pods_that_are_older_than_the_label_are_told_by_what_makes_them_anew() {
    let annotation = |name: &str, value: &str| json!({"annotations": {name: value}});
    let mark = || annotation("byrnie.io/status", "injected");
    let sidecar = json!({"initContainers": [{"name": "byrnie-proxy", "restartPolicy": "Always"}], "containers": []});
    let mut pods: Vec<_> =
        (1..=4).map(|number| pod(&format!("web-{number}"), "ReplicaSet", json!({}), json!({}))).collect();
    pods.push(pod("cart-0", "StatefulSet", json!({}), json!({})));
    pods.push(pod("done", "Job", json!({}), json!({"status": {"phase": "Succeeded"}})));
    pods.push(pod("going", "ReplicaSet", json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}), json!({})));
    pods.push(pod("there", "ReplicaSet", mark(), json!({"spec": sidecar})));
    pods.push(pod("copied", "DaemonSet", mark(), json!({})));
    pods.push(pod("out", "ReplicaSet", json!({"labels": {"byrnie.io/inject": "false"}}), json!({})));
    pods.push(pod("own", "ReplicaSet", annotation("byrnie.io/inbound", "x"), json!({})));
    pods.push(pod("node", "DaemonSet", json!({}), json!({"spec": {"hostNetwork": true, "containers": []}})));
    let text = "none beside web-1, web-2, web-3 and 3 more of namespace shop: they were made before one was asked for";
    let hint = "kubectl rollout restart daemonset,deployment,statefulset --namespace shop";
    assert_eq!(checks(&pods, &[INJECT]), [(text.to_owned(), hint.to_owned())]);
    assert!(checks(&pods, &[]).is_empty(), "nobody asks");
}

#[test]
fn each_reason_is_told_by_itself() {
    let refused = pod("bad", "ReplicaSet", json!({"annotations": {"byrnie.io/proxy": "big"}}), json!({}));
    let told = checks(&[refused, pod("web", "", json!({}), json!({}))], &[INJECT]);
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0].1, "make the Pods of namespace shop anew");
    assert!(
        told[1].0.starts_with("none beside bad of namespace shop: metadata.annotations[byrnie.io/proxy]: "),
        "{told:?}"
    );
    let restricted = [INJECT, ("pod-security.kubernetes.io/enforce", "restricted")];
    let told = checks(&[pod("web", "ReplicaSet", json!({}), json!({}))], &restricted);
    assert!(told[0].0.contains("enforces the pod security standard restricted"), "{told:?}");
    let told = checks(&[pod("web", "", json!({"annotations": {"byrnie.io/inject": "true"}}), json!({}))], &[]);
    assert_eq!(told[0].1, "give the Pods, or their namespace, the label");
}

#[test]
fn namespaces_are_looked_at_where_a_pod_lacks_what_somebody_may_want() {
    let of = |namespace: &str, fields: Value| {
        let mut pod = pod("a", "", fields, json!({}));
        pod["metadata"]["namespace"] = namespace.into();
        pod
    };
    let labelled = BTreeMap::from_iter(["shop", "done"].map(|name| (name.to_owned(), Namespace::enabled(name))));
    let pods = [
        of("shop", json!({})),
        of("done", json!({"annotations": {"byrnie.io/status": "injected"}})),
        of("done", json!({"annotations": {"byrnie.io/status": "injected"}, "labels": {"byrnie.io/inject": "true"}})),
        of("other", json!({})),
        of("by-label", json!({"labels": {"byrnie.io/inject": "true"}})),
        of("by-annotation", json!({"annotations": {"byrnie.io/inject": "true"}})),
    ];
    assert_eq!(candidates(&pods, &labelled), ["by-annotation", "by-label", "shop"].map(str::to_owned).into());
    let mut report = Report::default();
    limited(Vec::new(), 1).into_iter().for_each(|check| report.add(check));
    assert_eq!(report.document()[0]["found"], "beside 1 Pods, and none is missing");
}
