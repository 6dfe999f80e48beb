//! A delay before an application is told to end: its Pod is taken out of all endpoints meanwhile, and nobody calls it
//! any more when it ends.

use serde_json::{Value, json};

use crate::{pod, refusal::Refusal};

/// What the API server sets where a Pod does not.
const GRACE_PERIOD: u64 = 30;

/// Gives the containers that have no `preStop` one that sleeps: so many seconds, and at most half of the Pod's grace
/// period, within which all has to end.
pub fn delay_end(containers: &mut [Value], seconds: u16, spec: &serde_json::Map<String, Value>) -> Result<(), Refusal> {
    let grace = spec.get("terminationGracePeriodSeconds").and_then(Value::as_u64).unwrap_or(GRACE_PERIOD);
    let seconds = u64::from(seconds).min(grace / 2);
    if seconds == 0 {
        return Ok(());
    }
    for container in containers {
        let path = format!("spec.containers[{}].lifecycle", pod::name(container));
        let Value::Object(fields) = container else { continue };
        let hooks = pod::object(fields, "lifecycle", &path)?;
        if hooks.get("preStop").is_none_or(Value::is_null) {
            hooks.insert("preStop".to_owned(), json!({"sleep": {"seconds": seconds}}));
        }
    }
    Ok(())
}
