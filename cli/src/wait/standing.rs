//! What the status of an object says of it. Pure.

use serde_json::Value;

/// Who writes the parents' status of a route that are ours.
const CONTROLLER: &str = "byrnie.io/mesh";

const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// Whether all proxies have an object in its present generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They have.
    Programmed(String),
    /// They will.
    Pending(String),
    /// It is not accepted, or a proxy refused it: this generation will never be everywhere.
    Failed(String),
}

/// How an object stands: for a route, at all its parents that are ours.
pub fn of(object: &Value) -> Standing {
    let generation = object["metadata"]["generation"].as_i64().unwrap_or_default();
    match object["spec"]["parentRefs"].as_array() {
        Some(parents) => of_route(object, parents, generation),
        None => of_conditions(&object["status"]["conditions"], generation),
    }
}

fn of_route(route: &Value, parents: &[Value], generation: i64) -> Standing {
    let namespace = route["metadata"]["namespace"].as_str().unwrap_or_default();
    let ours: Vec<_> = parents.iter().map(|parent| Parent::of(parent, namespace)).filter(Parent::is_service).collect();
    if ours.is_empty() {
        let text = "none of its parentRefs names a Service, and the mesh takes no others";
        return Standing::Failed(text.to_owned());
    }
    let told: Vec<&Value> = route["status"]["parents"].as_array().into_iter().flatten().collect();
    let standings = ours.iter().map(|parent| {
        let is_meant = |told: &&&Value| {
            told["controllerName"] == CONTROLLER && Parent::of(&told["parentRef"], namespace) == *parent
        };
        let standing = match told.iter().find(is_meant) {
            Some(told) => of_conditions(&told["conditions"], generation),
            None => Standing::Pending(unseen(generation)),
        };
        match ours.len() {
            1 => standing,
            _ => standing.map(|text| format!("{parent}: {text}")),
        }
    });
    all(standings)
}

fn of_conditions(conditions: &Value, generation: i64) -> Standing {
    let present = |kind: &str| {
        let mut conditions = conditions.as_array().into_iter().flatten();
        let is_present = |one: &&Value| one["observedGeneration"].as_i64().unwrap_or_default() >= generation;
        conditions.find(|one| one["type"] == kind).filter(is_present)
    };
    let text = |condition: &Value| {
        let [reason, message] = ["reason", "message"].map(|field| condition[field].as_str().unwrap_or_default());
        format!("{reason}: {message}")
    };
    if let Some(accepted) = present("Accepted").filter(|accepted| accepted["status"] == "False") {
        return Standing::Failed(text(accepted));
    }
    let Some(programmed) = present("Programmed") else { return Standing::Pending(unseen(generation)) };
    match programmed["status"].as_str() {
        Some("True") => Standing::Programmed(programmed["message"].as_str().unwrap_or_default().to_owned()),
        Some("False") => Standing::Failed(text(programmed)),
        _ => Standing::Pending(text(programmed)),
    }
}

/// One that failed decides, then one that is pending.
fn all(standings: impl Iterator<Item = Standing>) -> Standing {
    let (mut programmed, mut pending, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for standing in standings {
        match standing {
            Standing::Programmed(text) => programmed.push(text),
            Standing::Pending(text) => pending.push(text),
            Standing::Failed(text) => failed.push(text),
        }
    }
    if !failed.is_empty() {
        return Standing::Failed(failed.join("; "));
    }
    if !pending.is_empty() {
        return Standing::Pending(pending.join("; "));
    }
    Standing::Programmed(programmed.join("; "))
}

fn unseen(generation: i64) -> String {
    format!("no control plane has told of generation {generation} yet")
}

impl Standing {
    fn map(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Programmed(text) => Self::Programmed(change(text)),
            Self::Pending(text) => Self::Pending(change(text)),
            Self::Failed(text) => Self::Failed(change(text)),
        }
    }
}

/// A parentRef with its defaults.
#[derive(Debug, PartialEq, Eq)]
struct Parent<'a> {
    group: &'a str,
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    section: Option<&'a str>,
    port: Option<u64>,
}

impl<'a> Parent<'a> {
    fn of(parent: &'a Value, namespace: &'a str) -> Self {
        let field = |name: &str, default| parent[name].as_str().unwrap_or(default);
        Self {
            group: field("group", GATEWAY_GROUP),
            kind: field("kind", "Gateway"),
            namespace: field("namespace", namespace),
            name: field("name", ""),
            section: parent["sectionName"].as_str(),
            port: parent["port"].as_u64(),
        }
    }

    fn is_service(&self) -> bool {
        self.group.is_empty() && self.kind == "Service"
    }
}

impl std::fmt::Display for Parent<'_> {
    /// `Service/shop/cart`, `Service/shop/cart:80`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.section.map_or(Ok(()), |section| write!(f, ":{section}"))
    }
}

#[cfg(test)]
mod tests;
