//! What ServiceAccounts have asked of the API server, from its audit log.

use std::{collections::BTreeMap, fs, io, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;

use super::ApiServer;

/// The file of the log.
pub const LOG: &str = "audit.log";

/// Only ServiceAccounts: the API server's own requests and the administrator's are of no test's interest.
pub const POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, userGroups: ['system:serviceaccounts']}
- {level: None}
";

/// A request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Audited {
    /// Such as `list` or `patch`, as a role has them.
    pub verb: String,
    /// As a role has it, with its group where it has one: `pods`, `httproutes.gateway.networking.k8s.io/status`. The path
    /// where the request is for none.
    pub resource: String,
    /// The namespace, empty for all.
    pub namespace: String,
    /// The object's name, empty for many.
    pub name: String,
    /// The status code of the answer; a watch has it when it begins.
    pub code: u64,
}

impl ApiServer {
    /// The requests of a ServiceAccount that were answered so far, in their order. One that was just answered may be
    /// missing.
    pub fn requests_of(&self, namespace: &str, account: &str) -> Result<Vec<Audited>> {
        of(&self.folder().join(LOG), &format!("system:serviceaccount:{namespace}:{account}"))
    }
}

fn of(log: &Path, user: &str) -> Result<Vec<Audited>> {
    let text = match fs::read_to_string(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.with_context(|| log.display().to_string())?,
    };
    let mut requests = Vec::new();
    let mut known = BTreeMap::new();
    // The last line may be half written.
    for event in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        if event["user"]["username"] == user {
            // A watch is told when it begins and when it ends.
            let at = *known.entry(text_of(&event["auditID"])).or_insert(requests.len());
            match requests.get_mut(at) {
                Some(earlier) => *earlier = read(&event),
                None => requests.push(read(&event)),
            }
        }
    }
    Ok(requests)
}

fn read(event: &Value) -> Audited {
    let object = &event["objectRef"];
    let resource = match text_of(&object["resource"]) {
        resource if resource.is_empty() => text_of(&event["requestURI"]),
        resource => {
            let group = Some(text_of(&object["apiGroup"])).filter(|group| !group.is_empty());
            let part = Some(text_of(&object["subresource"])).filter(|part| !part.is_empty());
            let after = |sign: &str, text: Option<String>| text.map(|text| format!("{sign}{text}")).unwrap_or_default();
            format!("{resource}{}{}", after(".", group), after("/", part))
        }
    };
    Audited {
        verb: text_of(&event["verb"]),
        resource,
        namespace: text_of(&object["namespace"]),
        name: text_of(&object["name"]),
        code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
