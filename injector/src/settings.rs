use std::collections::{BTreeMap, BTreeSet};

use crate::annotation::{Annotation, ENABLED, INJECT};

/// What is the same for all Pods of a mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the control plane is; nothing is injected there.
    pub namespace: String,
    /// The image of the init container.
    pub init_image: String,
    /// The image of the micro-proxy, which is the agent beside an Envoy too.
    pub proxy_image: String,
    /// The image of Envoy.
    pub envoy_image: String,
    /// `IfNotPresent`, `Always` or `Never`, for all of them.
    pub image_pull_policy: String,
    /// The sidecar of a Pod that does not say which.
    pub proxy: ProxyKind,
    /// What each container asks for and may take, as in a container's `resources`: quantities by `requests` or
    /// `limits`, then by resource.
    pub resources: Resources,
    /// What the sidecar logs: a filter as its `--log` takes it.
    pub log_level: String,
    /// How many seconds an application goes on serving when its Pod is deleted; 0 is no delay.
    pub pre_stop_delay: u16,
    /// Whether probes are led over port 15020 of the sidecar.
    pub rewrite_probes: bool,
    /// What Pods may set.
    pub allowed: BTreeSet<Annotation>,
}

/// Which sidecar a Pod gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyKind {
    /// The micro-proxy.
    #[default]
    Micro,
    /// Envoy, with an agent beside it.
    Envoy,
}

/// Quantities of a container by name, such as `cpu`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// What the node keeps for it.
    pub requests: BTreeMap<String, String>,
    /// What it never exceeds.
    pub limits: BTreeMap<String, String>,
}

/// The Namespace of a Pod, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl Namespace {
    /// One whose label has its Pods injected.
    pub fn enabled(name: &str) -> Self {
        Self { name: name.to_owned(), labels: [(INJECT.to_owned(), ENABLED.to_owned())].into() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        let image = |name| format!("ghcr.io/byrnie/{name}:{}", env!("CARGO_PKG_VERSION"));
        let requests = [("cpu", "50m"), ("memory", "32Mi")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            namespace: "byrnie-system".to_owned(),
            init_image: image("byrnie-init"),
            proxy_image: image("byrnie-proxy"),
            envoy_image: "docker.io/envoyproxy/envoy:distroless-v1.40.0".to_owned(),
            image_pull_policy: "IfNotPresent".to_owned(),
            proxy: ProxyKind::Micro,
            resources: Resources { requests: requests.into(), limits: BTreeMap::new() },
            log_level: "info".to_owned(),
            pre_stop_delay: 5,
            rewrite_probes: true,
            allowed: Annotation::ALL.into(),
        }
    }
}
