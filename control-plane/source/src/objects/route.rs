//! Routes of Gateway API v1.6: every field of the experimental channel is known, every rule of the CRDs' schema and
//! CEL is kept, and what Byrnie does not honour is listed in [`byrnie_model::route::Rule::unsupported`].

mod filter;
pub(crate) mod grpc;
pub(crate) mod http;
mod reference;
mod value;

use serde::Deserialize;

use super::scalar::Span;

/// `sessionPersistence` (GEP-1619): read to be told apart from a slip, not honoured.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code)]
struct SessionPersistence {
    session_name: Option<String>,
    absolute_timeout: Option<Span>,
    #[serde(rename = "type")]
    kind: Option<PersistenceKind>,
    cookie_config: Option<CookieConfig>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum PersistenceKind {
    Cookie,
    Header,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code)]
struct CookieConfig {
    lifetime_type: Option<CookieLifetime>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum CookieLifetime {
    Permanent,
    Session,
}

#[cfg(test)]
mod tests;
