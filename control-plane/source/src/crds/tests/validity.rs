//! What the reading takes, the schema takes: the examples of the pages, the demo's and the fuzz targets' objects. The
//! rules in CEL are left to a real API server.

use regex::Regex;

use super::*;

#[test]
fn every_example_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let mut texts: Vec<String> = [
        "fuzz/seeds/documents/policies.yaml",
        "cli/src/demo/mesh/catalog-policy.yaml",
        "cli/src/demo/mesh/peer-policy.yaml",
    ]
    .map(read)
    .into();
    for page in ["docs/policies.md", "docs/objects.md"] {
        let page = read(page);
        texts.extend(page.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned()));
    }
    let definitions = definitions();
    let mut tried = 0;
    for text in texts.iter().flat_map(|text| text.split("\n---\n")) {
        let object = read_yaml(text);
        let Some(definition) = definitions.iter().find(|definition| object["kind"] == kind_of(definition)) else {
            continue;
        };
        let mut faults = Vec::new();
        check(&object, schema_of(definition), "", &mut faults);
        assert!(faults.is_empty(), "{faults:?} in {text}");
        tried += 1;
    }
    assert!(tried > 8, "only {tried} objects");
}

#[test]
fn what_is_no_part_of_the_schema_is_told() {
    let definitions = definitions();
    let bad = json!({"spec": {
        "targetRef": {"name": "Cart", "kind": "Pod"}, "retry": {"when": ["oops", 200], "attempts": "2"}, "limit": {},
        "healthCheck": {"http": {"expectedStatuses": ["600"]}},
    }});
    let mut faults = Vec::new();
    check(&bad, schema_of(&definitions[0]), "", &mut faults);
    let expected = [
        ".spec.healthCheck.http: path is missing",
        ".spec.healthCheck.http.expectedStatuses[]: \"600\": does not match",
        ".spec: limit is no field",
        ".spec.retry.attempts: \"2\": another type",
        ".spec.retry.when[]: \"oops\": does not match",
        ".spec.retry.when[]: 200: out of bounds",
        ".spec.targetRef.kind: \"Pod\": no word of the enum",
        ".spec.targetRef.name: \"Cart\": does not match",
    ];
    assert_eq!(faults, expected);
}

/// The part of structural schemas that ours use.
fn check(value: &Value, schema: &Value, at: &str, faults: &mut Vec<String>) {
    let mut fault = |what: &str| faults.push(format!("{at}: {value}: {what}"));
    let of_type = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64(),
        Some("boolean") => value.is_boolean(),
        Some(other) => panic!("{other}"),
        None => schema["x-kubernetes-int-or-string"] == true && (value.is_i64() || value.is_string()),
    };
    if !of_type {
        return fault("another type");
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        fault("no word of the enum");
    }
    let bound = |name: &str| schema[name].as_i64();
    if let Some(text) = value.as_str() {
        let length = i64::try_from(text.len()).unwrap();
        if bound("minLength").is_some_and(|least| length < least)
            || bound("maxLength").is_some_and(|most| length > most)
        {
            fault("too short or too long");
        }
        if schema["pattern"].as_str().is_some_and(|pattern| !Regex::new(pattern).unwrap().is_match(text)) {
            fault("does not match");
        }
    }
    if let Some(number) = value.as_i64()
        && (bound("minimum").is_some_and(|least| number < least) || bound("maximum").is_some_and(|most| number > most))
    {
        fault("out of bounds");
    }
    if let Some(items) = value.as_array() {
        if bound("maxItems").is_some_and(|most| items.len() > usize::try_from(most).unwrap()) {
            fault("too many items");
        }
        items.iter().for_each(|item| check(item, &schema["items"], &format!("{at}[]"), faults));
    }
    if let Some(fields) = value.as_object().filter(|_| !at.ends_with(".metadata")) {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                faults.push(format!("{at}: {name} is missing"));
            }
        }
        for (name, inner) in fields {
            match schema["properties"].get(name).or_else(|| schema.get("additionalProperties")) {
                Some(schema) => check(inner, schema, &format!("{at}.{name}"), faults),
                None => faults.push(format!("{at}: {name} is no field")),
            }
        }
    }
}
