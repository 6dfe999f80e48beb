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
        let (mut answers, mut failures) = (Vec::new(), Vec::new());
        for (door, asked) in self.doors.iter().zip(self.ask(path).await) {
            match asked {
                Ok(document) => answers.push(Answer { replica: door.replica().map(str::to_owned), document }),
                Err(failure) => failures.push(failure),
            }
        }
        if answers.is_empty() {
            return Err(told(failures));
        }
        for failure in failures {
            eprintln!("byrnie: {}; its part is missing", crate::told(&failure.into()));
        }
        Ok(answers)
    }

    /// What the first replica answers that has something at `path`.
    pub async fn any(&self, path: &str) -> Result<Value> {
        let mut failures = Vec::new();
        for door in &self.doors {
            match door.get(path).await {
                Ok(document) => return Ok(document),
                Err(failure) => failures.push(failure),
            }
        }
        Err(told(failures))
    }

    /// Asks all at once; the answers are in the order of the doors.
    async fn ask(&self, path: &str) -> Vec<Result<Value, Failure>> {
        let mut asked = JoinSet::new();
        for (index, door) in self.doors.iter().enumerate() {
            let (door, path) = (door.clone(), path.to_owned());
            asked.spawn(async move { (index, door.get(&path).await) });
        }
        let mut answers = asked.join_all().await;
        answers.sort_by_key(|(index, _)| *index);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }
}

/// Why nobody had an answer: what those say that have none is the same, and who is silent might have had one.
fn told(failures: Vec<Failure>) -> anyhow::Error {
    let mut texts = Vec::new();
    for failure in failures {
        let text = crate::told(&failure.into());
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    anyhow::Error::msg(texts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_replicas_say_alike_is_told_once_beside_who_is_silent() {
        let refused = || Failure::Refused("Service/shop/cart is not there".to_owned());
        let silent = Failure::Silent(anyhow::Error::msg("refused").context("no port-forward to Pod a/b"));
        let text = told(vec![refused(), silent, refused()]).to_string();
        assert_eq!(text, "Service/shop/cart is not there; no port-forward to Pod a/b: refused");
    }
}
