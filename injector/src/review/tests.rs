use serde_json::json;

use super::{answer::LONGEST_WARNING, *};
use crate::inject::injected;

fn review(request: Value) -> Value {
    let mut whole = json!({
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "operation": "CREATE",
        "namespace": "shop",
        "object": {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"generateName": "web-"},
            "spec": {"containers": [{"name": "app", "image": "app"}]},
        },
        "dryRun": false,
    });
    for (name, value) in request.as_object().unwrap() {
        whole[name] = value.clone();
    }
    json!({"apiVersion": API_VERSION, "kind": KIND, "request": whole})
}

fn pod(fields: Value) -> Value {
    let mut pod = json!({"metadata": {"generateName": "web-"}, "spec": {"containers": [{"name": "app"}]}});
    for (pointer, value) in fields.as_object().unwrap() {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[field] = value.clone();
    }
    review(json!({"object": pod}))
}

/// What is answered in the namespace shop, with its label.
fn answered(review: &Value) -> (Outcome, Value) {
    with(review, &Settings::default())
}

fn with(review: &Value, settings: &Settings) -> (Outcome, Value) {
    let text = review.to_string();
    let answer = match Review::read(text.as_bytes()).unwrap() {
        Review::Settled(answer) => answer,
        Review::Pod(asked) => {
            assert_eq!(asked.namespace(), "shop");
            asked.answer(&Namespace::enabled("shop"), settings).unwrap()
        }
    };
    let outcome = answer.outcome();
    let response = response(answer);
    assert_eq!(response["uid"], review["request"]["uid"]);
    (outcome, response)
}

fn response(answer: Answer) -> Value {
    let mut whole: Value = serde_json::from_slice(&answer.into_bytes()).unwrap();
    assert_eq!((&whole["apiVersion"], &whole["kind"]), (&json!(API_VERSION), &json!(KIND)));
    whole["response"].take()
}

#[test]
fn a_pod_of_a_labelled_namespace_is_let_through_with_the_patch_that_injects_it() {
    let review = review(json!({}));
    let (outcome, response) = answered(&review);
    assert_eq!(
        (outcome, &response["allowed"], &response["patchType"]),
        (Outcome::Injected, &json!(true), &json!("JSONPatch"))
    );
    let steps = BASE64_STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
    let steps: Value = serde_json::from_slice(&steps).unwrap();
    let pod = &review["request"]["object"];
    let wanted = patch(pod, &injected(pod, &Settings::default()).unwrap());
    assert_eq!(steps, serde_json::to_value(wanted).unwrap());
    assert_eq!(response.get("warnings"), None);
}

#[test]
fn a_dry_run_is_answered_alike() {
    assert_eq!(answered(&review(json!({"dryRun": true}))), answered(&review(json!({}))));
}

