//! What in a Pod is the sidecar's alone: its user and group, by which its traffic goes round the redirection, and its ports.

use serde_json::Value;

use crate::{pod, refusal::Refusal, template::PROXY_ID};

/// Admin, outbound, inbound, probes and metrics, health.
const PORTS: [u64; 5] = [15000, 15001, 15006, 15020, 15021];

/// Refuses a Pod that has something of it for its application: that would call past the mesh, or not start.
pub fn check(of_pod: Option<&Value>, containers: &[Value], before: &[Value]) -> Result<(), Refusal> {
    of_pod.map_or(Ok(()), |context| users(context, "spec"))?;
    for (list, all) in [("containers", containers), ("initContainers", before)] {
        for container in all {
            let place = || format!("spec.{list}[{}]", pod::name(container));
            users(&container["securityContext"], &place())?;
            for port in container["ports"].as_array().into_iter().flatten() {
                if let Some(number) = port["containerPort"].as_u64().filter(|number| PORTS.contains(number)) {
                    return Err(Refusal::Port { field: format!("{}.ports[{number}]", place()), number });
                }
            }
        }
    }
    Ok(())
}

fn users(context: &Value, place: &str) -> Result<(), Refusal> {
    match ["runAsUser", "runAsGroup"].into_iter().find(|field| context[*field] == PROXY_ID) {
        None => Ok(()),
        Some(field) => Err(Refusal::User { field: format!("{place}.securityContext.{field}"), id: PROXY_ID }),
    }
}
