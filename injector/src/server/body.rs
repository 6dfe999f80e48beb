//! Bodies in memory, each of a bounded length and all of them together.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// An object of 10 MiB and what surrounds it. An API server takes no request above 3 MiB.
pub const LONGEST: usize = 12 << 20;
/// All bodies at once.
const ROOM: usize = 32 << 20;
/// In what room is counted: a semaphore has 32 bits.
const UNIT: usize = 1 << 10;
/// For a body to arrive; the API server itself waits for 5 s.
const LIMIT: Duration = Duration::from_secs(10);
/// What is read of a longer body without being kept, so that its sender reads the answer in place of an error.
const MOST_DROPPED: usize = 64 << 20;

/// Where bodies are kept until they are answered.
#[derive(Clone, Debug)]
pub struct Room(Arc<Semaphore>);

/// A body that is there as a whole, with its place in the room.
#[derive(Debug)]
pub struct Whole {
    /// What came.
    pub bytes: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

/// A body that is not there.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// One alone is too long.
    #[error("the body is longer than {LONGEST} octets, which are accepted")]
    TooLong,
    /// All together are too long.
    #[error("too many octets are being read now; try again")]
    NoRoom,
    /// It does not come.
    #[error("the body did not arrive within {LIMIT:?}")]
    Late,
    /// The connection is gone, or its other side is no client.
    #[error("the body cannot be read: {0}")]
    Broken(String),
}

impl Room {
    /// Reads all of a body.
    pub async fn read<B>(&self, body: B) -> Result<Whole, Unread>
    where
        B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
    {
        timeout(LIMIT, self.whole(body)).await.unwrap_or(Err(Unread::Late))
    }

    async fn whole<B>(&self, mut body: B) -> Result<Whole, Unread>
    where
        B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
    {
        let mut bytes = Vec::new();
        let mut place = self.place(1)?;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Unread::Broken(error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > LONGEST {
                drop((bytes, place));
                return Err(dropped(body).await);
            }
            let wanted = (bytes.len() + data.len()).div_ceil(UNIT);
            if wanted > place.num_permits() {
                place.merge(self.place(wanted - place.num_permits())?);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Whole { bytes, _place: place })
    }

    fn place(&self, units: usize) -> Result<OwnedSemaphorePermit, Unread> {
        let units = u32::try_from(units).map_err(|_| Unread::TooLong)?;
        Arc::clone(&self.0).try_acquire_many_owned(units).map_err(|_| Unread::NoRoom)
    }
}

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM / UNIT)))
    }
}

/// Reads on without keeping anything.
async fn dropped<B>(mut body: B) -> Unread
where
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
{
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > MOST_DROPPED {
            break;
        }
    }
    Unread::TooLong
}

impl Unread {
    /// As HTTP says it.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            Self::Late => StatusCode::REQUEST_TIMEOUT,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }
}
