//! `RouteConfiguration`. Conditions and edits stay where they are: the control plane shows them (`byrnie pc route`).

use byrnie_config::{Action, Forward, Retry, Route, RouteTable};
use serde_json::{Value, json};

use super::{duration, limit, without_nulls};

/// All routes in one virtual host, in their order.
pub fn json(table: &RouteTable) -> Value {
    let routes: Vec<_> = table.routes().map(|route| route_json(route)).collect();
    json!({ "name": *table.name, "virtual_hosts": [{ "routes": routes }] })
}

fn route_json(route: &Route) -> Value {
    let (field, action) = match &route.action {
        Action::Forward(forward) => ("route", forward_json(forward)),
        Action::Redirect(redirect) => ("redirect", json!({ "response_code": redirect.status })),
        Action::Respond(respond) => ("direct_response", json!({ "status": respond.status })),
    };
    json!({ "name": *route.name, field: action })
}

fn forward_json(forward: &Forward) -> Value {
    let mut action = json!({ "timeout": limit(forward.timeout) });
    match &*forward.targets {
        [only] => action["cluster"] = (*only.cluster).into(),
        several => {
            let weighted = several.iter().map(|target| json!({ "name": *target.cluster, "weight": target.weight }));
            action["weighted_clusters"] = json!({ "clusters": weighted.collect::<Vec<_>>() });
        }
    }
    if let Some(idle) = forward.idle_timeout {
        action["idle_timeout"] = limit(idle).into();
    }
    if let Some(retry) = &forward.retry {
        action["retry_policy"] = retry_json(retry);
    }
    action
}

fn retry_json(retry: &Retry) -> Value {
    without_nulls(json!({
        "num_retries": retry.attempts,
        "per_try_timeout": retry.per_try_timeout.map(duration),
        "host_selection_retry_max_attempts": retry.other_host_attempts,
        "retry_back_off": { "base_interval": duration(retry.base), "max_interval": duration(retry.max) },
    }))
}
