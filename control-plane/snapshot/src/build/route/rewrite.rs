//! Changes to paths and redirects (Gateway API: HTTPPathModifier, HTTPRequestRedirectFilter).

use byrnie_model::route::{PathChange, PathMatch, Redirect};
use byrnie_proto::envoy::envoy::{
    config::route::v3::{
        RedirectAction, RouteAction,
        redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier},
    },
    r#type::matcher::v3::RegexMatchAndSubstitute,
};

use super::matches::quote;
use crate::build::pack;

/// How Envoy is told to change a path; the query stays.
#[derive(Debug, PartialEq)]
pub enum NewPath {
    /// Not at all.
    Same,
    /// What was matched is replaced.
    Prefix(String),
    /// What the regex takes is replaced.
    Regex(RegexMatchAndSubstitute),
}

/// Sets the path change of requests that are forwarded.
pub fn forwarded(action: &mut RouteAction, change: &PathChange, matched: &PathMatch) {
    let new = match change {
        PathChange::Full(path) => substitution("^.*$".to_owned(), path),
        PathChange::Prefix(prefix) => replaced_prefix(prefix, matched),
    };
    match new {
        NewPath::Same => {}
        NewPath::Prefix(prefix) => action.prefix_rewrite = prefix,
        NewPath::Regex(regex) => action.regex_rewrite = Some(regex),
    }
}

/// The redirect of requests to `port` of a Service.
pub fn redirect(redirect: &Redirect, matched: &PathMatch, port: u16) -> RedirectAction {
    let mut action = RedirectAction {
        host_redirect: redirect.hostname.as_deref().unwrap_or_default().to_owned(),
        port_redirect: redirect_port(redirect, port).into(),
        scheme_rewrite_specifier: redirect
            .scheme
            .as_ref()
            .map(|scheme| SchemeRewriteSpecifier::SchemeRedirect(scheme.to_string())),
        path_rewrite_specifier: redirect.path.as_ref().and_then(|change| redirected_path(change, matched)),
        ..Default::default()
    };
    action.set_response_code(match redirect.status {
        301 => RedirectResponseCode::MovedPermanently,
        303 => RedirectResponseCode::SeeOther,
        307 => RedirectResponseCode::TemporaryRedirect,
        308 => RedirectResponseCode::PermanentRedirect,
        _ => RedirectResponseCode::Found,
    });
    action
}

/// `redirect.port`, else the well-known port of a given scheme, else the port that was called. 0 leaves the URL
/// without a port where the host is given, and with the port of the request's Host where it is not: so a well-known
/// port is left out beside a given host, and written down otherwise.
fn redirect_port(redirect: &Redirect, called: u16) -> u16 {
    let well_known = match redirect.scheme.as_deref() {
        Some("https") => 443,
        // Requests that can be redirected came in plain text.
        _ => 80,
    };
    let port = match (redirect.port, &redirect.scheme, &redirect.hostname) {
        (Some(port), _, _) => port,
        (None, Some(_), _) => well_known,
        (None, None, Some(_)) => called,
        (None, None, None) => return 0,
    };
    if redirect.hostname.is_some() && port == well_known { 0 } else { port }
}

fn redirected_path(change: &PathChange, matched: &PathMatch) -> Option<PathRewriteSpecifier> {
    match change {
        PathChange::Full(path) => Some(PathRewriteSpecifier::PathRedirect(path.to_string())),
        PathChange::Prefix(prefix) => match replaced_prefix(prefix, matched) {
            NewPath::Same => None,
            NewPath::Prefix(prefix) => Some(PathRewriteSpecifier::PrefixRewrite(prefix)),
            NewPath::Regex(regex) => Some(PathRewriteSpecifier::RegexRewrite(regex)),
        },
    }
}

/// `ReplacePrefixMatch` by the table of HTTPPathModifier: trailing slashes mean nothing, and a slash stays between
/// what was put in and the rest: `/foo/bar` with `/foo` -> `/` is `/bar`, `/foo` is `/`.
fn replaced_prefix(replacement: &str, matched: &PathMatch) -> NewPath {
    let PathMatch::Prefix(prefix) = matched else { return NewPath::Same };
    let replacement = replacement.trim_end_matches('/');
    match (&**prefix, replacement) {
        ("/", "") => NewPath::Same,
        ("/", replacement) => NewPath::Prefix(format!("{replacement}/")),
        (prefix, "") => substitution(format!("^{}/?", quote(prefix)), "/"),
        (_, replacement) => NewPath::Prefix(replacement.to_owned()),
    }
}

/// A backslash starts a group number in a substitution (RE2 `Rewrite`).
fn substitution(regex: String, text: &str) -> NewPath {
    NewPath::Regex(RegexMatchAndSubstitute {
        pattern: Some(pack::regex(regex)),
        substitution: text.replace('\\', r"\\"),
    })
}
