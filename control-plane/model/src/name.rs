//! Names, parsed once. `Display` and `FromStr` speak `NAMESPACE/NAME` (and `KIND/NAMESPACE/NAME` for routes).

use std::{fmt, str::FromStr, sync::Arc};

use crate::route::RouteKind;

/// A text that is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no {wanted} name: NAMESPACE/NAME is accepted")]
pub struct NameError {
    wanted: &'static str,
    found: String,
}

macro_rules! namespaced_name {
    ($(#[$doc:meta])* $name:ident, $wanted:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            namespace: Arc<str>,
            name: Arc<str>,
        }

        impl $name {
            /// The object `name` in `namespace`; the caller has checked both as Kubernetes names.
            pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
                Self { namespace: namespace.into(), name: name.into() }
            }

            /// The namespace.
            pub fn namespace(&self) -> &str {
                &self.namespace
            }

            /// The name within the namespace.
            pub fn name(&self) -> &str {
                &self.name
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                match text.split_once('/') {
                    Some((namespace, name)) if is_dns(namespace) && is_dns(name) => Ok(Self::new(namespace, name)),
                    _ => Err(NameError { wanted: $wanted, found: text.to_owned() }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}/{}", self.namespace, self.name)
            }
        }
    };
}

namespaced_name! {
    /// A Service: `shop/cart`.
    ServiceName, "service"
}

namespaced_name! {
    /// A workload, which is a Pod: `shop/cart-7d9f`.
    WorkloadName, "workload"
}

namespaced_name! {
    /// A TrafficPolicy or a PeerPolicy.
    PolicyName, "policy"
}

/// A route object: HTTPRoute and GRPCRoute may share a name, so the kind is part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteName {
    /// Which kind of route.
    pub kind: RouteKind,
    namespace: Arc<str>,
    name: Arc<str>,
}

impl RouteName {
    /// The route `name` of `kind` in `namespace`.
    pub fn new(kind: RouteKind, namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name within the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for RouteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

/// A DNS subdomain in the sense of Kubernetes (RFC 1123, at most 253 bytes).
pub(crate) fn is_dns(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.len() <= 253 && edge(text.bytes().next()) && edge(text.bytes().last()) && text.bytes().all(inner)
}
