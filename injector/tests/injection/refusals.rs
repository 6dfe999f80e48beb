use byrnie_injector::{Annotation, Cause, Decision, Namespace, Refusal, Settings, decide, injected};
use serde_json::json;

use super::{patch, pod};

fn told(pod: &serde_json::Value) -> String {
    patch(pod, &Settings::default()).expect_err("it is refused").to_string()
}

#[test]
fn a_bad_annotation_is_named_with_what_was_found_and_what_is_accepted() {
    for (name, value, wanted) in [
        (
            "exclude-inbound-ports",
            "80,http",
            "\"http\" is no port; 1 to 65535 is accepted, and a range such as 8000-8010",
        ),
        ("exclude-outbound-cidrs", "10.0.0.1/8", "10.0.0.1/8 has bits beyond its length; 10.0.0.0/8 is accepted"),
        ("proxy", "nginx", "found \"nginx\": micro and envoy are accepted"),
        ("proxy-cpu", "much", "found \"much\": a quantity is accepted, such as 100m or 64Mi"),
        (
            "pre-stop-delay",
            "1h",
            "found \"1h\": seconds from 0, which is no delay, to 3600 are accepted, such as 5 or 5s",
        ),
        ("merge-metrics", "no", "found \"no\": \"true\" and \"false\" are accepted"),
        ("proxy-image", "", "found \"\": the name of an image is accepted"),
        (
            "log-level",
            "loud",
            "found \"loud\": off, error, warn, info, debug and trace are accepted, and by target as in info,byrnie_xds=debug",
        ),
    ] {
        let name = format!("byrnie.io/{name}");
        assert_eq!(told(&pod(json!({&name: value}))), format!("metadata.annotations[{name}]: {wanted}"));
    }
}

#[test]
fn a_message_has_as_much_of_a_pod_as_can_be_read() {
    let long = "é".repeat(100_000);
    for name in ["proxy", "exclude-uids", "exclude-inbound-ports", "exclude-interfaces", "log-level", &long] {
        let told = told(&pod(json!({format!("byrnie.io/{name}"): long})));
        assert!(told.contains("ééé...") && told.contains("accepted") && told.len() < 1000, "{told}");
    }
    let mut named = pod(json!({}));
    named["spec"]["containers"] = json!([{"name": long, "securityContext": {"runAsUser": 1337}}]);
    assert!(told(&named).len() < 400);
}

#[test]
fn an_envoy_logs_by_level_alone() {
    let envoy = |level: &str| pod(json!({"byrnie.io/proxy": "envoy", "byrnie.io/log-level": level}));
    assert!(patch(&envoy("warn"), &Settings::default()).is_ok());
    assert_eq!(
        told(&envoy("info,byrnie_xds=debug")),
        "metadata.annotations[byrnie.io/log-level]: found \"info,byrnie_xds=debug\": off, error, warn, info, debug and trace \
         are accepted where the sidecar is an Envoy"
    );
}

#[test]
fn an_application_cannot_be_the_sidecar_to_the_redirection() {
    let user = "by which the sidecar's own traffic is told from that of the application; any other is accepted";
    for (pointer, value, wanted) in [
        ("/spec/securityContext", json!({"runAsUser": 1337}), "spec.securityContext.runAsUser"),
        ("/spec/securityContext", json!({"runAsGroup": 1337}), "spec.securityContext.runAsGroup"),
        (
            "/spec/containers/0/securityContext",
            json!({"runAsUser": 1337}),
            "spec.containers[app].securityContext.runAsUser",
        ),
    ] {
        let mut pod = pod(json!({}));
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[field] = value;
        assert_eq!(told(&pod), format!("{wanted}: found 1337, {user}"));
    }
    let mut early = pod(json!({}));
    early["spec"]["initContainers"] = json!([{"name": "early", "securityContext": {"runAsUser": 1337}}]);
    assert!(told(&early).starts_with("spec.initContainers[early].securityContext.runAsUser: found 1337, "));
}

#[test]
fn an_application_listens_elsewhere_than_the_sidecar() {
    let mut pod = pod(json!({}));
    pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 8080}, {"containerPort": 15020}]);
    assert_eq!(
        told(&pod),
        "spec.containers[app].ports[15020]: the sidecar listens at 15020; any other port than 15000, 15001, 15006, 15020 and \
         15021 is accepted"
    );
}

