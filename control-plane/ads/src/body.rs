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

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName};
use http_body::{Body, Frame};
use tokio_stream::Stream;
use tonic::Status;

use crate::{session::Response, wire};

/// A flag for compression and the length.
const PREFIX_LEN: usize = 5;

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

impl<S: Stream<Item = Result<Response, Status>> + Unpin> Body for ResponseBody<S> {
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
fn message(response: &Response) -> Result<Bytes, Status> {
    let len = wire::encoded_len(response);
    let prefix = u32::try_from(len).map_err(|_| {
        Status::resource_exhausted(format!("a response of {len} bytes is longer than a gRPC message can be"))
    })?;
    let mut bytes = BytesMut::with_capacity(PREFIX_LEN + len);
    bytes.put_u8(0);
    bytes.put_u32(prefix);
    wire::encode(response, &mut bytes);
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
