//! What becomes of a review that came: the Namespace is looked up, the answer is counted.

mod namespaces;

use std::time::Instant;

use byrnie_runtime::metrics::{Counters, Histogram, Metrics};
use byrnie_source::Cluster;
use tokio::sync::watch;
use tracing::{debug, info};

use self::namespaces::Namespaces;
use crate::{
    review::{Malformed, Outcome, Review},
    settings::{Namespace, Settings},
};

/// In seconds: a goal is 5 ms for 99 of 100, and the API server waits for 5 s.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Answers reviews of Pods.
#[derive(Debug)]
pub struct Webhook {
    namespaces: Namespaces,
    settings: watch::Receiver<Settings>,
    figures: Figures,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The API server, for all that is known.
    Other,
    /// This process, to see whether it would be answered: of a labelled namespace, and not counted.
    Own,
}

#[derive(Debug)]
struct Figures {
    admissions: Counters<[(&'static str, &'static str); 1]>,
    seconds: Histogram,
}

impl Webhook {
    /// Answers by what `settings` hold at the time.
    pub fn new(cluster: &Cluster, settings: watch::Receiver<Settings>, metrics: &Metrics) -> Self {
        Self { namespaces: Namespaces::follow(cluster), settings, figures: Figures::register(metrics) }
    }

    /// The answer to the body of a review.
    ///
    /// # Errors
    /// For what is no review.
    pub async fn answer(&self, body: &[u8], caller: Caller) -> Result<Vec<u8>, Malformed> {
        let started = Instant::now();
        let answered = self.answered(body, caller).await;
        if caller == Caller::Other {
            let outcome = answered.as_ref().map_or(Outcome::Malformed, |(outcome, _)| *outcome);
            self.figures.admissions.get_or_create_owned(&[("outcome", outcome.label())]).inc();
            self.figures.seconds.observe(started.elapsed().as_secs_f64());
        }
        answered.map(|(_, bytes)| bytes)
    }

    async fn answered(&self, body: &[u8], caller: Caller) -> Result<(Outcome, Vec<u8>), Malformed> {
        let answer = match Review::read(body)? {
            Review::Settled(answer) => answer,
            Review::Pod(asked) => {
                let what = asked.to_string();
                // Nothing of the Pod is in memory as a tree while this waits.
                let namespace = match caller {
                    Caller::Own => Ok(Namespace::enabled(asked.namespace())),
                    Caller::Other => self.namespaces.find(asked.namespace()).await,
                };
                let answer = match namespace {
                    Ok(namespace) => asked.answer(&namespace, &self.settings.borrow())?,
                    Err(error) => asked.unanswerable(&error)?,
                };
                match answer.refusal() {
                    Some(refusal) => info!(%refusal, "refused"),
                    None => debug!(%what, outcome = ?answer.outcome(), "admitted"),
                }
                answer
            }
        };
        Ok((answer.outcome(), answer.into_bytes()))
    }
}

impl Figures {
    fn register(metrics: &Metrics) -> Self {
        let (admissions, seconds) = ("byrnie_injector_admissions_total", "byrnie_injector_admission_seconds");
        Self {
            admissions: metrics.counters(admissions, "Reviews that were answered, by what came of them"),
            seconds: metrics.histogram(seconds, "Time from a whole review to its answer", SECONDS),
        }
    }
}