#[test]
fn a_slip_in_the_name_of_an_annotation_is_refused() {
    let told = told(&pod(json!({"byrnie.io/exclude-inbound-port": "80"})));
    assert!(
        told.starts_with(
            "metadata.annotations[byrnie.io/exclude-inbound-port]: is read by nothing; byrnie.io/inject, "
        )
    );
    assert!(told.contains("byrnie.io/exclude-inbound-ports"), "{told}");
}

#[test]
fn a_wish_is_true_or_false() {
    let labelled = Namespace { name: "shop".into(), ..Namespace::default() };
    let refusal = decide(&pod(json!({"byrnie.io/inject": "yes"})), &labelled, &Settings::default()).unwrap_err();
    let wanted = "metadata.annotations[byrnie.io/inject]: found \"yes\": \"true\" and \"false\" are accepted";
    assert_eq!(refusal.to_string(), wanted);
}

#[test]
fn the_settings_say_what_a_pod_may_set() {
    let settings = Settings { allowed: [Annotation::LogLevel].into(), ..Settings::default() };
    assert!(patch(&pod(json!({"byrnie.io/log-level": "debug"})), &settings).is_ok());
    let refused = patch(&pod(json!({"byrnie.io/exclude-outbound-cidrs": "0.0.0.0/0"})), &settings);
    assert_eq!(refused, Err(Refusal::NotAllowed(Annotation::ExcludeOutboundCidrs)));

    let mut own = pod(json!({}));
    own["spec"]["containers"] = json!([{"name": "byrnie-proxy", "image": "evil"}]);
    assert_eq!(
        patch(&own, &settings).unwrap_err().to_string(),
        "spec.containers[byrnie-proxy].image: the mesh's settings do not let a Pod set byrnie.io/proxy-image, and so not \
         this; leave it out"
    );
}

#[test]
fn an_own_proxy_cannot_take_what_is_the_meshs() {
    const FIELDS: &str = "env, image, imagePullPolicy, lifecycle, livenessProbe, ports, resizePolicy, resources, \
                          terminationMessagePath, terminationMessagePolicy, volumeMounts";
    const FOLDERS: &str = "volumes of the Pod's own at folders neither within nor around /etc/byrnie, /var/lib/byrnie, \
                           /var/run/secrets/byrnie and those of programs";
    const VARIABLES: &str = "BYRNIE_LOG and names that begin with neither BYRNIE_ nor LD_";
    let mount = |path: &str| json!([{"name": "x", "mountPath": path, "subPath": "y"}]);
    for (field, value, named, accepted) in [
        ("securityContext", json!({"runAsUser": 0}), "securityContext", FIELDS),
        ("args", json!(["--xds-address=example.com:1"]), "args", FIELDS),
        ("command", json!(["/bin/sh"]), "command", FIELDS),
        ("env", json!([{"name": "POD_NAME", "value": "other"}]), "env[POD_NAME]", "others"),
        ("env", json!([{"name": "BYRNIE_PROBES", "value": "{}"}]), "env[BYRNIE_PROBES]", VARIABLES),
        ("env", json!([{"name": "LD_PRELOAD", "value": "/x"}]), "env[LD_PRELOAD]", VARIABLES),
        ("volumeMounts", mount("/etc/byrnie"), "volumeMounts[/etc/byrnie]", FOLDERS),
        ("volumeMounts", mount("/etc/byrnie/root.crt"), "volumeMounts[/etc/byrnie/root.crt]", FOLDERS),
        ("volumeMounts", mount("/run/secrets/byrnie"), "volumeMounts[/run/secrets/byrnie]", FOLDERS),
        ("volumeMounts", mount("/var/lib/"), "volumeMounts[/var/lib/]", FOLDERS),
        ("volumeMounts", mount("/usr/local/bin"), "volumeMounts[/usr/local/bin]", FOLDERS),
        ("volumeMounts", mount("/"), "volumeMounts[/]", FOLDERS),
        ("volumeMounts", json!([{"name": "byrnie-state", "mountPath": "/x"}]), "volumeMounts[/x]", FOLDERS),
    ] {
        let mut pod = pod(json!({}));
        pod["spec"]["containers"] = json!([{"name": "byrnie-proxy", field: value}]);
        let wanted = format!(
            "spec.containers[byrnie-proxy].{named}: is the mesh's own; {accepted} are accepted in a container of this name"
        );
        assert_eq!(told(&pod), wanted);
    }
}