#[test]
fn other_kinds_and_operations_are_let_through_without_a_look() {
    for other in [
        json!({"operation": "UPDATE"}),
        json!({"operation": "DELETE", "object": null}),
        json!({"operation": "CONNECT"}),
        json!({"subResource": "ephemeralcontainers"}),
        json!({"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}}),
        json!({"kind": {"group": "metrics.k8s.io", "version": "v1", "kind": "Pod"}}),
        json!({"kind": {"group": "", "version": "v2", "kind": "Pod"}}),
        json!({"kind": {"group": "", "version": "v1", "kind": "Namespace"}, "namespace": null}),
    ] {
        let (outcome, response) = answered(&review(other.clone()));
        let uid = &review(json!({}))["request"]["uid"];
        assert_eq!((outcome, response), (Outcome::Skipped, json!({"uid": uid, "allowed": true})), "{other}");
    }
}

#[test]
fn who_asked_for_a_sidecar_and_gets_none_is_warned() {
    let warnings = |fields: Value| {
        let (outcome, response) = answered(&pod(fields));
        assert_eq!((outcome, &response["allowed"]), (Outcome::Skipped, &json!(true)));
        response.get("warnings").cloned()
    };
    assert_eq!(
        warnings(json!({"/spec/hostNetwork": true})),
        Some(json!(["Pod shop/web-...: no sidecar: it is on the network of its node (spec.hostNetwork)"]))
    );
    assert_eq!(
        warnings(json!({"/spec/os": {"name": "windows"}, "/metadata/name": "web-1"})),
        Some(json!(["Pod shop/web-1: no sidecar: it runs on Windows, where nothing can be redirected"]))
    );
    for meant in [
        json!({"/metadata/labels": {"byrnie.io/inject": "false"}}),
        json!({"/metadata/annotations": {"byrnie.io/inbound": "10.0.0.1:80=127.0.0.1:8080"}}),
    ] {
        assert_eq!(warnings(meant.clone()), None, "{meant}");
    }
}

#[test]
fn a_warning_is_as_long_as_the_api_server_lets_it_be() {
    let text = review(json!({})).to_string();
    let Review::Pod(asked) = Review::read(text.as_bytes()).unwrap() else { panic!("it is a Pod") };
    let mut namespace = Namespace::enabled("shop");
    namespace.labels.insert("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned());
    let answer = asked.answer(&namespace, &Settings::default()).unwrap();
    let response = response(answer);
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(warning.contains("pod security standard restricted") && warning.len() <= LONGEST_WARNING, "{warning}");
    assert_eq!(cut("é".repeat(200)), "é".repeat(126) + "...");
}

#[test]
fn what_cannot_be_meant_is_refused_with_the_field_and_what_is_accepted() {
    let (outcome, response) = answered(&pod(json!({"/metadata/annotations": {"byrnie.io/proxy-cpu": "lots"}})));
    let message = "Pod shop/web-...: metadata.annotations[byrnie.io/proxy-cpu]: found \"lots\": a quantity is accepted, \
                   such as 100m or 64Mi";
    let status = json!({"status": "Failure", "code": 422, "reason": "Invalid", "message": message});
    assert_eq!((outcome, &response["allowed"], &response["status"]), (Outcome::Refused, &json!(false), &status));
}

#[test]
fn what_the_settings_do_not_allow_is_forbidden() {
    let settings = Settings { allowed: [].into(), ..Settings::default() };
    let (outcome, response) =
        with(&pod(json!({"/metadata/annotations": {"byrnie.io/proxy-image": "mine"}})), &settings);
    assert_eq!((outcome, &response["status"]["code"]), (Outcome::Refused, &json!(403)));
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("Pod shop/web-...: metadata.annotations[byrnie.io/proxy-image]: "), "{message}");
}

#[test]
fn a_pod_whose_namespace_is_not_known_is_not_let_through() {
    let text = review(json!({})).to_string();
    let Review::Pod(asked) = Review::read(text.as_bytes()).unwrap() else { panic!("it is a Pod") };
    let answer = asked.unanswerable("no answer").unwrap();
    assert_eq!(answer.outcome(), Outcome::Refused);
    assert!(answer.refusal().unwrap().starts_with("Pod shop/web-...: the labels of its namespace are not known: no"));
    assert_eq!(response(answer)["allowed"], false);
}

#[test]
fn a_review_of_another_version_is_answered_with_the_one_that_is_accepted() {
    for (version, kind) in [("admission.k8s.io/v1beta1", KIND), (API_VERSION, "TokenReview")] {
        let mut review = review(json!({}));
        review["apiVersion"] = json!(version);
        review["kind"] = json!(kind);
        let (outcome, response) = answered(&review);
        assert_eq!((outcome, &response["allowed"]), (Outcome::Malformed, &json!(false)));
        let message = response["status"]["message"].as_str().unwrap();
        let told =
            format!("found apiVersion {version:?} and kind {kind:?}: admission.k8s.io/v1 AdmissionReview is accepted");
        assert_eq!(message, told);
    }
}

#[test]
fn what_is_no_review_is_told_so() {
    let many = vec![r#"{"a":1}"#; 40_000].join(",");
    for (body, told) in [
        ("", "the body cannot be read: admission.k8s.io/v1 AdmissionReview in JSON is accepted (EOF while parsing"),
        ("hello", "the body cannot be read: "),
        ("{}", "the body has no request.uid; "),
        (
            r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {}}"#,
            "the body has no request",
        ),
        (r#"{"request": {"uid": 7}}"#, "the body cannot be read: "),
        (
            &json!({"request": {"uid": "x".repeat(257)}}).to_string(),
            "request.uid has 257 octets; at most 256 are accepted",
        ),
        (&format!("[{many}]"), "the body cannot be looked at: it has 40000 objects; 30000 are accepted"),
        (&"[".repeat(200_000), "the body cannot be read: "),
    ] {
        let error = Review::read(body.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(told), "{error}");
    }
}

#[test]
fn a_pod_that_is_none_is_refused() {
    for (object, field) in [
        (json!(null), "the Pod"),
        (json!([]), "the Pod"),
        (json!({"metadata": [], "spec": {}}), "metadata"),
        (json!({"spec": {"containers": {}}}), "spec.containers"),
    ] {
        let (outcome, response) = answered(&review(json!({"object": object})));
        assert_eq!((outcome, &response["status"]["code"]), (Outcome::Refused, &json!(422)), "{object}");
        let message = response["status"]["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("Pod shop/...: {field}: ")), "{message}");
    }
}

#[test]
fn a_pod_stays_text_until_its_namespace_is_known() {
    // As text it takes 128 KiB, and more levels than a tree may have.
    let deep = "[".repeat(64 << 10) + &"]".repeat(64 << 10);
    let text = review(json!({"object": "deep"})).to_string().replace("\"deep\"", &deep);
    let Review::Pod(asked) = Review::read(text.as_bytes()).unwrap() else { panic!("it is a Pod") };
    let error = asked.answer(&Namespace::enabled("shop"), &Settings::default()).unwrap_err().to_string();
    assert!(error.contains("recursion limit exceeded"), "{error}");
}

#[test]
fn a_namespace_that_cannot_be_one_is_told_so_and_asked_for_nowhere() {
    for namespace in [json!(null), json!(""), json!("../pods"), json!("a.b"), json!("a?b"), json!("x".repeat(64))] {
        let (outcome, response) = answered(&review(json!({"namespace": namespace})));
        assert_eq!((outcome, &response["allowed"]), (Outcome::Malformed, &json!(false)));
        let found = namespace.as_str().unwrap_or_default();
        let message =
            format!("request.namespace: found {found:?}: the name of a namespace is accepted, such as shop-1");
        let status = json!({"status": "Failure", "code": 400, "reason": "BadRequest", "message": message});
        assert_eq!(response["status"], status);
    }
}
