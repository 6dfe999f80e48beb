//! Routes as the user wrote them, checked value by value; what they mean together is in [`crate::attach`] and
//! [`crate::resolve`]. Field names follow Gateway API v1.6 (HTTPRoute, GRPCRoute).

use std::{fmt, sync::Arc, time::Duration};

use crate::{Origin, RouteName, ServiceName};

/// Which kind of route. The order is GAMMA's precedence between kinds on one parent: GRPCRoute wins over HTTPRoute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum RouteKind {
    Grpc,
    Http,
}

/// An HTTPRoute or a GRPCRoute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Kind, namespace and name.
    pub name: RouteName,
    /// The object.
    pub origin: Origin,
    /// `metadata.creationTimestamp` in Unix seconds; `i64::MAX` where the object has none, so that it ranks last.
    pub created: i64,
    /// `spec.parentRefs`
    pub parents: Vec<ParentRef>,
    /// `spec.rules`
    pub rules: Vec<Rule>,
}

/// One of `spec.parentRefs`, as written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParentRef {
    /// API group; empty = core, and `gateway.networking.k8s.io` where the object says nothing.
    pub group: Arc<str>,
    /// `Service` for the mesh; `Gateway` where the object says nothing.
    pub kind: Arc<str>,
    /// Its namespace, the route's own where the object says nothing.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Only this port of the Service.
    pub port: Option<u16>,
    /// Only the port of the Service that has this name (Gateway API, `ParentReference.sectionName`).
    pub section_name: Option<Arc<str>>,
}

/// One of `spec.rules`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// `name`
    pub name: Option<Arc<str>>,
    /// Alternatives; never empty (a rule without matches has one that takes all).
    pub matches: Vec<Match>,
    /// What is done to each request and response.
    pub filters: Filters,
    /// Where requests go, by weight.
    pub backends: Vec<Backend>,
    /// `timeouts.request`; `Some(ZERO)` = no limit.
    pub request_timeout: Option<Duration>,
    /// `timeouts.backendRequest`; `Some(ZERO)` = no limit.
    pub backend_timeout: Option<Duration>,
    /// `retry`
    pub retry: Option<RouteRetry>,
    /// Values that Byrnie does not honour; the parent's `Accepted` says so with reason `UnsupportedValue`.
    /// Each is `field: what was found`, as in `filters[0].type: RequestMirror`.
    pub unsupported: Vec<String>,
}

/// All conditions hold at once. Empty lists and `None` take everything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Match {
    /// The path, or the gRPC method as a path.
    pub path: PathMatch,
    /// The HTTP method.
    pub method: Option<Arc<str>>,
    /// Names are lower case, each once (the first of a repeated name counts).
    pub headers: Vec<ValueMatch>,
    /// Names are as written, each once.
    pub query: Vec<ValueMatch>,
}

/// How a path is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathMatch {
    /// The whole path.
    Exact(Arc<str>),
    /// By whole segments: `/a` takes `/a` and `/a/b`, not `/ab`. Without a trailing slash, except `/`.
    Prefix(Arc<str>),
    /// The whole path, RE2 syntax.
    Regex(Arc<str>),
    /// A gRPC method: `/SERVICE/METHOD`; either may be anything.
    Grpc {
        /// The fully qualified service.
        service: Option<NameMatch>,
        /// The method.
        method: Option<NameMatch>,
    },
}

/// How a part of a gRPC path is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum NameMatch {
    Exact(Arc<str>),
    Regex(Arc<str>),
}

/// A header or query parameter that must be there with a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueMatch {
    /// Its name.
    pub name: Arc<str>,
    /// How its value is compared.
    pub value: NameMatch,
}

/// Filters of a rule or of one backend; each at most once, as Gateway API demands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// `requestHeaderModifier`
    pub request_headers: Option<HeaderEdits>,
    /// `responseHeaderModifier`
    pub response_headers: Option<HeaderEdits>,
    /// `requestRedirect`: answered by the proxy, no backend is called.
    pub redirect: Option<Redirect>,
    /// `urlRewrite`
    pub rewrite: Option<Rewrite>,
}

/// Changes to headers: `set` replaces, `add` appends, `remove` removes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct HeaderEdits {
    pub set: Vec<(Arc<str>, Arc<str>)>,
    pub add: Vec<(Arc<str>, Arc<str>)>,
    pub remove: Vec<Arc<str>>,
}

/// `requestRedirect`; what is `None` stays as the request has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// `http` or `https`
    pub scheme: Option<Arc<str>>,
    /// The new host.
    pub hostname: Option<Arc<str>>,
    /// The new path.
    pub path: Option<PathChange>,
    /// The new port. `None`: the well-known port of a given scheme, else the request's own.
    pub port: Option<u16>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// `urlRewrite`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// The new Host.
    pub hostname: Option<Arc<str>>,
    /// The new path.
    pub path: Option<PathChange>,
}

/// A new path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathChange {
    /// `ReplaceFullPath`
    Full(Arc<str>),
    /// `ReplacePrefixMatch`: only beside a [`PathMatch::Prefix`], checked at the edge.
    Prefix(Arc<str>),
}

/// One of `backendRefs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// What it names.
    pub target: BackendTarget,
    /// Its share; 0 takes nothing.
    pub weight: u32,
    /// Done only to what goes to this backend.
    pub filters: Filters,
}

/// What a backendRef names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendTarget {
    /// A Service and, where given, its port (which Gateway API demands for a Service).
    Service(ServiceName, Option<u16>),
    /// A kind that Byrnie does not know as backend: `GROUP/KIND`.
    Other(Arc<str>),
}

/// `retry` of HTTPRoute (GEP-1731).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRetry {
    /// Status codes that are tried again, besides connection failures.
    pub codes: Vec<u16>,
    /// Tries after the first.
    pub attempts: Option<u32>,
    /// The least pause between tries.
    pub backoff: Option<Duration>,
}

impl Default for Match {
    /// Takes every request.
    fn default() -> Self {
        Self { path: PathMatch::Prefix("/".into()), method: None, headers: Vec::new(), query: Vec::new() }
    }
}

impl RouteKind {
    /// All kinds, the most specific first.
    pub const ALL: [Self; 2] = [Self::Grpc, Self::Http];

    /// The kind as it is written in YAML.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "GRPCRoute",
            Self::Http => "HTTPRoute",
        }
    }
}

impl fmt::Display for RouteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ParentRef {
    /// The Service it names, where it names one.
    pub fn service(&self) -> Option<ServiceName> {
        (self.group.is_empty() && &*self.kind == "Service")
            .then(|| ServiceName::new(self.namespace.clone(), self.name.clone()))
    }
}

impl Route {
    /// The Services named as backends, with repetitions.
    pub fn backend_services(&self) -> impl Iterator<Item = &ServiceName> {
        self.rules.iter().flat_map(|rule| &rule.backends).filter_map(|backend| match &backend.target {
            BackendTarget::Service(name, _) => Some(name),
            BackendTarget::Other(_) => None,
        })
    }
}
