use byrnie_injector::{Settings, injected};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{applied, envoys, patch, pod};

fn port() -> impl Strategy<Value = Value> {
    prop_oneof![Just(json!(80)), Just(json!("http")), Just(json!("8080")), Just(json!("none"))]
}

fn probe() -> impl Strategy<Value = Value> {
    prop_oneof![
        (port(), any::<bool>()).prop_map(|(port, headers)| {
            let headers = if headers { json!([{"name": "a", "value": "b"}]) } else { Value::Null };
            json!({"httpGet": {"path": "/", "port": port, "httpHeaders": headers}, "timeoutSeconds": 2})
        }),
        port().prop_map(|port| json!({"tcpSocket": {"port": port}})),
        Just(json!({"grpc": {"port": 9}})),
        Just(json!({"exec": {"command": ["x"]}})),
        Just(Value::Null),
    ]
}

fn container() -> impl Strategy<Value = Value> {
    let name = prop_oneof![Just("a"), Just("b"), Just("byrnie-proxy"), Just("byrnie-agent")];
    (name, proptest::option::of(probe()), proptest::option::of(probe()), any::<bool>()).prop_map(
        |(name, live, stop, ports)| {
            let mut container = json!({"name": name});
            if ports {
                container["ports"] = json!([{"name": "http", "containerPort": 8000}]);
            }
            if let Some(live) = live {
                container["livenessProbe"] = live;
            }
            if let Some(stop) = stop {
                container["lifecycle"] = json!({"preStop": stop});
            }
            container
        },
    )
}

fn scraped() -> impl Strategy<Value = Map<String, Value>> {
    let one = |name: &'static str, values: &'static [&'static str]| {
        proptest::option::of(proptest::sample::select(values)).prop_map(move |value| Some((name, value?)))
    };
    let all = (
        one("prometheus.io/scrape", &["true", "false"]),
        one("prometheus.io/port", &["8080", "15020", "http"]),
        one("prometheus.io/path", &["/m", "/stats/prometheus"]),
        one("prometheus.io/scheme", &["http", "https", "ftp"]),
        one("byrnie.io/merge-metrics", &["true", "false"]),
    );
    all.prop_map(|(scrape, port, path, scheme, merge)| {
        let given = [scrape, port, path, scheme, merge].into_iter().flatten();
        given.map(|(name, value)| (name.to_owned(), value.into())).collect()
    })
}

fn any_pod() -> impl Strategy<Value = Value> {
    let list = || proptest::option::of(proptest::collection::vec(container(), 0..4));
    let grace = proptest::option::of(0..60_u64);
    let flags = (any::<bool>(), any::<bool>());
    (list(), list(), grace, flags, scraped()).prop_map(|(containers, before, grace, (marked, annotated), scraped)| {
        let mut spec = Map::new();
        spec.extend(containers.map(|list| ("containers".to_owned(), list.into())));
        spec.extend(before.map(|list| ("initContainers".to_owned(), list.into())));
        spec.extend(grace.map(|grace| ("terminationGracePeriodSeconds".to_owned(), grace.into())));
        let mut annotations = Map::new();
        if marked {
            annotations.insert("byrnie.io/status".to_owned(), "injected".into());
        }
        if annotated {
            annotations.insert("byrnie.io/exclude-uids".to_owned(), "7".into());
        }
        annotations.extend(scraped);
        json!({"metadata": {"annotations": annotations}, "spec": spec})
    })
}

proptest! {
    #[test]
    fn injecting_twice_is_injecting_once(pod in any_pod(), rewrite_probes in any::<bool>(), is_envoy in any::<bool>()) {
        let settings = Settings { rewrite_probes, ..if is_envoy { envoys() } else { Settings::default() } };
        // Some are refused, such as those with two sidecars.
        if let Ok(steps) = patch(&pod, &settings) {
            let once = applied(pod.clone(), &steps);
            prop_assert_eq!(&once, &injected(&pod, &settings).unwrap());
            prop_assert_eq!(patch(&once, &settings), Ok(vec![]));
        }
    }
}

#[test]
fn a_container_that_another_webhook_adds_gets_what_the_others_have() {
    let mut once = injected(&pod(json!({})), &Settings::default()).unwrap();
    let late = json!({"name": "late", "livenessProbe": {"httpGet": {"path": "/", "port": 81}}});
    once["spec"]["containers"].as_array_mut().unwrap().push(late.clone());
    once["spec"]["initContainers"].as_array_mut().unwrap().insert(0, json!({"name": "early"}));
    let twice = injected(&once, &Settings::default()).unwrap();

    let names: Vec<_> =
        twice["spec"]["initContainers"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["byrnie-proxy", "byrnie-init", "early"]);
    assert_eq!(twice["spec"]["containers"][1]["livenessProbe"]["httpGet"]["port"], 15020);
    let mut at_once = pod(json!({}));
    at_once["spec"]["initContainers"] = json!([{"name": "early"}]);
    at_once["spec"]["containers"].as_array_mut().unwrap().push(late);
    assert_eq!(twice, injected(&at_once, &Settings::default()).unwrap());
}

#[test]
fn a_pod_may_have_the_other_sidecar_by_the_next_time() {
    let probed = |mut pod: Value| {
        pod["spec"]["containers"][0]["livenessProbe"] = json!({"httpGet": {"path": "/", "port": 81}});
        pod
    };
    let [micro, envoy] = ["micro", "envoy"].map(|kind| probed(pod(json!({"byrnie.io/proxy": kind}))));
    for (one, other) in [(&micro, &envoy), (&envoy, &micro)] {
        let mut changed = injected(one, &Settings::default()).unwrap();
        changed["metadata"]["annotations"]["byrnie.io/proxy"] =
            other["metadata"]["annotations"]["byrnie.io/proxy"].clone();
        assert_eq!(injected(&changed, &Settings::default()), injected(other, &Settings::default()));
    }
}

#[test]
fn the_level_of_the_mesh_holds_for_an_envoy_without_its_targets() {
    for (filter, wanted) in [("debug", "debug"), ("warn,byrnie_xds=trace", "warn"), ("byrnie_xds=trace", "info")] {
        let pod = injected(&pod(json!({})), &Settings { log_level: filter.to_owned(), ..envoys() }).unwrap();
        let [agent, envoy, _] = &pod["spec"]["initContainers"].as_array().unwrap()[..] else { panic!("{pod}") };
        assert_eq!(envoy["args"].as_array().unwrap().last().unwrap(), wanted);
        assert!(agent["args"].as_array().unwrap().contains(&json!(format!("--log={filter}"))));
    }
}
