//! Annotations of Pods that say how their traffic comes to a sidecar.

use std::{collections::BTreeSet, net::SocketAddr, ops::RangeInclusive};

use byrnie_model::{Capture, InboundPort, ServiceName, UpstreamPort};

use super::{check, core::Pod};
use crate::{field::Cursor, findings::Severity};

/// `LISTEN=APPLICATION`, comma-separated: the addresses where the sidecar listens for the application.
pub const INBOUND: &str = "byrnie.io/inbound";

/// `LISTEN=SERVICE.NAMESPACE:PORT`, comma-separated: the addresses where the application finds services.
pub const UPSTREAMS: &str = "byrnie.io/upstreams";

/// [`INJECTED`]: written by the injector beside the sidecar that it adds, and believed beside one alone ([`SIDECAR`]): it is
/// copied with the rest of a Pod's metadata.
pub const STATUS: &str = "byrnie.io/status";

/// The value of [`STATUS`].
pub const INJECTED: &str = "injected";

/// The init container that the injector's sidecar is in.
pub const SIDECAR: &str = "byrnie-proxy";

/// `micro` or `envoy`: the sidecar that stands beside the Pod. It is for whoever starts that; the control plane goes by
/// what a proxy says of itself.
pub const PROXY: &str = "byrnie.io/proxy";

/// Ports of the Pod that are not redirected, comma-separated, with ranges: so they are called without mutual TLS.
const EXCLUDED: &str = "byrnie.io/exclude-inbound-ports";

/// What a Pod says of the sidecar that is injected; the injector reads and checks these.
pub const INJECTION: [&str; 13] = [
    EXCLUDED,
    "byrnie.io/exclude-outbound-ports",
    "byrnie.io/exclude-outbound-cidrs",
    "byrnie.io/exclude-uids",
    "byrnie.io/exclude-interfaces",
    "byrnie.io/proxy-cpu",
    "byrnie.io/proxy-cpu-limit",
    "byrnie.io/proxy-memory",
    "byrnie.io/proxy-memory-limit",
    "byrnie.io/log-level",
    "byrnie.io/proxy-image",
    "byrnie.io/pre-stop-delay",
    "byrnie.io/merge-metrics",
];

/// What all annotations of the mesh start with.
pub(crate) const PREFIX: &str = "byrnie.io/";

/// `"true"` or `"false"`: whether the Pod wants a sidecar. It is read where Pods are made, and says nothing of one that is
/// there.
const INJECT: &str = "byrnie.io/inject";

/// A name that a later release gives a meaning; a Pod that has it already is no mistake.
const LATER: &str = "byrnie.io/uses";

/// Tells of annotations that change nothing. A slip refuses the object, so that the one in force keeps its sidecar.
pub(crate) fn tell_unread(pod: &Pod, at: Cursor<'_>) {
    let metadata = at.key("metadata");
    let annotations = metadata.key("annotations");
    if let Some(inject) = pod.metadata.annotations.get(INJECT).filter(|word| !["true", "false"].contains(&&***word)) {
        annotations
            .key(INJECT)
            .tell(Severity::Warning, format!("found {inject:?}: \"true\" and \"false\" are accepted"));
    }
    if let Some(proxy) = pod.metadata.annotations.get(PROXY).filter(|proxy| !["micro", "envoy"].contains(&&***proxy)) {
        annotations.key(PROXY).tell(Severity::Error, format!("found {proxy:?}: micro and envoy are accepted"));
    }
    if is_marked(pod) && !is_explicit(pod) && !pod.spec.has_sidecar(SIDECAR) {
        let message = format!(
            "the Pod has no sidecar, which would be an init container {SIDECAR} with restartPolicy Always: it is called \
             in plain text. Leave the annotation out: the injector writes it"
        );
        annotations.key(STATUS).tell(Severity::Warning, message);
    }
    let own = pod.metadata.annotations.keys().filter(|name| name.starts_with(PREFIX));
    let is_read = |name: &str| [INBOUND, UPSTREAMS, PROXY, STATUS, INJECT].contains(&name) || INJECTION.contains(&name);
    for name in own.filter(|name| !is_read(name)) {
        let at = annotations.key(name);
        match &**name == LATER {
            true => at.tell(Severity::Note, "is known and not in force yet"),
            false => {
                let injection = INJECTION.join(", ");
                let message = format!(
                    "is read by nothing: {INBOUND}, {UPSTREAMS}, {PROXY}, {STATUS}, {INJECT}, {injection} are accepted"
                );
                at.tell(Severity::Error, message);
            }
        }
    }
}

