use super::{
    frontend,
    refusal::{Refusal, refusal},
    selects,
};
use crate::{
    Service, ServiceKind, ServiceName, ServicePort, World, backend,
    route::{ParentRef, Route},
};

/// What one parentRef of a route is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentStatus {
    /// Its place in `spec.parentRefs`.
    pub index: usize,
    /// The parentRef, as written.
    pub parent: ParentRef,
    /// `Accepted`, `ResolvedRefs`, and `PartiallyInvalid` where due.
    pub conditions: Vec<Condition>,
}

/// A condition as Kubernetes writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `Accepted`, `ResolvedRefs`, `PartiallyInvalid`
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// The spec's word for why.
    pub reason: &'static str,
    /// For people: names the field, what was found, what is accepted.
    pub message: String,
}

/// The status of each parentRef that is Byrnie's to speak of (those that name a Service), in order.
pub fn status(world: &World, route: &Route) -> Vec<ParentStatus> {
    let refused: Vec<_> = refusals(route).collect();
    let resolved = resolved_refs(world, route);
    let parents = route.parents.iter().enumerate();
    let told = parents.filter_map(|(index, parent)| {
        let service = parent.service()?;
        let accepted = match accepted(world, route, Parent { index, parent, service: &service }, &refused) {
            Ok(message) => Condition { kind: "Accepted", holds: true, reason: "Accepted", message },
            Err((reason, message)) => Condition { kind: "Accepted", holds: false, reason, message },
        };
        let partial = accepted.holds.then(|| partially_invalid(&refused)).flatten();
        let conditions = [accepted, resolved.clone()].into_iter().chain(partial).collect();
        Some(ParentStatus { index, parent: parent.clone(), conditions })
    });
    told.collect()
}

type Rejection = (&'static str, String);

struct Parent<'a> {
    index: usize,
    parent: &'a ParentRef,
    service: &'a ServiceName,
}

/// What the parentRef governs, or why it governs nothing. It is enough that one port takes the route (Gateway API,
/// `ParentReference.port`: "accepts it partially"); the message names the ports that do not.
fn accepted(
    world: &World,
    route: &Route,
    parent: Parent<'_>,
    refused: &[(usize, Refusal)],
) -> Result<String, Rejection> {
    let (service, claimed) = parent.ports(world)?;
    if !refused.is_empty() && refused.len() == route.rules.len() {
        let unsupported = refused.iter().find(|(_, refusal)| refusal.reason == "UnsupportedValue");
        let reason = unsupported.map_or("IncompatibleFilters", |(_, refusal)| refusal.reason);
        return Err((reason, faults(refused)));
    }
    let mut governed = Vec::new();
    let mut elsewhere = Vec::new();
    for port in claimed {
        match rival(world, route, service, port) {
            None => governed.push(port.number),
            Some(winner) => elsewhere.push((port.number, winner)),
        }
    }
    let lost: Vec<_> = elsewhere.iter().map(|(port, winner)| format!("port {port} is governed by {winner}")).collect();
    let lost = lost.join("; ");
    if governed.is_empty() {
        let message = format!("{lost}, whose kind comes before {}", route.name.kind);
        return Err(("Conflicted", message));
    }
    let clients = match route.name.namespace() {
        namespace if namespace == service.name.namespace() => String::new(),
        namespace => format!(" for clients of namespace {namespace}"),
    };
    let but = if lost.is_empty() { lost } else { format!("; {lost}") };
    Ok(format!("governs {} of Service {}{clients}{but}", port_list(&governed), service.name))
}

