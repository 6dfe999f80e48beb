//! `/config_dump`: what the control plane sent, as it is in force, in the shape of `envoy.admin.v3.ConfigDump`.
//!
//! Resources are shown as this proxy understood them, by the names that their fields have in xDS; what has no effect
//! here is left out. Keys are never shown.

mod cluster;
mod listener;
mod route;
mod updated;

use std::{sync::Arc, time::SystemTime};

use byrnie_config::Endpoints;
use byrnie_proto::Kind;
use byrnie_xds::{Resources, State, Unsettled};
use serde_json::{Map, Value, json};

pub use self::updated::Updated;
use super::clusters::socket_address;
use crate::identity::{Identity, rfc3339};

const ADMIN: &str = "type.googleapis.com/envoy.admin.v3.";

/// What a dump is made of.
#[derive(Debug)]
pub struct Dump<'a> {
    /// What serves, and what does not.
    pub resources: &'a Resources,
    /// When each resource came.
    pub updated: &'a Updated,
    /// Who this is; none yet.
    pub identity: Option<&'a Identity>,
    /// `NAMESPACE/POD`
    pub node: &'a str,
    /// When the process started.
    pub started: SystemTime,
}

/// One list of the dump: its name in `?resource=`, and the message that an entry is.
struct Section {
    name: &'static str,
    message: &'static str,
    entries: Vec<Value>,
}

impl Dump<'_> {
    /// Everything.
    pub fn whole(&self) -> Value {
        let list = |kind: &str, sections: Vec<Section>| {
            let mut dump = Map::new();
            dump.insert("@type".to_owned(), format!("{ADMIN}{kind}").into());
            dump.extend(sections.into_iter().map(|section| (section.name.to_owned(), section.entries.into())));
            Value::Object(dump)
        };
        json!({ "configs": [
            self.bootstrap(),
            list("ClustersConfigDump", self.clusters()),
            list("EndpointsConfigDump", vec![self.endpoints()]),
            list("ListenersConfigDump", vec![self.listeners()]),
            list("RoutesConfigDump", vec![self.routes()]),
            list("SecretsConfigDump", vec![self.secrets()]),
        ] })
    }

    /// The entries of one list alone, as `?resource=` of Envoy; `None` where there is no such list.
    pub fn section(&self, name: &str) -> Option<Value> {
        let others = [self.endpoints(), self.listeners(), self.routes(), self.secrets()];
        let section = self.clusters().into_iter().chain(others).find(|section| section.name == name)?;
        let entries = section.entries.into_iter().map(|mut entry| {
            entry["@type"] = format!("{ADMIN}{}", section.message).into();
            entry
        });
        Some(json!({ "configs": entries.collect::<Vec<_>>() }))
    }

    fn bootstrap(&self) -> Value {
        let namespace = self.node.split_once('/').map_or(self.node, |(namespace, _)| namespace);
        json!({
            "@type": format!("{ADMIN}BootstrapConfigDump"),
            "bootstrap": { "node": {
                "id": self.node,
                "cluster": namespace,
                "user_agent_name": "byrnie-proxy",
                "user_agent_version": env!("CARGO_PKG_VERSION"),
            } },
            "last_updated": rfc3339(self.started),
        })
    }

    fn clusters(&self) -> Vec<Section> {
        let active = self.serving(Kind::Cluster, &self.resources.clusters, "cluster", cluster::json);
        let warming = self.unsettled(Kind::Cluster).filter_map(|unsettled| match &unsettled.state {
            State::Warming(version) => {
                Some(json!({ "version_info": version.as_str(), "cluster": { "name": *unsettled.name } }))
            }
            _ => None,
        });
        vec![
            Section {
                name: "dynamic_active_clusters",
                message: "ClustersConfigDump.DynamicCluster",
                entries: self.with_errors(Kind::Cluster, active, "cluster"),
            },
            Section {
                name: "dynamic_warming_clusters",
                message: "ClustersConfigDump.DynamicCluster",
                entries: warming.collect(),
            },
        ]
    }

    fn routes(&self) -> Section {
        let entries = self.serving(Kind::Route, &self.resources.routes, "route_config", route::json);
        Section {
            name: "dynamic_route_configs",
            message: "RoutesConfigDump.DynamicRouteConfig",
            entries: self.with_errors(Kind::Route, entries, "route_config"),
        }
    }

    fn endpoints(&self) -> Section {
        let entries = self.serving(Kind::Endpoints, &self.resources.endpoints, "endpoint_config", endpoints);
        Section {
            name: "dynamic_endpoint_configs",
            message: "EndpointsConfigDump.DynamicEndpointConfig",
            entries: self.with_errors(Kind::Endpoints, entries, "endpoint_config"),
        }
    }

    /// Of Envoy's states of a listener: the version that serves stands a floor deeper than elsewhere.
    fn listeners(&self) -> Section {
        let serving = self.serving(Kind::Listener, &self.resources.listeners, "listener", listener::json);
        let active =
            serving.into_iter().map(|state| json!({ "name": state["listener"]["name"], "active_state": state }));
        let mut entries: Vec<Value> = active.collect();
        for unsettled in self.unsettled(Kind::Listener) {
            let (field, state) = match &unsettled.state {
                State::Warming(version) => ("warming_state", json!({ "version_info": version.as_str() })),
                _ => match error_state(&unsettled.state) {
                    Some(error) => ("error_state", error),
                    None => continue,
                },
            };
            let known = entries.iter_mut().find(|entry| entry["name"] == *unsettled.name);
            match known {
                Some(entry) => entry[field] = state,
                None => entries.push(json!({ "name": *unsettled.name, field: state })),
            }
        }
        sort(&mut entries, |entry| entry["name"].as_str());
        Section { name: "dynamic_listeners", message: "ListenersConfigDump.DynamicListener", entries }
    }

    fn secrets(&self) -> Section {
        let entry = |name: &str, identity: &Identity, content: Value| {
            let mut secret = json!({ "name": name });
            secret
                .as_object_mut()
                .expect("an object was made")
                .extend(content.as_object().cloned().unwrap_or_default());
            json!({ "name": name, "version_info": identity.generation().to_string(), "secret": secret })
        };
        let entries = self.identity.map(|identity| {
            let hidden = json!({ "inline_string": "[redacted]" });
            let own = json!({ "tls_certificate": { "private_key": hidden, "certificate_chain": hidden } });
            let trust = json!({ "validation_context": { "trusted_ca": hidden } });
            vec![entry("workload", identity, own), entry("trust", identity, trust)]
        });
        Section {
            name: "dynamic_active_secrets",
            message: "SecretsConfigDump.DynamicSecret",
            entries: entries.unwrap_or_default(),
        }
    }

    /// All of a kind that serve, by name.
    fn serving<T>(
        &self,
        kind: Kind,
        all: &byrnie_xds::Named<T>,
        field: &str,
        show: impl Fn(&T) -> Value,
    ) -> Vec<Value> {
        let mut names: Vec<&Arc<str>> = all.keys().collect();
        names.sort_unstable();
        let entry = |name: &Arc<str>| {
            let version = self.resources.version(kind, name).map(|version| version.as_str()).unwrap_or_default();
            let mut entry = json!({ "version_info": version, field: show(&all[name]) });
            if let Some(at) = self.updated.at(kind, name) {
                entry["last_updated"] = rfc3339(at).into();
            }
            entry
        };
        names.into_iter().map(entry).collect()
    }

    /// Adds what was refused, beside the version that serves or alone.
    fn with_errors(&self, kind: Kind, mut entries: Vec<Value>, field: &str) -> Vec<Value> {
        // By what an entry of the field is called.
        let key = if kind == Kind::Endpoints { "cluster_name" } else { "name" };
        for unsettled in self.unsettled(kind) {
            let Some(error) = error_state(&unsettled.state) else { continue };
            match entries.iter_mut().find(|entry| entry[field][key] == *unsettled.name) {
                Some(entry) => entry["error_state"] = error,
                None => entries.push(json!({ field: { key: *unsettled.name }, "error_state": error })),
            }
        }
        sort(&mut entries, |entry| entry[field][key].as_str());
        entries
    }

    fn unsettled(&self, kind: Kind) -> impl Iterator<Item = &Unsettled> {
        self.resources.unsettled.iter().filter(move |unsettled| unsettled.kind == kind)
    }
}

