//! What is added to a Pod. Defaults of the API server are written out, so that what it stores is what is written here.

use serde_json::{Value, json};

use crate::{
    choices::Choices,
    settings::{Resources, Settings},
};

/// The init container that redirects the Pod's traffic.
pub const INIT: &str = "byrnie-init";

/// The sidecar, of either kind.
pub const PROXY: &str = "byrnie-proxy";

/// What stands beside a sidecar that is an Envoy.
pub const AGENT: &str = "byrnie-agent";

/// The environment variable of the micro-proxy or the agent with the probes as they were ([`crate::probes`]).
pub const PROBES: &str = "BYRNIE_PROBES";

/// The same with where the application has its metrics ([`crate::scrape`]).
pub const SCRAPE: &str = "BYRNIE_SCRAPE";

/// Where the micro-proxy or the agent makes the application's probes, and has the metrics of both.
pub const PROBE_PORT: u16 = 15020;

const TOKEN: &str = "byrnie-token";
const TRUST: &str = "byrnie-trust";
const STATE: &str = "byrnie-state";
/// The volumes that are added.
pub const VOLUMES: [&str; 3] = [TOKEN, TRUST, STATE];
const TOKEN_FOLDER: &str = "/var/run/secrets/byrnie";
const TRUST_FOLDER: &str = "/etc/byrnie";
const STATE_FOLDER: &str = "/var/lib/byrnie";
/// What the agent writes there for Envoy.
const BOOTSTRAP: &str = "envoy.json";

/// Where the kubelet asks for the sidecar's health: the micro-proxy, or the agent beside an Envoy.
const HEALTH_PORT: u16 = 15021;

/// Whether the sidecar is ready for traffic, and whether the agent is ready for its Envoy.
const READY: &str = "/healthz/ready";
const AGENT_READY: &str = "/healthz/agent";

/// User and group of the sidecar; its traffic is not redirected.
pub const PROXY_ID: u32 = 1337;

/// The mode of files of a volume, 0644, as JSON has it.
const READABLE: u32 = 0o644;

/// What the sidecar is told of the application; of what there is none, nothing.
#[derive(Clone, Debug, Default)]
pub struct Application {
    /// The value of [`PROBES`].
    pub probes: Option<String>,
    /// The value of [`SCRAPE`].
    pub scrape: Option<String>,
}

/// The value of a container's environment variable.
pub fn value<'a>(container: &'a Value, variable: &str) -> Option<&'a str> {
    let env = container["env"].as_array().into_iter().flatten();
    env.filter(|entry| entry["name"] == variable).find_map(|entry| entry["value"].as_str())
}

/// A text of JSON as the value of an environment variable, in which Kubernetes would expand `$(NAME)` and `$$`. In JSON a
/// `$` stands within strings alone.
pub fn literal(json: &str) -> String {
    json.replace('$', r"\u0024")
}

