//! Requests out of the body of an HTTP request: length-prefixed messages (gRPC over HTTP/2, "Requests").
//!
//! Memory is held for a message that is not complete yet, and for none between messages. A buffer that a stream keeps
//! would stand at its largest request: 110 KiB for each client that came back with the versions of 1,000 services.

use std::{
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use http_body::Body as _;
use prost::Message;
use tokio_stream::Stream;
use tonic::{Status, body::Body};

/// The largest request: a list of 100,000 names is about 2 MB.
pub(crate) const REQUEST_LIMIT: usize = 16 * 1024 * 1024;
/// A flag for compression and the length.
const PREFIX_LEN: usize = 5;

/// The requests of one stream.
pub(crate) struct Requests<R> {
    body: Body,
    /// What has come in of the next message.
    pending: BytesMut,
    request: PhantomData<fn() -> R>,
}

impl<R: Message + Default> Requests<R> {
    pub fn new(body: Body) -> Self {
        Self { body, pending: BytesMut::new(), request: PhantomData }
    }

    /// The next message where all of it is there.
    #[allow(clippy::result_large_err, reason = "tonic's own type")]
    fn take(&mut self) -> Result<Option<R>, Status> {
        let Some(mut prefix) = self.pending.get(..PREFIX_LEN) else { return Ok(None) };
        if prefix.get_u8() != 0 {
            return Err(Status::unimplemented("the request is compressed: only uncompressed ones are accepted"));
        }
        let len = prefix.get_u32() as usize;
        if len > REQUEST_LIMIT {
            let message = format!("the request has {len} bytes: up to {REQUEST_LIMIT} are accepted");
            return Err(Status::out_of_range(message));
        }
        let end = PREFIX_LEN + len;
        if self.pending.len() < end {
            self.pending.reserve(end - self.pending.len());
            return Ok(None);
        }
        // What follows is copied, so that the memory of this message is not held by it.
        let rest = BytesMut::from(&self.pending[end..]);
        let message = std::mem::replace(&mut self.pending, rest);
        let unreadable = |error| Status::invalid_argument(format!("the request cannot be read: {error}"));
        R::decode(&message[PREFIX_LEN..end]).map(Some).map_err(unreadable)
    }
}

impl<R: Message + Default> Stream for Requests<R> {
    type Item = Result<R, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(request) = self.take().transpose() {
                return Poll::Ready(Some(request));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                // Trailers of a request mean nothing.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.pending.extend_from_slice(&data);
                    }
                }
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                None if self.pending.is_empty() => return Poll::Ready(None),
                None => {
                    self.pending.clear();
                    return Poll::Ready(Some(Err(Status::invalid_argument("the last request was cut off"))));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use byrnie_proto::envoy::envoy::service::discovery::v3::DiscoveryRequest;
    use bytes::{BufMut, Bytes};
    use http_body_util::{BodyExt, StreamBody};
    use proptest::prelude::*;
    use tokio_stream::StreamExt;
    use tonic::Code;

    use super::*;

    fn framed(requests: &[DiscoveryRequest]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for request in requests {
            bytes.put_u8(0);
            bytes.put_u32(request.encoded_len() as u32);
            request.encode(&mut bytes).unwrap();
        }
        bytes
    }

    /// A body that arrives in the pieces that end at `cuts`.
    fn pieces(bytes: &[u8], cuts: &[usize]) -> Body {
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([bytes.len()]).collect();
        ends.sort_unstable();
        let mut from = 0;
        let mut frames = Vec::new();
        for end in ends {
            frames.push(Ok::<_, Status>(http_body::Frame::data(Bytes::copy_from_slice(&bytes[from..end]))));
            from = end;
        }
        Body::new(StreamBody::new(tokio_stream::iter(frames)).boxed_unsync())
    }

    fn read(body: Body) -> (Vec<DiscoveryRequest>, Option<Status>, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut requests = Requests::<DiscoveryRequest>::new(body);
            let mut read = Vec::new();
            let mut end = None;
            while let Some(next) = requests.next().await {
                match next {
                    Ok(request) => read.push(request),
                    Err(status) => {
                        end = Some(status);
                        break;
                    }
                }
            }
            (read, end, requests.pending.capacity())
        })
    }

    proptest! {
        #[test]
        fn requests_are_read_whole_however_they_are_cut(
            names in prop::collection::vec(prop::collection::vec("[a-z]{0,9}", 0..20), 0..5),
            cuts in prop::collection::vec(any::<usize>(), 0..12),
        ) {
            let request = |names: Vec<String>| DiscoveryRequest { resource_names: names, ..Default::default() };
            let sent: Vec<_> = names.into_iter().map(request).collect();
            let (received, end, held) = read(pieces(&framed(&sent), &cuts));
            prop_assert!(end.is_none(), "{end:?}");
            prop_assert_eq!(received, sent);
            prop_assert_eq!(held, 0, "memory is held between messages");
        }
    }

    #[test]
    fn what_is_no_request_is_told_as_such() {
        let cases: [(&[u8], Code); 4] = [
            (&[1, 0, 0, 0, 0], Code::Unimplemented),
            (&[0, 0xff, 0, 0, 0], Code::OutOfRange),
            (&[0, 0, 0, 0, 9, 1], Code::InvalidArgument),
            (&[0, 0, 0, 0, 1, 0xff], Code::InvalidArgument),
        ];
        for (bytes, code) in cases {
            assert_eq!(read(pieces(bytes, &[])).1.expect("refused").code(), code, "{bytes:?}");
        }
    }
}
