//! Retries: what is tried again, how often, and where.

use std::time::Duration;

use byrnie_model::{
    policy::{Backoff, Retry, RetryOn},
    route::RouteRetry,
};
use byrnie_proto::envoy::envoy::{
    config::route::v3::{
        HeaderMatcher, RetryPolicy,
        header_matcher::HeaderMatchSpecifier,
        retry_policy::{RetryBackOff, RetryHostPredicate, retry_host_predicate::ConfigType},
    },
    extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate,
};

use super::pack;
use crate::names;

/// Tries after the first, where nothing is said.
const ATTEMPTS: u32 = 2;
/// How often another endpoint is looked for before one that has failed this request is asked again. By least request an
/// endpoint that fails is chosen more often than others, since it has nothing to do.
const OTHER_HOST_ATTEMPTS: i64 = 32;
/// What is safe with any method: the application has not seen the request.
const SAFE: [&str; 3] = ["connect-failure", "refused-stream", "reset-before-request"];
/// A server's sidecar said that its application has not seen the request.
const MARKED: &str = "retriable-headers";
const BY_STATUS: &str = "retriable-status-codes";
/// The words that gRPC clients know (gRFC A44).
const GRPC: [&str; 5] = ["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"];

/// The retries of a route for Envoy: the route's own word, then the policy of the Service that was called, then the
/// safe default. `None` where neither a retry nor a limit of a try is wanted.
pub fn policy(route: Option<&RouteRetry>, traffic: Option<&Retry>, try_limit: Option<Duration>) -> Option<RetryPolicy> {
    let limit = try_limit.or(traffic.and_then(|retry| retry.per_try_timeout)).filter(|limit| !limit.is_zero());
    let attempts = attempts(route, traffic);
    if attempts == 0 {
        let limited = |limit| RetryPolicy {
            num_retries: pack::number(0),
            per_try_timeout: Some(pack::duration(limit)),
            ..Default::default()
        };
        return limit.map(limited);
    }
    let (mut words, codes) = conditions(route, traffic);
    words.push(MARKED);
    if !codes.is_empty() {
        words.push(BY_STATUS);
    }
    Some(RetryPolicy {
        retry_on: words.join(","),
        num_retries: pack::number(attempts),
        per_try_timeout: limit.map(pack::duration),
        retry_host_predicate: vec![another_host()],
        host_selection_retry_max_attempts: OTHER_HOST_ATTEMPTS,
        retriable_status_codes: codes,
        retriable_headers: vec![undelivered()],
        retry_back_off: backoff(route, traffic),
        ..Default::default()
    })
}

/// The retries of a route for gRPC, which knows a few words only and itself repeats what never left (gRFC A6).
/// `None` where the user asks for none of them.
pub fn grpc(route: Option<&RouteRetry>, traffic: Option<&Retry>) -> Option<RetryPolicy> {
    let attempts = attempts(route, traffic);
    let (words, _) = conditions(route, traffic);
    let known: Vec<_> = words.into_iter().filter(|word| GRPC.contains(word)).collect();
    (attempts > 0 && !known.is_empty()).then(|| RetryPolicy {
        retry_on: known.join(","),
        num_retries: pack::number(attempts),
        retry_back_off: backoff(route, traffic),
        ..Default::default()
    })
}

fn attempts(route: Option<&RouteRetry>, traffic: Option<&Retry>) -> u32 {
    match (route, traffic) {
        (Some(route), _) => route.attempts.unwrap_or(ATTEMPTS),
        (None, Some(traffic)) => traffic.attempts,
        (None, None) => ATTEMPTS,
    }
}

/// What is tried again, without the mark. A route's `retry` stands for every failure of the connection as well
/// (GEP-1731: disconnect, reset, timeout, TCP failure), which is Envoy's `reset`.
fn conditions<'a>(route: Option<&'a RouteRetry>, traffic: Option<&'a Retry>) -> (Vec<&'a str>, Vec<u32>) {
    match (route, traffic) {
        (Some(route), _) => {
            let words = vec!["connect-failure", "refused-stream", "reset"];
            (words, route.codes.iter().copied().map(u32::from).collect())
        }
        (None, Some(traffic)) if !traffic.on.is_empty() => {
            let word = |on: &'a RetryOn| match on {
                RetryOn::Condition(word) if ![MARKED, BY_STATUS].contains(&&**word) => Some(&**word),
                RetryOn::Condition(_) | RetryOn::Status(_) => None,
            };
            let code = |on: &RetryOn| match on {
                RetryOn::Status(code) => Some(u32::from(*code)),
                RetryOn::Condition(_) => None,
            };
            (traffic.on.iter().filter_map(word).collect(), traffic.on.iter().filter_map(code).collect())
        }
        _ => (SAFE.to_vec(), Vec::new()),
    }
}

/// Envoy wants a base above 0 and a longest pause not below it.
fn backoff(route: Option<&RouteRetry>, traffic: Option<&Retry>) -> Option<RetryBackOff> {
    let Backoff { base, max } = match route {
        Some(route) => route.backoff.map(|base| Backoff { base, max: None }),
        None => traffic.and_then(|retry| retry.backoff),
    }
    .filter(|backoff| !backoff.base.is_zero())?;
    Some(RetryBackOff {
        base_interval: Some(pack::duration(base)),
        max_interval: max.map(|max| pack::duration(max.max(base))),
    })
}

fn another_host() -> RetryHostPredicate {
    RetryHostPredicate {
        name: "envoy.retry_host_predicates.previous_hosts".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack::any(&PreviousHostsPredicate {}))),
    }
}

fn undelivered() -> HeaderMatcher {
    HeaderMatcher {
        name: names::UNDELIVERED.to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(true)),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests;