/// The first init container: nothing of the Pod runs before its traffic is redirected.
pub fn init(settings: &Settings, choices: &Choices) -> Value {
    let mut container = json!({
        "name": INIT,
        "image": settings.init_image,
        "imagePullPolicy": settings.image_pull_policy,
        "resources": resources(&choices.resources),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "runAsGroup": 0,
            "runAsNonRoot": false,
            "runAsUser": 0,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePath": "/dev/termination-log",
        // What it says of a failure stands in the Pod's status then.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    });
    if !choices.exclusions.is_empty() {
        container["args"] = json!(choices.exclusions);
    }
    container
}

/// The micro-proxy as an init container that goes on running: what comes after it waits for its startup probe, and it
/// ends after the application.
pub fn micro(settings: &Settings, choices: &Choices, application: Application) -> Value {
    let mut container = running(settings, PROXY, &choices.proxy_image, READY);
    container["args"] = json!(arguments(settings, &choices.log_level));
    container["env"] = json!(environment(application));
    container["resources"] = resources(&choices.resources);
    container["volumeMounts"] = mounts();
    container
}

/// The agent, in the same way, before its Envoy.
pub fn agent(settings: &Settings, application: Application) -> Value {
    let mut container = running(settings, AGENT, &settings.proxy_image, AGENT_READY);
    let mut args = vec!["agent".to_owned()];
    args.extend(arguments(settings, &settings.log_level));
    args.extend([format!("--socket={STATE_FOLDER}/xds.sock"), format!("--bootstrap={STATE_FOLDER}/{BOOTSTRAP}")]);
    container["args"] = json!(args);
    container["env"] = json!(environment(application));
    container["resources"] = resources(&settings.resources);
    container["volumeMounts"] = mounts();
    container
}

/// Envoy, in the same way. It has neither token nor roots: the agent proves who it is.
pub fn envoy(settings: &Settings, choices: &Choices) -> Value {
    let mut container = running(settings, PROXY, &choices.proxy_image, READY);
    // Envoy takes a value as an argument of its own, and none after `=`.
    container["args"] = json!([
        "--config-path",
        format!("{STATE_FOLDER}/{BOOTSTRAP}"),
        "--disable-hot-restart",
        "--concurrency",
        "1",
        "--log-level",
        choices.log_level,
    ]);
    container["resources"] = resources(&choices.resources);
    container["volumeMounts"] = json!([{"name": STATE, "mountPath": STATE_FOLDER, "readOnly": true}]);
    container
}

/// What is said of every container that goes on running.
fn running(settings: &Settings, name: &str, image: &str, startup: &str) -> Value {
    json!({
        "name": name,
        "image": image,
        "imagePullPolicy": settings.image_pull_policy,
        "restartPolicy": "Always",
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "runAsGroup": PROXY_ID,
            "runAsNonRoot": true,
            "runAsUser": PROXY_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        // Ten minutes without a first configuration, and the container is started anew.
        "startupProbe": {
            "failureThreshold": 600,
            "httpGet": {"path": startup, "port": HEALTH_PORT, "scheme": "HTTP"},
            "periodSeconds": 1,
            "successThreshold": 1,
            "timeoutSeconds": 3,
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
    })
}

/// Options of micro-proxy and agent alike.
fn arguments(settings: &Settings, log: &str) -> Vec<String> {
    vec![
        "--workload=$(POD_NAMESPACE)/$(POD_NAME)".to_owned(),
        format!("--xds-address=byrnie-control-plane.{}.svc:15012", settings.namespace),
        format!("--token-file={TOKEN_FOLDER}/token"),
        format!("--roots-file={TRUST_FOLDER}/root.crt"),
        format!("--state={STATE_FOLDER}"),
        format!("--health-port={HEALTH_PORT}"),
        format!("--probe-port={PROBE_PORT}"),
        format!("--log={log}"),
    ]
}

fn environment(application: Application) -> Vec<Value> {
    let field = |path| json!({"fieldRef": {"apiVersion": "v1", "fieldPath": path}});
    let mut env = vec![
        json!({"name": "POD_NAME", "valueFrom": field("metadata.name")}),
        json!({"name": "POD_NAMESPACE", "valueFrom": field("metadata.namespace")}),
    ];
    for (name, value) in [(PROBES, application.probes), (SCRAPE, application.scrape)] {
        env.extend(value.map(|value| json!({"name": name, "value": value})));
    }
    env
}

fn mounts() -> Value {
    json!([
        {"name": TOKEN, "mountPath": TOKEN_FOLDER, "readOnly": true},
        {"name": TRUST, "mountPath": TRUST_FOLDER, "readOnly": true},
        {"name": STATE, "mountPath": STATE_FOLDER},
    ])
}

/// What the sidecar proves itself by, what it proves the control plane by, and what outlives its restart: that has the key,
/// which is not for the disk of a node.
pub fn volumes() -> [Value; 3] {
    let token = json!({"audience": "byrnie.io/ca", "expirationSeconds": 3600, "path": "token"});
    [
        json!({"name": TOKEN, "projected": {"defaultMode": READABLE, "sources": [{"serviceAccountToken": token}]}}),
        json!({"name": TRUST, "configMap": {"defaultMode": READABLE, "name": "byrnie-trust"}}),
        json!({"name": STATE, "emptyDir": {"medium": "Memory"}}),
    ]
}

fn resources(resources: &Resources) -> Value {
    let mut lists = serde_json::Map::new();
    for (name, list) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        if !list.is_empty() {
            lists.insert(name.to_owned(), json!(list));
        }
    }
    Value::Object(lists)
}
