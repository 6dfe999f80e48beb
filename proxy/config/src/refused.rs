//! Why a resource is not taken.

/// A field that cannot be honoured, for a NACK. The text names the field by its path, what was found, and what is
/// accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Refused {
    /// `filter_chains[0].filters[1].typed_config.route_config.virtual_hosts[0].routes[3].route.hash_policy`.
    pub path: String,
    /// `not supported`, or what is wrong with the value and what is accepted.
    pub problem: String,
}
