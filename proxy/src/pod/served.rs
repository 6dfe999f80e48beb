//! What the injector took off the Pod, as `BYRNIE_PROBES` and `BYRNIE_SCRAPE` have it in JSON.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use http::uri::PathAndQuery;
use serde_json::{Map, Value};

use super::probe::{Action, Probe};

/// A kubelet that waits as long as this would not learn why; a twentieth less, and it does.
const SHARE: f64 = 0.95;
/// A kubelet waits for a hook as long as it takes; nothing waits without an end.
const HOOK_LIMIT: Duration = Duration::from_secs(3600);

/// What the port serves of the Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// By path.
    pub(super) probes: BTreeMap<String, Probe>,
    /// The application's metrics, where it has some.
    pub(super) scrape: Option<Scrape>,
}

/// Where an application tells its metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scrape {
    /// Of the Pod.
    pub port: u16,
    /// With a slash at its beginning.
    pub path: PathAndQuery,
    /// By TLS, whatever the certificate.
    pub is_tls: bool,
}

/// A text that says nothing that can be done.
#[derive(Debug, thiserror::Error)]
pub enum ServedError {
    /// No JSON.
    #[error("{0}: {1}; an object of JSON is accepted")]
    Json(&'static str, serde_json::Error),
    /// A field.
    #[error("{variable}: {field}: found {found}; {accepted}")]
    Field {
        /// `BYRNIE_PROBES`
        variable: &'static str,
        /// Where in it.
        field: String,
        /// What is there.
        found: String,
        /// What could be.
        accepted: &'static str,
    },
}

impl Served {
    /// Reads both; an empty text is as good as none.
    ///
    /// # Errors
    /// Where a text is no such JSON; the error names the field.
    pub fn read(probes: Option<&str>, scrape: Option<&str>) -> Result<Self, ServedError> {
        let mut served = Self::default();
        if let Some(probes) = document(PROBES, probes)? {
            for (path, value) in &probes {
                served.probes.insert(path.clone(), probe(path, value)?);
            }
        }
        if let Some(scrape) = document(SCRAPE, scrape)? {
            let at = At { variable: SCRAPE, place: "", fields: &scrape };
            served.scrape = Some(Scrape { port: at.port()?, path: at.path("/metrics")?, is_tls: at.is_tls()? });
        }
        Ok(served)
    }
}

const PROBES: &str = "BYRNIE_PROBES";
const SCRAPE: &str = "BYRNIE_SCRAPE";

fn document(variable: &'static str, text: Option<&str>) -> Result<Option<Map<String, Value>>, ServedError> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|error| ServedError::Json(variable, error))
}

fn probe(path: &str, value: &Value) -> Result<Probe, ServedError> {
    let refused = |field: &str, found: &Value, accepted| wrong(PROBES, format!("{path}{field}"), found, accepted);
    let is_hook = path.ends_with("/post-start") || path.ends_with("/pre-stop");
    let actions = "httpGet, tcpSocket or grpc, an object, is accepted";
    let found = ["httpGet", "tcpSocket", "grpc"].into_iter().find_map(|name| Some((name, value.get(name)?)));
    let (name, fields) = found.ok_or_else(|| refused("", value, actions))?;
    let fields = fields.as_object().ok_or_else(|| refused(&format!(": {name}"), fields, "an object is accepted"))?;
    let place = format!("{path}: {name}.");
    let at = At { variable: PROBES, place: &place, fields };
    let port = at.port()?;
    let action = match name {
        "httpGet" => Action::Http { port, path: at.path("/")?, is_tls: at.is_tls()?, has_host: at.has_host()? },
        "grpc" => Action::Grpc { port, service: at.text("service", "")?.to_owned() },
        _ => Action::Tcp { port },
    };
    let limit = match value.get("timeoutSeconds") {
        _ if is_hook => HOOK_LIMIT,
        None => Duration::from_secs(1),
        Some(found) => {
            let seconds = found.as_u64().and_then(|seconds| u32::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
            let accepted = "a whole number of seconds from 1 is accepted";
            Duration::from_secs(seconds.ok_or_else(|| refused(": timeoutSeconds", found, accepted))?.into())
        }
    };
    let limit = if is_hook { limit } else { limit.mul_f64(SHARE) };
    Ok(Probe { action, limit, is_hook })
}

/// The fields of an object, and where it stands.
struct At<'a> {
    variable: &'static str,
    place: &'a str,
    fields: &'a Map<String, Value>,
}

impl<'a> At<'a> {
    fn refuse(&self, field: &str, accepted: &'static str) -> ServedError {
        let found = self.fields.get(field).unwrap_or(&Value::Null);
        wrong(self.variable, format!("{}{field}", self.place), found, accepted)
    }

    fn port(&self) -> Result<u16, ServedError> {
        let number = self.fields.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
        number.filter(|port| *port != 0).ok_or_else(|| self.refuse("port", "a number from 1 to 65535 is accepted"))
    }

