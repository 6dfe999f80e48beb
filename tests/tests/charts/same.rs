//! `byrnie install` against `helm template`, and what both refuse.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use byrnie_tests::yaml;
use serde_json::Value;

use crate::{HELMS, Place, chart, install};

/// Values of a file, assignments of the command line, and the namespace.
const CASES: &[(&str, &[&str], &str)] = &[
    ("", &[], "byrnie-system"),
    ("", &[], "123"),
    ("", &["replicas=1"], "mesh"),
    ("", &["replicas=3", "podDisruptionBudget.minAvailable=2"], "mesh"),
    ("", &["podDisruptionBudget.enabled=false,logFormat=text"], "mesh"),
    ("image: {repository: localhost:5000/x, tag: '1.10', pullPolicy: Never}", &[], "mesh"),
    ("image: {tag: \"1.2@sha256:00\", pullSecrets: [{name: a}, {name: b}]}", &["image.pullPolicy=Always"], "mesh"),
    ("issuerSecret: own-issuer\nleafLifetime: 90m\nlogLevel: 'info,byrnie_ads=debug'", &[], "mesh"),
    ("resources: {}\naffinity: {}", &["logLevel="], "mesh"),
    ("resources: {limits: {cpu: 2, memory: null}}", &[], "mesh"),
    (
        "affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms: [{matchExpressions: [{key: disk, operator: In, values: [\"yes\", \"1\", \"\"]}]}]
nodeSelector: {disk: 'true', \"kubernetes.io/os\": linux}
tolerations:
- {key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 30}
- operator: Exists
topologySpreadConstraints:
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  labelSelector: {matchLabels: {app.kubernetes.io/name: byrnie-control-plane}}
priorityClassName: system-cluster-critical
",
        &[],
        "mesh",
    ),
    (
        "podAnnotations: {a: 'it''s \"so\"', b: \"two\\nlines\\n\", c: '{{ .Values }}', d: ' x ', e: '#', f: 'null'}
podLabels: {team: '007', empty: ''}
service: {annotations: {example.org/a: 'on', example.org/b: '1e3', example.org/c: '~', example.org/d: 'ä: b'}}
",
        &[r"podAnnotations.example\.org/g=a\,b=c"],
        "mesh",
    ),
    ("global: {anything: [1]}", &[], "mesh"),
    ("", &["injector.enabled=false"], "mesh"),
    ("", &["injector.replicas=1,injector.image.tag=1.10"], "mesh"),
    (
        "injector:
  image: {repository: localhost:5000/i, tag: '2'}
  initImage: {tag: \"1@sha256:00\"}
  proxyImage: {repository: localhost:5000/p}
  envoyImage: {repository: localhost:5000/e, tag: v1.40.1}
  resources: {}
  affinity: {podAntiAffinity: {}}
",
        &[],
        "mesh",
    ),
];

/// Assignments, with a part of what Helm and `byrnie install` say of them.
const REFUSED: &[(&str, &str, &str)] = &[
    ("imag.tag=x", "additional properties 'imag' not allowed", "imag: unknown field `imag`, expected one of `image`, "),
    (
        "image.tag=1",
        "at '/image/tag': got number, want string",
        "image.tag: invalid type: integer `1`, expected a string",
    ),
    (
        "replicas=0",
        "at '/replicas': minimum: got 0, want 1",
        "replicas: invalid value: integer `0`, expected a nonzero",
    ),
    ("leafLifetime=fast", "at '/leafLifetime': 'fast' does not match", "leafLifetime: found \"fast\": "),
    (
        "logFormat=xml",
        "at '/logFormat': value must be one of 'json', 'text'",
        "logFormat: unknown variant `xml`, expected",
    ),
    ("issuerSecret=A", "at '/issuerSecret': 'A' does not match", "issuerSecret: found \"A\": the name of a Secret"),
    ("image.repository=", "at '/image/repository': minLength", "image.repository: found nothing"),
    ("injector.envoyImage.tag=", "at '/injector/envoyImage/tag': minLength", "injector.envoyImage.tag: found nothing"),
    ("issuerSecret=null", "missing property 'issuerSecret'", "missing field `issuerSecret`"),
];

#[test]
fn byrnie_install_prints_what_helm_renders() -> Result<()> {
    for (yaml, assignments, namespace) in CASES {
        let place = Place::new()?;
        let file = place.file("values.yaml", yaml)?;
        let mut options = vec!["--values", &file];
        options.extend(assignments.iter().flat_map(|one| ["--set", one]));
        let own = ["--skip-crds", "--create-namespace=false", "--namespace", namespace];
        let printed = objects(&install(&[&own, &options[..]].concat())?)?;
        assert!(printed.len() > 7, "{printed:#?}");
        for major in HELMS {
            let rendered = objects(&place.template(major, namespace, &options)?)?;
            assert_eq!(
                printed.keys().collect::<Vec<_>>(),
                rendered.keys().collect::<Vec<_>>(),
                "{yaml} {assignments:?}"
            );
            for (name, object) in &printed {
                assert_eq!(object, &rendered[name], "Helm {major} has another {name:?} with {yaml} {assignments:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn values_that_are_wrong_are_refused_with_what_is_accepted() -> Result<()> {
    let place = Place::new()?;
    for (assignment, helm, own) in REFUSED {
        for major in HELMS {
            let told = place.template(major, "mesh", &["--set", assignment]).unwrap_err().to_string();
            assert!(told.contains(helm), "Helm {major}, {assignment}: {told}");
        }
        let told = install(&["--set", assignment]).unwrap_err().to_string();
        assert!(told.contains(own), "{assignment}: {told}");
    }
    let file = place.file("values.yaml", "image: {tags: x}")?;
    let told = install(&["--values", &file]).unwrap_err().to_string();
    assert!(
        told.contains(&format!("{file}: image.tags: unknown field `tags`, expected one of `repository`")),
        "{told}"
    );
    Ok(())
}

#[test]
fn helm_has_nothing_to_say_against_the_chart() -> Result<()> {
    let (place, chart) = (Place::new()?, chart());
    for major in HELMS {
        place.helm(major, Path::new("/nonexistent"), &["lint", &chart, "--strict", "--kube-version", "1.36.0"])?;
    }
    Ok(())
}

#[test]
fn the_definitions_and_the_namespace_come_first_unless_they_are_left_out() -> Result<()> {
    let kinds = |options: &[&str]| -> Result<Vec<String>> {
        let printed = install(options)?;
        Ok(printed.lines().filter_map(|line| line.strip_prefix("kind: ")).map(str::to_owned).collect())
    };
    let all = kinds(&[])?;
    assert_eq!(
        all[..5].join(" "),
        "CustomResourceDefinition CustomResourceDefinition CustomResourceDefinition Namespace ServiceAccount"
    );
    // With it Pods of the mesh need the injector: so it is the last.
    assert_eq!(all.last().map(String::as_str), Some("MutatingWebhookConfiguration"));
    assert_eq!(kinds(&["--skip-crds"])?, all[3..]);
    assert_eq!(kinds(&["--skip-crds", "--create-namespace=false"])?, all[4..]);
    Ok(())
}

/// Objects by kind and name.
fn objects(text: &str) -> Result<BTreeMap<[String; 2], Value>> {
    let documents = yaml::documents(text)?.into_iter();
    documents
        .map(|object| {
            let text = |value: &Value| value.as_str().map(str::to_owned).context("an object has a kind and a name");
            Ok(([text(&object["kind"])?, text(&object["metadata"]["name"])?], object))
        })
        .collect()
}
