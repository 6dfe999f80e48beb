//! What is asked, and what an answer means: Envoy's HTTP, gRPC and TCP checks.

use byrnie_balance::Answer;
use byrnie_config::{HttpProbe, Probe, Version};
use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, Uri,
    header::{HOST, USER_AGENT},
    uri::Scheme,
};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use crate::grpc_health;

/// Applications know checks by it.
const AGENT: HeaderValue = HeaderValue::from_static("Envoy/HC");
/// Present in the answer of a host that is well and asks to be spared.
const DEGRADED: &str = "x-envoy-degraded";
/// What is sent.
pub struct Asked {
    /// How.
    pub version: Version,
    /// What.
    pub request: Request<Full<Bytes>>,
}

impl Asked {
    /// The question of a check; none where a connection is all that is asked for. `secure`: over TLS.
    pub fn by(probe: &Probe, secure: bool) -> Option<http::Result<Self>> {
        let (version, request) = match probe {
            Probe::Http(probe) => (probe.version, http_request(probe, secure)),
            Probe::Grpc { service, authority } => {
                let scheme = if secure { Scheme::HTTPS } else { Scheme::HTTP };
                (Version::Http2, grpc_health::question(scheme, authority, service, AGENT))
            }
            Probe::Tcp => return None,
        };
        Some(request.map(|request| Self { version, request }))
    }
}

/// Reads an answer to its end. None where the connection broke.
pub async fn answer(response: Response<Incoming>, probe: &Probe) -> Option<Answer> {
    match probe {
        Probe::Http(probe) => http_answer(response, probe).await,
        Probe::Grpc { .. } => {
            grpc_health::serves(response).await.map(|serves| if serves { Answer::Passed } else { Answer::Refused })
        }
        Probe::Tcp => None,
    }
}

fn http_request(probe: &HttpProbe, secure: bool) -> http::Result<Request<Full<Bytes>>> {
    let request = Request::get(target(probe.version, &probe.host, &probe.path, secure)?).header(USER_AGENT, AGENT);
    let request = match probe.version {
        Version::Http1 => request.header(HOST, &*probe.host),
        Version::Http2 => request,
    };
    request.body(Full::default())
}

/// HTTP/1 sends the path as it stands here, HTTP/2 all parts.
fn target(version: Version, host: &str, path: &str, secure: bool) -> http::Result<Uri> {
    let uri = Uri::builder().path_and_query(path);
    match version {
        Version::Http1 => uri.build(),
        Version::Http2 => uri.scheme(if secure { Scheme::HTTPS } else { Scheme::HTTP }).authority(host).build(),
    }
}

async fn http_answer(response: Response<Incoming>, probe: &HttpProbe) -> Option<Answer> {
    let (head, mut body) = response.into_parts();
    while let Some(frame) = body.frame().await {
        frame.ok()?;
    }
    Some(match probe.judge(head.status.as_u16()) {
        Answer::Passed if head.headers.contains_key(DEGRADED) => Answer::Degraded,
        answer => answer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_the_host_as_its_version_does() {
        let probe = |version| HttpProbe {
            host: "cart.shop".into(),
            path: "/health?deep".into(),
            expected: vec![(200, 201)],
            retriable: Vec::new(),
            version,
        };
        let http1 = http_request(&probe(Version::Http1), true).unwrap();
        assert_eq!(
            (http1.uri().to_string().as_str(), &http1.headers()[HOST]),
            ("/health?deep", &"cart.shop".parse().unwrap())
        );
        let http2 = http_request(&probe(Version::Http2), true).unwrap();
        assert_eq!(http2.uri(), "https://cart.shop/health?deep");
    }
}
