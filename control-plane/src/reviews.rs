//! Reviews of tokens, as few as will do: a proxy shows its token for discovery, for load reports and for its certificate,
//! and one review serves all of them.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use byrnie_ca::Clock;
use byrnie_runtime::metrics::{Collector, ConstCounter, DescriptorEncoder, EncodeMetric};
use byrnie_source::{ReviewError, Reviewed, TokenReviews};
use prometheus_client::metrics::MetricType;
use tokio::{
    sync::{OnceCell, Semaphore},
    time::{Instant, timeout},
};
use tonic::async_trait;

/// How long the API server's word is taken: a token that it no longer knows is refused after this at the latest.
const LONGEST: Duration = Duration::from_secs(60);
/// How many tokens are remembered; others are reviewed each time.
const MOST_KNOWN: usize = 16 * 1024;
/// How many reviews the API server is asked for at once.
const MOST_ASKED: usize = 16;
/// For a review and the wait for its turn.
const LIMIT: Duration = Duration::from_secs(15);
/// Those of ServiceAccounts have about 1,200.
const MOST_BYTES: usize = 8 * 1024;

/// Says whose a token is.
#[async_trait]
pub trait Review: Send + Sync + 'static {
    /// The Pod as which it was made.
    async fn review(&self, token: &str) -> Result<Reviewed, ReviewError>;
}

/// Reviews that are remembered for a short time.
pub struct Reviews {
    reviewer: Box<dyn Review>,
    clock: Clock,
    turns: Semaphore,
    /// By the token's hash: tokens themselves are not kept.
    known: Mutex<HashMap<Hash, Arc<Slot>>>,
    counts: Counts,
}

/// How reviews ended.
#[derive(Debug, Default)]
struct Counts {
    proven: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

/// The reviews that were asked for, as metrics.
pub struct ReviewFigures(pub Arc<Reviews>);

type Hash = [u8; 32];

/// One token; who asks while it is being reviewed waits for the same review.
type Slot = OnceCell<Known>;

struct Known {
    reviewed: Arc<Reviewed>,
    until: Instant,
}

#[async_trait]
impl Review for TokenReviews {
    async fn review(&self, token: &str) -> Result<Reviewed, ReviewError> {
        self.review(token).await
    }
}

impl Reviews {
    /// Reviews by `reviewer`; the clock says what is left of a token's time.
    pub fn new(reviewer: impl Review, clock: Clock) -> Self {
        Self {
            reviewer: Box::new(reviewer),
            clock,
            turns: Semaphore::new(MOST_ASKED),
            known: Mutex::default(),
            counts: Counts::default(),
        }
    }

    /// Whose `token` is.
    pub async fn review(&self, token: &str) -> Result<Arc<Reviewed>, ReviewError> {
        if token.len() > MOST_BYTES {
            let found = token.len();
            return Err(ReviewError::Refused(format!("it has {found} bytes, at most {MOST_BYTES} are accepted")));
        }
        let slot = self.slot(token);
        let asked = timeout(LIMIT, slot.get_or_try_init(|| self.ask(token))).await;
        let known = asked.unwrap_or_else(|_| Err(unavailable("no answer", LIMIT)))?;
        Ok(Arc::clone(&known.reviewed))
    }

    async fn ask(&self, token: &str) -> Result<Known, ReviewError> {
        let turn = self.turns.acquire().await;
        let _turn = turn.map_err(|_| ReviewError::Unavailable("the control plane ends".to_owned()))?;
        let reviewed = self.reviewer.review(token).await;
        let count = match &reviewed {
            Ok(_) => &self.counts.proven,
            Err(ReviewError::Unavailable(_)) => &self.counts.failed,
            Err(_) => &self.counts.refused,
        };
        count.fetch_add(1, Relaxed);
        let reviewed = reviewed?;
        let left = reviewed.expires.and_then(|end| end.duration_since((self.clock)()).ok()).unwrap_or_default();
        Ok(Known { reviewed: Arc::new(reviewed), until: Instant::now() + left.min(LONGEST) })
    }

    /// Where the review of the token is, or will be.
    fn slot(&self, token: &str) -> Arc<Slot> {
        let (hash, now) = (hash(token), Instant::now());
        let mut known = self.known();
        if let Some(slot) = known.get(&hash).filter(|slot| slot.get().is_none_or(|known| known.until > now)) {
            return Arc::clone(slot);
        }
        if known.len() >= MOST_KNOWN {
            known.retain(|_, slot| slot.get().map_or(Arc::strong_count(slot) > 1, |known| known.until > now));
        }
        let slot = Arc::new(Slot::new());
        if known.len() < MOST_KNOWN {
            known.insert(hash, Arc::clone(&slot));
        }
        slot
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Hash, Arc<Slot>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for ReviewFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Counts { proven, refused, failed } = &self.0.counts;
        let help = "tokens that the API server was asked about";
        let mut family = encoder.encode_descriptor("byrnie_token_reviews", help, None, MetricType::Counter)?;
        for (result, count) in [("proven", proven), ("refused", refused), ("failed", failed)] {
            let metric = ConstCounter::new(count.load(Relaxed));
            metric.encode(family.encode_family(&[("result", result)])?)?;
        }
        Ok(())
    }
}

impl fmt::Debug for ReviewFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReviewFigures").field(&self.0.counts).finish()
    }
}

fn hash(token: &str) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

fn unavailable(what: &str, limit: Duration) -> ReviewError {
    ReviewError::Unavailable(format!("{what} within {limit:?}"))
}

#[cfg(test)]
mod tests;
