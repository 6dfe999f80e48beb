use byrnie_injector::injected;
use clap::{CommandFactory, Parser};

use super::*;

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

const SERVICE: &str = "# the shop\napiVersion: v1\nkind: Service\nmetadata: {name: cart}\n";
const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: cart, namespace: shop}\n\
                   spec: {containers: [{name: app, image: cart}]}\n";

/// What is printed, and all rows and refusals.
fn injected_by(options: &[&str], text: &str) -> (String, Vec<Value>, Vec<String>) {
    let options = ["inject", "-f", "app.yaml"].iter().chain(options);
    let args = Command::try_parse_from(options).expect("the options are good").args;
    let files = vec![(&args.files[0], documents::read(text).expect("the text is YAML"))];
    let mut injection = Injection::new(&args, &files).expect("what the files say of the mesh is good");
    let printed = injection.all(files);
    (printed, injection.rows, injection.refusals)
}

#[test]
fn what_does_not_change_is_printed_as_it_stands() {
    let host = "apiVersion: v1\nkind: Pod # on its node\nmetadata: {name: a}\nspec: {hostNetwork: true}";
    let (printed, rows, _) = injected_by(&[], &format!("{SERVICE}---\n{host}"));
    assert_eq!(printed, format!("{SERVICE}---\n{host}\n"));
    let reason = "it is on the network of its node (spec.hostNetwork)";
    assert_eq!(rows, [json!({"object": "Pod/default/a", "injected": false, "reason": reason})]);
}

#[test]
fn a_pod_becomes_what_the_webhook_makes_of_it() {
    let options = ["--proxy-image", "p:1", "--init-image", "i:1", "--envoy-image", "e:1"];
    let [init_image, proxy_image, envoy_image] = ["i:1", "p:1", "e:1"].map(str::to_owned);
    let settings = Settings { init_image, proxy_image, envoy_image, ..Settings::default() };
    for text in [POD, &POD.replace("{name: cart,", "{annotations: {byrnie.io/proxy: envoy}, name: cart,")] {
        let (printed, ..) = injected_by(&options, text);
        let pod = documents::read(text).unwrap().remove(0).value;
        assert_eq!(documents::read(&printed).unwrap()[0].value, injected(&pod, &settings).unwrap());
        assert_eq!(injected_by(&options, &printed).0, printed, "twice is once");
    }
}

const MESH: &str = "apiVersion: mesh.byrnie.io/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\n\
                    spec: {injection: {preStopDelay: 20s, proxy: envoy, allowedAnnotations: []}}\n";

#[test]
fn a_mesh_config_and_the_policy_of_pulling_are_those_of_the_webhook() {
    let base = Settings { image_pull_policy: "Always".to_owned(), ..Settings::default() };
    let config = byrnie_source::objects::mesh_config(&documents::read(MESH).unwrap()[0].value).unwrap();
    let pod = documents::read(POD).unwrap().remove(0).value;
    let wanted = injected(&pod, &base.with(&config.injection)).unwrap();
    let last = |printed: String| documents::read(&printed).unwrap().pop().unwrap().value;

    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("{SERVICE}---\n{MESH}")).unwrap();
    let path = file.path().to_str().unwrap();
    let (printed, ..) = injected_by(&["--image-pull-policy", "Always", "--mesh-config", path], POD);
    assert_eq!(last(printed), wanted);
    let among = format!("{MESH}---\n{POD}");
    let (printed, ..) = injected_by(&["--image-pull-policy", "Always"], &among);
    assert!(printed.starts_with(MESH), "{printed}");
    assert_eq!(last(printed), wanted);

    // What it keeps from Pods is told by --explain.
    let annotated = POD.replace("{name: cart,", "{annotations: {byrnie.io/proxy: micro}, name: cart,");
    let (_, rows, _) = injected_by(&["--explain", "--mesh-config", path], &annotated);
    let reason =
        "refused: metadata.annotations[byrnie.io/proxy]: the mesh's settings do not let a Pod set this; leave it out";
    assert_eq!(rows[0]["reason"], reason);
}

