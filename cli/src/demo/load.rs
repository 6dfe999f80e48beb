//! The load: requests to web at a steady rate, as the application of the client's sidecar, and what came back.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderValue, StatusCode};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::MissedTickBehavior,
};

use super::{
    apps::{BETA_HEADER, CALLER_HEADER, Proof, Reply},
    counts::Calls,
    http_client::HttpClient,
    mesh::CLIENT,
    split::{Seen, VERSIONS},
};

const LIMIT: Duration = Duration::from_secs(5);
/// Requests on the way at once; above that the load waits, as a browser would.
const MOST_AT_ONCE: usize = 256;
const MOST_REASONS: usize = 20;
const BETA_EVERY: u64 = 5;

/// What came back so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// The load's own calls.
    pub calls: Calls,
    /// Answered with a reply.
    pub succeeded: u64,
    /// Not answered, or with another status, by reason.
    pub failures: BTreeMap<String, u64>,
    /// Answers by version of cart.
    pub split: Seen,
    /// What good answers came through, by the Pod that called and the one that was called.
    pub hops: BTreeMap<(String, String), Hops>,
}

/// Requests from one Pod to another one that were part of a good answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hops {
    /// With both identities proven, so over mTLS.
    pub proved: u64,
    /// Without.
    pub unproved: u64,
    /// The identities, as they were proven last.
    pub proof: Option<Proof>,
}

impl Tally {
    /// Requests that did not succeed.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// All from one Pod to those that `is_called` names.
    pub fn hops_between(&self, caller: &str, is_called: impl Fn(&str) -> bool) -> Hops {
        let mut sum = Hops::default();
        for (_, hops) in self.hops.iter().filter(|((from, to), _)| from == caller && is_called(to)) {
            sum.proved += hops.proved;
            sum.unproved += hops.unproved;
            sum.proof = sum.proof.or_else(|| hops.proof.clone());
        }
        sum
    }

    fn succeed(&mut self, reply: Reply) {
        self.succeeded += 1;
        self.hop(CLIENT.name, reply);
    }

    fn fail(&mut self, mut reason: String) {
        if self.failures.len() >= MOST_REASONS && !self.failures.contains_key(&reason) {
            reason = "for other reasons".to_owned();
        }
        *self.failures.entry(reason).or_default() += 1;
    }

    fn hop(&mut self, caller: &str, reply: Reply) {
        self.split.v1 += u64::from(reply.pod == VERSIONS[0]);
        self.split.v2 += u64::from(reply.pod == VERSIONS[1]);
        for call in reply.calls {
            self.hop(&reply.pod, call);
        }
        let hops = self.hops.entry((caller.to_owned(), reply.pod)).or_default();
        match reply.proof {
            Some(proof) => {
                hops.proved += 1;
                hops.proof = Some(proof);
            }
            None => hops.unproved += 1,
        }
    }
}

/// The running load; it ends when this is dropped.
pub struct Load {
    tally: Arc<Mutex<Tally>>,
    task: AbortHandle,
}

impl Load {
    /// Sends `rate` requests a second to `target`.
    pub fn start(target: SocketAddr, rate: u32, tasks: &mut JoinSet<()>) -> Self {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let task = tasks.spawn(run(target, rate, tally.clone()));
        Self { tally, task }
    }

    /// What came back so far.
    pub fn tally(&self) -> Tally {
        locked(&self.tally).clone()
    }

    /// Sends nothing more; what is on the way is dropped uncounted.
    pub fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn run(target: SocketAddr, rate: u32, tally: Arc<Mutex<Tally>>) {
    let client = HttpClient::new(LIMIT);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut requests = JoinSet::new();
    let mut number = 0_u64;
    loop {
        tokio::select! {
            _ = ticks.tick(), if requests.len() < MOST_AT_ONCE => {
                number += 1;
                let beta = number.is_multiple_of(BETA_EVERY);
                let client = client.clone();
                locked(&tally).calls.sent += 1;
                let begun = Instant::now();
                requests.spawn(async move { (begun, request(&client, target, beta).await) });
            }
            Some(ended) = requests.join_next() => {
                let mut tally = locked(&tally);
                match ended {
                    Ok((begun, answer)) => {
                        tally.calls.end(begun, answer.is_ok());
                        match answer {
                            Ok(reply) => tally.succeed(reply),
                            Err(reason) => tally.fail(reason),
                        }
                    }
                    Err(error) => tally.fail(error.to_string()),
                }
            }
        }
    }
}

async fn request(client: &HttpClient, target: SocketAddr, beta: bool) -> Result<Reply, String> {
    let caller = (CALLER_HEADER, HeaderValue::from_static(CLIENT.name));
    let headers = [caller, (BETA_HEADER, HeaderValue::from_static("yes"))];
    let headers = if beta { &headers[..] } else { &headers[..1] };
    let (status, body) = client.get(target, "/", headers).await.map_err(|error| format!("{error:#}"))?;
    let text = String::from_utf8_lossy(&body);
    if status != StatusCode::OK {
        return Err(format!("{} {}", status.as_u16(), text.trim()));
    }
    serde_json::from_slice(&body).map_err(|error| format!("200 with a body that is no reply: {error}"))
}

fn locked(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(pod: &str, caller: Option<&str>, calls: Vec<Reply>) -> Reply {
        let proof = caller.map(|caller| Proof { caller: caller.to_owned(), callee: pod.to_owned() });
        Reply { pod: pod.to_owned(), proof, calls }
    }

    #[test]
    fn every_hop_of_an_answer_is_counted() {
        let mut tally = Tally::default();
        let hops = vec![reply("cart-v2", Some("web"), vec![]), reply("catalog-1", None, vec![])];
        tally.succeed(reply("web-1", Some("client"), hops));
        tally.fail("502 catalog: 503".to_owned());
        assert_eq!((tally.succeeded, tally.failed()), (1, 1));
        assert_eq!(tally.split, Seen { v1: 0, v2: 1 });
        let hops = |caller: &str, callee: &str| tally.hops[&(caller.to_owned(), callee.to_owned())].clone();
        assert_eq!((hops("client", "web-1").proved, hops("web-1", "cart-v2").proved), (1, 1));
        assert_eq!(hops("web-1", "catalog-1"), Hops { unproved: 1, ..Hops::default() });
    }

    #[tokio::test]
    async fn a_target_that_is_not_there_is_a_failure_with_its_reason() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut tasks = JoinSet::new();
        let load = Load::start(free, 1000, &mut tasks);
        while load.tally().failed() < 3 {
            tokio::task::yield_now().await;
        }
        assert!(load.tally().failures.keys().all(|reason| reason.contains(&free.to_string())));
    }
}