fn sort(entries: &mut [Value], name: impl Fn(&Value) -> Option<&str>) {
    entries.sort_by(|one, other| name(one).cmp(&name(other)));
}

/// `envoy.admin.v3.UpdateFailureState`, of what was refused.
fn error_state(state: &State) -> Option<Value> {
    match state {
        State::Refused(rejection) => {
            Some(json!({ "version_info": rejection.version.as_str(), "details": rejection.to_string() }))
        }
        State::Awaited | State::Warming(_) | State::Withdrawn => None,
    }
}

/// `ClusterLoadAssignment`, all in one locality a zone.
fn endpoints(assignment: &Endpoints) -> Value {
    let mut zones: Vec<(&str, Vec<Value>)> = Vec::new();
    for endpoint in &assignment.list {
        let shown = cluster::endpoint(endpoint);
        match zones.iter_mut().find(|(zone, _)| *zone == &*endpoint.zone) {
            Some((_, list)) => list.push(shown),
            None => zones.push((&endpoint.zone, vec![shown])),
        }
    }
    let locality = |(zone, list): (&str, Vec<Value>)| json!({ "locality": { "zone": zone }, "lb_endpoints": list });
    json!({
        "cluster_name": *assignment.name,
        "endpoints": zones.into_iter().map(locality).collect::<Vec<_>>(),
    })
}

/// `google.protobuf.Duration` in JSON.
fn duration(time: std::time::Duration) -> String {
    match time.subsec_nanos() {
        0 => format!("{}s", time.as_secs()),
        nanos if nanos % 1_000_000 == 0 => format!("{}.{:03}s", time.as_secs(), nanos / 1_000_000),
        nanos => format!("{}.{nanos:09}s", time.as_secs()),
    }
}

/// A limit in time, where 0 is none.
fn limit(time: Option<std::time::Duration>) -> String {
    duration(time.unwrap_or_default())
}

/// Octets as text; those of no text are replaced.
fn texts<'a>(list: impl IntoIterator<Item = &'a Box<[u8]>>) -> Vec<String> {
    list.into_iter().map(|octets| String::from_utf8_lossy(octets).into_owned()).collect()
}

/// An object without its empty fields.
fn without_nulls(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    value
}

#[cfg(test)]
mod tests;
