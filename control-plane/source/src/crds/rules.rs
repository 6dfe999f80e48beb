//! What fields of an object must hold beyond their own schema, as rules of the API server in CEL. Each says again what
//! the reading in [`objects`](crate::objects) enforces; a message says what is accepted.
//!
//! An API server refuses a definition whose rules might cost too much, by the longest texts and lists that the schema
//! allows. They keep to what Kubernetes 1.29 has, of which the chart speaks.

use serde_json::{Value, json};

use crate::objects::scalar::SPAN;

/// One rule.
struct Rule {
    kind: &'static str,
    /// What it speaks of, from the object's root; `[]` is each element of a list.
    at: &'static str,
    /// Which of its fields is at fault, where it is one.
    field: &'static str,
    holds: &'static str,
    /// What is told where it does not hold.
    message: &'static str,
    /// The same with what was found, as an expression.
    found: &'static str,
}

const TRAFFIC: Rule = Rule { kind: "TrafficPolicy", at: "spec", field: "", holds: "true", message: "", found: "" };

const BALANCER: Rule = Rule { at: "spec.balancer", ..TRAFFIC };

const RESOURCES: Rule = Rule { kind: "MeshConfig", at: "spec.injection.proxyResources", ..TRAFFIC };

const LIMIT_OF_CPU: &str = "!has(self.limits) || !has(self.limits.cpu) || !has(self.requests) \
    || !has(self.requests.cpu) || !isQuantity(string(self.limits.cpu)) || !isQuantity(string(self.requests.cpu)) \
    || quantity(string(self.limits.cpu)).compareTo(quantity(string(self.requests.cpu))) >= 0";
const LIMIT_OF_MEMORY: &str = "!has(self.limits) || !has(self.limits.memory) || !has(self.requests) \
    || !has(self.requests.memory) || !isQuantity(string(self.limits.memory)) \
    || !isQuantity(string(self.requests.memory)) \
    || quantity(string(self.limits.memory)).compareTo(quantity(string(self.requests.memory))) >= 0";

const RULES: [Rule; 16] = [
    Rule {
        field: ".slowStart",
        holds: "!has(self.slowStart) || !has(self.balancer) || self.balancer.type in ['RoundRobin', 'LeastRequest']",
        message: "works with balancer.type RoundRobin or LeastRequest only",
        found: "'found with balancer.type ' + self.balancer.type + ': works with RoundRobin or LeastRequest only'",
        ..TRAFFIC
    },
    Rule {
        field: ".choices",
        holds: "!has(self.choices) || self.type == 'LeastRequest'",
        message: "has a meaning for type LeastRequest only",
        found: "'has no meaning for type ' + self.type + ', only for LeastRequest'",
        ..BALANCER
    },
    Rule {
        field: ".hashKey",
        holds: "!has(self.hashKey) || self.type in ['RingHash', 'Maglev']",
        message: "has a meaning for types RingHash and Maglev only",
        found: "'has no meaning for type ' + self.type + ', only for RingHash and Maglev'",
        ..BALANCER
    },
    Rule {
        holds: "has(self.hashKey) || !(self.type in ['RingHash', 'Maglev'])",
        message: "hashKey is missing: types RingHash and Maglev need header, cookie or source",
        found: "'hashKey is missing: type ' + self.type + ' needs header, cookie or source'",
        ..BALANCER
    },
    Rule {
        field: ".minimumRingSize",
        holds: "!has(self.minimumRingSize) || self.type == 'RingHash'",
        message: "has a meaning for type RingHash only",
        found: "'has no meaning for type ' + self.type + ', only for RingHash'",
        ..BALANCER
    },
    Rule {
        field: ".tableSize",
        holds: "!has(self.tableSize) || self.type == 'Maglev'",
        message: "has a meaning for type Maglev only",
        found: "'has no meaning for type ' + self.type + ', only for Maglev'",
        ..BALANCER
    },
    Rule {
        at: "spec.balancer.tableSize",
        // CEL has no loop over numbers: a, b, c and d are the digits, to the base of 7, of all that might divide it, up
        // to 2400, whose square is above the largest table.
        holds: "[0, 1, 2, 3, 4, 5, 6].all(a, [0, 1, 2, 3, 4, 5, 6].all(b, [0, 1, 2, 3, 4, 5, 6].all(c, \
                [0, 1, 2, 3, 4, 5, 6].all(d, a * 343 + b * 49 + c * 7 + d < 2 \
                || self <= a * 343 + b * 49 + c * 7 + d || self % (a * 343 + b * 49 + c * 7 + d) != 0))))",
        message: "is no prime: a prime up to 5000011 is accepted",
        ..TRAFFIC
    },
    Rule {
        at: "spec.balancer.hashKey",
        holds: "[has(self.header), has(self.cookie), has(self.source) && self.source].exists_one(given, given)",
        message: "exactly one of header, cookie and source: true is accepted",
        ..TRAFFIC
    },
    Rule {
        at: "spec.retry.backoff",
        field: ".max",
        holds: "!has(self.max) || !self.max.matches('SPAN') || !self.base.matches('SPAN') \
                || duration(self.max) >= duration(self.base)",
        message: "is shorter than base",
        found: "self.max + ' is shorter than base, ' + self.base",
        ..TRAFFIC
    },
    Rule {
        at: "spec.healthCheck",
        holds: "[has(self.http), has(self.grpc), has(self.tcp)].exists_one(given, given)",
        message: "exactly one of http, grpc and tcp is accepted (tcp: {} connects)",
        ..TRAFFIC
    },
    Rule {
        at: "spec.healthCheck",
        field: ".timeout",
        // The interval has its default by now.
        holds: "!has(self.timeout) || !has(self.interval) || !self.timeout.matches('SPAN') \
                || !self.interval.matches('SPAN') || duration(self.timeout) <= duration(self.interval)",
        message: "is longer than interval",
        found: "self.timeout + ' is longer than interval, ' + self.interval",
        ..TRAFFIC
    },
    Rule {
        at: "spec.healthCheck.http.expectedStatuses[]",
        holds: "type(self) == int || self.size() != 7 || self.substring(0, 3) <= self.substring(4)",
        message: "a range of statuses begins with the lower one, such as \"200-299\"",
        ..TRAFFIC
    },
    Rule {
        kind: "MeshConfig",
        at: "spec.injection.preStopDelay",
        holds: "!self.matches('SPAN') || duration(self) <= duration('1h') && duration(self).getMilliseconds() % 1000 == 0",
        message: "whole seconds from 0s to 1h are accepted",
        ..TRAFFIC
    },
    Rule { field: ".limits.cpu", holds: LIMIT_OF_CPU, message: "is below requests.cpu", ..RESOURCES },
    Rule { field: ".limits.memory", holds: LIMIT_OF_MEMORY, message: "is below requests.memory", ..RESOURCES },
    Rule {
        kind: "MeshConfig",
        at: "",
        field: ".metadata.name",
        holds: "self.metadata.name == 'default'",
        message: "the one MeshConfig is named \"default\"",
        found: "'found \"' + self.metadata.name + '\": the one MeshConfig is named \"default\"'",
    },
];

