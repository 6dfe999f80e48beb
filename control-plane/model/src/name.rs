//! Names, parsed once. `Display` and `FromStr` speak `NAMESPACE/NAME` (and `KIND/NAMESPACE/NAME` for routes).

use std::{fmt, str::FromStr, sync::Arc};

use crate::route::RouteKind;

/// A text that is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no {wanted} name: {accepted} is accepted")]
pub struct NameError {
    wanted: &'static str,
    accepted: &'static str,
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
                    _ => Err(NameError { wanted: $wanted, accepted: "NAMESPACE/NAME", found: text.to_owned() }),
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

impl FromStr for RouteName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let mut parts = text.split('/');
        let kind = parts.next().and_then(|kind| RouteKind::ALL.into_iter().find(|known| known.as_str() == kind));
        match (kind, parts.next(), parts.next(), parts.next()) {
            (Some(kind), Some(namespace), Some(name), None) if is_dns(namespace) && is_dns(name) => {
                Ok(Self::new(kind, namespace, name))
            }
            _ => Err(NameError {
                wanted: "route",
                accepted: "HTTPRoute/NAMESPACE/NAME or GRPCRoute/NAMESPACE/NAME",
                found: text.to_owned(),
            }),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_being_written_and_read() {
        let service: ServiceName = "shop/cart".parse().unwrap();
        assert_eq!(service.to_string(), "shop/cart");
        let route: RouteName = "GRPCRoute/shop/cart.v1".parse().unwrap();
        assert_eq!((route.kind, route.namespace(), route.name()), (RouteKind::Grpc, "shop", "cart.v1"));
        assert_eq!(route.to_string(), "GRPCRoute/shop/cart.v1");
    }

    #[test]
    fn what_is_no_name_is_refused_with_what_is_accepted() {
        for text in ["cart", "shop/", "/cart", "shop/cart/80", "Shop/cart", "shop/-cart", "shop/cart-", "shop/ca rt"] {
            assert!(text.parse::<ServiceName>().is_err(), "{text}");
        }
        let error = "cart".parse::<ServiceName>().unwrap_err();
        assert_eq!(error.to_string(), "\"cart\" is no service name: NAMESPACE/NAME is accepted");
        for text in ["shop/cart", "Service/shop/cart", "HTTPRoute/shop", "HTTPRoute/shop/cart/rule"] {
            let error = text.parse::<RouteName>().unwrap_err().to_string();
            assert!(error.ends_with("HTTPRoute/NAMESPACE/NAME or GRPCRoute/NAMESPACE/NAME is accepted"), "{error}");
        }
    }

    #[test]
    fn a_name_is_at_most_253_bytes_long() {
        assert!(is_dns(&"a".repeat(253)));
        assert!(!is_dns(&"a".repeat(254)));
        assert!(!is_dns(""));
    }
}
