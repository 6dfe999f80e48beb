//! Whole Pods: golden files, what is refused and skipped, and that injecting twice is injecting once.

mod golden;
mod marked;
mod refusals;
mod skips;
mod twice;
mod yaml;

use byrnie_injector::{Operation, ProxyKind, Refusal, Settings, injected};
use serde_json::{Value, json};

fn patch(pod: &Value, settings: &Settings) -> Result<Vec<Operation>, Refusal> {
    Ok(byrnie_injector::patch(pod, &injected(pod, settings)?))
}

/// Does what an API server does with a patch.
fn applied(mut pod: Value, patch: &[Operation]) -> Value {
    for step in patch {
        let (Operation::Add { path, .. } | Operation::Replace { path, .. } | Operation::Remove { path }) = step;
        let (parent, last) = path.rsplit_once('/').expect("a path begins with a slash");
        let last = last.replace("~1", "/").replace("~0", "~");
        let parent = pod.pointer_mut(parent).expect("what a step changes is there");
        match (step, parent) {
            (Operation::Add { value, .. }, Value::Object(fields)) => {
                assert!(fields.insert(last, value.clone()).is_none(), "{path} is there already");
            }
            (Operation::Replace { value, .. }, Value::Object(fields)) => {
                assert!(fields.insert(last, value.clone()).is_some(), "{path} is not there");
            }
            (Operation::Replace { value, .. }, Value::Array(items)) => {
                items[last.parse::<usize>().expect("an index")] = value.clone();
            }
            (Operation::Remove { .. }, Value::Object(fields)) => {
                assert!(fields.remove(&last).is_some(), "{path} is not there");
            }
            (step, parent) => panic!("{step:?} at {parent}"),
        }
    }
    pod
}

fn leaving_probes() -> Settings {
    Settings { rewrite_probes: false, ..Settings::default() }
}

fn envoys() -> Settings {
    Settings { proxy: ProxyKind::Envoy, ..Settings::default() }
}

fn pod(annotations: Value) -> Value {
    json!({
        "metadata": {"name": "cart", "namespace": "shop", "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "cart"}]},
    })
}
