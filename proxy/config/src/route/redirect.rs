//! Where a redirected request is sent.

use byrnie_proto::envoy::envoy::config::route::v3::{
    RedirectAction,
    redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier},
};

use super::{path::PathMatch, rewrite::Rewrite};
use crate::{Refused, RequestHead, fields::At};

/// `RedirectAction`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307, 308.
    pub status: u16,
    scheme: Option<Box<[u8]>>,
    host: Option<Box<[u8]>>,
    /// `:8443`; empty where the location has none of its own.
    port: Box<[u8]>,
    path: NewPath,
    strips_query: bool,
    /// What the route matched: a prefix of it may be replaced.
    matched: PathMatch,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum NewPath {
    Same,
    /// Another path, with its own query or the request's.
    Whole(Box<[u8]>),
    Changed(Rewrite),
}

impl Redirect {
    pub(super) fn read(redirect: &RedirectAction, matched: &PathMatch, at: &At<'_>) -> Result<Self, Refused> {
        at.check(redirect)?;
        let status = match at.field("response_code").known(redirect.response_code)? {
            RedirectResponseCode::MovedPermanently => 301,
            RedirectResponseCode::Found => 302,
            RedirectResponseCode::SeeOther => 303,
            RedirectResponseCode::TemporaryRedirect => 307,
            RedirectResponseCode::PermanentRedirect => 308,
        };
        let scheme = match &redirect.scheme_rewrite_specifier {
            Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => Some(Box::from(&b"https"[..])),
            Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) if !scheme.is_empty() => {
                Some(scheme.as_bytes().into())
            }
            _ => None,
        };
        let port = match at.field("port_redirect").port(redirect.port_redirect)? {
            0 => String::new(),
            port => format!(":{port}"),
        };
        let path = match &redirect.path_rewrite_specifier {
            Some(PathRewriteSpecifier::PathRedirect(path)) if !path.is_empty() => {
                NewPath::Whole(path.as_bytes().into())
            }
            Some(PathRewriteSpecifier::PrefixRewrite(prefix)) if !prefix.is_empty() => {
                NewPath::Changed(Rewrite::Matched(prefix.as_bytes().into()))
            }
            Some(PathRewriteSpecifier::RegexRewrite(regex)) => {
                NewPath::Changed(Rewrite::read(regex, &at.field("regex_rewrite"))?)
            }
            _ => NewPath::Same,
        };
        Ok(Self {
            status,
            scheme,
            host: Some(&redirect.host_redirect).filter(|host| !host.is_empty()).map(|host| host.as_bytes().into()),
            port: port.into_bytes().into(),
            path,
            strips_query: redirect.strip_query,
            matched: matched.clone(),
        })
    }

    /// The Location of a redirected request.
    pub fn location(&self, request: &RequestHead) -> Vec<u8> {
        let scheme = self.scheme.as_deref().unwrap_or(request.scheme());
        let host = self.host.as_deref().unwrap_or_else(|| self.called_host(request, scheme));
        [scheme, b"://", host, &self.port, &self.path(request.path())].concat()
    }

    /// The host that was called: without its port where the location gets another one, or where it was the usual one
    /// of a scheme that changes.
    fn called_host<'r>(&self, request: &'r RequestHead, scheme: &[u8]) -> &'r [u8] {
        let host = request.authority();
        let colon = match host.first() {
            Some(b'[') => memchr::memmem::rfind(host, b"]:").map(|end| end + 1),
            _ => memchr::memrchr(b':', host),
        };
        let Some(colon) = colon else { return host };
        let called = request.get(b"x-forwarded-proto").unwrap_or(request.scheme());
        let usual = matches!((called, &host[colon..]), (b"https", b":443") | (b"http", b":80"));
        if !self.port.is_empty() || (scheme != called && usual) { &host[..colon] } else { host }
    }

    fn path(&self, path: &[u8]) -> Vec<u8> {
        let query = memchr::memchr(b'?', path).map_or(path.len(), |start| start);
        let mut new = match &self.path {
            // Its own query stays, whatever is stripped.
            NewPath::Whole(new) if new.contains(&b'?') => return new.to_vec(),
            NewPath::Whole(new) => [&**new, &path[query..]].concat(),
            NewPath::Changed(rewrite) => rewrite.apply(path, &self.matched),
            NewPath::Same => path.to_vec(),
        };
        if self.strips_query
            && let Some(start) = memchr::memchr(b'?', &new)
        {
            new.truncate(start);
        }
        new
    }
}