#[test]
fn a_mesh_config_that_cannot_be_meant_is_told_with_its_file() {
    let told = |options: &[&str], text: &str| {
        let options = ["inject", "-f", "app.yaml"].iter().chain(options);
        let args = Command::try_parse_from(options).expect("the options are good").args;
        let files = vec![(&args.files[0], documents::read(text).expect("the text is YAML"))];
        format!("{:#}", Injection::new(&args, &files).map(|_| ()).unwrap_err())
    };
    let bad = told(&[], &MESH.replace("20s", "2h"));
    assert!(bad.starts_with("app.yaml: MeshConfig default: spec.injection.preStopDelay: "), "{bad}");
    let twice = told(&[], &format!("{MESH}---\n{MESH}"));
    assert_eq!(twice, "app.yaml: MeshConfig default is there a second time; one is accepted");

    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), MESH.replace("name: default", "name: other")).unwrap();
    let path = file.path().to_str().unwrap();
    assert_eq!(told(&["--mesh-config", path], POD), format!("{path}: has no MeshConfig default; one is accepted"));
    assert!(told(&["--mesh-config", "/nowhere.yaml"], POD).starts_with("cannot read /nowhere.yaml: "));
}

#[test]
fn every_kind_with_a_template_and_lists_are_injected() {
    let template = "{spec: {containers: [{name: app, image: cart}]}}";
    let mut items = String::new();
    for (version, kind) in [
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("apps/v1", "ReplicaSet"),
        ("batch/v1", "Job"),
        ("v1", "ReplicationController"),
    ] {
        items += &format!(
            "- {{apiVersion: {version}, kind: {kind}, metadata: {{name: a}}, spec: {{template: {template}}}}}\n"
        );
    }
    let cron = format!("{{jobTemplate: {{spec: {{template: {template}}}}}}}");
    items += &format!("- {{apiVersion: batch/v1, kind: CronJob, metadata: {{name: a}}, spec: {cron}}}\n");
    items += "- {apiVersion: example.com/v1, kind: Deployment, metadata: {name: b}, spec: {template: {spec: {}}}}\n";
    let (_, rows, _) = injected_by(&[], &format!("apiVersion: v1\nkind: List\nitems:\n{items}"));
    assert_eq!(rows.len(), 7);
    assert!(rows.iter().all(|row| row["injected"] == true), "{rows:?}");
}

#[test]
fn a_namespace_in_the_files_speaks_for_itself_and_an_option_for_the_others() {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {a: b}}\n";
    let is_injected = |options: &[&str], text: &str| injected_by(options, text).1[0]["injected"] == true;
    assert!(!is_injected(&[], &format!("{namespace}---\n{POD}")));
    assert!(is_injected(&[], POD));
    assert!(!is_injected(&["--inject-namespace", "false"], POD));
    assert!(!is_injected(&["--namespace", "kube-system"], &POD.replace(", namespace: shop", "")));
}

#[test]
fn a_refusal_names_the_file_the_object_and_the_place() {
    let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart, namespace: shop}\nspec:\n  template:\n    \
                metadata: {annotations: {byrnie.io/exclude-uids: root}}\n    spec: {containers: []}\n";
    let (_, rows, refusals) = injected_by(&[], text);
    let refused = "spec.template: metadata.annotations[byrnie.io/exclude-uids]: \"root\" is no user; a number from 0 to \
                   4294967294 is accepted, and a range such as 1000-1010";
    assert_eq!(refusals, [format!("app.yaml: Deployment/shop/cart: {refused}")]);
    assert_eq!(rows[0]["reason"], format!("refused: {refused}"));
}

#[test]
fn the_page_names_every_option() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/injection.md")).unwrap();
    for option in Command::command().get_arguments().filter_map(|argument| argument.get_long()) {
        assert!(page.contains(&format!("| `--{option}")), "docs/injection.md has no row for --{option}");
    }
}