#[test]
fn who_may_not_name_an_image_runs_no_command_in_the_sidecar() {
    let settings = Settings { allowed: [Annotation::LogLevel].into(), ..Settings::default() };
    let command = json!({"exec": {"command": ["sh"]}});
    for (field, value) in [("lifecycle", json!({"preStop": &command})), ("livenessProbe", command.clone())] {
        let mut own = pod(json!({}));
        own["spec"]["containers"] = json!([{"name": "byrnie-proxy", field: value}]);
        assert!(patch(&own, &Settings::default()).is_ok());
        let told = patch(&own, &settings).unwrap_err().to_string();
        let wanted = format!("spec.containers[byrnie-proxy].{field}: the mesh's settings do not let a Pod set");
        assert!(told.starts_with(&wanted), "{told}");
    }
}

#[test]
fn the_volumes_of_the_sidecar_are_not_for_the_application() {
    for list in ["containers", "initContainers"] {
        for volume in ["byrnie-token", "byrnie-trust", "byrnie-state"] {
            let mut pod = pod(json!({"byrnie.io/status": "injected"}));
            pod["spec"][list] = json!([{"name": "spy", "volumeMounts": [{"name": volume, "mountPath": "/x"}]}]);
            let wanted = format!(
                "spec.{list}[spy].volumeMounts[{volume}]: the name is kept for what the mesh adds; another name is accepted"
            );
            assert_eq!(told(&pod), wanted);
        }
    }
}

#[test]
fn names_of_the_mesh_are_not_for_others() {
    for (pointer, told_place) in [
        ("initContainers", "byrnie-init"),
        ("containers", "byrnie-init"),
        ("initContainers", "byrnie-agent"),
        ("containers", "byrnie-agent"),
        ("volumes", "byrnie-state"),
    ] {
        let mut pod = pod(json!({}));
        pod["spec"][pointer] = json!([{"name": told_place}]);
        let wanted =
            format!("spec.{pointer}[{told_place}]: the name is kept for what the mesh adds; another name is accepted");
        assert_eq!(told(&pod), wanted);
    }
    let mut twice = pod(json!({}));
    twice["spec"] = json!({"containers": [{"name": "byrnie-proxy"}], "initContainers": [{"name": "byrnie-proxy"}]});
    let refusal = "the Pod has two containers byrnie-proxy; one is accepted";
    assert_eq!(told(&twice), refusal);
    twice["spec"] = json!({"containers": [{"name": "byrnie-proxy"}, {"name": "byrnie-proxy"}]});
    assert_eq!(told(&twice), refusal);
}

#[test]
fn what_is_no_pod_gets_an_answer() {
    for (pod, wanted) in [
        (json!(7), "the Pod: an object is accepted"),
        (json!({"spec": []}), "spec: an object is accepted"),
        (json!({"spec": {"containers": {}}}), "spec.containers: a list of objects is accepted"),
        (json!({"spec": {"containers": [1]}}), "spec.containers: a list of objects is accepted"),
        (json!({"metadata": {"annotations": "x"}}), "metadata.annotations: an object is accepted"),
        (
            json!({"spec": {"containers": [{"name": "a", "lifecycle": 1}]}}),
            "spec.containers[a].lifecycle: an object is accepted",
        ),
    ] {
        assert_eq!(told(&pod), wanted);
    }
    let namespace = Namespace { name: "shop".into(), labels: [("byrnie.io/inject".into(), "enabled".into())].into() };
    let cause = Cause::Namespace("shop".into());
    let done = injected(&json!({}), &Settings::default()).unwrap();
    assert_eq!(decide(&json!({}), &namespace, &Settings::default()), Ok(Decision::Inject(cause, done)));
}

#[test]
fn the_control_plane_knows_every_annotation_that_is_read_here() {
    use byrnie_source::objects::annotation::{INJECTION, PROXY};
    let names: Vec<_> = Annotation::ALL.iter().map(|annotation| annotation.name()).collect();
    assert_eq!(names, [&[PROXY][..], &INJECTION[..]].concat());
}

#[test]
fn the_control_plane_knows_an_injected_pod_by_its_sidecar() {
    use byrnie_injector::{has_sidecar, is_injected};
    let mut done = injected(&pod(json!({})), &Settings::default()).unwrap();
    assert!(has_sidecar(&done));
    done["spec"]["initContainers"] = json!([]);
    assert!(is_injected(&done) && !has_sidecar(&done), "the mark is a copy");
}

#[test]
fn the_page_names_every_annotation() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/injection.md")).unwrap();
    for annotation in Annotation::ALL {
        let row = page.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{annotation}`")));
        assert!(row, "docs/injection.md has no row for {annotation}");
    }
}
