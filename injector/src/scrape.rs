//! Where a Pod says that its metrics are: a scraper has no certificate of the mesh, so it is led to the sidecar, which has
//! the metrics of both.
//!
//! It goes by the annotations `prometheus.io/scrape`, `port`, `path` and `scheme`, which Prometheus does not know itself
//! but most of its installations are configured to read. What they were stands in `BYRNIE_SCRAPE`, in JSON:
//! `{"port": 8080, "path": "/metrics", "scheme": "http"}`.

use serde_json::{Map, Value, json};

use crate::template::{self, PROBE_PORT, SCRAPE};

const PREFIX: &str = "prometheus.io/";

const PATH: &str = "/stats/prometheus";

/// Leads the scraper to the sidecar, and gives the value of `BYRNIE_SCRAPE`; `earlier` is what an earlier sidecar was
/// given. None where the Pod is not to be scraped, or says nothing by which a scraper would find anything.
pub fn lead(annotations: &mut Map<String, Value>, containers: &[Value], earlier: Option<&Value>) -> Option<String> {
    let found = |name: &str| annotations.get(&format!("{PREFIX}{name}")).and_then(Value::as_str).map(str::trim);
    if found("scrape") != Some("true") {
        return None;
    }
    let port = match found("port") {
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        None => first_port(containers)?,
    };
    if port == PROBE_PORT {
        // It is led there already.
        return template::value(earlier?, SCRAPE).map(template::literal);
    }
    let (path, scheme) = (found("path").unwrap_or("/metrics"), found("scheme"));
    if !scheme.is_none_or(|scheme| ["http", "https"].contains(&scheme)) {
        return None;
    }
    let original = json!({"port": port, "path": path, "scheme": scheme.unwrap_or("http")});
    let has_scheme = scheme.is_some();
    let mut write = |name: &str, value: String| annotations.insert(format!("{PREFIX}{name}"), value.into());
    write("port", PROBE_PORT.to_string());
    write("path", PATH.to_owned());
    if has_scheme {
        write("scheme", "http".to_owned());
    }
    Some(template::literal(&original.to_string()))
}

/// What a scraper goes by where no port is named.
fn first_port(containers: &[Value]) -> Option<u16> {
    let ports = containers.iter().filter_map(|container| container["ports"].as_array()).flatten();
    let mut ports = ports.filter(|port| port["protocol"].as_str().is_none_or(|protocol| protocol == "TCP"));
    u16::try_from(ports.next()?["containerPort"].as_u64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led(annotations: Value) -> (Option<String>, Value) {
        let Value::Object(mut annotations) = annotations else { panic!("an object") };
        let containers = json!([{"ports": [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 9090}]}]);
        let original = lead(&mut annotations, containers.as_array().unwrap(), None);
        (original, annotations.into())
    }

    #[test]
    fn a_scraper_is_led_to_the_sidecar() {
        let (original, annotations) = led(json!({"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}));
        assert_eq!(original.unwrap(), r#"{"path":"/metrics","port":8080,"scheme":"http"}"#);
        let there = json!({"prometheus.io/scrape": "true", "prometheus.io/port": "15020", "prometheus.io/path": PATH});
        assert_eq!(annotations, there);
        let given =
            json!({"prometheus.io/scrape": "true", "prometheus.io/path": "/m?$(x)", "prometheus.io/scheme": "https"});
        let (original, annotations) = led(given);
        assert_eq!(original.unwrap(), r#"{"path":"/m?\u0024(x)","port":9090,"scheme":"https"}"#);
        assert_eq!(annotations["prometheus.io/scheme"], "http");
    }

    #[test]
    fn what_nobody_scrapes_stays_as_it_is() {
        for given in [
            json!({}),
            json!({"prometheus.io/port": "8080"}),
            json!({"prometheus.io/scrape": "false", "prometheus.io/port": "8080"}),
            json!({"prometheus.io/scrape": "true", "prometheus.io/port": "http"}),
            json!({"prometheus.io/scrape": "true", "prometheus.io/port": "0"}),
            json!({"prometheus.io/scrape": "true", "prometheus.io/scheme": "ftp"}),
            json!({"prometheus.io/scrape": "true", "prometheus.io/port": "15020"}),
        ] {
            assert_eq!(led(given.clone()), (None, given));
        }
    }
}
