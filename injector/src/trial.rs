//! An admission of the injector's own, as the API server would ask for one: by TLS, under the name of the Service.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    Request, StatusCode,
    header::{CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use crate::server::PATH;

/// The query by which the injector tells its own calls from others.
pub const QUERY: &str = "own";

/// As long as the API server waits.
const LIMIT: Duration = Duration::from_secs(5);
/// An answer is some thousand octets.
const LONGEST_ANSWER: usize = 1 << 20;

/// Why the API server would have no answer either.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// It took too long.
    #[error("no answer within {LIMIT:?}")]
    Late,
    /// No connection, or no proof of who answers.
    #[error("no connection: {0}")]
    Connect(#[from] std::io::Error),
    /// TLS cannot be spoken at all.
    #[error("no TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A broken exchange.
    #[error("no answer: {0}")]
    Exchange(#[from] hyper::Error),
    /// An answer that is none.
    #[error("the answer was {status}: {text}")]
    Answer {
        /// Of HTTP.
        status: StatusCode,
        /// What came, or its beginning.
        text: String,
    },
}

/// Has a Pod admitted by the server at `address`, which has to prove by `roots` that it is `name`.
pub async fn admit(address: SocketAddr, name: &ServerName<'static>, roots: RootCertStore) -> Result<(), TrialError> {
    timeout(LIMIT, admitted(address, name, roots)).await.unwrap_or(Err(TrialError::Late))
}

async fn admitted(address: SocketAddr, name: &ServerName<'static>, roots: RootCertStore) -> Result<(), TrialError> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name.clone(), stream).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::post(format!("{PATH}?{QUERY}"))
        .header(HOST, &*name.to_str())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(review().to_string())))
        .expect("a request of constants is one");
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        Ok::<_, hyper::Error>((status, body))
    };
    // The connection moves the exchange; it ends with it.
    let (status, body) = tokio::select! {
        answered = exchange => answered?,
        Err(error) = connection => return Err(error.into()),
    };
    if status == StatusCode::OK && is_injected(&body) {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&body).chars().take(200).collect();
    Err(TrialError::Answer { status, text })
}

fn review() -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "own",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "operation": "CREATE",
            "namespace": "own",
            "object": {"metadata": {"name": "own"}, "spec": {"containers": [{"name": "app", "image": "app"}]}},
        },
    })
}

fn is_injected(body: &[u8]) -> bool {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    answer["response"]["allowed"] == true && answer["response"]["patchType"] == "JSONPatch"
}
