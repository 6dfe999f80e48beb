//! `spec.injection` of MeshConfig.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use byrnie_model::{Injection, ProxyKind, ProxyResources, is_log_filter};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::{
    field::Cursor,
    objects::{
        annotation::{INJECTION, PREFIX, PROXY},
        quantity::Quantity,
        scalar::Span,
    },
};

/// A level, or levels by target.
const FILTER: &str = "^([A-Za-z0-9_:]+=)?(off|error|warn|info|debug|trace)\
                      (,([A-Za-z0-9_:]+=)?(off|error|warn|info|debug|trace))*$";
const LONGEST_FILTER: usize = 1024;
const LEVELS: &str = "off, error, warn, info, debug and trace are accepted, and by target as in info,byrnie_xds=debug";
const LONGEST_DELAY: Duration = Duration::from_secs(3600);
const DELAY: &str = "whole seconds from 0s to 1h are accepted";

/// The sidecars that are injected. What is left out is as the injector has it by itself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct InjectionSpec {
    /// The annotations by which a Pod may change what it gets, without byrnie.io/; a Pod that has another one of these is
    /// refused. An empty list allows none of them. Default: all of them
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    allowed_annotations: Option<Vec<Annotation>>,
    /// Which sidecar Pods get that do not say so. Default: micro
    proxy: Option<Proxy>,
    /// What the containers that are added ask for and may take, in place of the default as a whole. Default: requests of
    /// 50m of CPU and 32Mi of memory
    proxy_resources: Option<Resources>,
    /// What the sidecar logs: a level (off, error, warn, info, debug or trace), also by target as in
    /// info,byrnie_xds=debug. Default: info
    #[schemars(length(min = 1, max = LONGEST_FILTER), regex(pattern = FILTER))]
    log_level: Option<String>,
    /// How long the application goes on serving when its Pod is deleted, so that callers learn of it; whole seconds, up
    /// to 1h, and 0s is no delay. Default: 5s
    pre_stop_delay: Option<Span>,
    /// Whether HTTP, gRPC and TCP probes are led to the sidecar, so that they hold where callers must prove who they are.
    /// Default: true
    rewrite_probes: Option<bool>,
}

/// The name of an annotation, without byrnie.io/.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Annotation(&'static str);

/// Which sidecar.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Proxy {
    /// Byrnie's own.
    Micro,
    /// Envoy, with an agent beside it.
    Envoy,
}

/// What the containers that are added ask for and may take.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Resources {
    /// What the node keeps for each.
    #[serde(default)]
    requests: Quantities,
    /// The most that each may take, not below what it asks for.
    #[serde(default)]
    limits: Quantities,
}

/// Quantities by resource.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Quantities {
    /// Of CPU, such as 100m.
    cpu: Option<Quantity>,
    /// Of memory, such as 64Mi.
    memory: Option<Quantity>,
}

impl InjectionSpec {
    pub(super) fn read(&self, at: Cursor<'_>) -> Injection {
        if let Some(filter) =
            self.log_level.as_deref().filter(|filter| filter.len() > LONGEST_FILTER || !is_log_filter(filter))
        {
            at.key("logLevel").refuse(format!("{filter:?} is no filter: {LEVELS}"));
        }
        let pre_stop_delay = self.pre_stop_delay.map(|span| span.0);
        if let Some(delay) = pre_stop_delay.filter(|delay| delay.subsec_nanos() > 0 || *delay > LONGEST_DELAY) {
            at.key("preStopDelay").refuse(format!("{delay:?} is too long or not whole: {DELAY}"));
        }
        Injection {
            allowed_annotations: self.allowed(at.key("allowedAnnotations")),
            proxy: self.proxy.map(|proxy| match proxy {
                Proxy::Micro => ProxyKind::Micro,
                Proxy::Envoy => ProxyKind::Envoy,
            }),
            resources: self.proxy_resources.as_ref().map(|resources| resources.read(at.key("proxyResources"))),
            log_level: self.log_level.as_deref().map(Into::into),
            pre_stop_delay,
            rewrite_probes: self.rewrite_probes,
        }
    }

    fn allowed(&self, at: Cursor<'_>) -> Option<BTreeSet<Box<str>>> {
        let names = self.allowed_annotations.as_ref()?;
        let mut allowed = BTreeSet::new();
        for (index, Annotation(name)) in names.iter().enumerate() {
            if !allowed.insert((*name).into()) {
                at.index(index).refuse("is there twice");
            }
        }
        Some(allowed)
    }
}

impl Resources {
    fn read(&self, at: Cursor<'_>) -> ProxyResources {
        let limits_at = at.key("limits");
        let pairs =
            [("cpu", &self.requests.cpu, &self.limits.cpu), ("memory", &self.requests.memory, &self.limits.memory)];
        for (name, request, limit) in pairs {
            if let (Some(request), Some(limit)) = (request, limit)
                && limit.0.is_below(&request.0)
            {
                let (limit, request) = (limit.0.text(), request.0.text());
                limits_at.key(name).refuse(format!("{limit} is below requests.{name}, {request}"));
            }
        }
        ProxyResources { requests: self.requests.read(), limits: self.limits.read() }
    }
}

impl Quantities {
    fn read(&self) -> BTreeMap<Box<str>, Box<str>> {
        let given = [("cpu", &self.cpu), ("memory", &self.memory)];
        given
            .into_iter()
            .filter_map(|(name, quantity)| Some((name.into(), quantity.as_ref()?.0.text().into())))
            .collect()
    }
}

impl Annotation {
    fn all() -> impl Iterator<Item = &'static str> {
        [PROXY].into_iter().chain(INJECTION).map(|name| name.trim_start_matches(PREFIX))
    }
}

impl<'de> Deserialize<'de> for Annotation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Box::<str>::deserialize(deserializer)?;
        Self::all().find(|known| **known == *name).map(Self).ok_or_else(|| {
            let known = Self::all().collect::<Vec<_>>().join(", ");
            de::Error::custom(format!("{name:?} is no annotation of the injection: {known} are accepted"))
        })
    }
}

impl JsonSchema for Annotation {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Annotation".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "The name of an annotation, without byrnie.io/.",
            "enum": Self::all().collect::<Vec<_>>(),
        })
    }
}
