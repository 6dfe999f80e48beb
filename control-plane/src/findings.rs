//! Everything that is wrong or odd with the desired state: what the source found, and routes that are not in force.

use byrnie_model::{World, attach};
use byrnie_source::{Finding, Severity};
use serde_json::{Value, json};

/// The source's findings and those that only the whole World shows, worst first, then by place.
pub fn all(world: &World, source: &[Finding]) -> Vec<Finding> {
    let mut findings = source.to_vec();
    for route in world.routes() {
        for (index, parent) in attach::status(world, route).into_iter().enumerate() {
            let against = |condition: &attach::Condition| condition.holds == (condition.kind == "PartiallyInvalid");
            let told = parent.conditions.into_iter().filter(against);
            findings.extend(told.map(|condition| Finding {
                place: route.origin.place.as_deref().cloned(),
                column: None,
                severity: if condition.kind == "Accepted" { Severity::Error } else { Severity::Warning },
                object: Some(route.origin.object.clone()),
                field: Some(format!("spec.parentRefs[{index}]")),
                message: format!("{}: {}: {}", condition.kind, condition.reason, condition.message),
            }));
        }
    }
    findings
        .sort_by(|a, b| (a.severity, &a.place, &a.object, &a.field).cmp(&(b.severity, &b.place, &b.object, &b.field)));
    findings.dedup();
    findings
}

/// Findings for programs.
pub fn to_json(findings: &[Finding]) -> Value {
    let one = |finding: &Finding| {
        json!({
            "severity": finding.severity.to_string(),
            "file": finding.place.as_ref().map(|place| place.file.display().to_string()),
            "line": finding.place.as_ref().map(|place| place.line),
            "object": finding.object.as_ref().map(ToString::to_string),
            "field": finding.field,
            "message": finding.message,
        })
    };
    findings.iter().map(one).collect()
}
