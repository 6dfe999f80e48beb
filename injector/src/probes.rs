//! Probes and hooks of the application that the kubelet makes by calling it: it has no certificate of the mesh, so they
//! are led to the sidecar, which makes them within the Pod.
//!
//! The sidecar serves them at `/byrnie/probe/CONTAINER/KIND` of port 15020, and learns from `BYRNIE_PROBES` what each of
//! these was, in JSON: the action as in the Pod, with a number for a named port, and how long it may take.
//!
//! ```text
//! {"/byrnie/probe/app/liveness": {"httpGet": {"path": "/live", "port": 8080}, "timeoutSeconds": 1}}
//! ```

use serde_json::{Map, Value, json};

use crate::{
    pod,
    template::{self, PROBE_PORT, PROBES},
};

const PREFIX: &str = "/byrnie/probe/";

/// Where a container has them, and what they are called in the path.
const KINDS: [(&str, &str); 5] = [
    ("/livenessProbe", "liveness"),
    ("/readinessProbe", "readiness"),
    ("/startupProbe", "startup"),
    ("/lifecycle/postStart", "post-start"),
    ("/lifecycle/preStop", "pre-stop"),
];

/// What a kubelet calls a Pod for.
const ACTIONS: &[&str] = &["httpGet", "tcpSocket", "grpc"];
/// The same of hooks, where `tcpSocket` is known but does nothing.
const HOOK_ACTIONS: &[&str] = &["httpGet"];

/// Probes by path, as they were.
#[derive(Debug, Default)]
pub struct Originals(Map<String, Value>);

impl Originals {
    /// Those that an earlier sidecar was given.
    pub fn of(sidecar: Option<&Value>) -> Self {
        let text = sidecar.and_then(|sidecar| template::value(sidecar, PROBES));
        Self(text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default())
    }

    /// Leads the container's probes to the sidecar.
    pub fn rewrite(&mut self, container: &mut Value) {
        for (pointer, kind) in KINDS {
            let path = format!("{PREFIX}{}/{kind}", pod::name(container));
            let ports = container["ports"].clone();
            let Some(Value::Object(probe)) = container.pointer_mut(pointer) else { continue };
            let actions = if pointer.starts_with("/lifecycle") { HOOK_ACTIONS } else { ACTIONS };
            let Some((action, original)) = action(probe, actions, &ports) else { continue };
            if original["path"] == path.as_str() {
                // It is led there already.
                continue;
            }
            let headers = original.get("httpHeaders").cloned();
            let mut kept = json!({action: original});
            if let Some(timeout) = probe.get("timeoutSeconds") {
                kept["timeoutSeconds"] = timeout.clone();
            }
            probe.remove(action);
            let mut get = json!({"path": path, "port": PROBE_PORT, "scheme": "HTTP"});
            if let Some(headers) = headers {
                get["httpHeaders"] = headers;
            }
            probe.insert("httpGet".to_owned(), get);
            self.0.insert(path, kept);
        }
    }

    /// The value of `BYRNIE_PROBES`; none where nothing was rewritten.
    pub fn into_text(self) -> Option<String> {
        (!self.0.is_empty()).then(|| template::literal(&Value::Object(self.0).to_string()))
    }
}

/// What the kubelet calls, with the port's number. None where it calls nothing of the Pod, or a port that no container
/// has, which fails in either way.
fn action(
    probe: &Map<String, Value>,
    actions: &'static [&'static str],
    ports: &Value,
) -> Option<(&'static str, Value)> {
    let action = actions.iter().copied().find(|action| probe.get(*action).is_some_and(Value::is_object))?;
    let mut original = probe[action].clone();
    if original["host"].as_str().is_some_and(|host| !host.is_empty()) {
        return None;
    }
    original["port"] = number(&original["port"], ports)?.into();
    if let Value::Object(fields) = &mut original {
        fields.retain(|_, value| !value.is_null());
    }
    Some((action, original))
}

/// As the kubelet reads it: a number, a port's name, or a number as text.
fn number(port: &Value, ports: &Value) -> Option<u64> {
    let Some(name) = port.as_str() else { return port.as_u64() };
    let named = ports.as_array().into_iter().flatten().find(|one| one["name"] == name);
    named.map_or_else(|| name.parse().ok(), |one| one["containerPort"].as_u64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_expands_nothing_of_what_a_probe_was() {
        let mut container =
            json!({"name": "app", "livenessProbe": {"httpGet": {"path": "/$(POD_NAME)/$$", "port": 1}}});
        let mut originals = Originals::default();
        originals.rewrite(&mut container);
        let text = originals.into_text().unwrap();
        assert!(text.contains(r"/\u0024(POD_NAME)/\u0024\u0024") && !text.contains('$'), "{text}");
        let sidecar = json!({"env": [{"name": PROBES, "value": text}]});
        let again = Originals::of(Some(&sidecar));
        assert_eq!(again.0["/byrnie/probe/app/liveness"]["httpGet"]["path"], "/$(POD_NAME)/$$");
        assert_eq!(again.into_text().unwrap(), text);
    }

    #[test]
    fn a_hook_that_a_kubelet_does_not_know_stays_as_it_is() {
        let hooks = json!({"postStart": {"tcpSocket": {"port": 80}}, "preStop": {"sleep": {"seconds": 1}}});
        let mut container = json!({"name": "app", "lifecycle": hooks});
        let mut originals = Originals::default();
        originals.rewrite(&mut container);
        assert_eq!((&container["lifecycle"], originals.into_text()), (&hooks, None));
    }
}
