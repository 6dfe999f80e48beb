//! The mark `byrnie.io/status: injected` is what a Pod says of itself: written by hand it gains nothing.

use std::collections::BTreeSet;

use byrnie_injector::{Annotation, Settings, injected};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use super::{envoys, pod};

/// What somebody might write in a container of ours.
fn fields() -> impl Strategy<Value = Value> {
    let one = prop_oneof![
        Just(("image", json!("busybox"))),
        Just(("imagePullPolicy", json!("Never"))),
        Just(("command", json!(["/bin/true"]))),
        Just(("args", json!(["--exclude-inbound-ports=1-65535"]))),
        Just(("env", json!([{"name": "BYRNIE_EXCLUDE_INBOUND_PORTS", "value": "1-65535"}]))),
        Just(("envFrom", json!([{"configMapRef": {"name": "x"}}]))),
        Just(("volumeMounts", json!([{"name": "x", "mountPath": "/usr/local/bin"}]))),
        Just(("volumeMounts", json!([{"name": "x", "mountPath": "/var/run/secrets/kubernetes.io/../byrnie"}]))),
        Just(("resources", json!({"requests": {"cpu": "7"}, "limits": {"nvidia.com/gpu": "1"}}))),
        Just(("securityContext", json!({"privileged": true}))),
        Just(("restartPolicy", json!("Always"))),
        Just(("lifecycle", json!({"postStart": {"exec": {"command": ["x"]}}}))),
        Just(("ports", json!([{"containerPort": 15006}]))),
        Just(("startupProbe", json!({"tcpSocket": {"port": 1}}))),
        Just(("readinessProbe", Value::Null)),
    ];
    proptest::collection::vec(one, 0..5).prop_map(|fields| fields.into_iter().collect())
}

/// The Pod with the mark and the containers.
fn marked(pod: &Value, containers: &[(&str, Value)]) -> Value {
    let mut pod = pod.clone();
    pod["metadata"]["annotations"]["byrnie.io/status"] = json!("injected");
    let named = containers.iter().map(|(name, fields)| {
        let mut container = fields.clone();
        container["name"] = json!(name);
        container
    });
    pod["spec"]["initContainers"] = named.collect();
    pod
}

fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let all = pod["spec"]["initContainers"].as_array().expect("a list");
    all.iter().find(|one| one["name"] == name).unwrap_or(&Value::Null)
}

proptest! {
    #[test]
    fn a_mark_by_hand_changes_nothing_of_the_redirection_and_the_agent(
        init in fields(),
        agent in proptest::option::of(fields()),
        proxy in proptest::option::of(fields()),
        is_envoy in any::<bool>(),
        allowed in select(vec![BTreeSet::from(Annotation::ALL), [Annotation::LogLevel].into(), [].into()]),
    ) {
        let settings = Settings { allowed, ..if is_envoy { envoys() } else { Settings::default() } };
        let plain = pod(json!({}));
        let mut containers = vec![("byrnie-init", init)];
        containers.extend(agent.map(|agent| ("byrnie-agent", agent)));
        containers.extend(proxy.map(|proxy| ("byrnie-proxy", proxy)));
        let (found, wanted) = (injected(&marked(&plain, &containers), &settings), injected(&plain, &settings).unwrap());
        let found = found.unwrap();
        for name in ["byrnie-init", "byrnie-agent"] {
            prop_assert_eq!(container(&found, name), container(&wanted, name));
        }
        let (found, wanted) = (container(&found, "byrnie-proxy"), container(&wanted, "byrnie-proxy"));
        let fields = ["args", "command", "env", "envFrom", "readinessProbe", "restartPolicy", "securityContext"];
        for field in fields.into_iter().chain(["startupProbe", "volumeMounts"]) {
            prop_assert_eq!(&found[field], &wanted[field], "{}", field);
        }
        if !settings.allowed.contains(&Annotation::ProxyImage) {
            prop_assert_eq!((&found["image"], &found["lifecycle"]), (&wanted["image"], &wanted["lifecycle"]));
            prop_assert_eq!(&found["resources"], &wanted["resources"]);
        }
    }
}

#[test]
fn what_the_api_server_makes_of_every_container_stays() {
    let settings = Settings { allowed: [].into(), ..envoys() };
    let mut pod = injected(&pod(json!({})), &settings).unwrap();
    for container in pod["spec"]["initContainers"].as_array_mut().unwrap() {
        // AlwaysPullImages, LimitRanger and ServiceAccount, which would refuse the Pod or leave it without.
        container["imagePullPolicy"] = json!("Always");
        container["resources"]["limits"] = json!({"cpu": "1", "memory": "1Gi"});
        let token = json!({"name": "kube-api-access-x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
        match &mut container["volumeMounts"] {
            Value::Array(mounts) => mounts.push(token),
            none => *none = json!([token]),
        }
    }
    assert_eq!(injected(&pod, &settings), Ok(pod));
}
