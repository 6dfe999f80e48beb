//! Everything that is wrong or odd with the desired state: what the source found, and routes that are not in force.

use std::sync::Arc;

use byrnie_model::{
    Origin, World,
    attach::{self, Condition},
    policy::PeerPolicy,
    route::Route,
};
use byrnie_source::{Finding, Severity};
use serde_json::{Value, json};

/// The source's findings and those that only the whole World shows, worst first, then by place.
pub fn all(world: &World, source: &[Finding]) -> Vec<Finding> {
    merged(source, &of_world(world))
}

/// Routes and policies that are not in force, or not as their author meant.
pub fn of_world(world: &World) -> Vec<Finding> {
    let routes = world.routes().flat_map(|route| of_route(world, route));
    let policies = world.traffic_policies().filter_map(|(_, policy)| {
        let winner = world.traffic_policy(&policy.service).filter(|winner| winner.origin != policy.origin)?;
        Some(overruled(&policy.origin, "spec.targetRef", &format!("Service {}", policy.service), &winner.origin))
    });
    let peers = world.peer_policies().filter_map(|(_, policy)| {
        let winner = peer_winner(world, policy)?;
        Some(overruled(&policy.origin, "spec.selector", "the same workloads", &winner.origin))
    });
    routes.chain(policies).chain(peers).collect()
}

/// The policy that holds in place of `policy`, for the same workloads.
pub(crate) fn peer_winner<'a>(world: &'a World, policy: &PeerPolicy) -> Option<&'a Arc<PeerPolicy>> {
    let same = |other: &&Arc<PeerPolicy>| other.namespace == policy.namespace && other.selector == policy.selector;
    let winner = world.peer_policies().map(|(_, other)| other).filter(same).min_by_key(|other| other.created)?;
    (winner.origin != policy.origin).then_some(winner)
}

fn overruled(loser: &Origin, field: &str, what: &str, winner: &Origin) -> Finding {
    Finding {
        place: loser.place.as_deref().cloned(),
        column: None,
        severity: Severity::Warning,
        object: Some(loser.object.clone()),
        field: Some(field.to_owned()),
        message: format!("not in force: {what} already has {winner}, which is older or first by name"),
    }
}

/// Both, worst first, then by place; each once.
pub fn merged(source: &[Finding], routes: &[Finding]) -> Vec<Finding> {
    let mut findings = [source, routes].concat();
    findings.sort_by(|a, b| order(a).cmp(&order(b)));
    findings.dedup();
    findings
}

fn of_route(world: &World, route: &Route) -> Vec<Finding> {
    let mut findings = Vec::new();
    for parent in attach::status(world, route) {
        let against = |condition: &Condition| condition.holds == (condition.kind == "PartiallyInvalid");
        let told = parent.conditions.into_iter().filter(against);
        findings.extend(told.map(|condition| Finding {
            place: route.origin.place.as_deref().cloned(),
            column: None,
            severity: if condition.kind == "Accepted" { Severity::Error } else { Severity::Warning },
            object: Some(route.origin.object.clone()),
            field: Some(format!("spec.parentRefs[{}]", parent.index)),
            message: format!("{}: {}: {}", condition.kind, condition.reason, condition.message),
        }));
    }
    findings
}

fn order(finding: &Finding) -> impl Ord + '_ {
    (finding.severity, &finding.place, &finding.object, &finding.field)
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
