//! The rules of a Lease, without I/O.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{super::moment, Candidate};
use serde_json::{Value, json};

/// How long a Lease lasts that is not renewed: so long after a holder has died another follows it.
const LASTS: Duration = Duration::from_secs(15);

/// How long a holder believes that it holds after it asked to: less than others wait.
const BELIEVED: Duration = Duration::from_secs(10);

/// For one answer.
const ANSWER: Duration = Duration::from_secs(3);

/// Who holds a Lease, as one candidate knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// The holder, where there is one.
    pub holder: Option<Arc<str>>,
    /// Until when this process may do what only the holder does; none where it is another's.
    mine_until: Option<Instant>,
}

/// What to do about the Lease.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It is another's.
    Wait,
    /// There is none.
    Create(Value),
    /// It is to be renewed, or nobody renews it.
    Replace(Value),
}

/// One candidate.
#[derive(Debug)]
pub struct Election {
    candidate: Candidate,
    /// The Lease as it was read or written last.
    known: Known,
    /// The last state that was seen, and since when it is that.
    seen: Option<(Version, Instant)>,
    turn: Turn,
}

#[derive(Debug)]
enum Known {
    Not,
    Absent,
    Lease(Value),
}

/// What tells one state of the Lease from all others.
type Version = String;

impl Turn {
    /// Whether this process holds it.
    pub fn is_mine(&self) -> bool {
        self.is_mine_at(Instant::now())
    }

    pub(super) fn is_mine_at(&self, now: Instant) -> bool {
        self.mine_until.is_some_and(|until| now < until)
    }
}

impl Election {
    pub fn new(candidate: Candidate) -> Self {
        Self { candidate, known: Known::Not, seen: None, turn: Turn::default() }
    }

    /// Whether the Lease is known well enough to write it.
    pub fn knows(&self) -> bool {
        !matches!(self.known, Known::Not)
    }

    /// It is to be read anew before the next step.
    pub fn forget(&mut self) {
        self.known = Known::Not;
    }

    /// The Lease was read.
    pub fn observe(&mut self, lease: Option<&Value>, now: Instant) {
        let Some(lease) = lease else {
            (self.known, self.seen, self.turn) = (Known::Absent, None, Turn::default());
            return;
        };
        let version = version(lease);
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != version) {
            self.seen = Some((version, now));
        }
        self.known = Known::Lease(lease.clone());
        self.turn.holder = holder(lease).map(Arc::from);
        if self.turn.holder.as_ref() != Some(&self.candidate.identity) {
            self.turn.mine_until = None;
        }
    }

    /// What to do now.
    pub fn step(&self, now: Instant) -> Step {
        match &self.known {
            Known::Not => Step::Wait,
            Known::Absent => Step::Create(self.lease(None)),
            Known::Lease(lease) => {
                let holder = holder(lease);
                let lasts = duration(lease);
                let is_over = self.seen.as_ref().is_none_or(|(_, since)| now >= *since + lasts);
                match holder {
                    Some(holder) if *holder != *self.candidate.identity && !is_over => Step::Wait,
                    _ => Step::Replace(self.lease(Some(lease))),
                }
            }
        }
    }

    /// The Lease was written by a request that began at `asked`.
    pub fn won(&mut self, lease: &Value, asked: Instant) {
        self.seen = Some((version(lease), asked));
        self.known = Known::Lease(lease.clone());
        self.turn = Turn { holder: holder(lease).map(Arc::from), mine_until: Some(asked + BELIEVED) };
    }

    /// Somebody else wrote it.
    pub fn lost(&mut self) {
        self.turn = Turn::default();
        self.forget();
    }

    /// For how long an answer may be waited for.
    pub fn patience(&self, now: Instant) -> Duration {
        let left =
            self.turn.mine_until.map(|until| until.saturating_duration_since(now)).filter(|left| !left.is_zero());
        left.map_or(ANSWER, |left| left.min(ANSWER))
    }

    /// Who holds it, as far as is known.
    pub fn turn(&self) -> &Turn {
        &self.turn
    }

    /// The Lease as this candidate holds it from now on.
    fn lease(&self, before: Option<&Value>) -> Value {
        let now = moment::micro(SystemTime::now());
        let me = &*self.candidate.identity;
        let spec = |field: &str| before.map(|lease| lease["spec"][field].clone()).filter(|value| !value.is_null());
        let is_renewal = before.and_then(holder) == Some(me);
        let transitions = spec("leaseTransitions").and_then(|count| count.as_u64()).unwrap_or_default();
        let mut lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": &*self.candidate.name, "namespace": &*self.candidate.namespace},
            "spec": {
                "holderIdentity": me,
                "leaseDurationSeconds": LASTS.as_secs(),
                "acquireTime": spec("acquireTime").filter(|_| is_renewal).unwrap_or_else(|| json!(now)),
                "renewTime": now,
                "leaseTransitions": if is_renewal || before.is_none() { transitions } else { transitions + 1 },
            },
        });
        if let Some(before) = before {
            lease["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
        }
        lease
    }
}

