//! Bodies in memory, each of a bounded length and all of them together: short ones have room of their own, and no peer has
//! more than half of it.

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
/// A body up to this is a short one. An API server stores no object that is longer.
const SHORT: usize = 1 << 20;
/// All short bodies at once. A usual review has 10 KiB, and an API server makes some hundred objects at a time.
const SHORT_ROOM: usize = 16 << 20;
/// All others at once.
const LONG_ROOM: usize = 2 * LONGEST;
/// In what room is counted: a semaphore has 32 bits.
const UNIT: usize = 1 << 10;
/// For a body to arrive; the API server itself waits no longer for the answer.
const LIMIT: Duration = Duration::from_secs(5);
/// What is read of a longer body without being kept, so that its sender reads the answer in place of an error.
const MOST_DROPPED: usize = 64 << 20;

/// Where the bodies of one peer are kept until they are answered.
#[derive(Clone, Debug)]
pub struct Room {
    all: Pools,
    peer: Pools,
}

#[derive(Clone, Debug)]
struct Pools {
    short: Arc<Semaphore>,
    long: Arc<Semaphore>,
}

/// Of which pools room is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Short,
    Long,
}

/// Room that a body takes, of all and of its peer's half.
#[derive(Debug)]
struct Place {
    length: Length,
    of_all: OwnedSemaphorePermit,
    of_peer: OwnedSemaphorePermit,
}

/// A body that is there as a whole, with its place in the room.
#[derive(Debug)]
pub struct Whole {
    /// What came.
    pub bytes: Vec<u8>,
    _place: Place,
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
        let mut place = self.place(Length::Short, 1)?;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Unread::Broken(error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > LONGEST {
                drop((bytes, place));
                return Err(dropped(body).await);
            }
            place = self.grown(place, bytes.len() + data.len())?;
            bytes.extend_from_slice(&data);
        }
        Ok(Whole { bytes, _place: place })
    }

    /// The room of another peer, beside this one in the room of all.
    pub fn of_another(&self) -> Self {
        Self { all: self.all.clone(), peer: Pools::new(2) }
    }

    /// A place for a body of `octets`, where a part of it has one.
    fn grown(&self, mut place: Place, octets: usize) -> Result<Place, Unread> {
        let length = if octets > SHORT { Length::Long } else { Length::Short };
        let (held, wanted) = (place.of_all.num_permits(), octets.div_ceil(UNIT));
        if length != place.length {
            return self.place(length, wanted);
        }
        if wanted > held {
            let more = self.place(length, wanted - held)?;
            place.of_all.merge(more.of_all);
            place.of_peer.merge(more.of_peer);
        }
        Ok(place)
    }

    fn place(&self, length: Length, units: usize) -> Result<Place, Unread> {
        let of_peer = self.peer.take(length, units)?;
        Ok(Place { length, of_all: self.all.take(length, units)?, of_peer })
    }
}

impl Pools {
    /// One of so many equal parts.
    fn new(parts: usize) -> Self {
        let pool = |octets: usize| Arc::new(Semaphore::new(octets / parts / UNIT));
        Self { short: pool(SHORT_ROOM), long: pool(LONG_ROOM) }
    }

    fn take(&self, length: Length, units: usize) -> Result<OwnedSemaphorePermit, Unread> {
        let pool = match length {
            Length::Short => &self.short,
            Length::Long => &self.long,
        };
        let units = u32::try_from(units).map_err(|_| Unread::TooLong)?;
        Arc::clone(pool).try_acquire_many_owned(units).map_err(|_| Unread::NoRoom)
    }
}

impl Default for Room {
    fn default() -> Self {
        Self { all: Pools::new(1), peer: Pools::new(2) }
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
