//! Responses as the body of an HTTP response: length-prefixed messages, then the status in trailers (gRPC over HTTP/2,
//! "Responses").
//!
//! Each message gets memory of exactly its size, which is gone once it is sent. A buffer that a stream keeps for its next
//! message costs every idle client: with tonic's encoder a client of 40 names took 16 KiB more (`xds-bench`, 1,000 clients).

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use byrnie_proto::envoy::envoy::service::load_stats::v3::LoadStatsResponse;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName};
use http_body::{Body, Frame};
use prost::Message;
use tokio_stream::Stream;
use tonic::Status;

use crate::{session::Response, wire};

/// A flag for compression and the length.
const PREFIX_LEN: usize = 5;

/// A response of either kind.
pub(crate) trait Outgoing {
    /// How many bytes [`write`](Self::write) writes.
    fn len(&self) -> usize;
    fn write(&self, target: &mut BytesMut);
}

impl Outgoing for Response {
    fn len(&self) -> usize {
        wire::encoded_len(self)
    }

    fn write(&self, target: &mut BytesMut) {
        wire::encode(self, target);
    }
}

impl Outgoing for LoadStatsResponse {
    fn len(&self) -> usize {
        self.encoded_len()
    }

    fn write(&self, target: &mut BytesMut) {
        self.encode_raw(target);
    }
}

/// The body over a stream of responses.
pub(crate) struct ResponseBody<S> {
    /// `None` once the trailers were given.
    responses: Option<S>,
}

impl<S> ResponseBody<S> {
    pub fn new(responses: S) -> Self {
        Self { responses: Some(responses) }
    }
}

impl<R: Outgoing, S: Stream<Item = Result<R, Status>> + Unpin> Body for ResponseBody<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(responses) = &mut self.responses else { return Poll::Ready(None) };
        let status = match ready!(Pin::new(responses).poll_next(cx)) {
            Some(Ok(response)) => match message(&response) {
                Ok(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Err(status) => status,
            },
            Some(Err(status)) => status,
            None => Status::ok(""),
        };
        self.responses = None;
        Poll::Ready(Some(Ok(Frame::trailers(trailers(&status)))))
    }
}

#[allow(clippy::result_large_err, reason = "tonic's own type")]
fn message(response: &impl Outgoing) -> Result<Bytes, Status> {
    let len = response.len();
    let prefix = u32::try_from(len).map_err(|_| {
        Status::resource_exhausted(format!("a response of {len} bytes is longer than a gRPC message can be"))
    })?;
    let mut bytes = BytesMut::with_capacity(PREFIX_LEN + len);
    bytes.put_u8(0);
    bytes.put_u32(prefix);
    response.write(&mut bytes);
    Ok(bytes.freeze())
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if let Err(unspeakable) = status.add_header(&mut trailers) {
        // Only a text that no header can hold; the code alone always can be said.
        tracing::warn!(%status, error = %unspeakable, "the status has no text in trailers");
        trailers = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), (status.code() as i32).into())]);
    }
    trailers
}
