//! Which page answers which request.

use std::{fmt, future::Future, pin::Pin};

use bytes::Bytes;
use http::{
    Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use http_body_util::Full;

use super::Readiness;
use crate::metrics::{self, Metrics};

type Page = Box<dyn Fn(Asked) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync>;

/// The part of a request that a page may depend on. Bodies are not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The path behind the page's own, without the slash between: `a/b` for `/debug/clients/a/b`, empty for the page itself.
    pub rest: String,
    /// The query without the question mark, as it came.
    pub query: String,
}

/// What a page answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// Lines for people.
    pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }

    /// JSON that is written already.
    pub fn json(body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, content_type: "application/json", body: body.into() }
    }
}

/// The pages of an admin server, by method and path. `/`, `/help` and an unknown path list them.
#[derive(Default)]
pub struct Routes(Vec<Route>);

struct Route {
    method: Method,
    path: &'static str,
    about: &'static str,
    page: Page,
}

impl Routes {
    /// `/healthz/live`, `/healthz/ready` and `/metrics`.
    pub fn new(readiness: Readiness, metrics: Metrics) -> Self {
        let mut routes = Self::default();
        routes.add(Method::GET, "/healthz/live", "200 while the process answers", |_| async {
            Reply::text(StatusCode::OK, "live\n")
        });
        routes.add(Method::GET, "/healthz/ready", "200 when ready, 503 with what is waited for", move |_| {
            let waiting_for = readiness.waiting_for();
            async move { ready(&waiting_for) }
        });
        routes.add(Method::GET, "/metrics", "OpenMetrics text", move |_| {
            let body = metrics.encode();
            async move { Reply { status: StatusCode::OK, content_type: metrics::CONTENT_TYPE, body: body.into() } }
        });
        routes
    }

    /// Has `page` answer `method` for `path` and all below it; the longest path that fits wins. `path` starts with a
    /// slash and does not end in one. A page for GET answers HEAD too.
    pub fn add<F, A>(&mut self, method: Method, path: &'static str, about: &'static str, page: F)
    where
        F: Fn(Asked) -> A + Send + Sync + 'static,
        A: Future<Output = Reply> + Send + 'static,
    {
        debug_assert!(path.len() > 1 && path.starts_with('/') && !path.ends_with('/'), "{path} is no path of a page");
        self.0.push(Route { method, path, about, page: Box::new(move |asked| Box::pin(page(asked))) });
    }

    pub(super) async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let fitting: Vec<(&Route, &str)> =
            self.0.iter().filter_map(|route| Some((route, below(path, route.path)?))).collect();
        let Some(longest) = fitting.iter().map(|(route, _)| route.path.len()).max() else {
            return response(self.list(path));
        };
        let fitting = fitting.into_iter().filter(|(route, _)| route.path.len() == longest);
        let (same, others): (Vec<_>, Vec<_>) = fitting.partition(|(route, _)| route.answers(request.method()));
        match same.first() {
            Some((route, rest)) => {
                let query = request.uri().query().unwrap_or_default().to_owned();
                response((route.page)(Asked { rest: (*rest).to_owned(), query }).await)
            }
            None => not_allowed(request.method(), path, others.iter().map(|(route, _)| &route.method)),
        }
    }

    fn list(&self, path: &str) -> Reply {
        let (status, mut text) = match path {
            "/" | "/help" => (StatusCode::OK, String::new()),
            _ => (StatusCode::NOT_FOUND, format!("no page {path}; there are:\n")),
        };
        for Route { method, path, about, .. } in &self.0 {
            text += &format!("{method} {path}  {about}\n");
        }
        Reply::text(status, text)
    }
}

impl Route {
    fn answers(&self, method: &Method) -> bool {
        self.method == *method || (*method == Method::HEAD && self.method == Method::GET)
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|route| (&route.method, route.path))).finish()
    }
}

/// What is left of `path` behind `prefix`, if `prefix` is a whole number of its segments.
fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

fn ready(waiting_for: &[&str]) -> Reply {
    match waiting_for {
        [] => Reply::text(StatusCode::OK, "ready\n"),
        names => Reply::text(StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {}\n", names.join(", "))),
    }
}

fn not_allowed<'a>(method: &Method, path: &str, accepted: impl Iterator<Item = &'a Method>) -> Response<Full<Bytes>> {
    let accepted = accepted.map(Method::as_str).collect::<Vec<_>>().join(", ");
    let text = format!("{path} does not answer {method}; accepted: {accepted}\n");
    let mut response = response(Reply::text(StatusCode::METHOD_NOT_ALLOWED, text));
    let allow = accepted.parse().expect("method names are header values");
    response.headers_mut().insert(ALLOW, allow);
    response
}

fn response(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(reply.content_type));
    response
}
