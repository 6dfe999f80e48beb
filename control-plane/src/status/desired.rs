//! What each object is to be told, by the World alone.

use std::{collections::BTreeMap, sync::Arc};

use byrnie_model::{
    MeshConfig, ObjectKind, ObjectRef, Origin, World,
    attach::{self, ParentStatus},
    policy::{PeerPolicy, TrafficPolicy},
    route::Route,
};

use crate::{
    current::{State, Unreadable},
    findings,
};

/// What the status of one object is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Of which generation.
    pub generation: i64,
    /// Where and what.
    pub said: Said,
}

/// Where conditions stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// At parentRefs of a route, by their place in `spec.parentRefs`.
    Parents(Vec<(usize, Vec<Condition>)>),
    /// At every parentRef of a route that is ours, the same.
    EveryParent(Vec<Condition>),
    /// At the object itself.
    Object(Vec<Condition>),
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `Accepted`, `ResolvedRefs`, `PartiallyInvalid`, `Programmed`, `Conflicted`
    pub kind: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: Holds,
    /// In one word, for programs.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Holds {
    True,
    False,
    Unknown,
}

/// The kinds whose status is written.
pub const KINDS: [ObjectKind; 5] = [
    ObjectKind::HTTPRoute,
    ObjectKind::GRPCRoute,
    ObjectKind::TrafficPolicy,
    ObjectKind::PeerPolicy,
    ObjectKind::MeshConfig,
];

/// What all objects are to be told, but for [`super::programmed`].
pub fn all(state: &State) -> BTreeMap<ObjectRef, Desired> {
    let world = &state.world;
    let mut all = BTreeMap::new();
    for route in world.routes() {
        insert(&mut all, &route.origin, of_route(world, route));
    }
    for (_, policy) in world.traffic_policies() {
        insert(&mut all, &policy.origin, Said::Object(of_traffic_policy(world, policy)));
    }
    for (_, policy) in world.peer_policies() {
        insert(&mut all, &policy.origin, Said::Object(of_peer_policy(world, policy)));
    }
    if let MeshConfig { origin: Some(origin), .. } = &**world.mesh() {
        insert(&mut all, origin, Said::Object(vec![accepted("holds for the whole mesh".to_owned())]));
    }
    for (object, unreadable) in state.unreadable.iter().filter(|(object, _)| KINDS.contains(&object.kind)) {
        let in_force = all.get(object).map(|desired| desired.generation);
        all.insert(object.clone(), of_unreadable(object.kind, unreadable, in_force));
    }
    all
}

impl Condition {
    /// Whether the object does not do what its author meant.
    pub fn is_bad(&self) -> bool {
        is_bad(self.kind, self.status.as_str())
    }
}

impl Holds {
    /// As Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// Whether a condition of this kind and status, as Kubernetes writes it, says that something is wrong.
pub fn is_bad(kind: &str, status: &str) -> bool {
    let bad = if matches!(kind, "PartiallyInvalid" | "Conflicted") { Holds::True } else { Holds::False };
    status == bad.as_str()
}

fn insert(all: &mut BTreeMap<ObjectRef, Desired>, origin: &Origin, said: Said) {
    all.insert(origin.object.clone(), Desired { generation: origin.generation, said });
}

fn of_route(world: &World, route: &Route) -> Said {
    let one = |parent: ParentStatus| {
        let conditions = parent.conditions.into_iter().map(|condition| Condition {
            kind: condition.kind,
            status: condition.holds.into(),
            reason: condition.reason,
            message: condition.message,
        });
        (parent.index, conditions.collect())
    };
    Said::Parents(attach::status(world, route).into_iter().map(one).collect())
}

fn of_traffic_policy(world: &World, policy: &TrafficPolicy) -> Vec<Condition> {
    let service = &policy.service;
    if world.service(service).is_none() {
        let message = format!("spec.targetRef.name: Service {service} does not exist");
        return vec![refused("TargetNotFound", message)];
    }
    match world.traffic_policy(service).filter(|winner| winner.origin.object != policy.origin.object) {
        Some(winner) => overruled(&format!("Service {service}"), &winner.origin),
        None => vec![accepted(format!("governs calls to Service {service}"))],
    }
}

fn of_peer_policy(world: &World, policy: &Arc<PeerPolicy>) -> Vec<Condition> {
    match findings::peer_winner(world, policy) {
        Some(winner) => overruled("the same workloads", &winner.origin),
        None => vec![accepted(format!("governs calls to workloads of namespace {}", policy.namespace))],
    }
}

/// A user who edits an object into something that cannot be read has its last state in force.
fn of_unreadable(kind: ObjectKind, unreadable: &Unreadable, in_force: Option<i64>) -> Desired {
    let Unreadable { generation, why } = unreadable;
    let is_older = in_force.is_some_and(|in_force| in_force != *generation);
    let rest = if is_older { "; the last valid state stays in force" } else { "" };
    let conditions = vec![refused("Invalid", format!("{why}{rest}"))];
    let said = match kind {
        ObjectKind::HTTPRoute | ObjectKind::GRPCRoute => Said::EveryParent(conditions),
        _ => Said::Object(conditions),
    };
    Desired { generation: *generation, said }
}

fn overruled(what: &str, winner: &Origin) -> Vec<Condition> {
    let message = format!("{what} already has {}, which is older or first by name", winner.object);
    let conflicted =
        Condition { kind: "Conflicted", status: Holds::True, reason: "Conflicted", message: message.clone() };
    vec![refused("Conflicted", message), conflicted]
}

fn accepted(message: String) -> Condition {
    Condition { kind: "Accepted", status: Holds::True, reason: "Accepted", message }
}

fn refused(reason: &'static str, message: String) -> Condition {
    Condition { kind: "Accepted", status: Holds::False, reason, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Objects of namespace `shop`; those with a time are older.
    fn state(texts: &str) -> State {
        let batch = byrnie_source::read_texts("objects.yaml", [texts.as_bytes()]).remove(0);
        let (world, _) = World::default().apply(batch.updates);
        State { world, ..State::default() }
    }

    const OBJECTS: &str = "
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: shop, generation: 4}
spec:
  parentRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: front}, {group: '', kind: Service, name: cart}]
  rules: [{backendRefs: [{name: gone, port: 80}]}]
