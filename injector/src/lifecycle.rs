//! A delay before an application is told to end: its Pod is taken out of all endpoints meanwhile, and nobody calls it
//! any more when it ends.

use serde_json::{Value, json};

use crate::{pod, refusal::Refusal};

/// What the API server sets where a Pod does not.
const GRACE_PERIOD: u64 = 30;

/// Gives the containers that have no `preStop` one that sleeps: so many seconds, and at most half of the grace period within
/// which the container has to end.
pub fn delay_end(containers: &mut [Value], seconds: u16, spec: &serde_json::Map<String, Value>) -> Result<(), Refusal> {
    let of_pod = spec.get("terminationGracePeriodSeconds").and_then(Value::as_u64).unwrap_or(GRACE_PERIOD);
    for container in containers {
        let seconds = u64::from(seconds).min(grace(container, of_pod) / 2);
        if seconds == 0 {
            continue;
        }
        let path = format!("spec.containers[{}].lifecycle", pod::name(container));
        let Value::Object(fields) = container else { continue };
        let hooks = pod::object(fields, "lifecycle", &path)?;
        if hooks.get("preStop").is_none_or(Value::is_null) {
            hooks.insert("preStop".to_owned(), json!({"sleep": {"seconds": seconds}}));
        }
    }
    Ok(())
}

/// The least: where a probe ends the container, the probe's own holds.
fn grace(container: &Value, of_pod: u64) -> u64 {
    let of_probes = ["livenessProbe", "startupProbe"].map(|probe| &container[probe]["terminationGracePeriodSeconds"]);
    of_probes.into_iter().filter_map(Value::as_u64).chain([of_pod]).min().unwrap_or(of_pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_is_half_of_the_least_grace_period_at_most() {
        let delay = |probe: &str, of_probe: Value, of_pod: u64| {
            let probe = json!({"name": "app", probe: {"terminationGracePeriodSeconds": of_probe}});
            let mut containers = [probe, json!({"name": "other"})];
            let Value::Object(spec) = json!({"terminationGracePeriodSeconds": of_pod}) else { panic!("an object") };
            delay_end(&mut containers, 5, &spec).unwrap();
            containers.map(|container| container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64())
        };
        assert_eq!(delay("livenessProbe", json!(4), 30), [Some(2), Some(5)]);
        assert_eq!(delay("startupProbe", json!(1), 30), [None, Some(5)]);
        assert_eq!(delay("livenessProbe", json!(60), 6), [Some(3), Some(3)]);
        assert_eq!(delay("livenessProbe", Value::Null, 30), [Some(5), Some(5)]);
        // A readiness probe ends nothing.
        assert_eq!(delay("readinessProbe", json!(4), 30), [Some(5), Some(5)]);
    }
}
