use std::{fmt, pin::Pin, sync::Arc};

use byrnie_proto::fleet::{
    TalliesRequest, TalliesUpdate,
    fleet_server::{Fleet, FleetServer},
};
use tokio_stream::{Stream, StreamExt};
use tonic::{Extensions, Request, Response, Status, async_trait};

use super::{Book, wire};

/// How much a caller may say: nothing.
const MAX_MESSAGE: usize = 1024;

/// `byrnie.fleet.v1.Fleet`: tells other replicas what this one counted.
pub struct FleetService {
    book: Arc<Book>,
    replica: Arc<str>,
    may_ask: Box<dyn Fn(&Extensions) -> bool + Send + Sync>,
}

impl FleetService {
    /// Tells what is in `book` as the Pod `replica`, to those of whose connection `may_ask` says that they are replicas.
    pub fn new(book: Arc<Book>, replica: &str, may_ask: impl Fn(&Extensions) -> bool + Send + Sync + 'static) -> Self {
        Self { book, replica: replica.into(), may_ask: Box::new(may_ask) }
    }

    /// The service as tonic's router takes it.
    pub fn into_server(self) -> FleetServer<Self> {
        FleetServer::new(self).max_decoding_message_size(MAX_MESSAGE)
    }
}

impl fmt::Debug for FleetService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetService").field("replica", &self.replica).finish_non_exhaustive()
    }
}

#[async_trait]
impl Fleet for FleetService {
    type TalliesStream = Pin<Box<dyn Stream<Item = Result<TalliesUpdate, Status>> + Send>>;

    async fn tallies(&self, request: Request<TalliesRequest>) -> Result<Response<Self::TalliesStream>, Status> {
        if !(self.may_ask)(request.extensions()) {
            tracing::debug!(peer = ?request.remote_addr(), "one who is no replica asked for tallies");
            let why = "only replicas of the control plane may ask, by the certificate of its ServiceAccount";
            return Err(Status::permission_denied(why));
        }
        let replica = Arc::clone(&self.replica);
        let updates = self.book.read().map(move |batch| match batch {
            Ok(batch) => Ok(wire::write(&replica, &batch)),
            Err(behind) => Err(Status::aborted(behind.to_string())),
        });
        Ok(Response::new(Box::pin(updates)))
    }
}
