//! The metrics of the Pod: the application's, where it has some, and the sidecar's own behind them.

use std::{
    net::{IpAddr, SocketAddr},
    str,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING},
    request::Parts,
    uri::PathAndQuery,
};
use tokio::{sync::Semaphore, time::timeout};
use tracing::{info, warn};

use super::{
    Own, Scrape,
    application::{self, Failure},
    exposition::{Exposition, Unreadable},
    redirect::Target,
};

/// Of the application's metrics: some ten thousand lines.
const LARGEST: usize = 8 << 20;
/// At once, since each may hold as much several times.
const AT_ONCE: usize = 2;
/// What Prometheus waits for where it does not say.
const USUAL: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(50);
/// How long Prometheus waits, in seconds.
const TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";
/// The part of it that the application has: its own metrics come too late otherwise, and those of the sidecar with them.
const SHARE: f64 = 0.8;

/// Has both.
pub struct Scraper {
    application: Option<Scrape>,
    own: Own,
    permits: Semaphore,
    failures: AtomicU64,
    /// The last time.
    fails: AtomicBool,
}

/// Why the application's metrics are not there.
#[derive(Debug, thiserror::Error)]
enum ScrapeError {
    #[error(transparent)]
    Failure(#[from] Failure),
    #[error("it answers {0}; 200 is accepted")]
    Status(StatusCode),
    #[error("its answer is {0:?}; text of Prometheus is accepted")]
    Kind(HeaderValue),
    #[error("it has more than {LARGEST} octets")]
    Long,
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl Scraper {
    /// Asks nobody yet.
    pub fn new(application: Option<Scrape>, own: Own) -> Self {
        Self {
            application,
            own,
            permits: Semaphore::new(AT_ONCE),
            failures: AtomicU64::new(0),
            fails: AtomicBool::new(false),
        }
    }

    /// All metrics, for whoever asked so at the Pod's address.
    pub async fn metrics(&self, asked: &Parts, pod: IpAddr) -> String {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        let mut metrics = Exposition::default();
        if let Some(scrape) = &self.application {
            match scrape.text(asked, pod).await {
                Ok(text) => {
                    self.fails.store(false, Relaxed);
                    metrics = text;
                }
                Err(error) => {
                    self.failures.fetch_add(1, Relaxed);
                    // Once, since it is asked again and again.
                    if !self.fails.swap(true, Relaxed) {
                        info!(port = scrape.port, path = %scrape.path, %error, "no metrics of the application");
                    }
                }
            }
        }
        let mut own = vec![(self.own)().await];
        own.extend(self.application.is_some().then(|| self.told()));
        for text in own {
            if let Err(error) = metrics.add_missing(&text) {
                warn!(%error, "the sidecar's own metrics are left out");
            }
        }
        metrics.into_text()
    }

    fn told(&self) -> String {
        let name = "byrnie_pod_scrape_failures_total";
        let failures = self.failures.load(Relaxed);
        format!(
            "# HELP {name} Times without the metrics of the application\n# TYPE {name} counter\n{name} {failures}\n"
        )
    }
}

impl Scrape {
    async fn text(&self, asked: &Parts, pod: IpAddr) -> Result<Exposition, ScrapeError> {
        let limit = limit(&asked.headers);
        let target = Target { address: SocketAddr::new(pod, self.port), is_tls: self.is_tls, path: self.query(asked) };
        let mut headers = application::forwarded(&asked.headers, false);
        headers.insert(ACCEPT, HeaderValue::from_static("text/plain;version=0.0.4,*/*;q=0.1"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let fetched = timeout(limit, application::fetch(target, headers, LARGEST)).await;
        let answer = fetched.unwrap_or(Err(Failure::Late(limit)))?;
        if answer.status != StatusCode::OK {
            return Err(ScrapeError::Status(answer.status));
        }
        match answer.content_type {
            Some(kind) if !is_metrics(&kind) => return Err(ScrapeError::Kind(kind)),
            _ if answer.is_cut => return Err(ScrapeError::Long),
            _ => {}
        }
        Ok(Exposition::read(str::from_utf8(&answer.body).map_err(|_| Unreadable::Octets)?)?)
    }

    /// The path, with what Prometheus asks of it.
    fn query(&self, asked: &Parts) -> PathAndQuery {
        let Some(query) = asked.uri.query() else { return self.path.clone() };
        let mark = if self.path.query().is_some() { '&' } else { '?' };
        format!("{}{mark}{query}", self.path).parse().unwrap_or_else(|_| self.path.clone())
    }
}

fn limit(headers: &HeaderMap) -> Duration {
    let told = headers.get(TIMEOUT).and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok());
    let told = told.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    told.unwrap_or(USUAL).min(LONGEST).mul_f64(SHARE)
}

fn is_metrics(kind: &HeaderValue) -> bool {
    let kind = kind.as_bytes();
    let is = |name: &str| kind.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()));
    is("text/plain") || is("application/openmetrics-text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_application_has_less_time_than_prometheus() {
        let limit = |told: Option<&str>| {
            let header = |told: &str| (TIMEOUT.parse().unwrap(), told.parse().unwrap());
            super::limit(&told.map(header).into_iter().collect())
        };
        assert_eq!(limit(None), Duration::from_secs(8));
        assert_eq!(limit(Some("0.5")), Duration::from_millis(400));
        assert_eq!(limit(Some("900")), Duration::from_secs(40));
        for wrong in ["-1", "soon", "inf", "NaN"] {
            assert_eq!(limit(Some(wrong)), Duration::from_secs(8), "{wrong}");
        }
    }

    #[test]
    fn kinds_of_text_are_told_from_pages() {
        let is = |kind: &'static str| is_metrics(&HeaderValue::from_static(kind));
        assert!(is("text/plain; version=0.0.4; charset=utf-8") && is("Application/openmetrics-text; version=1.0.0"));
        assert!(!is("text/html") && !is("application/vnd.google.protobuf") && !is(""));
    }
}