---
apiVersion: mesh.byrnie.io/v1alpha1
kind: TrafficPolicy
metadata: {name: first, namespace: shop, creationTimestamp: '2026-01-01T00:00:00Z'}
spec: {targetRef: {kind: Service, name: cart}}
---
apiVersion: mesh.byrnie.io/v1alpha1
kind: TrafficPolicy
metadata: {name: second, namespace: shop, creationTimestamp: '2026-01-02T00:00:00Z'}
spec: {targetRef: {kind: Service, name: cart}}
---
apiVersion: mesh.byrnie.io/v1alpha1
kind: TrafficPolicy
metadata: {name: lost, namespace: shop}
spec: {targetRef: {kind: Service, name: nowhere}}
---
apiVersion: mesh.byrnie.io/v1alpha1
kind: PeerPolicy
metadata: {name: all, namespace: shop}
spec: {mode: Strict}
";

    fn told(desired: &BTreeMap<ObjectRef, Desired>, object: &str) -> Vec<String> {
        let (_, desired) = desired.iter().find(|(known, _)| known.to_string() == object).unwrap();
        let one = |c: &Condition| format!("{} {} {}: {}", c.kind, c.status.as_str(), c.reason, c.message);
        match &desired.said {
            Said::Parents(parents) => {
                let at = |(index, conditions): &(usize, Vec<Condition>)| {
                    conditions.iter().map(|condition| format!("{index}: {}", one(condition))).collect::<Vec<_>>()
                };
                parents.iter().flat_map(at).collect()
            }
            Said::EveryParent(conditions) => conditions.iter().map(|c| format!("every: {}", one(c))).collect(),
            Said::Object(conditions) => conditions.iter().map(one).collect(),
        }
    }

    #[test]
    fn each_object_is_told_what_became_of_it() {
        let all = all(&state(OBJECTS));
        assert_eq!(
            told(&all, "HTTPRoute/shop/cart"),
            [
                "1: Accepted True Accepted: governs port 80 of Service shop/cart",
                "1: ResolvedRefs False BackendNotFound: spec.rules[0].backendRefs[0].name: Service shop/gone does not \
                 exist",
            ]
        );
        assert_eq!(
            told(&all, "TrafficPolicy/shop/first"),
            ["Accepted True Accepted: governs calls to Service shop/cart"]
        );
        let overruled = "Service shop/cart already has TrafficPolicy/shop/first, which is older or first by name";
        assert_eq!(
            told(&all, "TrafficPolicy/shop/second"),
            [format!("Accepted False Conflicted: {overruled}"), format!("Conflicted True Conflicted: {overruled}")]
        );
        assert_eq!(
            told(&all, "TrafficPolicy/shop/lost"),
            ["Accepted False TargetNotFound: spec.targetRef.name: Service shop/nowhere does not exist"]
        );
        let peers = "Accepted True Accepted: governs calls to workloads of namespace shop";
        assert_eq!(told(&all, "PeerPolicy/shop/all"), [peers]);
        assert_eq!(all.values().filter(|desired| desired.generation == 4).count(), 1);
    }

    #[test]
    fn an_object_that_cannot_be_read_is_told_why_at_its_generation() {
        let object =
            |name: &str| ObjectRef { kind: ObjectKind::HTTPRoute, namespace: "shop".into(), name: name.into() };
        let mut state = state(OBJECTS);
        let of = |generation, why: &str| Unreadable { generation, why: why.to_owned() };
        let unreadable = [(object("cart"), of(5, "spec: bad")), (object("new"), of(1, "spec: worse"))];
        state.unreadable = Arc::new(unreadable.into());
        let all = all(&state);
        let kept = "every: Accepted False Invalid: spec: bad; the last valid state stays in force";
        assert_eq!(told(&all, "HTTPRoute/shop/cart"), [kept]);
        assert_eq!(told(&all, "HTTPRoute/shop/new"), ["every: Accepted False Invalid: spec: worse"]);
        assert_eq!(all[&object("cart")].generation, 5);
    }
}
