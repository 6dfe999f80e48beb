//! `grpc.health.v1.Health/Check`: the question, and whether the answer says SERVING.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Uri,
    header::{CONTENT_TYPE, TE, USER_AGENT},
    uri::Scheme,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use prost::Message;

/// The most of an answer that is read; a few octets are of use.
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

/// Asks for the service, of which an empty name is the whole server; to be sent by HTTP/2.
pub fn question(
    scheme: Scheme,
    authority: &str,
    service: &str,
    agent: HeaderValue,
) -> http::Result<Request<Full<Bytes>>> {
    let asked = HealthCheckRequest { service: service.to_owned() };
    let mut body = BytesMut::new();
    body.put_u8(0);
    body.put_u32(u32::try_from(asked.encoded_len()).expect("a name is shorter than 4 GiB"));
    body.put_slice(&asked.encode_to_vec());
    let path = "/grpc.health.v1.Health/Check";
    Request::post(Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build()?)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, agent)
        .body(Full::new(body.freeze()))
}

/// Reads the answer to its end: whether it says SERVING. None where the connection broke.
pub async fn serves(response: Response<Incoming>) -> Option<bool> {
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Some(false);
    }
    let collected = Limited::new(body, ANSWER_LIMIT).collect().await;
    let Ok(collected) = collected else { return None };
    let trailers = collected.trailers().unwrap_or(&head.headers).clone();
    Some(is_grpc(&head.headers) && is_ok(&trailers) && is_serving(collected.to_bytes()))
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
    fn the_question_names_the_server_and_the_service() {
        let agent = HeaderValue::from_static("x");
        let grpc = question(Scheme::HTTP, "cart.shop", "a", agent).unwrap();
        assert_eq!(grpc.uri(), "http://cart.shop/grpc.health.v1.Health/Check");
        assert_eq!(HealthCheckRequest { service: "a".to_owned() }.encode_to_vec(), [10, 1, b'a']);
    }
}
