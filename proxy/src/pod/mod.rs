//! The port of a Pod that a kubelet and a Prometheus call without being of the mesh: probes of the application, made
//! within the Pod, and the metrics of both.
//!
//! ```text
//! GET /byrnie/probe/CONTAINER/KIND -> probe  -> application
//! GET /stats/prometheus, /metrics  -> scrape -> the application's, and behind them the sidecar's own
//! ```
//!
//! It knows nothing of the sidecar but how to have its metrics: the same stands beside the micro-proxy and beside Envoy.

mod application;
mod exposition;
mod probe;
mod redirect;
mod scrape;
mod served;

use std::{
    collections::BTreeMap,
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use byrnie_runtime::admin::{self, Limits};
use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
    request::Parts,
};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tracing::info;

pub use self::{
    probe::Action,
    served::{Scrape, Served, ServedError},
};
use self::{probe::Probe, scrape::Scraper};

/// Kubelets and whoever scrapes; more than a Pod has probes, since each takes as long as the application does.
const CONNECTIONS: usize = 256;
/// Of one peer, so that nobody else can keep a kubelet out.
const OF_PEER: usize = 64;
/// What a connection may take beyond the longest of its probes.
const BEYOND: Duration = Duration::from_secs(60);

/// Gives the metrics of the sidecar, as text of Prometheus or of OpenMetrics.
pub type Own = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

/// The port, before it is served.
pub struct Port {
    probes: BTreeMap<String, Watched>,
    scraper: Scraper,
}

/// A probe, and whether it failed the last time.
struct Watched {
    probe: Probe,
    fails: AtomicBool,
}

/// A hook that failed: a kubelet takes every response of one as a success, so there is none.
#[derive(Debug, thiserror::Error)]
#[error("the hook failed")]
struct Failed;

impl Port {
    /// Serves what the Pod has.
    pub fn new(served: Served, own: Own) -> Self {
        let watched = |probe| Watched { probe, fails: AtomicBool::new(false) };
        let probes = served.probes.into_iter().map(|(path, probe)| (path, watched(probe))).collect();
        Self { probes, scraper: Scraper::new(served.scrape, own) }
    }

    /// Answers until `stop` is ready.
    pub async fn serve(self, listener: TcpListener, stop: impl Future) {
        let longest = self.probes.values().map(|watched| watched.probe.limit).max().unwrap_or_default();
        let limits =
            Limits { connections: CONNECTIONS, of_peer: OF_PEER, connection: BEYOND + longest, ..Limits::default() };
        let port = Arc::new(self);
        let answer = move |request: Request<Incoming>, called: SocketAddr| {
            let port = Arc::clone(&port);
            async move { port.answer(&request.into_parts().0, called.ip().to_canonical()).await }
        };
        admin::serve_with(listener, answer, limits, stop).await;
    }

    /// `called` is the Pod's address, by which the application is called too.
    async fn answer(&self, asked: &Parts, called: IpAddr) -> Result<Response<Full<Bytes>>, Failed> {
        let path = asked.uri.path();
        let watched = self.probes.get(path);
        let is_metrics = matches!(path, "/stats/prometheus" | "/metrics");
        if watched.is_none() && !is_metrics {
            return Ok(text(
                StatusCode::NOT_FOUND,
                format!("no probe {path}; /metrics is there, and probes of the Pod\n"),
            ));
        }
        if !matches!(asked.method, Method::GET | Method::HEAD) {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, format!("{path} accepts GET, HEAD\n"));
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Ok(refused);
        }
        match watched {
            Some(watched) => watched.make(asked, called).await,
            None => {
                let mut response = text(StatusCode::OK, self.scraper.metrics(asked, called).await);
                response.headers_mut().insert(CONTENT_TYPE, exposition::CONTENT_TYPE);
                Ok(response)
            }
        }
    }
}

impl Watched {
    async fn make(&self, asked: &Parts, called: IpAddr) -> Result<Response<Full<Bytes>>, Failed> {
        let probe = asked.uri.path();
        let made = self.probe.make(&asked.headers, called).await;
        let fails = made
            .as_ref()
            .map_or(true, |response| !response.status().is_success() && !response.status().is_redirection());
        // A kubelet tells the status alone, so the reason stands here; once, since it asks again and again.
        let failed = self.fails.swap(fails, Relaxed);
        match &made {
            Err(error) if !failed => info!(probe, %error, "the probe fails"),
            Ok(response) if fails && !failed => info!(probe, status = response.status().as_u16(), "the probe fails"),
            Ok(_) if failed && !fails => info!(probe, "the probe passes"),
            _ => {}
        }
        match made {
            Ok(response) => Ok(response),
            Err(_) if self.probe.is_hook => Err(Failed),
            Err(error) => Ok(text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))),
        }
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