/// Durations that must be longer than nothing.
const POSITIVE: [&str; 8] = [
    "spec.connectTimeout",
    "spec.retry.perTryTimeout",
    "spec.retry.backoff.base",
    "spec.healthCheck.interval",
    "spec.healthCheck.timeout",
    "spec.outlierEjection.interval",
    "spec.outlierEjection.baseEjectionTime",
    "spec.slowStart.window",
];

/// Adds the rules to the schema of whole objects of a kind.
pub fn add(kind: &str, schema: &mut Value) {
    durations(schema);
    if kind == TRAFFIC.kind {
        for path in POSITIVE {
            let message = "a duration longer than 0s is accepted, or leave the field out";
            // One that does not match as a whole is told of by another rule.
            push(at(schema, path), json!({"rule": "!self.matches('^[0hms]+$')", "message": message}));
        }
    }
    for rule in RULES.iter().filter(|rule| rule.kind == kind) {
        let mut validation = json!({"rule": rule.holds.replace("SPAN", SPAN), "message": rule.message});
        if !rule.found.is_empty() {
            validation["messageExpression"] = rule.found.into();
        }
        if !rule.field.is_empty() {
            validation["fieldPath"] = rule.field.into();
        }
        push(at(schema, rule.at), validation);
    }
}

/// Says of every duration in words what its pattern says.
fn durations(schema: &mut Value) {
    if schema["pattern"] == SPAN {
        let rule = format!("self.matches('{SPAN}')");
        push(schema, json!({"rule": rule, "message": "a duration such as 10s, 1m30s or 250ms is accepted"}));
    }
    for within in ["properties", "items"] {
        match schema.get_mut(within) {
            Some(Value::Object(inner)) if within == "properties" => inner.values_mut().for_each(durations),
            Some(inner) => durations(inner),
            None => {}
        }
    }
}

/// The schema at a path.
fn at<'a>(schema: &'a mut Value, path: &str) -> &'a mut Value {
    let steps = path.split('.').filter(|step| !step.is_empty());
    steps.fold(schema, |schema, step| match step.strip_suffix("[]") {
        Some(list) => &mut schema["properties"][list]["items"],
        None => &mut schema["properties"][step],
    })
}

fn push(schema: &mut Value, rule: Value) {
    match &mut schema["x-kubernetes-validations"] {
        Value::Array(rules) => rules.push(rule),
        none => *none = json!([rule]),
    }
}
