//! What a kubelet is told: whether the agent is ready to start an Envoy, and whether both are ready for traffic.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use byrnie_runtime::admin::{Reply, Routes};
use http::{Method, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::identity::Current;

/// For Envoy to answer: it does so at once, or is not to be sent traffic.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// More than Envoy says.
const ANSWER_SIZE: u64 = 4096;

/// What the pages look at.
#[derive(Clone, Debug)]
pub struct Health {
    /// Of the workload.
    pub identity: Arc<Current>,
    /// Envoy's admin interface.
    pub envoy: SocketAddr,
}

impl Health {
    /// The pages.
    pub fn routes(&self) -> Routes {
        let mut routes = Routes::default();
        for path in ["/ready", "/healthz/ready"] {
            let of = self.clone();
            let about = "200 LIVE when the certificate is there and envoy is live, 503 with what is waited for before";
            routes.add(Method::GET, path, about, move |_| {
                let of = of.clone();
                async move { reply(of.waiting().await) }
            });
        }
        let of = self.clone();
        let about = "200 LIVE when envoy may be started: the certificate is there, 503 before";
        routes.add(Method::GET, "/healthz/agent", about, move |_| {
            let reply = reply(of.certificate());
            async move { reply }
        });
        routes
    }

    /// What is waited for.
    async fn waiting(&self) -> Option<String> {
        match self.certificate() {
            Some(waiting) => Some(waiting),
            None => match timeout(ANSWER_LIMIT, asked(self.envoy)).await {
                Ok(Ok(200)) => None,
                Ok(Ok(status)) => Some(format!("envoy at {}, which answers {status}", self.envoy)),
                Ok(Err(error)) => Some(format!("envoy at {}: {error}", self.envoy)),
                Err(_) => Some(format!("envoy at {}: no answer within {ANSWER_LIMIT:?}", self.envoy)),
            },
        }
    }

    fn certificate(&self) -> Option<String> {
        self.identity.load().is_none().then(|| "certificate".to_owned())
    }
}

fn reply(waiting: Option<String>) -> Reply {
    match waiting {
        None => Reply::text(StatusCode::OK, "LIVE\n"),
        Some(waiting) => Reply::text(StatusCode::SERVICE_UNAVAILABLE, format!("INITIALIZING: waiting for {waiting}\n")),
    }
}

/// The status of Envoy's `/ready`: 200 once the first clusters and listeners are there and warm, and not any more when it
/// drains.
async fn asked(envoy: SocketAddr) -> io::Result<u16> {
    let mut stream = TcpStream::connect(envoy).await?;
    stream.write_all(b"GET /ready HTTP/1.1\r\nhost: envoy\r\nconnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_SIZE).read_to_end(&mut answer).await?;
    let status = answer.strip_prefix(b"HTTP/1.1 ").and_then(|rest| str::from_utf8(rest.get(..3)?).ok()?.parse().ok());
    status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "that is no answer of HTTP/1.1"))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn told(answer: &'static str) -> Option<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let envoy = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut asked).await.unwrap();
            }
            assert!(asked.starts_with(b"GET /ready HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let ((), status) = tokio::join!(envoy, asked(address));
        match status {
            Ok(status) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    #[tokio::test]
    async fn envoy_is_asked_for_its_status() {
        assert_eq!(told("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nLIVE\n").await.unwrap(), "200");
        assert_eq!(told("HTTP/1.1 503 Service Unavailable\r\n\r\n").await.unwrap(), "503");
        assert!(told("hello").await.unwrap().contains("no answer of HTTP/1.1"));
    }

    #[tokio::test]
    async fn without_a_certificate_nothing_is_ready_and_envoy_is_not_asked() {
        let envoy = SocketAddr::from(([127, 0, 0, 1], 1));
        let health = Health { identity: Arc::new(Current::new()), envoy };
        assert_eq!(health.waiting().await.as_deref(), Some("certificate"));
        let reply = reply(health.certificate());
        assert_eq!(reply.body, "INITIALIZING: waiting for certificate\n");
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
