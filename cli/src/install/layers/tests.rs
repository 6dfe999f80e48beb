use serde_json::json;

use super::*;
use crate::install::chart::VALUES;

fn layers() -> Layers {
    Layers::new(VALUES).unwrap()
}

/// What is told of a file with this text.
fn told(yaml: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.yaml");
    fs::write(&file, yaml).unwrap();
    let error = layers().add_file(&file).unwrap_err();
    let told = format!("{error:#}");
    told.strip_prefix(&format!("{}: ", file.display())).unwrap().to_owned()
}

#[test]
fn what_is_wrong_names_the_file_the_field_what_was_found_and_what_is_accepted() {
    for (yaml, expected) in [
        ("imag: {}", "imag: unknown field `imag`, expected one of `image`, `replicas`, "),
        ("image: {name: x}", "image.name: unknown field `name`, expected one of `repository`, `tag`, `pullPolicy`, "),
        ("image: {tag: 1.2}", "image.tag: invalid type: floating point `1.2`, expected a string"),
        ("image: {pullPolicy: Often}", "image.pullPolicy: unknown variant `Often`, expected one of `Always`, "),
        ("image: {pullSecrets: [{nam: a}]}", "image.pullSecrets[0].nam: unknown field `nam`, expected `name`"),
        ("replicas: 0", "replicas: invalid value: integer `0`, expected a nonzero u32"),
        ("replicas: null", "missing field `replicas`"),
        ("leafLifetime: 48h", "leafLifetime: found \"48h\": 10s to 24h is accepted"),
        ("issuerSecret: a b", "issuerSecret: found \"a b\": the name of a Secret, or nothing, is accepted"),
        ("podLabels: {a: 1}", "podLabels.a: invalid type: integer `1`, expected a string"),
        ("[a]", "found [\"a\"]: fields and their values are accepted"),
        ("a: 1\n---\nb: 1", "found 2 documents: one is accepted"),
        ("image: {1: a}", "the name of a field is a text"),
        ("image: {repository: ''}", "image.repository: found nothing: the name of an image is accepted"),
        ("a: [", "while parsing"),
    ] {
        let told = told(yaml);
        assert!(told.contains(expected), "{yaml}: {told}");
    }
}

#[test]
fn assignments_are_read_as_helm_reads_them() {
    for (text, expected) in [
        ("replicas=3", json!({"replicas": 3})),
        ("image.tag=1.2", json!({"image": {"tag": "1.2"}})),
        ("image.tag=007", json!({"image": {"tag": "007"}})),
        ("a=true", json!({"a": true})),
        ("a=null", json!({"a": null})),
        ("a=", json!({"a": ""})),
        ("a=b=c", json!({"a": "b=c"})),
        (r"podAnnotations.example\.org/a=b\,c", json!({"podAnnotations": {"example.org/a": "b,c"}})),
    ] {
        let (text, more) = match split(text, ',').as_slice() {
            [one] => (*one, 0),
            more => (text, more.len()),
        };
        assert_eq!((assignment(text).unwrap(), more), (expected, 0), "{text}");
    }
    let mut layers = layers();
    layers.add_assignments("replicas=3,image.tag=1.2").unwrap();
    let values = serde_json::to_value(layers.values()).unwrap();
    assert_eq!((&values["replicas"], &values["image"]["tag"]), (&json!(3), &json!("1.2")));
    for (text, expected) in [
        ("replicas", "--set replicas: a field, = and its value are accepted"),
        ("tolerations[0].key=a", "a list is accepted in a file only: --values FILE"),
        ("tolerations={a,b}", "a list is accepted in a file only"),
        ("replicas=two", "--set replicas=two: replicas: invalid type: string \"two\", expected a nonzero u32"),
    ] {
        let told = format!("{:#}", layers.add_assignments(text).unwrap_err());
        assert!(told.contains(expected), "{text}: {told}");
    }
}

#[test]
fn objects_are_merged_and_all_else_is_replaced() {
    let mut below = json!({"a": {"b": 1, "c": [1, 2]}, "d": 1});
    merge(&mut below, json!({"a": {"c": [3], "e": {}}, "d": null}));
    assert_eq!(below, json!({"a": {"b": 1, "c": [3], "e": {}}}));
}
