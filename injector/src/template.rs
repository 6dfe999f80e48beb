//! What is added to a Pod. Defaults of the API server are written out, so that what it stores is what is written here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use byrnie_model::Quantity;
use byrnie_proto::bootstrap::{self, Bootstrap, Server};
use byrnie_source::objects::annotation::SIDECAR;
use serde_json::{Value, json};

use crate::{
    choices::Choices,
    settings::{Resources, Settings},
};

/// The init container that redirects the Pod's traffic.
pub const INIT: &str = "byrnie-init";

/// The sidecar, of either kind.
pub const PROXY: &str = SIDECAR;

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
/// Where in it Envoy finds its agent.
const SOCKET: &str = "xds.sock";

/// Where the sidecar says whether it is ready for traffic: the micro-proxy, or the agent beside an Envoy.
const HEALTH_PORT: u16 = 15021;

/// Where it is asked for its state.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15000);

/// The Pod, as Kubernetes puts it into an argument.
const WORKLOAD: &str = "$(POD_NAMESPACE)/$(POD_NAME)";

/// User and group of the sidecar; its traffic is not redirected.
pub const PROXY_ID: u32 = 1337;

/// What `byrnie-init` asks a node for at most.
const ENOUGH_FOR_INIT: [(&str, &str); 2] = [("cpu", "10m"), ("memory", "16Mi")];

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

/// The init container after the sidecar, which ends when the Pod's traffic is redirected and the sidecar is ready. All else in
/// the Pod waits for it.
///
/// It is not the first, and the sidecar has no startup probe, since a kubelet learns of an init container's end and of a
/// probe's success by looking once a second: this way a Pod waits for that once.
pub fn init(settings: &Settings, choices: &Choices) -> Value {
    let mut container = json!({
        "name": INIT,
        "image": settings.init_image,
        "args": [format!("--await-ready={HEALTH_PORT}")],
        "imagePullPolicy": settings.image_pull_policy,
        "resources": resources(&of_init(&choices.resources)),
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
    if let Value::Array(args) = &mut container["args"] {
        args.extend(choices.exclusions.iter().map(|exclusion| json!(exclusion)));
    }
    container
}

/// The micro-proxy as an init container that goes on running, and ends after the application.
pub fn micro(settings: &Settings, choices: &Choices, application: Application) -> Value {
    let mut container = running(settings, PROXY, &choices.proxy_image);
    container["args"] = json!(arguments(settings, &choices.log_level));
    container["env"] = json!(environment(application));
    container["readinessProbe"] = readiness();
    container["resources"] = resources(&choices.resources);
    container["volumeMounts"] = mounts();
    container
}

/// The agent, in the same way, before its Envoy.
pub fn agent(settings: &Settings, application: Application) -> Value {
    let mut container = running(settings, AGENT, &settings.proxy_image);
    let mut args = vec!["agent".to_owned()];
    args.extend(arguments(settings, &settings.log_level));
    args.push(format!("--socket={STATE_FOLDER}/{SOCKET}"));
    container["args"] = json!(args);
    container["env"] = json!(environment(application));
    container["resources"] = resources(&settings.resources);
    container["volumeMounts"] = mounts();
    container
}

/// Envoy, in the same way. It has neither token nor roots: the agent proves who it is. It waits for the agent's socket by
/// itself, so that it needs no file of the agent's to start by.
pub fn envoy(settings: &Settings, choices: &Choices) -> Value {
    let mut container = running(settings, PROXY, &choices.proxy_image);
    let usual = Bootstrap::new(WORKLOAD, Server::Agent(format!("{STATE_FOLDER}/{SOCKET}")));
    // Envoy takes a value as an argument of its own, and none after `=`.
    container["args"] = json!([
        "--config-yaml",
        bootstrap::envoy_argument(&Bootstrap { admin: ADMIN, ..usual }),
        "--disable-hot-restart",
        "--concurrency",
        "1",
        "--log-level",
        choices.log_level,
    ]);
    container["env"] = json!(names());
    container["readinessProbe"] = readiness();
    container["resources"] = resources(&choices.resources);
    container["volumeMounts"] = json!([{"name": STATE, "mountPath": STATE_FOLDER, "readOnly": true}]);
    container
}

/// What is said of every container that goes on running.
fn running(settings: &Settings, name: &str, image: &str) -> Value {
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
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
    })
}

/// A Pod gets no calls while its sidecar has nothing to serve them by, as after a restart.
fn readiness() -> Value {
    json!({
        "failureThreshold": 3,
        "httpGet": {"path": "/healthz/ready", "port": HEALTH_PORT, "scheme": "HTTP"},
        "periodSeconds": 5,
        "successThreshold": 1,
        "timeoutSeconds": 3,
    })
}

/// Options of micro-proxy and agent alike.
fn arguments(settings: &Settings, log: &str) -> Vec<String> {
    vec![
        format!("--workload={WORKLOAD}"),
        format!("--xds-address=byrnie-control-plane.{}.svc:15012", settings.namespace),
        format!("--token-file={TOKEN_FOLDER}/token"),
        format!("--roots-file={TRUST_FOLDER}/root.crt"),
        format!("--state={STATE_FOLDER}"),
        format!("--health-port={HEALTH_PORT}"),
        format!("--probe-port={PROBE_PORT}"),
        format!("--log={log}"),
    ]
}

/// Of the Pod, for [`WORKLOAD`].
fn names() -> Vec<Value> {
    let field = |path| json!({"fieldRef": {"apiVersion": "v1", "fieldPath": path}});
    vec![
        json!({"name": "POD_NAME", "valueFrom": field("metadata.name")}),
        json!({"name": "POD_NAMESPACE", "valueFrom": field("metadata.namespace")}),
    ]
}

fn environment(application: Application) -> Vec<Value> {
    let mut env = names();
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

/// What is asked for the sidecar, but no more than is needed: a node keeps for a Pod what its sidecar and the larger of this and
/// the application ask for.
fn of_init(resources: &Resources) -> Resources {
    let mut resources = resources.clone();
    for (name, enough) in ENOUGH_FOR_INIT {
        let read = |text: &str| Quantity::parse(text);
        if let Some(asked) = resources.requests.get_mut(name)
            && read(enough).zip(read(asked)).is_some_and(|(enough, asked)| enough.is_below(&asked))
        {
            enough.clone_into(asked);
        }
    }
    resources
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
