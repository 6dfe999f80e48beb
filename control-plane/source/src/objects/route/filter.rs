//! Filters of rules and backends.

use std::{fmt, sync::Arc};

use byrnie_model::route::{Filters, HeaderEdits, PathChange, Redirect, Rewrite};
use serde::Deserialize;

use super::reference::ObjectReference;
use crate::{
    field::Cursor,
    objects::{
        check,
        scalar::{Bounded, Percent, Port},
    },
};

/// One of `filters` of an HTTPRoute.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HttpFilter {
    #[serde(rename = "type")]
    kind: HttpFilterKind,
    request_header_modifier: Option<HeaderFilter>,
    response_header_modifier: Option<HeaderFilter>,
    request_mirror: Option<Mirror>,
    request_redirect: Option<RequestRedirect>,
    url_rewrite: Option<UrlRewrite>,
    cors: Option<Cors>,
    external_auth: Option<ExternalAuth>,
    extension_ref: Option<LocalReference>,
}

/// One of `filters` of a GRPCRoute.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct GrpcFilter {
    #[serde(rename = "type")]
    kind: GrpcFilterKind,
    request_header_modifier: Option<HeaderFilter>,
    response_header_modifier: Option<HeaderFilter>,
    request_mirror: Option<Mirror>,
    extension_ref: Option<LocalReference>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum HttpFilterKind {
    RequestHeaderModifier,
    ResponseHeaderModifier,
    RequestMirror,
    RequestRedirect,
    #[serde(rename = "URLRewrite")]
    UrlRewrite,
    #[serde(rename = "CORS")]
    Cors,
    ExternalAuth,
    ExtensionRef,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum GrpcFilterKind {
    RequestHeaderModifier,
    ResponseHeaderModifier,
    RequestMirror,
    ExtensionRef,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderFilter {
    #[serde(default)]
    set: Vec<Header>,
    #[serde(default)]
    add: Vec<Header>,
    #[serde(default)]
    remove: Vec<Arc<str>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    name: Arc<str>,
    value: Arc<str>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PathModifier {
    #[serde(rename = "type")]
    kind: PathModifierKind,
    replace_full_path: Option<Arc<str>>,
    replace_prefix_match: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum PathModifierKind {
    ReplaceFullPath,
    ReplacePrefixMatch,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RequestRedirect {
    scheme: Option<Scheme>,
    hostname: Option<Arc<str>>,
    path: Option<PathModifier>,
    port: Option<Port>,
    status_code: Option<Bounded<301, 308>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scheme {
    Http,
    Https,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UrlRewrite {
    hostname: Option<Arc<str>>,
    path: Option<PathModifier>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Mirror {
    backend_ref: ObjectReference,
    percent: Option<Percent>,
    fraction: Option<Fraction>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fraction {
    numerator: Bounded<0, { i32::MAX as i64 }>,
    denominator: Option<Bounded<1, { i32::MAX as i64 }>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code)]
struct Cors {
    #[serde(default)]
    allow_origins: Vec<String>,
    allow_credentials: Option<bool>,
    #[serde(default)]
    allow_methods: Vec<String>,
    #[serde(default)]
    allow_headers: Vec<String>,
    #[serde(default)]
    expose_headers: Vec<String>,
    max_age: Option<Bounded<1, { i32::MAX as i64 }>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code)]
struct ExternalAuth {
    protocol: ExternalAuthProtocol,
    backend_ref: ObjectReference,
    grpc: Option<AuthHeaders>,
    http: Option<AuthHeaders>,
    forward_body: Option<ForwardBody>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum ExternalAuthProtocol {
    Http,
    Grpc,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code)]
struct AuthHeaders {
    path: Option<String>,
    #[serde(default)]
    allowed_headers: Vec<String>,
    #[serde(default)]
    allowed_response_headers: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code)]
struct ForwardBody {
    max_size: Option<Bounded<0, 65_535>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct LocalReference {
    group: String,
    kind: String,
    name: String,
}

/// Where filters stand: some cannot be honoured for one backend alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Rule,
    Backend,
}

/// What a list of filters asks for. `unsupported` gets what is not honoured, below `prefix`.
pub(super) fn read(
    filters: &[HttpFilter],
    scope: Scope,
    prefix: &str,
    unsupported: &mut Vec<String>,
    at: Cursor<'_>,
) -> Filters {
    at.at_most(filters.len(), 16);
    let mut read = Filters::default();
    let has = |kind| filters.iter().any(|filter| filter.kind == kind);
    if has(HttpFilterKind::RequestRedirect) && has(HttpFilterKind::UrlRewrite) {
        at.refuse("RequestRedirect and URLRewrite cannot be used together");
    }
    for (index, filter) in filters.iter().enumerate() {
        let at = at.index(index);
        filter.check_union(at);
        let is_repeated = filters[..index].iter().any(|earlier| earlier.kind == filter.kind);
        if is_repeated && !matches!(filter.kind, HttpFilterKind::RequestMirror | HttpFilterKind::ExtensionRef) {
            at.key("type").refuse(format!("{} cannot be repeated", filter.kind));
        }
        let mut refuse = |field: &str| unsupported.push(format!("{prefix}filters[{index}].{field}"));
        if let Some(headers) = &filter.request_header_modifier {
            read.request_headers = Some(headers.read(at.key("requestHeaderModifier"), |field| {
                refuse(&format!("requestHeaderModifier.{field}"));
            }));
        }
        if let Some(headers) = &filter.response_header_modifier {
            // A response has no Host that would have to stay as it is.
            read.response_headers = Some(headers.read(at.key("responseHeaderModifier"), |_| ()));
        }
        match (&filter.request_redirect, scope) {
            (Some(redirect), Scope::Rule) => read.redirect = Some(redirect.read(at.key("requestRedirect"))),
            (Some(redirect), Scope::Backend) => {
                redirect.read(at.key("requestRedirect"));
                refuse("type: RequestRedirect");
            }
            (None, _) => {}
        }
        if let Some(rewrite) = &filter.url_rewrite {
            let mut rewrite = rewrite.read(at.key("urlRewrite"));
            if scope == Scope::Backend && rewrite.path.take().is_some() {
                refuse("urlRewrite.path: given for one backend");
            }
            read.rewrite = Some(rewrite);
        }
        if let Some(mirror) = &filter.request_mirror {
            mirror.check(at.key("requestMirror"));
        }
        if let HttpFilterKind::RequestMirror
        | HttpFilterKind::Cors
        | HttpFilterKind::ExternalAuth
        | HttpFilterKind::ExtensionRef = filter.kind
        {
            refuse(&format!("type: {}", filter.kind));
        }
    }
    read
}

impl HttpFilter {
    /// The filter that uses a prefix of the match, and whose rule must therefore match by one prefix alone.
    pub(super) fn replaces_prefix(&self) -> Option<&'static str> {
        let is_prefix = |path: &Option<PathModifier>| {
            path.as_ref().is_some_and(|path| path.kind == PathModifierKind::ReplacePrefixMatch)
        };
        match (&self.request_redirect, &self.url_rewrite) {
            (Some(redirect), _) if is_prefix(&redirect.path) => Some("requestRedirect"),
            (_, Some(rewrite)) if is_prefix(&rewrite.path) => Some("urlRewrite"),
            _ => None,
        }
    }

    /// `type` and the one field that it names must agree.
    fn check_union(&self, at: Cursor<'_>) {
        use HttpFilterKind as Kind;
        let fields = [
            (Kind::RequestHeaderModifier, "requestHeaderModifier", self.request_header_modifier.is_some()),
            (Kind::ResponseHeaderModifier, "responseHeaderModifier", self.response_header_modifier.is_some()),
            (Kind::RequestMirror, "requestMirror", self.request_mirror.is_some()),
            (Kind::RequestRedirect, "requestRedirect", self.request_redirect.is_some()),
            (Kind::UrlRewrite, "urlRewrite", self.url_rewrite.is_some()),
            (Kind::Cors, "cors", self.cors.is_some()),
            (Kind::ExternalAuth, "externalAuth", self.external_auth.is_some()),
            (Kind::ExtensionRef, "extensionRef", self.extension_ref.is_some()),
        ];
        for (kind, field, is_there) in fields {
            if kind == self.kind && !is_there {
                at.key(field).refuse(format!("is missing: a filter of type {kind} needs it"));
            }
            if kind != self.kind && is_there {
                at.key(field).refuse(format!("must not be there: the filter's type is {}, not {kind}", self.kind));
            }
        }
    }
}

impl From<GrpcFilter> for HttpFilter {
    fn from(filter: GrpcFilter) -> Self {
        Self {
            kind: match filter.kind {
                GrpcFilterKind::RequestHeaderModifier => HttpFilterKind::RequestHeaderModifier,
                GrpcFilterKind::ResponseHeaderModifier => HttpFilterKind::ResponseHeaderModifier,
                GrpcFilterKind::RequestMirror => HttpFilterKind::RequestMirror,
                GrpcFilterKind::ExtensionRef => HttpFilterKind::ExtensionRef,
            },
            request_header_modifier: filter.request_header_modifier,
            response_header_modifier: filter.response_header_modifier,
            request_mirror: filter.request_mirror,
            request_redirect: None,
            url_rewrite: None,
            cors: None,
            external_auth: None,
            extension_ref: filter.extension_ref,
        }
    }
}

impl HeaderFilter {
    /// The edits. Those of `Host` go to `unsupported`: it is changed by URLRewrite, and no proxy edits it as a header.
    fn read(&self, at: Cursor<'_>, mut unsupported: impl FnMut(&str)) -> HeaderEdits {
        let mut edits = HeaderEdits::default();
        for (field, found, into) in [("set", &self.set, &mut edits.set), ("add", &self.add, &mut edits.add)] {
            let at = at.key(field);
            at.at_most(found.len(), 16);
            for (index, header) in found.iter().enumerate() {
                let at = at.index(index);
                check_header(
                    &header.name,
                    found[..index].iter().any(|earlier| earlier.name == header.name),
                    at.key("name"),
                );
                if !is_header_value(&header.value) {
                    at.key("value")
                        .refuse("is no header value: 1 to 4096 bytes without control characters are accepted");
                }
                match is_host(&header.name) {
                    true => unsupported(&format!("{field}[{index}].name: {}", header.name)),
                    false => into.push((header.name.clone(), header.value.clone())),
                }
            }
        }
        let at = at.key("remove");
        at.at_most(self.remove.len(), 16);
        for (index, name) in self.remove.iter().enumerate() {
            check_header(name, self.remove[..index].contains(name), at.index(index));
            match is_host(name) {
                true => unsupported(&format!("remove[{index}]: {name}")),
                false => edits.remove.push(name.clone()),
            }
        }
        edits
    }
}

impl RequestRedirect {
    fn read(&self, at: Cursor<'_>) -> Redirect {
        let status = self.status_code.map_or(302, Bounded::get);
        if matches!(status, 304..=306) {
            at.key("statusCode").refuse(format!("{status} is no redirect: 301, 302, 303, 307 or 308 is accepted"));
        }
        Redirect {
            scheme: self.scheme.map(|scheme| match scheme {
                Scheme::Http => "http".into(),
                Scheme::Https => "https".into(),
            }),
            hostname: hostname(&self.hostname, at),
            path: self.path.as_ref().and_then(|path| path.read(at.key("path"))),
            port: self.port.map(Port::number),
            status: u16::try_from(status).expect("bounded by its type"),
        }
    }
}

impl UrlRewrite {
    fn read(&self, at: Cursor<'_>) -> Rewrite {
        Rewrite {
            hostname: hostname(&self.hostname, at),
            path: self.path.as_ref().and_then(|path| path.read(at.key("path"))),
        }
    }
}

impl PathModifier {
    fn read(&self, at: Cursor<'_>) -> Option<PathChange> {
        let (name, field, other_name, other) = match self.kind {
            PathModifierKind::ReplaceFullPath => {
                ("replaceFullPath", &self.replace_full_path, "replacePrefixMatch", &self.replace_prefix_match)
            }
            PathModifierKind::ReplacePrefixMatch => {
                ("replacePrefixMatch", &self.replace_prefix_match, "replaceFullPath", &self.replace_full_path)
            }
        };
        if other.is_some() {
            at.key(other_name).refuse(format!("must not be there: the type is {:?}", self.kind));
        }
        let Some(path) = field else {
            at.key(name).refuse(format!("is missing: type {:?} needs it", self.kind));
            return None;
        };
        if path.len() > 1024 {
            at.key(name).refuse(format!("found {} bytes, at most 1024 are accepted", path.len()));
        }
        if path.chars().any(|c| c.is_control() || c.is_whitespace()) {
            at.key(name).refuse(format!("{path:?} is no path: it has white space or control characters"));
        }
        Some(match self.kind {
            PathModifierKind::ReplaceFullPath => PathChange::Full(path.clone()),
            PathModifierKind::ReplacePrefixMatch => PathChange::Prefix(path.clone()),
        })
    }
}

impl Mirror {
    fn check(&self, at: Cursor<'_>) {
        self.backend_ref.check(at.key("backendRef"));
        if self.percent.is_some() && self.fraction.is_some() {
            at.refuse("only one of percent and fraction may be given");
        }
        if let Some(fraction) = self.fraction
            && fraction.numerator.get() > fraction.denominator.map_or(100, Bounded::get)
        {
            at.key("fraction").refuse("the numerator must not be greater than the denominator");
        }
    }
}

fn hostname(found: &Option<Arc<str>>, at: Cursor<'_>) -> Option<Arc<str>> {
    if let Some(host) = found.as_deref().filter(|host| !check::is_dns_subdomain(host)) {
        at.key("hostname").refuse(format!("{host:?} is no host name: a DNS name without port or wildcard is accepted"));
    }
    found.clone()
}

fn check_header(name: &str, is_repeated: bool, at: Cursor<'_>) {
    if !check::is_header_name(name) {
        at.refuse(check::not_a_header(name));
    }
    if is_repeated {
        at.refuse(format!("{name:?} is there twice"));
    }
}

fn is_header_value(value: &str) -> bool {
    (1..=4096).contains(&value.len()) && !value.chars().any(|c| c.is_control() && c != '\t')
}

fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host")
}

impl fmt::Display for HttpFilterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UrlRewrite => f.write_str("URLRewrite"),
            Self::Cors => f.write_str("CORS"),
            other => write!(f, "{other:?}"),
        }
    }
}
