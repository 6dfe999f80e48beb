//! What is asked, and what an answer means: Envoy's HTTP, gRPC and TCP checks.

use byrnie_balance::Answer;
use byrnie_config::{HttpProbe, Probe, Version};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{
    HeaderMap, Request, Response, StatusCode, Uri,
    header::{CONTENT_TYPE, HOST, TE, USER_AGENT},
    uri::Scheme,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use prost::Message;

/// Applications know checks by it.
const AGENT: &str = "Envoy/HC";
/// Present in the answer of a host that is well and asks to be spared.
const DEGRADED: &str = "x-envoy-degraded";
/// The most of an answer of gRPC that is read; a few octets are of use.
const ANSWER_LIMIT: usize = 64 << 10;

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `HealthCheckResponse.ServingStatus.SERVING`.
const SERVING: i32 = 1;

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
            Probe::Grpc { service, authority } => (Version::Http2, grpc_request(service, authority, secure)),
            Probe::Tcp => return None,
        };
        Some(request.map(|request| Self { version, request }))
    }
}

/// Reads an answer to its end. None where the connection broke.
pub async fn answer(response: Response<Incoming>, probe: &Probe) -> Option<Answer> {
    match probe {
        Probe::Http(probe) => http_answer(response, probe).await,
        Probe::Grpc { .. } => grpc_answer(response).await,
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

fn grpc_request(service: &str, authority: &str, secure: bool) -> http::Result<Request<Full<Bytes>>> {
    let asked = HealthCheckRequest { service: service.to_owned() };
    let mut body = BytesMut::new();
    body.put_u8(0);
    body.put_u32(u32::try_from(asked.encoded_len()).expect("a name is shorter than 4 GiB"));
    body.put_slice(&asked.encode_to_vec());
    Request::post(target(Version::Http2, authority, "/grpc.health.v1.Health/Check", secure)?)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, AGENT)
        .body(Full::new(body.freeze()))
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

async fn grpc_answer(response: Response<Incoming>) -> Option<Answer> {
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Some(Answer::Refused);
    }
    let collected = Limited::new(body, ANSWER_LIMIT).collect().await;
    let Ok(collected) = collected else { return None };
    let trailers = collected.trailers().unwrap_or(&head.headers).clone();
    let serves = is_grpc(&head.headers) && is_ok(&trailers) && is_serving(collected.to_bytes());
    Some(if serves { Answer::Passed } else { Answer::Refused })
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn is_ok(trailers: &HeaderMap) -> bool {
    trailers.get("grpc-status").is_some_and(|status| status == "0")
}

/// Whether `body` is one uncompressed message that says so.
fn is_serving(mut body: Bytes) -> bool {
    let Ok(compressed) = body.try_get_u8() else { return false };
    let Ok(length) = body.try_get_u32() else { return false };
    if compressed != 0 || body.remaining() != length as usize {
        return false;
    }
    HealthCheckResponse::decode(body).is_ok_and(|response| response.status == SERVING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_whole_message_that_says_serving_serves() {
        assert!(is_serving(Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1])));
        for other in [&[][..], &[0, 0, 0, 0, 0], &[0, 0, 0, 0, 2, 8, 2], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 3, 8, 1]]
        {
            assert!(!is_serving(Bytes::copy_from_slice(other)), "{other:?}");
        }
    }

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
        let grpc = grpc_request("", "cart.shop", false).unwrap();
        assert_eq!(grpc.uri(), "http://cart.shop/grpc.health.v1.Health/Check");
    }
}
