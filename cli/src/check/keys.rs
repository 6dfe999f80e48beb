//! The keys of the mesh, and the roots in each namespace of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration as StdDuration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use byrnie_control_plane::cluster_names::{
    CA_SECRET as OWN_SECRET, INJECT, TRUST_CONFIG_MAP as TRUST, TRUST_KEY as ROOTS,
};
use byrnie_injector::{has_sidecar, is_injected};
use byrnie_source::{CallError, ObjectPath, Scope};
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use tokio::time::{Instant, sleep};

use super::{
    Asked,
    certificates::{self, Certificate},
    report::{Check, Report, log},
};

/// The annotations of Pods that have a sidecar of their own.
const EXPLICIT: [&str; 2] = ["byrnie.io/inbound", "byrnie.io/upstreams"];

/// Certificates that end sooner are told of.
const SOON: Duration = Duration::days(30);

/// The roots are everywhere within this time, and are looked for so often.
const SETTLED: StdDuration = StdDuration::from_secs(3);
const LOOK: StdDuration = StdDuration::from_millis(300);

/// As many names as a line holds.
const NAMED: usize = 5;

/// Which certificates the control plane issues with.
#[derive(Debug)]
struct Material {
    roots: Vec<Certificate>,
    issuers: Vec<Certificate>,
}

/// Makes the checks; `given` is the Secret of an own issuer.
pub async fn run(asked: &Asked<'_>, given: Option<String>, report: &mut Report) {
    let namespace = asked.installation.namespace();
    let secret = given.as_deref().unwrap_or(OWN_SECRET);
    let mut roots = None;
    report.add(match asked.calls.read(&ObjectPath::secret(namespace, secret)).await {
        Ok(Some(found)) => match material(&found, given.is_some()) {
            Ok(material) => {
                let check = keys(&material, given.is_some(), OffsetDateTime::now_utc());
                roots = Some(material.roots);
                check
            }
            Err(why) => Check::fault("keys", format!("Secret {namespace}/{secret}: {why}"), log(namespace)),
        },
        Ok(None) => Check::fault("keys", format!("no Secret {namespace}/{secret}"), log(namespace)),
        Err(error) => Check::unknown("keys", &format!("Secret {namespace}/{secret}"), &error),
    });
    report.add(match asked.settled_trust(roots.as_deref()).await {
        Ok(check) => check,
        Err(error) => Check::unknown("trust", "the namespaces of the mesh and their ConfigMaps", &error),
    });
}

impl Asked<'_> {
    /// What is missing is looked for again: after an installation, and in a namespace that has just come into the mesh,
    /// the roots are written a moment later.
    async fn settled_trust(&self, roots: Option<&[Certificate]>) -> Result<Check, CallError> {
        let until = Instant::now() + SETTLED;
        loop {
            let check = self.trust(roots).await?;
            if !check.is_fault() || Instant::now() >= until {
                return Ok(check);
            }
            sleep(LOOK).await;
        }
    }

    async fn trust(&self, roots: Option<&[Certificate]>) -> Result<Check, CallError> {
        let labelled = self.calls.list(&Scope::namespaces_with(INJECT.0, INJECT.1)).await?;
        let pods = self.calls.list(&Scope::metadata_of_pods()).await?;
        let maps = self.calls.list(&Scope::config_maps_named(TRUST)).await?;
        let namespace = self.installation.namespace();
        let mut namespaces = of_mesh(&labelled, &pods, namespace);
        for name in with_mark(&pods) {
            let has_map = || maps.iter().any(|map| map["metadata"]["namespace"] == *name);
            // Metadata shows no containers, and the mark of an injected Pod may be a copy.
            if !namespaces.contains(&name)
                && (has_map() || self.calls.list(&Scope::pods_of(&name)).await?.iter().any(has_sidecar))
            {
                namespaces.insert(name);
            }
        }
        Ok(trust(&namespaces, &maps, roots, namespace))
    }
}

fn material(secret: &Value, is_given: bool) -> Result<Material, String> {
    let (roots, issuers) = if is_given { ("ca.crt", "tls.crt") } else { (ROOTS, "issuer.pem") };
    let read = |key: &str| {
        let text = secret["data"][key].as_str().ok_or_else(|| format!("no key {key}"))?;
        let text = STANDARD.decode(text).map_err(|error| format!("{key}: {error}"))?;
        certificates::read(&text).map_err(|error| format!("{key}: {error:#}"))
    };
    Ok(Material { roots: read(roots)?, issuers: read(issuers)? })
}

