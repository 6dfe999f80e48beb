//! Header edits of a route or of one of its backends.

use std::sync::Arc;

use byrnie_model::route::{Filters, HeaderEdits};
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