/// The Lease of a holder that lets go of it, so that another need not wait.
pub fn released(mut lease: Value) -> Value {
    lease["spec"]["holderIdentity"] = json!("");
    lease["spec"]["leaseDurationSeconds"] = json!(1);
    lease
}

/// Who holds a Lease.
pub fn holder(lease: &Value) -> Option<&str> {
    lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty())
}

/// As the holder wrote it, whose rules may be others.
fn duration(lease: &Value) -> Duration {
    lease["spec"]["leaseDurationSeconds"].as_u64().map_or(LASTS, Duration::from_secs)
}

fn version(lease: &Value) -> Version {
    lease["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn election(identity: &str) -> Election {
        let candidate =
            Candidate { namespace: "byrnie-system".into(), name: "lease".into(), identity: identity.into() };
        Election::new(candidate)
    }

    /// A server that has one Lease, and counts its versions.
    #[derive(Default)]
    struct Server {
        lease: Option<Value>,
        version: u64,
    }

    impl Server {
        fn store(&mut self, mut lease: Value) -> Option<Value> {
            let expected = lease["metadata"]["resourceVersion"].as_str().map(str::to_owned);
            let there = self.lease.as_ref().map(version);
            if expected != there {
                return None;
            }
            self.version += 1;
            lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
            self.lease = Some(lease.clone());
            Some(lease)
        }

        /// One round of a candidate; whether it holds the Lease then.
        fn round(&mut self, election: &mut Election, now: Instant) -> bool {
            if !election.knows() {
                election.observe(self.lease.as_ref(), now);
            }
            match election.step(now) {
                Step::Wait => election.forget(),
                Step::Create(lease) | Step::Replace(lease) => match self.store(lease) {
                    Some(lease) => election.won(&lease, now),
                    None => election.lost(),
                },
            }
            election.turn().is_mine_at(now)
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_first_holds_it_and_the_second_follows_when_the_first_is_gone() {
        let (mut server, start) = (Server::default(), Instant::now());
        let (mut one, mut two) = (election("one"), election("two"));
        assert!(server.round(&mut one, start));
        for second in (0..60).step_by(5) {
            let now = start + SECOND * second;
            assert!(server.round(&mut one, now));
            assert!(!server.round(&mut two, now));
        }
        assert_eq!(server.lease.as_ref().unwrap()["spec"]["leaseTransitions"], 0);
        let gone = start + SECOND * 55;
        // One believes in it for less long than two waits.
        assert!(!one.turn().is_mine_at(gone + BELIEVED));
        assert!(!server.round(&mut two, gone + LASTS - SECOND));
        two.forget();
        assert!(server.round(&mut two, gone + LASTS));
        let spec = &server.lease.as_ref().unwrap()["spec"];
        assert_eq!((&spec["holderIdentity"], &spec["leaseTransitions"]), (&json!("two"), &json!(1)));
    }

    #[test]
    fn a_lease_that_was_stolen_is_given_up_at_the_next_write() {
        let (mut server, start) = (Server::default(), Instant::now());
        let mut one = election("one");
        assert!(server.round(&mut one, start));
        let mut stolen = server.lease.clone().unwrap();
        stolen["spec"]["holderIdentity"] = json!("thief");
        server.store(stolen);
        assert!(!server.round(&mut one, start + SECOND * 5));
        assert!(!server.round(&mut one, start + SECOND * 6));
        assert_eq!(one.turn().holder.as_deref(), Some("thief"));
        // The thief does not renew it.
        assert!(server.round(&mut one, start + SECOND * 25));
    }

    #[test]
    fn of_two_that_begin_together_one_wins() {
        let (mut server, now) = (Server::default(), Instant::now());
        let (mut one, mut two) = (election("one"), election("two"));
        one.observe(None, now);
        two.observe(None, now);
        assert!(server.round(&mut one, now));
        assert!(!server.round(&mut two, now));
    }

    #[test]
    fn a_lease_without_a_holder_is_taken_at_once() {
        let (mut server, now) = (Server::default(), Instant::now());
        server.store(json!({"metadata": {}, "spec": {"holderIdentity": "", "leaseTransitions": 3}})).unwrap();
        assert!(server.round(&mut election("one"), now));
        assert_eq!(server.lease.unwrap()["spec"]["leaseTransitions"], 4);
    }
}