fn keys(material: &Material, is_given: bool, now: OffsetDateTime) -> Check {
    let name = "keys";
    // Of several roots one that is good is enough; a chain ends with its first link that does.
    let root = material.roots.iter().map(|root| root.ends).max().unwrap_or(now);
    let issuer = material.issuers.iter().map(|issuer| issuer.ends).min().unwrap_or(now);
    let text = format!("the root lasts until {}, the issuer until {}", root.date(), issuer.date());
    let hint = match is_given {
        true => "renew the Secret of the issuer: what is in it is taken up at once",
        false => "the issuer is renewed by itself, the root is not: see the log",
    };
    match root.min(issuer) {
        ends if ends <= now => Check::fault(name, format!("a certificate has expired: {text}"), hint),
        ends if ends < now + SOON => Check::warning(name, format!("a certificate ends soon: {text}"), hint),
        _ => Check::ok(name, text),
    }
}

/// The namespaces that hold the roots: labelled, with a Pod that has a sidecar of its own, and the control plane's.
fn of_mesh(labelled: &[Value], pods: &[Value], own: &str) -> BTreeSet<String> {
    let there = labelled.iter().filter(|namespace| namespace["metadata"]["deletionTimestamp"].is_null());
    let is_explicit = |pod: &&Value| EXPLICIT.iter().any(|key| pod["metadata"]["annotations"][key].is_string());
    let with_pods = pods.iter().filter(is_explicit).map(|pod| field(pod, "namespace"));
    there.map(|namespace| field(namespace, "name")).chain(with_pods).chain([own.to_owned()]).collect()
}

/// Those with a Pod that bears the mark of an injected one.
fn with_mark(pods: &[Value]) -> BTreeSet<String> {
    pods.iter().filter(|pod| is_injected(pod)).map(|pod| field(pod, "namespace")).collect()
}

fn field(object: &Value, field: &str) -> String {
    object["metadata"][field].as_str().unwrap_or_default().to_owned()
}

/// Without `roots` those of the control plane's own namespace count.
fn trust(namespaces: &BTreeSet<String>, maps: &[Value], roots: Option<&[Certificate]>, own: &str) -> Check {
    let name = "trust";
    let map = |map: &Value| {
        let text = map["data"][ROOTS].as_str().unwrap_or_default();
        let read = certificates::read(text.as_bytes()).unwrap_or_default();
        let ders: BTreeSet<_> = read.into_iter().map(|certificate| certificate.der).collect();
        (map["metadata"]["namespace"].as_str().unwrap_or_default().to_owned(), ders)
    };
    let maps: BTreeMap<_, _> = maps.iter().map(map).collect();
    let wanted: BTreeSet<_> = match roots {
        Some(roots) => roots.iter().map(|root| root.der.clone()).collect(),
        None => maps.get(own).cloned().unwrap_or_default(),
    };
    let is_missing = |namespace: &&String| !maps.contains_key(*namespace);
    let missing: Vec<_> = namespaces.iter().filter(is_missing).map(String::as_str).collect();
    // Beside the roots there may be those before them, for as long as their certificates are in use.
    let is_other = |namespace: &&String| maps.get(*namespace).is_some_and(|found| !found.is_superset(&wanted));
    let other: Vec<_> = namespaces.iter().filter(is_other).map(String::as_str).collect();
    if missing.is_empty() && other.is_empty() {
        return Check::ok(name, format!("ConfigMap {TRUST} holds the roots in {} namespaces", namespaces.len()));
    }
    let told = |what: &str, namespaces: &[&str]| match namespaces {
        [] => None,
        few if few.len() <= NAMED => Some(format!("{what} {}", few.join(", "))),
        many => Some(format!("{what} {} and {} more", many[..NAMED].join(", "), many.len() - NAMED)),
    };
    let parts = [told("is missing in", &missing), told("has other roots in", &other)];
    let text = format!("ConfigMap {TRUST} {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", and "));
    Check::fault(name, text, log(own))
}

#[cfg(test)]
mod tests;
