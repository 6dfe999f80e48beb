//! The debug pages of the admin port: what is in force, who is connected, what each was sent.

use std::sync::Arc;

use byrnie_ads::{DumpedResource, Hub, Loads};
use byrnie_proto::Kind;
use byrnie_runtime::admin::{Asked, Reply, Routes};
use byrnie_snapshot::View;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    clients,
    current::{Current, State},
    describe, findings, proxy_config, stat,
};

/// Adds the pages.
pub fn add_pages(routes: &mut Routes, current: &Current, hub: &Arc<Hub>, loads: &Arc<Loads>) {
    page(routes, "/debug/world", "services, workloads, routes and policies", {
        let current = current.clone();
        move |_| Ok(world(&current.load()))
    });
    page(routes, "/debug/findings", "what is wrong with the configuration", {
        let current = current.clone();
        move |_| Ok(findings::to_json(&current.load().findings))
    });
    page(routes, "/debug/snapshot", "every resource with its view, version, size and objects", {
        let current = current.clone();
        move |_| Ok(snapshot(&current.load()))
    });
    page(routes, "/debug/describe", "?object=KIND/NAMESPACE/NAME", {
        let current = current.clone();
        move |asked| {
            let object = describe::parse_object(&parameter(asked, "object")?).map_err(refuse)?;
            describe::describe(&current.load().world, &object)
                .map_err(|error| (StatusCode::NOT_FOUND, error.to_string()))
        }
    });
    page(routes, "/debug/clients", "the connected proxies", {
        let hub = Arc::clone(hub);
        move |_| Ok(clients::list(&hub.clients()))
    });
    page(routes, "/debug/config", "?node=NAMESPACE/POD&kind=CDS|EDS|LDS|RDS|SDS: what a proxy was sent", {
        let hub = Arc::clone(hub);
        move |asked| config(&hub, asked)
    });
    page(
        routes,
        "/debug/stat",
        "?by=pair|service&of=NAMESPACE/NAME: who calls what, and how it goes; both may be left out",
        {
            let loads = Arc::clone(loads);
            move |asked| {
                let by = optional(asked, "by").map_or(Ok(stat::By::default()), |by| by.parse().map_err(refuse))?;
                Ok(stat::rows(&loads.list(), by, optional(asked, "of").as_deref()))
            }
        },
    );
    page(routes, "/debug/loads", "what each client reported of its calls, with latencies", {
        let loads = Arc::clone(loads);
        move |_| Ok(stat::raw(&loads.list()))
    });
}

type Refusal = (StatusCode, String);

fn page(
    routes: &mut Routes,
    path: &'static str,
    about: &'static str,
    answer: impl Fn(&Asked) -> Result<Value, Refusal> + Send + Sync + 'static,
) {
    routes.add(Method::GET, path, about, move |asked| {
        let reply = match answer(&asked) {
            Ok(document) => Reply::json(document.to_string()),
            Err((status, message)) => Reply::text(status, format!("{message}\n")),
        };
        async move { reply }
    });
}

fn config(hub: &Hub, asked: &Asked) -> Result<Value, Refusal> {
    let (node, kind) = (parameter(asked, "node")?, parameter(asked, "kind")?);
    let kind = Kind::ALL.into_iter().find(|known| known.short().eq_ignore_ascii_case(&kind)).ok_or_else(|| {
        let known = Kind::ALL.map(Kind::short).join(", ");
        refuse(format!("kind is {kind:?}; accepted: {known}"))
    })?;
    let held = hub.dump(&node);
    if held.is_empty() {
        return Err((
            StatusCode::NOT_FOUND,
            format!("no proxy is connected as {node:?}: `byrnie proxy-status` lists those that are"),
        ));
    }
    let resources = held.iter().flat_map(|dump| &dump.resources).filter(|resource| resource.kind == kind);
    let rows = |resource: &DumpedResource| match &resource.body {
        Some(body) => proxy_config::rows(kind, &resource.name, body),
        None => vec![json!({"name": resource.name, "version": resource.version.to_string(), "content": "[redacted]"})],
    };
    Ok(resources.flat_map(rows).collect())
}

fn world(state: &State) -> Value {
    let world = &state.world;
    json!({
        "trustDomain": world.mesh().trust_domain.as_str(),
        "clusterDomain": world.mesh().cluster_domain,
        "services": world.services().map(|service| service.origin.to_string()).collect::<Vec<_>>(),
        "workloads": world.workloads().map(|workload| workload.origin.to_string()).collect::<Vec<_>>(),
        "routes": world.routes().map(|route| route.origin.to_string()).collect::<Vec<_>>(),
        "trafficPolicies": world.traffic_policies().map(|(_, policy)| policy.origin.to_string()).collect::<Vec<_>>(),
        "peerPolicies": world.peer_policies().map(|(_, policy)| policy.origin.to_string()).collect::<Vec<_>>(),
        "built": {
            "clusters": state.built.clusters,
            "endpoints": state.built.endpoints,
            "listeners": state.built.listeners,
            "routes": state.built.routes,
        },
    })
}

fn snapshot(state: &State) -> Value {
    let view = |view: &View| match view {
        View::Common => "common".to_owned(),
        View::Dialect(dialect) => dialect.to_string(),
        View::Namespace(dialect, namespace) => format!("{dialect} in {namespace}"),
        View::Workload(workload) => workload.to_string(),
        View::Asked => "asked".to_owned(),
    };
    let one = |(shown, resource): (&View, &Arc<byrnie_snapshot::Resource>)| {
        json!({
            "view": view(shown),
            "kind": resource.kind().short(),
            "name": resource.name(),
            "version": resource.version().to_string(),
            "bytes": resource.body().len(),
            "objects": resource.origins().iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    };
    state.snapshot.all().map(one).collect()
}

fn parameter(asked: &Asked, name: &str) -> Result<String, Refusal> {
    optional(asked, name).ok_or_else(|| refuse(format!("the query lacks {name}=")))
}

fn optional(asked: &Asked, name: &str) -> Option<String> {
    let pairs = asked.query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.replace("%2F", "/").replace("%2f", "/")).next()
}

fn refuse(error: impl ToString) -> Refusal {
    (StatusCode::BAD_REQUEST, error.to_string())
}
