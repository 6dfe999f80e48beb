use byrnie_injector::{Decision, Namespace, Settings, decide, injected};
use serde_json::{Value, json};

use super::pod;

fn namespace(name: &str, labels: &[(&str, &str)]) -> Namespace {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Namespace { name: name.to_owned(), labels }
}

fn labelled() -> Namespace {
    namespace("shop", &[("byrnie.io/inject", "enabled")])
}

const BY_NAMESPACE: &str = "inject: its namespace shop has the label byrnie.io/inject=enabled";

fn told(pod: &Value, namespace: &Namespace) -> String {
    match decide(pod, namespace, &Settings::default()).expect("nothing is refused") {
        Decision::Inject(cause, _) => format!("inject: {cause}"),
        Decision::Skip(reason) => reason.to_string(),
    }
}

#[test]
fn a_pods_label_goes_before_its_annotation_and_that_before_its_namespace() {
    let with = |label: Option<&str>, annotation: Option<&str>| {
        let mut pod = pod(json!({}));
        if let Some(label) = label {
            pod["metadata"]["labels"] = json!({"byrnie.io/inject": label});
        }
        if let Some(annotation) = annotation {
            pod["metadata"]["annotations"] = json!({"byrnie.io/inject": annotation});
        }
        pod
    };
    let bare = namespace("shop", &[]);
    let by_label = "metadata.labels[byrnie.io/inject] is \"false\"";
    let by_annotation = "metadata.annotations[byrnie.io/inject] is \"false\"";
    let unlabelled =
        "neither its namespace shop has the label byrnie.io/inject=enabled, nor the Pod byrnie.io/inject=true";
    for (label, annotation, namespace, wanted) in [
        (None, None, &labelled(), BY_NAMESPACE),
        (None, None, &bare, unlabelled),
        (None, Some("true"), &bare, "inject: metadata.annotations[byrnie.io/inject] is \"true\""),
        (None, Some("false"), &labelled(), by_annotation),
        (Some("true"), Some("false"), &bare, "inject: metadata.labels[byrnie.io/inject] is \"true\""),
        (Some("false"), Some("true"), &labelled(), by_label),
    ] {
        assert_eq!(told(&with(label, annotation), namespace), wanted, "{label:?} {annotation:?}");
    }
    assert_eq!(
        told(&with(None, None), &namespace("shop", &[("byrnie.io/inject", "disabled")])),
        "its namespace shop has the label byrnie.io/inject=disabled; enabled has it injected"
    );
}

#[test]
fn namespaces_that_a_cluster_or_the_mesh_starts_from_are_left_alone() {
    let willing = pod(json!({"byrnie.io/inject": "true"}));
    for name in ["kube-system", "kube-public", "kube-node-lease", "byrnie-system"] {
        let namespace = namespace(name, &[("byrnie.io/inject", "enabled")]);
        assert_eq!(told(&willing, &namespace), format!("nothing in the namespace {name} is injected"));
    }
    // Nothing that is wrong there may keep a Pod from starting.
    let wrong = pod(json!({"byrnie.io/inject": "yes"}));
    assert!(decide(&wrong, &namespace("kube-system", &[]), &Settings::default()).is_ok());
}

#[test]
fn what_cannot_work_is_left_out_with_its_reason() {
    let spec = |field: &str, value: Value| {
        let mut pod = pod(json!({}));
        pod["spec"][field] = value;
        told(&pod, &labelled())
    };
    assert_eq!(spec("hostNetwork", json!(true)), "it is on the network of its node (spec.hostNetwork)");
    assert_eq!(spec("hostNetwork", json!(false)), BY_NAMESPACE);
    let windows = "it runs on Windows, where nothing can be redirected";
    assert_eq!(spec("os", json!({"name": "windows"})), windows);
    assert_eq!(spec("nodeSelector", json!({"kubernetes.io/os": "windows"})), windows);
    assert_eq!(spec("nodeSelector", json!({"kubernetes.io/os": "linux"})), BY_NAMESPACE);
    assert_eq!(
        told(&pod(json!({"kubernetes.io/config.mirror": "x"})), &labelled()),
        "it is a static Pod of a kubelet, which the API server cannot change"
    );
    assert_eq!(
        told(&pod(json!({"byrnie.io/upstreams": "127.0.0.1:1=a.b:80"})), &labelled()),
        "it has a sidecar of its own, as its annotation byrnie.io/upstreams says"
    );
}

#[test]
fn a_namespace_that_enforces_pod_security_says_what_stands_in_the_way() {
    for (standard, is_injected) in [("privileged", true), ("baseline", false), ("restricted", false)] {
        let labels = [("byrnie.io/inject", "enabled"), ("pod-security.kubernetes.io/enforce", standard)];
        let told = told(&pod(json!({})), &namespace("shop", &labels));
        assert_eq!(told == BY_NAMESPACE, is_injected, "{told}");
        assert!(is_injected || (told.contains(standard) && told.contains("NET_ADMIN")), "{told}");
    }
}

#[test]
fn a_pod_that_has_all_is_left_as_it_is_and_one_that_lacks_something_is_not() {
    let mut whole = injected(&pod(json!({})), &Settings::default()).unwrap();
    assert_eq!(told(&whole, &labelled()), "it has its sidecar already");
    whole["spec"]["initContainers"][0]["securityContext"]["privileged"] = json!(true);
    assert_eq!(told(&whole, &labelled()), BY_NAMESPACE);
    assert_eq!(told(&pod(json!({"byrnie.io/status": "injected"})), &labelled()), BY_NAMESPACE);
}
