//! What the control plane says of the mesh: findings, and how the proxies stand.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value;

use super::{
    Asked,
    report::{Check, Report},
};
use crate::{output, proxies, remote::ControlPlane};

/// As many of a kind as are told one by one.
const TOLD: usize = 10;

/// What a proxy that was sent something needs to answer, at most.
const ANSWERS: u64 = 10;

/// Makes the checks, or tells why the control plane could not be asked.
pub async fn run(asked: &Asked<'_>, report: &mut Report) {
    match told(asked).await {
        Ok((found, clients)) => {
            let checks = findings(&found).into_iter().chain(proxies(&clients));
            checks.for_each(|check| report.add(check));
        }
        Err(error) => {
            let hint = "not checked; it takes the rights to list pods and to create pods/portforward";
            report.add(Check::warning("control-plane", crate::told(&error), hint));
        }
    }
}

/// The findings, and the connected proxies.
async fn told(asked: &Asked<'_>) -> Result<(Vec<Value>, Vec<Value>)> {
    let control_plane = asked.installation.control_plane(&asked.cluster).await?;
    let found = findings_of(&control_plane).await?;
    Ok((found, proxies::merged(control_plane.all("/debug/clients").await?)))
}

/// Those of all replicas, each once.
async fn findings_of(control_plane: &ControlPlane) -> Result<Vec<Value>> {
    let mut seen = BTreeSet::new();
    let answers = control_plane.all("/debug/findings").await?;
    let found = answers.into_iter().flat_map(|answer| answer.document.as_array().cloned().unwrap_or_default());
    Ok(found.filter(|finding| seen.insert(finding.to_string())).collect())
}

fn findings(found: &[Value]) -> Vec<Check> {
    let name = "findings";
    let field = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    let told: Vec<_> = found
        .iter()
        .filter(|finding| finding["severity"] != "note")
        .map(|finding| {
            let place = [field(finding, "object"), field(finding, "field")].join(" ");
            let text = format!("{}: {}", place.trim(), field(finding, "message"));
            let severity = finding["severity"].as_str().unwrap_or("finding");
            Check::warning(name, text.trim_start_matches(": "), format!("{severity}: mend the object"))
        })
        .collect();
    limited(told, name, Check::ok(name, "nothing is wrong with the configuration"))
}

fn proxies(clients: &[Value]) -> Vec<Check> {
    let name = "proxies";
    let told: Vec<_> = clients.iter().filter_map(|client| proxy(name, client)).collect();
    let good = match clients.len() {
        0 => "none is connected".to_owned(),
        count => format!("{count} connected, each with all that it needs"),
    };
    limited(told, name, Check::ok(name, good))
}

fn proxy(name: &'static str, client: &Value) -> Option<Check> {
    let node = client["node"].as_str().unwrap_or_default();
    if let Some(refusal) = client["refused"].as_array().and_then(|refused| refused.first()) {
        let field = |name: &str| output::cell(refusal.get(name));
        let text = format!("{node} refused {} {}: {}", field("kind"), field("resources"), field("message"));
        return Some(Check::warning(name, text, format!("it keeps what it had; from {}", field("objects"))));
    }
    let kinds = client["kinds"].as_array().into_iter().flatten();
    let behind = kinds.filter(|kind| match kind["sync"].as_str() {
        Some("pending") => kind["pendingSeconds"].as_u64().is_some_and(|seconds| seconds > ANSWERS),
        Some("synced") | None => false,
        Some(_) => true,
    });
    let behind: Vec<_> =
        behind.map(|kind| [output::cell(kind.get("sync")), output::cell(kind.get("kind"))].join(" ")).collect();
    let hint = format!("byrnie proxy-status {node}");
    (!behind.is_empty()).then(|| Check::warning(name, format!("{node}: {}", behind.join(", ")), hint))
}

/// The first of them and the number of the others, or that there are none.
fn limited(mut told: Vec<Check>, name: &'static str, none: Check) -> Vec<Check> {
    if told.is_empty() {
        return vec![none];
    }
    let more = told.len().saturating_sub(TOLD);
    told.truncate(TOLD);
    if more > 0 {
        told.push(Check::warning(name, format!("and {more} more"), "byrnie proxy-status, or /debug/findings, has all"));
    }
    told
}

#[cfg(test)]
mod tests;