impl<'a> Parent<'a> {
    /// The Service, and the ports of it that are claimed and carry requests: at least one.
    fn ports<'w>(&self, world: &'w World) -> Result<(&'w Service, Vec<&'w ServicePort>), Rejection> {
        let name = self.service;
        let at = |field: &str| format!("spec.parentRefs[{}].{field}", self.index);
        // GEP-1294 gives no reason for parents that are no frontend; `NoMatchingParent` is also what a wrong port
        // gets, and what Linkerd tells the parents of a headless Service.
        let rejected = |field: &str, text: String| Err(("NoMatchingParent", format!("{}: {text}", at(field))));
        let Some(service) = world.service(name) else {
            return rejected("name", format!("Service {name} does not exist"));
        };
        let wanted = "a Service with a virtual IP is accepted";
        match service.kind {
            ServiceKind::Virtual(_) => {}
            ServiceKind::Headless => return rejected("name", format!("Service {name} is headless; {wanted}")),
            ServiceKind::External(_) => {
                return rejected("name", format!("Service {name} is an ExternalName; {wanted}"));
            }
        }
        let selected: Vec<_> = service.ports.iter().filter(|port| selects(self.parent, port)).collect();
        if selected.is_empty() {
            let (field, found) = self.selection();
            return rejected(field, format!("{found}Service {name} has {}", service.port_list()));
        }
        let carrying: Vec<_> = selected.iter().copied().filter(|port| port.carries_requests()).collect();
        if carrying.is_empty() {
            let (field, _) = self.selection();
            let found: Vec<_> = selected.iter().map(|port| format!("{} is {}", port.number, port.protocol)).collect();
            let wanted = "a port declared http, http2 or grpc, or undeclared, is accepted";
            return rejected(field, format!("of Service {name} port {}; {wanted}", found.join(", port ")));
        }
        Ok((service, carrying))
    }

    /// The field that selects ports, and what it says.
    fn selection(&self) -> (&'static str, String) {
        match (self.parent.port, &self.parent.section_name) {
            (Some(port), Some(name)) => ("port", format!("{port} named {name}; ")),
            (Some(port), None) => ("port", format!("{port}; ")),
            (None, Some(name)) => ("sectionName", format!("{name}; ")),
            (None, None) => ("name", String::new()),
        }
    }
}

/// The route of a more specific kind that governs the port instead.
fn rival(world: &World, route: &Route, service: &Service, port: &ServicePort) -> Option<String> {
    let mut frontend = frontend(world, &service.name, port.number);
    let set = match route.name.namespace() {
        namespace if namespace == service.name.namespace() => frontend.producer,
        namespace => frontend.consumers.remove(namespace).unwrap_or_default(),
    };
    set.first().filter(|winner| winner.name.kind < route.name.kind).map(|winner| winner.name.to_string())
}

/// All backendRefs are looked up, those of dropped rules and of weight 0 too: they are there to be corrected.
fn resolved_refs(world: &World, route: &Route) -> Condition {
    let mut reason = None;
    let mut broken = Vec::new();
    for (rule, backends) in route.rules.iter().map(|rule| &rule.backends).enumerate() {
        for (index, backend) in backends.iter().enumerate() {
            if let Err(error) = backend::resolve(world, route.name.kind, &backend.target) {
                reason.get_or_insert(error.reason());
                broken.push(format!("spec.rules[{rule}].backendRefs[{index}].{}: {error}", error.field()));
            }
        }
    }
    match reason {
        Some(reason) => Condition { kind: "ResolvedRefs", holds: false, reason, message: broken.join("; ") },
        None => Condition {
            kind: "ResolvedRefs",
            holds: true,
            reason: "ResolvedRefs",
            message: "all backendRefs lead to a Service port".to_owned(),
        },
    }
}

fn refusals(route: &Route) -> impl Iterator<Item = (usize, Refusal)> {
    route.rules.iter().enumerate().filter_map(|(index, rule)| Some((index, refusal(rule)?)))
}

/// Gateway API, `RouteConditionPartiallyInvalid`: only ever true, only beside an accepted route, and the message
/// begins with "Dropped Rule" (of its two ways the other one, "Fall Back", needs a memory that survives restarts).
fn partially_invalid(refused: &[(usize, Refusal)]) -> Option<Condition> {
    let (_, first) = refused.first()?;
    let indexes: Vec<_> = refused.iter().map(|(index, _)| index.to_string()).collect();
    let plural = if refused.len() == 1 { "" } else { "s" };
    let message = format!("Dropped Rule{plural} {}: {}", indexes.join(", "), faults(refused));
    Some(Condition { kind: "PartiallyInvalid", holds: true, reason: first.reason, message })
}

fn faults(refused: &[(usize, Refusal)]) -> String {
    let faults = refused
        .iter()
        .flat_map(|(index, refusal)| refusal.faults.iter().map(move |fault| format!("spec.rules[{index}].{fault}")));
    format!("not supported: {}", faults.collect::<Vec<_>>().join("; "))
}

fn port_list(numbers: &[u16]) -> String {
    let plural = if numbers.len() == 1 { "" } else { "s" };
    let numbers: Vec<_> = numbers.iter().map(u16::to_string).collect();
    format!("port{plural} {}", numbers.join(", "))
}
