//! Random requests, of few words, so that they meet what the tables match.

use std::fmt;

use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::client::{Ask, Version};

#[derive(Clone, Debug)]
pub struct Request {
    method: &'static str,
    path: String,
    host: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: Option<&'static str>,
    is_http2: bool,
}

impl Request {
    pub fn ask(&self) -> Ask {
        let ask = Ask::new(self.method, &self.path).host(self.host);
        let ask = if self.is_http2 { ask.version(Version::Http2) } else { ask };
        let ask = self.headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
        self.body.into_iter().fold(ask, |ask, body| ask.body(body))
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = if self.is_http2 { "HTTP/2" } else { "HTTP/1.1" };
        writeln!(f, "{} {} {version}\nhost: {}", self.method, self.path, self.host)?;
        self.headers.iter().try_for_each(|(name, value)| writeln!(f, "{name}: {value}"))?;
        writeln!(f, "{:?}", self.body)
    }
}

pub fn a_request() -> impl Strategy<Value = Request> {
    let method = prop_oneof![4 => Just("GET"), 1 => select(vec!["PUT", "POST", "DELETE", "OPTIONS"])];
    let segment = select(vec!["a", "b", "c", "ab", "a%62", "", "a.b", "A"]);
    let path = (vec(segment, 0..4), any::<bool>()).prop_map(|(segments, is_slashed)| {
        format!("/{}{}", segments.join("/"), if is_slashed && !segments.is_empty() { "/" } else { "" })
    });
    let query = vec((select(vec!["q", "r", "s"]), select(vec!["=1", "=2", "=12", "=", "", "=%31", "=1=2"])), 0..3);
    let query = query.prop_map(|pairs| {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}{value}")).collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    });
    // Of names that Envoy does not know: of those that it knows, such as Accept, it joins several fields into one, which
    // means the same (RFC 9110, section 5.3).
    let headers = vec((select(vec!["x-a", "x-b", "x-c"]), select(vec!["1", "2", "12", "one two", ""])), 0..4);
    let accept = option::weighted(0.2, Just(("accept", "tea/*")));
    let headers = (headers, accept).prop_map(|(headers, accept)| headers.into_iter().chain(accept).collect());
    let host = select(vec!["cart.shop", "cart.shop:80", "other.example"]);
    // Never an empty one: over HTTP/2 its end may be known before the request is passed on, or not.
    let body = option::weighted(0.2, Just("a body"));
    (method, path, query, headers, host, body, any::<bool>()).prop_map(
        |(method, path, query, headers, host, body, is_http2)| Request {
            method,
            path: path + &query,
            host,
            headers,
            body,
            is_http2,
        },
    )
}
