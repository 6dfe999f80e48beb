//! The labels of Namespaces: those that speak of injection are followed, all others are asked for when a Pod of them comes.

use std::time::Duration;

use byrnie_source::{Calls, Cluster, Few, ObjectPath, Scope};
use serde_json::Value;
use tokio::time::timeout;

use crate::{annotation::INJECT, settings::Namespace};

/// For an answer of the API server, which itself waits for ours (`timeoutSeconds` of the webhook, 5).
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// What is known of Namespaces.
#[derive(Debug)]
pub struct Namespaces {
    labelled: Few,
    calls: Calls,
}

impl Namespaces {
    /// Starts to follow.
    pub fn follow(cluster: &Cluster) -> Self {
        Self { labelled: cluster.follow(Scope::namespaces_labelled(INJECT)), calls: cluster.calls() }
    }

    /// The Namespace of this name, or why it is not known. One that was labelled a moment ago is asked for, as is one
    /// without the label.
    pub async fn find(&self, name: &str) -> Result<Namespace, String> {
        let held = self.labelled.now();
        if let Some(object) = held.and_then(|held| held.get(&("".into(), name.into())).cloned()) {
            return Ok(namespace(name, &object));
        }
        match timeout(ANSWER_LIMIT, self.calls.read(&ObjectPath::namespace(name))).await {
            Ok(Ok(object)) => Ok(namespace(name, &object.unwrap_or_default())),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer of the API server within {ANSWER_LIMIT:?}")),
        }
    }
}

fn namespace(name: &str, object: &Value) -> Namespace {
    let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
    let labels = labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
    Namespace { name: name.to_owned(), labels }
}
