//! What in a Pod is the sidecar's alone: its user and group, by which its traffic goes round the redirection, its ports, its
//! volumes, and in its own container the folders and variables that it works by.

use serde_json::Value;

use crate::{
    pod,
    refusal::Refusal,
    template::{PROXY_ID, VOLUMES},
};

/// Admin, outbound, inbound, probes and metrics, health.
const PORTS: [u64; 5] = [15000, 15001, 15006, 15020, 15021];

/// Folders of the sidecar's container: of its volumes, and those from which its program comes.
const FOLDERS: [&str; 13] = [
    "/var/run/secrets/byrnie",
    "/etc/byrnie",
    "/var/lib/byrnie",
    "/usr/local/bin",
    "/usr/local/lib",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib64",
    "/bin",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
];

const OTHER_FOLDERS: &str = "volumes of the Pod's own at folders neither within nor around /etc/byrnie, /var/lib/byrnie, \
                             /var/run/secrets/byrnie and those of programs";

/// The one variable of ours that a Pod may set.
const LOG: &str = "BYRNIE_LOG";

const OTHER_VARIABLES: &str = "BYRNIE_LOG and names that begin with neither BYRNIE_ nor LD_";

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
            let mut mounts = container["volumeMounts"].as_array().into_iter().flatten().map(pod::name);
            if let Some(volume) = mounts.find(|name| VOLUMES.contains(name)) {
                return Err(Refusal::Reserved { field: format!("{}.volumeMounts[{volume}]", place()) });
            }
        }
    }
    Ok(())
}

/// What is accepted in place of an item of `env` or `volumeMounts`, where it would change what the sidecar is.
pub fn of_item(list: &str, item: &Value) -> Option<&'static str> {
    match list {
        "env" => {
            // The linker loads what LD_PRELOAD names into the sidecar.
            let is_ours = |name: &str| ["BYRNIE_", "LD_"].iter().any(|prefix| name.starts_with(prefix)) && name != LOG;
            is_ours(pod::name(item)).then_some(OTHER_VARIABLES)
        }
        "volumeMounts" => {
            let found = folder(item["mountPath"].as_str().unwrap_or_default());
            // One is within the other if they do not differ for as long as both go on.
            let meets = |ours: &str| folder(ours).iter().zip(&found).all(|(ours, found)| ours == found);
            let is_ours = VOLUMES.contains(&pod::name(item)) || FOLDERS.into_iter().any(meets);
            is_ours.then_some(OTHER_FOLDERS)
        }
        _ => None,
    }
}

/// Whether a path is the folder or within it.
pub fn is_within(path: &Value, above: &str) -> bool {
    path.as_str().is_some_and(|path| folder(path).starts_with(&folder(above)))
}

/// The parts of a path from the root, as a container's runtime goes.
fn folder(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    // In images /var/run is a link to /run.
    if parts.starts_with(&["var", "run"]) {
        parts.remove(0);
    }
    parts
}

fn users(context: &Value, place: &str) -> Result<(), Refusal> {
    match ["runAsUser", "runAsGroup"].into_iter().find(|field| context[*field] == PROXY_ID) {
        None => Ok(()),
        Some(field) => Err(Refusal::User { field: format!("{place}.securityContext.{field}"), id: PROXY_ID }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_folder_is_the_same_however_it_is_written() {
        let is_taken = |path: &str| of_item("volumeMounts", &json!({"name": "x", "mountPath": path})).is_some();
        for path in [
            "/",
            "",
            "etc/byrnie",
            "/etc//byrnie/",
            "/etc",
            "/dump/../etc/./byrnie/root.crt",
            "/../run/secrets/byrnie",
            "/var/run",
            "/var",
            "/usr/local/bin/envoy",
        ] {
            assert!(is_taken(path), "{path}");
        }
        for path in
            ["/var/dump", "/etc/byrnie2", "/var/run/secrets/kubernetes.io/serviceaccount", "/usr/share/zoneinfo"]
        {
            assert!(!is_taken(path), "{path}");
        }
        assert!(is_within(&json!("/run/secrets/a/b"), "/var/run/secrets/a"));
        assert!(!is_within(&json!("/run/secrets/a/../b"), "/var/run/secrets/a"));
        assert!(!is_within(&json!("/run/secrets"), "/var/run/secrets/a"));
    }
}
