//! The application beside which this stands, called as the sidecar calls it: at its Pod's address, from where it does not
//! come back to the sidecar.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, LazyLock},
    time::Duration,
};

use byrnie_config::Version;
use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE},
};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use super::redirect::{Next, Target, next};
use crate::conversation::{Conversation, Stream};

/// Requests until what they lead to is given up, as in a kubelet.
const REQUESTS: usize = 10;

/// Of one connection each.
const HOP_BY_HOP: [HeaderName; 7] =
    [CONNECTION, CONTENT_LENGTH, HeaderName::from_static("keep-alive"), TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// An answer that was read as far as it is of use.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Of the body.
    pub content_type: Option<HeaderValue>,
    /// Its beginning.
    pub body: Bytes,
    /// Whether there is more.
    pub is_cut: bool,
    location: Option<String>,
}

/// Why the application gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nobody listens there.
    #[error("no connection to {0}: {1}")]
    Connection(SocketAddr, io::Error),
    /// What listens does not speak TLS.
    #[error("no TLS with {0}: {1}")]
    Tls(SocketAddr, io::Error),
    /// It does not speak the protocol.
    #[error("no exchange: {0}")]
    Exchange(#[from] hyper::Error),
    /// It went away before its answer was whole.
    #[error("{0} broke off, or does not speak the protocol")]
    Broken(SocketAddr),
    /// It took too long.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// It leads from place to place.
    #[error("{REQUESTS} requests, and it is still redirected")]
    Redirects,
    /// By gRPC.
    #[error("{0} does not answer SERVING")]
    NotServing(SocketAddr),
    /// What was to be asked is no request.
    #[error("no request can be made of it: {0}")]
    Request(#[from] http::Error),
}

/// A connection to the application.
pub async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    dial(address).await.map_err(|error| Failure::Connection(address, error))
}

async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let (socket, exempt) = match address {
        SocketAddr::V4(_) => (TcpSocket::new_v4()?, IpAddr::from(Ipv4Addr::new(127, 0, 0, 6))),
        SocketAddr::V6(_) => (TcpSocket::new_v6()?, IpAddr::from(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6))),
    };
    match socket.bind((exempt, 0).into()) {
        // Where traffic is not redirected, there is no such address and nothing to be exempt from.
        Err(error) if error.kind() != io::ErrorKind::AddrNotAvailable => return Err(error),
        _ => {}
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What only a sidecar says of a caller, to an application that believes it.
const OF_SIDECARS: [&str; 2] = ["x-forwarded-client-cert", "x-envoy-internal"];

/// What is passed on of a request's headers: all but those of its connection and of a sidecar, and the Host where it is
/// somebody's choice.
pub fn forwarded(headers: &HeaderMap, has_host: bool) -> HeaderMap {
    let mut headers = headers.clone();
    HOP_BY_HOP.iter().for_each(|name| drop(headers.remove(name)));
    OF_SIDECARS.iter().for_each(|name| drop(headers.remove(*name)));
    if !has_host {
        headers.remove(HOST);
    }
    headers
}

/// Asks, and follows redirects within the Pod as a kubelet does; one that leads elsewhere is an answer. Reads at most
/// `most` octets of the body.
pub async fn fetch(mut target: Target, mut headers: HeaderMap, most: usize) -> Result<Answer, Failure> {
    for _ in 0..REQUESTS {
        let answer = get(&target, &headers, most).await?;
        let leads = answer.location.as_deref().filter(|_| is_redirect(answer.status));
        match leads.and_then(|location| next(&target, location)) {
            None => return Ok(answer),
            Some(Next { target: there, is_named }) => {
                if is_named {
                    headers.remove(HOST);
                }
                target = there;
            }
        }
    }
    Err(Failure::Redirects)
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

async fn get(target: &Target, headers: &HeaderMap, most: usize) -> Result<Answer, Failure> {
    let mut request = Request::get(target.path.as_str()).body(Full::default())?;
    *request.headers_mut() = headers.clone();
    if !headers.contains_key(HOST) {
        let host = target.address.to_string();
        request.headers_mut().insert(HOST, HeaderValue::try_from(host).expect("an address is good for a header"));
    }
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    let stream = connect(target.address).await?;
    let stream: Box<dyn Stream> = match target.is_tls {
        false => Box::new(stream),
        true => {
            let name = ServerName::IpAddress(target.address.ip().into());
            let secured = TlsConnector::from(Arc::clone(&TLS)).connect(name, stream).await;
            Box::new(secured.map_err(|error| Failure::Tls(target.address, error))?)
        }
    };
    let mut conversation = Conversation::begin(Version::Http1, stream).await?;
    let answer = conversation.ask(request, |response| read(response, most)).await;
    answer.ok_or(Failure::Broken(target.address))
}

async fn read(response: Response<Incoming>, most: usize) -> Option<Answer> {
    let (head, mut incoming) = response.into_parts();
    let (mut body, mut is_cut) = (BytesMut::new(), false);
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        let left = most - body.len();
        body.extend_from_slice(&data[..data.len().min(left)]);
        if data.len() > left {
            is_cut = true;
            break;
        }
    }
    let header = |name| head.headers.get(name).cloned();
    let location = header(LOCATION).and_then(|value| Some(value.to_str().ok()?.to_owned()));
    Some(Answer { status: head.status, content_type: header(CONTENT_TYPE), body: body.freeze(), is_cut, location })
}

/// TLS to whoever is there, as a kubelet speaks it: what is called is within the Pod.
static TLS: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let anyone = Anyone(Arc::clone(&provider));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has suites of both versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(anyone))
        .with_no_client_auth();
    Arc::new(config)
});

/// Accepts every certificate.
struct Anyone(Arc<CryptoProvider>);

impl fmt::Debug for Anyone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Anyone")
    }
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    // A signature by a key that may be anyone's proves nothing.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_introduced_to_the_application_by_himself() {
        let said = [
            ("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/shop/sa/admin"),
            ("X-Envoy-Internal", "true"),
            ("connection", "close"),
            ("host", "10.0.0.1:15020"),
            ("x-probe", "1"),
        ];
        let headers = said.map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        let passed = forwarded(&headers.into_iter().collect(), false);
        assert_eq!(passed.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["x-probe"]);
    }
}
