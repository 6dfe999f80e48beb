//! Asking a running control plane through its admin port: at an address, or in a cluster, where it is all its replicas.

mod door;
mod place;

use anyhow::Result;
use serde_json::Value;
use tokio::task::JoinSet;

use self::door::{Door, Failure};
pub use self::place::{Admin, Installation, Kubeconfig};

/// A control plane that can be asked: one process, or the replicas of a cluster, of which there is one at least.
#[derive(Debug)]
pub struct ControlPlane {
    doors: Vec<Door>,
}

/// What one process of the control plane answered.
#[derive(Debug)]
pub struct Answer {
    /// Its Pod, in a cluster.
    pub replica: Option<String>,
    /// What it said.
    pub document: Value,
}

impl ControlPlane {
    /// What all replicas answer at `path`. One that does not is told of on standard error: its part is missing.
    pub async fn all(&self, path: &str) -> Result<Vec<Answer>> {
        let (answers, failures) = self.ask(path).await;
        if answers.is_empty() {
            return Err(worst(failures));
        }
        for (door, failure) in failures {
            eprintln!("byrnie: {door}: {}; its part is missing", crate::told(&failure.into()));
        }
        Ok(answers)
    }

    /// What the first replica answers that has something at `path`. Where none has, the refusal of one is the error.
    pub async fn any(&self, path: &str) -> Result<Value> {
        let mut failures = Vec::new();
        for door in &self.doors {
            match door.get(path).await {
                Ok(document) => return Ok(document),
                Err(failure) => failures.push((door.to_string(), failure)),
            }
        }
        Err(worst(failures))
    }

    async fn ask(&self, path: &str) -> (Vec<Answer>, Vec<(String, Failure)>) {
        let mut asked = JoinSet::new();
        for (index, door) in self.doors.iter().enumerate() {
            let (door, path) = (door.clone(), path.to_owned());
            asked.spawn(async move { (index, door.get(&path).await) });
        }
        let mut all = asked.join_all().await;
        all.sort_by_key(|(index, _)| *index);
        let (mut answers, mut failures) = (Vec::new(), Vec::new());
        for (index, asked) in all {
            let door = &self.doors[index];
            match asked {
                Ok(document) => answers.push(Answer { replica: door.replica().map(str::to_owned), document }),
                Err(failure) => failures.push((door.to_string(), failure)),
            }
        }
        (answers, failures)
    }
}

/// Which of several failures is told: one who answered knows more than one who did not.
fn worst(failures: Vec<(String, Failure)>) -> anyhow::Error {
    let (mut refusals, mut silent) = (Vec::new(), Vec::new());
    for (door, failure) in failures {
        match failure {
            Failure::Refused(text) => refusals.push(text),
            Failure::Silent(error) => silent.push((door, error)),
        }
    }
    if let Some(refusal) = refusals.into_iter().next() {
        return anyhow::Error::msg(refusal);
    }
    let several = silent.len() > 1;
    let texts = silent.into_iter().map(|(door, error)| match several {
        true => format!("{door}: {}", crate::told(&error)),
        false => crate::told(&error),
    });
    anyhow::Error::msg(texts.collect::<Vec<_>>().join("; "))
}
