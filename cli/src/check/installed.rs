//! How the installation itself stands: Deployment, images, Lease; then its keys, and what it says of the mesh.

use std::time::Duration;

use byrnie_control_plane::cluster_names::CONTROL_PLANE as NAME;
use byrnie_source::ObjectPath;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Asked,
    deployment::deployment,
    injector, keys, mesh,
    report::{Check, Report, log},
};

const CONTAINER: &str = "control-plane";

/// A Lease is renewed every 5 s, and is another's after 15 s.
const RENEWED: Duration = Duration::from_secs(15);
/// By when a holder renews it once more.
const NEXT_RENEWAL: Duration = Duration::from_secs(6);

/// Makes the checks. Where nothing is installed, that is the only one.
pub async fn run(asked: &Asked<'_>, report: &mut Report) {
    let namespace = asked.installation.namespace();
    let found = match asked.calls.read(&ObjectPath::deployment(namespace, NAME)).await {
        Ok(Some(found)) => {
            report.add(deployment("deployment", NAME, &found, namespace));
            Some(found)
        }
        Ok(None) => {
            let hint = "`byrnie install | kubectl apply --server-side -f -`, or --byrnie-namespace names another";
            report.add(Check::fault("deployment", format!("no Deployment {namespace}/{NAME}"), hint));
            return;
        }
        Err(error) => {
            report.add(Check::unknown("deployment", &format!("Deployment {namespace}/{NAME}"), &error));
            None
        }
    };
    report.add(match asked.installation.pods(&asked.cluster).await {
        Ok(pods) => images(&pods, env!("CARGO_PKG_VERSION")),
        Err(error) => Check::unknown("images", &format!("the Pods of namespace {namespace}"), &error),
    });
    report.add(asked.lease().await);
    keys::run(asked, found.as_ref().and_then(issuer_secret), report).await;
    injector::run(asked, report).await;
    mesh::run(asked, report).await;
}

impl Asked<'_> {
    /// Looks twice where the clocks may differ.
    async fn lease(&self) -> Check {
        let path = ObjectPath::lease(self.installation.namespace(), NAME);
        let mut before = None;
        loop {
            let found = match self.calls.read(&path).await {
                Ok(Some(found)) => found,
                Ok(None) => {
                    return Check::fault("lease", format!("no Lease {path}"), log(self.installation.namespace()));
                }
                Err(error) => return Check::unknown("lease", &path.to_string(), &error),
            };
            let now = OffsetDateTime::now_utc();
            match lease(&found, before.as_ref(), now) {
                None => {
                    tokio::time::sleep(NEXT_RENEWAL).await;
                    before = Some(found);
                }
                Some(check) => return check,
            }
        }
    }
}

fn images(pods: &[Value], own: &str) -> Check {
    let name = "images";
    let image = |pod: &Value| {
        let mut containers = pod["spec"]["containers"].as_array().into_iter().flatten();
        let container = containers.find(|container| container["name"] == CONTAINER)?;
        Some((pod["metadata"]["name"].as_str()?.to_owned(), container["image"].as_str()?.to_owned()))
    };
    let images: Vec<_> = pods.iter().filter_map(image).collect();
    let others = images.iter().filter(|(_, image)| version(image).is_some_and(|version| version != own));
    let others: Vec<_> = others.map(|(pod, image)| format!("Pod {pod} runs {image}")).collect();
    match (others.is_empty(), images.first()) {
        (true, Some((_, image))) => Check::ok(name, format!("{} Pods, {image}; this command is {own}", images.len())),
        (true, None) => Check::warning(name, "there is no Pod of the control plane", "see the Deployment"),
        (false, _) => {
            let hint = "take the command and the control plane of one version";
            Check::warning(name, format!("{}; this command is {own}", others.join(", ")), hint)
        }
    }
}

/// `registry:5000/byrnie-control-plane:v0.1.0@sha256:...` is of version `0.1.0`; a tag need not be one.
fn version(image: &str) -> Option<&str> {
    let image = image.split('@').next().unwrap_or_default();
    let last = image.rsplit('/').next().unwrap_or_default();
    let (_, tag) = last.split_once(':')?;
    let version = tag.trim_start_matches('v');
    version.starts_with(|c: char| c.is_ascii_digit()).then_some(version)
}

/// Whether the Lease is held, by what it was `before`, where it was looked at; `None` where it must be looked at again.
fn lease(found: &Value, before: Option<&Value>, now: OffsetDateTime) -> Option<Check> {
    let name = "lease";
    let hint = "no status is written until a replica holds it: is one running?";
    let renewed = |lease: &Value| lease["spec"]["renewTime"].as_str().map(str::to_owned);
    let holder = found["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty());
    let time = renewed(found).and_then(|time| OffsetDateTime::parse(&time, &Rfc3339).ok());
    if let (Some(holder), Some(time)) = (holder, time)
        && (now - time).abs() <= RENEWED
    {
        return Some(Check::ok(name, format!("held by {holder}")));
    }
    let before = before?;
    Some(match (holder, time) {
        (Some(holder), Some(time)) if renewed(before) != renewed(found) => {
            let text = format!("held by {holder}, whose clock is {}s off this machine's", (now - time).whole_seconds());
            Check::warning(name, text, "certificates are judged by clocks: set them right")
        }
        (Some(holder), Some(time)) => {
            let text = format!("held by {holder}, and not renewed for {}s", (now - time).whole_seconds());
            Check::fault(name, text, hint)
        }
        _ => Check::fault(name, "held by nobody", hint),
    })
}

/// The Secret of an own issuer, as the Deployment's arguments name it.
fn issuer_secret(deployment: &Value) -> Option<String> {
    let containers = deployment.pointer("/spec/template/spec/containers")?.as_array()?;
    let container = containers.iter().find(|container| container["name"] == CONTAINER)?;
    let arguments: Vec<_> = container["args"].as_array()?.iter().filter_map(Value::as_str).collect();
    let joined = arguments.iter().find_map(|argument| argument.strip_prefix("--issuer-secret="));
    let apart = || arguments.windows(2).find(|pair| pair[0] == "--issuer-secret").map(|pair| pair[1]);
    joined.or_else(apart).map(str::to_owned)
}

#[cfg(test)]
mod tests;
