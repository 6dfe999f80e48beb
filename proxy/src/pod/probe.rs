//! A probe or hook, made in place of the kubelet and as it would.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use byrnie_config::Version;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::USER_AGENT,
    uri::{PathAndQuery, Scheme},
};
use http_body_util::Full;
use tokio::time::timeout;

use super::{
    application::{self, Failure},
    redirect::Target,
    text,
};
use crate::{conversation::Conversation, grpc_health};

/// As much of a body as a kubelet reads.
const BODY: usize = 10 << 10;

/// What the kubelet would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// How it asks.
    pub action: Action,
    /// How long it may take.
    pub limit: Duration,
    /// Whether it is done for what it does, and any answer is a good one.
    pub is_hook: bool,
}

/// How an application is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// By a GET.
    Http {
        /// Of the Pod.
        port: u16,
        /// With a slash at its beginning.
        path: PathAndQuery,
        /// By TLS, whatever the certificate.
        is_tls: bool,
        /// Whether the Pod names a Host; else it is the address.
        has_host: bool,
    },
    /// By gRPC's health service.
    Grpc {
        /// Of the Pod.
        port: u16,
        /// Empty for the whole server.
        service: String,
    },
    /// By a connection.
    Tcp {
        /// Of the Pod.
        port: u16,
    },
}

impl Probe {
    /// Asks the application at the address of its Pod. `headers` are those that the kubelet sent, with the Pod's own among
    /// them.
    pub async fn make(&self, headers: &HeaderMap, pod: IpAddr) -> Result<Response<Full<Bytes>>, Failure> {
        let made = async {
            match &self.action {
                Action::Http { port, path, is_tls, has_host } => {
                    let at = SocketAddr::new(pod, *port);
                    let target = Target { address: at, is_tls: *is_tls, path: path.clone() };
                    http(target, application::forwarded(headers, *has_host)).await
                }
                Action::Grpc { port, service } => grpc(SocketAddr::new(pod, *port), service, headers).await,
                Action::Tcp { port } => {
                    application::connect(SocketAddr::new(pod, *port)).await?;
                    Ok(text(StatusCode::OK, "connected\n"))
                }
            }
        };
        timeout(self.limit, made).await.unwrap_or(Err(Failure::Late(self.limit)))
    }
}

async fn http(target: Target, headers: HeaderMap) -> Result<Response<Full<Bytes>>, Failure> {
    let answer = application::fetch(target, headers, BODY).await?;
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    // Not the place of a redirect: the kubelet, which has asked somebody else, would follow it there.
    if let Some(kind) = answer.content_type {
        response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    }
    Ok(response)
}

async fn grpc(address: SocketAddr, service: &str, headers: &HeaderMap) -> Result<Response<Full<Bytes>>, Failure> {
    let agent = headers.get(USER_AGENT).cloned().unwrap_or(HeaderValue::from_static("kube-probe"));
    let question = grpc_health::question(Scheme::HTTP, &address.to_string(), service, agent)?;
    let stream = application::connect(address).await?;
    let mut conversation = Conversation::begin(Version::Http2, Box::new(stream)).await?;
    match conversation.ask(question, grpc_health::serves).await {
        Some(true) => Ok(text(StatusCode::OK, "SERVING\n")),
        Some(false) => Err(Failure::NotServing(address)),
        None => Err(Failure::Broken(address)),
    }
}