/// How the Pod's traffic comes to its sidecar. Explicit addresses win over redirection.
pub(crate) fn capture(pod: &Pod, at: Cursor<'_>) -> Capture {
    let annotations = &pod.metadata.annotations;
    let metadata = at.key("metadata");
    let place = metadata.key("annotations");
    let (inbound, upstreams) = (annotations.get(INBOUND), annotations.get(UPSTREAMS));
    if !is_explicit(pod) {
        // A Pod on its node's network has no traffic of its own that could be redirected.
        if !is_marked(pod) || !pod.spec.has_sidecar(SIDECAR) || pod.spec.host_network {
            return Capture::Outside;
        }
        let place = place.key(EXCLUDED);
        return Capture::Redirected { excluded: excluded(annotations.get(EXCLUDED), place) };
    }
    let annotations = place;
    let mut listens = BTreeSet::new();
    let inbound = parse(inbound, annotations.key(INBOUND), &mut listens, |entry| {
        let (listen, application) = halves(entry, "LISTEN=APPLICATION, as in 127.0.1.10:8080=127.0.0.1:18080")?;
        let (listen, application) = (address(listen)?, address(application)?);
        if listen == application || (listen.ip().is_unspecified() && listen.port() == application.port()) {
            return Err("the sidecar and the application cannot both listen there".to_owned());
        }
        Ok((listen, InboundPort { listen, application }))
    });
    let upstreams = parse(upstreams, annotations.key(UPSTREAMS), &mut listens, |entry| {
        let (listen, target) = halves(entry, "LISTEN=SERVICE.NAMESPACE:PORT, as in 127.0.0.1:15101=cart.shop:80")?;
        let listen = address(listen)?;
        let (service, port) = service_port(target)?;
        Ok((listen, UpstreamPort { listen, service, port }))
    });
    Capture::Explicit { inbound, upstreams }
}

fn is_explicit(pod: &Pod) -> bool {
    [INBOUND, UPSTREAMS].iter().any(|name| pod.metadata.annotations.contains_key(*name))
}

fn is_marked(pod: &Pod) -> bool {
    pod.metadata.annotations.get(STATUS).is_some_and(|status| &**status == INJECTED)
}

fn excluded(text: Option<&std::sync::Arc<str>>, at: Cursor<'_>) -> Vec<RangeInclusive<u16>> {
    let port = |text: &str| text.parse().ok().filter(|port| *port > 0);
    let range = |entry: &str| {
        let (first, last) = entry.split_once('-').unwrap_or((entry, entry));
        Some(port(first)?..=port(last)?).filter(|range| !range.is_empty())
    };
    let mut ranges = Vec::new();
    for entry in entries(text) {
        match range(entry) {
            Some(range) => ranges.push(range),
            None => at.refuse(format!("entry {entry:?}: 1 to 65535 is accepted, and a range such as 8000-8010")),
        }
    }
    ranges
}

fn entries(text: Option<&std::sync::Arc<str>>) -> impl Iterator<Item = &str> {
    text.map_or("", |text| text).split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

fn parse<T>(
    text: Option<&std::sync::Arc<str>>,
    at: Cursor<'_>,
    listens: &mut BTreeSet<SocketAddr>,
    mut entry_of: impl FnMut(&str) -> Result<(SocketAddr, T), String>,
) -> Vec<T> {
    let mut parsed = Vec::new();
    for entry in entries(text) {
        match entry_of(entry) {
            Ok((listen, value)) if listens.insert(listen) => parsed.push(value),
            Ok((listen, _)) => {
                at.refuse(format!("entry {entry:?}: {listen} is given twice as an address to listen on"))
            }
            Err(why) => at.refuse(format!("entry {entry:?}: {why}")),
        }
    }
    parsed
}

fn halves<'a>(entry: &'a str, shape: &str) -> Result<(&'a str, &'a str), String> {
    let (left, right) = entry.split_once('=').ok_or_else(|| format!("{shape}, is accepted"))?;
    Ok((left.trim(), right.trim()))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| {
        format!("{text:?} is no address: IP:PORT is accepted, with IPv6 in brackets, as in 127.0.0.1:80 or [::1]:80")
    })?;
    match address.port() {
        0 => Err(format!("{text:?} has port 0: 1 to 65535 is accepted")),
        _ => Ok(address),
    }
}

