use crate::route::{Filters, Rule};

/// Why a rule is dropped: honouring a part of it would do something that its author did not ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The spec's reason.
    pub(super) reason: &'static str,
    /// What is at fault: fields relative to the rule, with what was found.
    pub(super) faults: Vec<String>,
}

/// Whether the rule takes effect.
pub(crate) fn is_honoured(rule: &Rule) -> bool {
    refusal(rule).is_none()
}

/// Why the rule takes no effect.
pub(super) fn refusal(rule: &Rule) -> Option<Refusal> {
    let incompatible = incompatible(rule);
    let unsupported = || rule.unsupported.iter().cloned().chain(idle_backends(rule));
    let reason = match (incompatible.is_empty(), unsupported().next()) {
        (true, None) => return None,
        (false, None) => "IncompatibleFilters",
        (_, Some(_)) => "UnsupportedValue",
    };
    Some(Refusal { reason, faults: unsupported().chain(incompatible).collect() })
}

/// Gateway API, HTTPRouteRule.filters: URLRewrite and RequestRedirect may not be combined.
fn incompatible(rule: &Rule) -> Vec<String> {
    let both = |filters: &Filters| filters.redirect.is_some() && filters.rewrite.is_some();
    let text = |at: &str| format!("{at}: RequestRedirect beside URLRewrite; one of the two is accepted");
    let of_backends = rule.backends.iter().enumerate().filter(|(_, backend)| both(&backend.filters));
    both(&rule.filters)
        .then(|| text("filters"))
        .into_iter()
        .chain(of_backends.map(|(index, _)| text(&format!("backendRefs[{index}].filters"))))
        .collect()
}

/// A redirect leaves nothing for backends to do (the CEL rule of HTTPRouteRule).
fn idle_backends(rule: &Rule) -> Option<String> {
    (rule.filters.redirect.is_some() && !rule.backends.is_empty())
        .then(|| "backendRefs: given beside RequestRedirect; one of the two is accepted".to_owned())
}
