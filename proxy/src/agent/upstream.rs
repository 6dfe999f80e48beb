//! A stream to the control plane, of any method.

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, client::Grpc};

use super::codec::Octets;
use crate::identity::{Source, SourceError};

/// The largest message: Byrnie cuts its own at 256 KiB; a client that comes back with all that it has may say more.
pub const MESSAGE_LIMIT: usize = 64 * 1024 * 1024;
/// Requests on their way to the HTTP/2 layer.
const REQUESTS: usize = 8;

type Opening = Pin<Box<dyn Future<Output = Result<Response<Streaming<Bytes>>, Status>> + Send>>;

/// The answers of a stream that may not be accepted yet.
pub enum Answers {
    /// A server may accept a stream only when it has something to say.
    Opening(Opening),
    Open(Streaming<Bytes>),
}

/// Connects with what the files say now: token and roots are renewed while the process runs.
pub async fn open(source: &Source, path: &'static str) -> Result<(mpsc::Sender<Bytes>, Answers), SourceError> {
    let authorization = source.authorization()?;
    let channel = source.connect_for_long().await?;
    let (sender, receiver) = mpsc::channel(REQUESTS);
    let mut request = Request::new(ReceiverStream::new(receiver));
    request.metadata_mut().insert("authorization", authorization);
    let mut client = Grpc::new(channel).max_decoding_message_size(MESSAGE_LIMIT);
    let opening = async move {
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        client.streaming(request, PathAndQuery::from_static(path), Octets).await
    };
    Ok((sender, Answers::Opening(Box::pin(opening))))
}

impl Answers {
    /// The next answer; none when the server has ended the stream. May be dropped and called again.
    #[allow(clippy::result_large_err, reason = "tonic's own type")]
    pub async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            match self {
                Self::Opening(opening) => *self = Self::Open(opening.await?.into_inner()),
                Self::Open(stream) => return stream.message().await,
            }
        }
    }
}