fn service_port(text: &str) -> Result<(ServiceName, u16), String> {
    let wanted = || format!("{text:?} is no service port: SERVICE.NAMESPACE:PORT is accepted, as in cart.shop:80");
    let (host, port) = text.rsplit_once(':').ok_or_else(wanted)?;
    let (service, namespace) = host.split_once('.').ok_or_else(wanted)?;
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wanted)?;
    if !check::is_dns_label(service) || !check::is_dns_label(namespace) {
        return Err(wanted());
    }
    Ok((ServiceName::new(namespace, service), port))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::field::Faults;

    fn read(annotations: serde_json::Value) -> Result<Capture, Vec<String>> {
        read_with(annotations, &json!([{"name": SIDECAR, "restartPolicy": "Always"}]))
    }

    fn read_with(annotations: serde_json::Value, init: &serde_json::Value) -> Result<Capture, Vec<String>> {
        let metadata = json!({"name": "cart-1", "annotations": annotations});
        let pod = json!({"metadata": metadata, "spec": {"initContainers": init}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let faults = Faults::default();
        let capture = capture(&pod, faults.root());
        let faults = faults.into_vec();
        if faults.is_empty() {
            return Ok(capture);
        }
        Err(faults.iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect())
    }

    #[test]
    fn explicit_addresses_of_both_families_are_read() {
        let capture = read(json!({
            INBOUND: "127.0.1.10:8080=127.0.0.1:18080, [::1]:80=[::1]:81",
            UPSTREAMS: "127.0.0.1:15101=cart.shop:80",
        }));
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let inbound = |listen, application| InboundPort { listen: address(listen), application: address(application) };
        assert_eq!(
            capture.unwrap(),
            Capture::Explicit {
                inbound: vec![inbound("127.0.1.10:8080", "127.0.0.1:18080"), inbound("[::1]:80", "[::1]:81")],
                upstreams: vec![UpstreamPort {
                    listen: address("127.0.0.1:15101"),
                    service: ServiceName::new("shop", "cart"),
                    port: 80
                }],
            }
        );
    }

    #[test]
    fn a_wrong_entry_is_named_with_what_is_accepted() {
        let errors = read(json!({INBOUND: "127.0.1.10:8080=127.0.0.1:18080,::1:80=127.0.0.1:1"})).unwrap_err();
        assert_eq!(
            errors,
            ["metadata.annotations[byrnie.io/inbound]: entry \"::1:80=127.0.0.1:1\": \"::1:80\" is no address: \
              IP:PORT is accepted, with IPv6 in brackets, as in 127.0.0.1:80 or [::1]:80"]
        );
        let errors = read(json!({UPSTREAMS: "127.0.0.1:15101=cart:80"})).unwrap_err();
        assert_eq!(
            errors,
            ["metadata.annotations[byrnie.io/upstreams]: entry \"127.0.0.1:15101=cart:80\": \"cart:80\" is no \
              service port: SERVICE.NAMESPACE:PORT is accepted, as in cart.shop:80"]
        );
    }

    #[test]
    fn a_sidecar_and_its_application_cannot_share_an_address() {
        for entry in ["127.0.0.1:80=127.0.0.1:80", "0.0.0.0:80=127.0.0.1:80"] {
            let error = &read(json!({INBOUND: entry})).unwrap_err()[0];
            assert!(error.ends_with("the sidecar and the application cannot both listen there"), "{error}");
        }
        assert!(read(json!({INBOUND: "0.0.0.0:80=127.0.0.1:81"})).is_ok());
    }

    #[test]
    fn an_address_is_listened_on_once() {
        let errors = read(json!({
            INBOUND: "127.0.0.1:80=127.0.0.1:81",
            UPSTREAMS: "127.0.0.1:80=cart.shop:80",
        }));
        assert_eq!(
            errors.unwrap_err(),
            ["metadata.annotations[byrnie.io/upstreams]: entry \"127.0.0.1:80=cart.shop:80\": 127.0.0.1:80 is given \
              twice as an address to listen on"]
        );
    }

    #[test]
    fn an_injected_pod_is_redirected_and_any_other_is_outside() {
        assert_eq!(read(json!({STATUS: "injected"})).unwrap(), Capture::Redirected { excluded: Vec::new() });
        assert_eq!(read(json!({STATUS: "skipped"})).unwrap(), Capture::Outside);
        assert_eq!(read(json!({})).unwrap(), Capture::Outside);
    }

    #[test]
    fn the_mark_of_an_injected_pod_is_believed_beside_its_sidecar_alone() {
        for init in [
            json!([]),
            json!([{"name": "byrnie-init"}]),
            json!([{"name": SIDECAR}]),
            json!([{"name": "other", "restartPolicy": "Always"}]),
        ] {
            assert_eq!(read_with(json!({STATUS: "injected"}), &init).unwrap(), Capture::Outside, "{init}");
        }
    }

    #[test]
    fn ports_that_are_not_redirected_are_told_one_by_one_and_by_ranges() {
        let found = read(json!({STATUS: "injected", EXCLUDED: "22, 9000-9010"})).unwrap();
        assert_eq!(found, Capture::Redirected { excluded: vec![22..=22, 9000..=9010] });
        for entry in ["0", "ssh", "9010-9000", "1-65536"] {
            let errors = read(json!({STATUS: "injected", EXCLUDED: entry})).unwrap_err();
            let told = format!("entry {entry:?}: 1 to 65535 is accepted, and a range such as 8000-8010");
            assert_eq!(errors, [format!("metadata.annotations[byrnie.io/exclude-inbound-ports]: {told}")]);
        }
    }
}