    fn text(&self, field: &str, usual: &'a str) -> Result<&'a str, ServedError> {
        match self.fields.get(field) {
            None => Ok(usual),
            Some(value) => value.as_str().ok_or_else(|| self.refuse(field, "a text is accepted")),
        }
    }

    fn is_tls(&self) -> Result<bool, ServedError> {
        match self.text("scheme", "HTTP")? {
            scheme if scheme.eq_ignore_ascii_case("http") => Ok(false),
            scheme if scheme.eq_ignore_ascii_case("https") => Ok(true),
            _ => Err(self.refuse("scheme", "HTTP and HTTPS are accepted")),
        }
    }

    /// What a URL does not hold as it stands is escaped, as by a kubelet.
    fn path(&self, usual: &'a str) -> Result<PathAndQuery, ServedError> {
        let given = self.text("path", usual)?;
        let mut path = if given.starts_with('/') { String::new() } else { "/".to_owned() };
        for octet in given.bytes() {
            match octet {
                b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => write!(path, "%{octet:02X}"),
                octet if octet.is_ascii_graphic() => path.write_char(octet.into()),
                octet => write!(path, "%{octet:02X}"),
            }
            .expect("writing to a string does not fail");
        }
        path.parse().map_err(|_| self.refuse("path", "a path of a URL is accepted"))
    }

    fn has_host(&self) -> Result<bool, ServedError> {
        let Some(headers) = self.fields.get("httpHeaders") else { return Ok(false) };
        let headers = headers.as_array().ok_or_else(|| self.refuse("httpHeaders", "a list is accepted"))?;
        let is_host = |header: &Value| {
            let text = |field| header.get(field).and_then(Value::as_str).unwrap_or_default();
            text("name").eq_ignore_ascii_case("host") && !text("value").is_empty()
        };
        Ok(headers.iter().any(is_host))
    }
}

fn wrong(variable: &'static str, field: String, found: &Value, accepted: &'static str) -> ServedError {
    let found = if found.is_null() { "nothing".to_owned() } else { found.to_string() };
    ServedError::Field { variable, field, found, accepted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(probes: &str) -> Result<BTreeMap<String, Probe>, String> {
        Served::read(Some(probes), None).map(|served| served.probes).map_err(|error| error.to_string())
    }

    #[test]
    fn what_the_injector_writes_is_read() {
        let probes = read(
            r#"{"/byrnie/probe/app/liveness": {"httpGet": {"path": "live now?a={b}", "port": 8080, "scheme": "HTTPS",
                    "httpHeaders": [{"name": "host", "value": "cart.example"}]}, "timeoutSeconds": 2},
                "/byrnie/probe/app/readiness": {"grpc": {"port": 9000, "service": "cart"}},
                "/byrnie/probe/app/startup": {"tcpSocket": {"port": 8080}, "timeoutSeconds": 1},
                "/byrnie/probe/app/pre-stop": {"httpGet": {"port": 8081}}}"#,
        )
        .unwrap();
        let of = |kind: &str| &probes[&format!("/byrnie/probe/app/{kind}")];
        let path = PathAndQuery::from_static("/live%20now?a=%7Bb%7D");
        assert_eq!(of("liveness").action, Action::Http { port: 8080, path, is_tls: true, has_host: true });
        assert_eq!(of("liveness").limit, Duration::from_millis(1900));
        assert_eq!(of("readiness").action, Action::Grpc { port: 9000, service: "cart".to_owned() });
        assert_eq!(
            (&of("startup").action, of("startup").limit),
            (&Action::Tcp { port: 8080 }, Duration::from_millis(950))
        );
        let path = PathAndQuery::from_static("/");
        assert_eq!(of("pre-stop").action, Action::Http { port: 8081, path, is_tls: false, has_host: false });
        assert!(of("pre-stop").is_hook && of("pre-stop").limit == HOOK_LIMIT && !of("startup").is_hook);
    }

    #[test]
    fn where_metrics_are_is_read() {
        let read = |scrape| Served::read(None, Some(scrape)).map_err(|error| error.to_string());
        let scrape = Scrape { port: 8080, path: PathAndQuery::from_static("/m"), is_tls: true };
        assert_eq!(read(r#"{"port": 8080, "path": "m", "scheme": "https"}"#).unwrap().scrape, Some(scrape));
        assert_eq!(read(r#"{"port": 8080}"#).unwrap().scrape.unwrap().path, "/metrics");
        assert_eq!(read("{}").unwrap_err(), "BYRNIE_SCRAPE: port: found nothing; a number from 1 to 65535 is accepted");
        assert_eq!(read("").unwrap(), Served::default());
    }

    #[test]
    fn an_error_names_the_field_what_was_found_and_what_is_accepted() {
        for (probe, error) in [
            (r#"{}"#, "/p: found {}; httpGet, tcpSocket or grpc, an object, is accepted"),
            (r#"{"grpc": 9}"#, "/p: grpc: found 9; an object is accepted"),
            (r#"{"tcpSocket": {}}"#, "/p: tcpSocket.port: found nothing; a number from 1 to 65535 is accepted"),
            (r#"{"tcpSocket": {"port": 0}}"#, "/p: tcpSocket.port: found 0; a number from 1"),
            (r#"{"tcpSocket": {"port": "http"}}"#, "/p: tcpSocket.port: found \"http\"; a number from 1"),
            (r#"{"httpGet": {"port": 65536}}"#, "/p: httpGet.port: found 65536; a number from 1"),
            (r#"{"httpGet": {"port": 1, "scheme": "FTP"}}"#, "/p: httpGet.scheme: found \"FTP\"; HTTP and HTTPS"),
            (r#"{"httpGet": {"port": 1, "path": 7}}"#, "/p: httpGet.path: found 7; a text is accepted"),
            (r#"{"httpGet": {"port": 1, "httpHeaders": {}}}"#, "/p: httpGet.httpHeaders: found {}; a list"),
            (r#"{"grpc": {"port": 1, "service": []}}"#, "/p: grpc.service: found []; a text is accepted"),
            (r#"{"grpc": {"port": 1}, "timeoutSeconds": 0}"#, "/p: timeoutSeconds: found 0; a whole number of seconds"),
        ] {
            let found = read(&format!(r#"{{"/p": {probe}}}"#)).unwrap_err();
            assert!(found.starts_with(&format!("BYRNIE_PROBES: {error}")), "{found}");
        }
        assert!(read("[]").unwrap_err().ends_with("; an object of JSON is accepted"));
    }
}
