//! Which of several equal processes does what only one may do: a Lease (coordination.k8s.io/v1).
//!
//! The holder renews its Lease; another takes it when it has not seen it change for as long as it lasts, by its own
//! clock. So no two clocks are compared, and a holder that cannot renew knows that it holds no more before another
//! may take it: it stops a third of the time earlier.

mod election;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::watch as latest,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{info, warn};

pub use self::election::Turn;
use self::election::{Election, Step, holder, released};
use super::{
    call::{CallError, Calls},
    resources::ObjectPath,
};

/// How often it is renewed, or looked at.
const PERIOD: Duration = Duration::from_secs(5);

/// When a failure or a lost race is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A process that would hold a Lease.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Where the Lease is, or will be made.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// What the holder is called: unique among the candidates.
    pub identity: Arc<str>,
}

/// How one process stands to a Lease, until this is dropped.
#[derive(Debug)]
pub struct Leadership {
    turn: latest::Receiver<Turn>,
    calls: Calls,
    path: ObjectPath,
    identity: Arc<str>,
    task: JoinSet<()>,
}

struct Competing {
    calls: Calls,
    path: ObjectPath,
    election: Election,
    turn: latest::Sender<Turn>,
    is_failing: bool,
}

impl Leadership {
    pub(super) fn start(calls: Calls, candidate: Candidate) -> Self {
        let path = ObjectPath::lease(&candidate.namespace, &candidate.name);
        let (sender, turn) = latest::channel(Turn::default());
        let identity = candidate.identity.clone();
        let election = Election::new(candidate);
        let mut task = JoinSet::new();
        let competing =
            Competing { calls: calls.clone(), path: path.clone(), election, turn: sender, is_failing: false };
        task.spawn(competing.run());
        Self { turn, calls, path, identity, task }
    }

    /// Who holds it, and until when this process does, at any time.
    pub fn turns(&self) -> latest::Receiver<Turn> {
        self.turn.clone()
    }

    /// Lets go of it, where this process holds it, so that another follows at once.
    pub async fn release(mut self) -> Result<(), CallError> {
        self.task.shutdown().await;
        match self.calls.read(&self.path).await? {
            Some(lease) if holder(&lease) == Some(&*self.identity) => {
                self.calls.replace(&self.path, &released(lease)).await.map(drop)
            }
            _ => Ok(()),
        }
    }
}

impl Competing {
    async fn run(mut self) {
        loop {
            let pause = match self.step().await {
                Ok(pause) => pause,
                Err(error) => {
                    if !self.is_failing {
                        warn!(%error, lease = %self.path, "the Lease cannot be read or written");
                    }
                    self.is_failing = true;
                    RETRY
                }
            };
            sleep(pause).await;
        }
    }

    /// One round of asking; how long to wait for the next one.
    async fn step(&mut self) -> Result<Duration, CallError> {
        let asked = Instant::now();
        if !self.election.knows() {
            let lease = self.within(asked, self.calls.read(&self.path)).await?;
            self.election.observe(lease.as_ref(), asked);
        }
        let written = match self.election.step(asked) {
            Step::Wait => {
                self.election.forget();
                self.tell();
                return Ok(PERIOD);
            }
            Step::Create(lease) => self.within(asked, self.calls.create(&self.path, &lease)).await,
            Step::Replace(lease) => self.within(asked, self.calls.replace(&self.path, &lease)).await,
        };
        match written {
            Ok(lease) => {
                self.election.won(&lease, asked);
                self.tell();
                Ok(PERIOD)
            }
            Err(CallError::Conflict(_) | CallError::Exists(_) | CallError::Missing(_)) => {
                self.election.lost();
                self.tell();
                Ok(RETRY)
            }
            Err(error) => Err(error),
        }
    }

    /// A holder has as long as it holds, and not longer, so that it asks again in time.
    async fn within<T>(
        &self,
        asked: Instant,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let limit = self.election.patience(asked);
        match timeout(limit, call).await {
            Ok(answer) => answer,
            Err(_) => Err(CallError::Unavailable(format!("no answer within {limit:?}"))),
        }
    }

    fn tell(&mut self) {
        self.is_failing = false;
        let now = self.election.turn().clone();
        self.turn.send_if_modified(|turn| {
            let (was, is) = (turn.is_mine_at(Instant::now()), now.is_mine_at(Instant::now()));
            if is && !was {
                info!(lease = %self.path, "holds the Lease");
            } else if turn.holder != now.holder {
                info!(lease = %self.path, holder = now.holder.as_deref(), "the Lease is another's");
            }
            let is_news = *turn != now;
            *turn = now;
            is_news
        });
    }
}
