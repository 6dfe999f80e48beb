use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What MeshConfig says of the sidecars that are injected. What it leaves out is as the injector has it by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Injection {
    /// The annotations by which Pods may change it, without `byrnie.io/`; `None`: all of them.
    pub allowed_annotations: Option<BTreeSet<Box<str>>>,
    /// Which sidecar.
    pub proxy: Option<ProxyKind>,
    /// What the containers that are added ask for and may take, in place of the default as a whole.
    pub resources: Option<ProxyResources>,
    /// What the sidecar logs.
    pub log_level: Option<Box<str>>,
    /// How long an application goes on serving when its Pod is deleted; whole seconds, at most an hour.
    pub pre_stop_delay: Option<Duration>,
    /// Whether probes are led to the sidecar.
    pub rewrite_probes: Option<bool>,
}

/// What a sidecar can log by itself, without a target.
pub const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Whether a text is what a sidecar's `--log` takes: levels, and levels by target, as in `info,byrnie_xds=debug`.
pub fn is_log_filter(text: &str) -> bool {
    let is_target = |target: &str| target.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'));
    text.split(',').all(|part| match part.split_once('=') {
        None => LOG_LEVELS.contains(&part),
        Some((target, level)) => !target.is_empty() && is_target(target) && LOG_LEVELS.contains(&level),
    })
}

/// Which sidecar a Pod has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// Byrnie's own.
    Micro,
    /// Envoy, with an agent beside it.
    Envoy,
}

/// Quantities by resource: `cpu`, `memory`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyResources {
    /// What the node keeps for each container.
    pub requests: BTreeMap<Box<str>, Box<str>>,
    /// The most that each may take.
    pub limits: BTreeMap<Box<str>, Box<str>>,
}
