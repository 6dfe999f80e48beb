//! Header edits of a route or of one of its backends.
//!
//! Whoever is nearer to the backend has the last word. Envoy applies the edits of a `ClusterWeight` before those of its
//! route, in both orders of `most_specific_header_mutations_wins`; so where a backend has edits those of the rule go
//! into each `ClusterWeight` too, and none are left at the route.

use std::sync::Arc;

use byrnie_model::route::{Filters, HeaderEdits, Rewrite};
use byrnie_proto::envoy::envoy::config::core::v3::{
    HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction,
};

/// Edits as they stand in a `Route` and in a `ClusterWeight`.
#[derive(Default)]
pub struct Edits {
    pub add: Vec<HeaderValueOption>,
    pub remove: Vec<String>,
}

/// Edits of requests. Envoy refuses a configuration that edits Host: a new one is a [`host`] rewrite, and it can't go.
pub fn of_requests(filters: &Filters) -> Edits {
    filters.request_headers.as_ref().map(edits).unwrap_or_default()
}

/// Edits of responses.
pub fn of_responses(filters: &Filters) -> Edits {
    filters.response_headers.as_ref().map(edits).unwrap_or_default()
}

/// The host that requests are given.
pub fn host(filters: &Filters) -> Option<&Arc<str>> {
    let rewritten = filters.rewrite.as_ref().and_then(|rewrite| rewrite.hostname.as_ref());
    let set = || filters.request_headers.iter().flat_map(|edits| &edits.set).find(|(name, _)| is_host(name));
    rewritten.or_else(|| set().map(|(_, host)| host))
}

/// What `inner` does after `outer`, as one.
pub fn joined(outer: &Filters, inner: &Filters) -> Filters {
    let rewrite =
        host(inner).or_else(|| host(outer)).map(|host| Rewrite { hostname: Some(Arc::clone(host)), path: None });
    Filters {
        request_headers: after(outer.request_headers.as_ref(), inner.request_headers.as_ref()),
        response_headers: after(outer.response_headers.as_ref(), inner.response_headers.as_ref()),
        rewrite,
        redirect: None,
    }
}

/// At one level Envoy removes, then sets, then adds: of a name that the later ones set or remove nothing else may stay.
fn after(outer: Option<&HeaderEdits>, inner: Option<&HeaderEdits>) -> Option<HeaderEdits> {
    let (Some(outer), Some(inner)) = (outer, inner) else { return outer.or(inner).cloned() };
    let decided = |name: &str| {
        let mut names = inner.set.iter().map(|(name, _)| name).chain(&inner.remove);
        names.any(|other| other.eq_ignore_ascii_case(name))
    };
    let stays = |(name, _): &&(Arc<str>, Arc<str>)| !decided(name);
    let removed = outer.remove.iter().filter(|name| !decided(name));
    Some(HeaderEdits {
        set: outer.set.iter().filter(stays).chain(&inner.set).cloned().collect(),
        add: outer.add.iter().filter(stays).chain(&inner.add).cloned().collect(),
        remove: removed.chain(&inner.remove).cloned().collect(),
    })
}

fn edits(edits: &HeaderEdits) -> Edits {
    let option = |(name, value): &(Arc<str>, Arc<str>), action: HeaderAppendAction| HeaderValueOption {
        // `%` starts a format specifier in a header's value (Envoy, "custom request headers").
        header: Some(HeaderValue { key: name.to_string(), value: value.replace('%', "%%"), ..Default::default() }),
        append_action: action.into(),
        keep_empty_value: true,
        ..Default::default()
    };
    let set = edits.set.iter().map(|edit| (edit, HeaderAppendAction::OverwriteIfExistsOrAdd));
    let add = edits.add.iter().map(|edit| (edit, HeaderAppendAction::AppendIfExistsOrAdd));
    let may_change = set.chain(add).filter(|((name, _), _)| !is_host(name));
    let may_go = edits.remove.iter().filter(|name| !is_host(name));
    Edits {
        add: may_change.map(|(edit, action)| option(edit, action)).collect(),
        remove: may_go.map(ToString::to_string).collect(),
    }
}

fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.starts_with(':')
}
