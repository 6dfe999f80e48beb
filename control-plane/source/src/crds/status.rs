//! `status` of our own kinds: conditions, as Kubernetes writes them everywhere (`metav1.Condition`).

use serde_json::{Value, json};

/// As many as the Gateway API has in its lists.
const MOST_CONDITIONS: u32 = 8;

/// The schema of `status`.
pub fn schema() -> Value {
    json!({
        "type": "object",
        "description": "What became of it. The mesh writes this.",
        "properties": {
            "conditions": {
                "type": "array",
                "description": "Accepted: the object is taken. Programmed: all proxies that need it have it. \
                                Conflicted: another object of the same kind goes before it.",
                "maxItems": MOST_CONDITIONS,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": condition(),
            },
        },
    })
}

fn condition() -> Value {
    json!({
        "type": "object",
        "description": "One statement on the object.",
        "required": ["type", "status", "reason", "message", "lastTransitionTime"],
        "properties": {
            "type": {
                "type": "string",
                "description": "What is stated.",
                "maxLength": 316,
                "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
            },
            "status": {
                "type": "string",
                "description": "Whether it is so.",
                "enum": ["True", "False", "Unknown"],
            },
            "observedGeneration": {
                "type": "integer",
                "format": "int64",
                "minimum": 0,
                "description": "The metadata.generation that it is stated of.",
            },
            "lastTransitionTime": {
                "type": "string",
                "format": "date-time",
                "description": "When its status last changed.",
            },
            "reason": {
                "type": "string",
                "description": "Why it is so, in one word for programs.",
                "minLength": 1,
                "maxLength": 1024,
                "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            },
            "message": {
                "type": "string",
                "description": "Why it is so, for people.",
                "maxLength": 32768,
            },
        },
    })
}
