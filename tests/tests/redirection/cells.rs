//! Who calls whom, and what has to come of it.

use byrnie_tests::{http, sidecar::Proxy};

use crate::{
    calls::{NONE, PORTS, SOMEBODY, Speech, answer_of, call},
    ground::Family,
    names::OPEN,
    pod::{APPLICATION, Pod},
};

/// What was compared, and what is not as it should be.
#[derive(Default)]
pub struct Cells {
    count: usize,
    wrong: Vec<String>,
}

impl Cells {
    /// `expected` is an answer, or `none`.
    pub fn check(&mut self, what: &str, found: &str, expected: &str) {
        self.count += 1;
        // Why there is none differs by who lets the caller know.
        let same = if expected == NONE { found.starts_with("none: ") } else { found == expected };
        if !same {
            self.wrong.push(format!("{what}: {found:?}, not {expected:?}"));
        }
    }

    /// An error that names all of these; `at_least` is how many there must have been.
    pub fn finish(self, at_least: usize) {
        let Self { count, wrong } = self;
        assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
        assert!(count >= at_least, "{count} cells");
    }
}

/// Of a caller with a sidecar all that arrives is by its certificate, where the server has one too: all ports of that but one
/// are closed to plain text.
pub fn from_the_mesh(cells: &mut Cells, backend: &str, family: Family, caller: &Pod, server: &Pod) {
    let what = format!("{backend}, {family:?}, {} to {}", caller.name(), server.name());
    let who = if server.proxy().is_some() { caller.name() } else { SOMEBODY };
    for (port, target, speech) in PORTS {
        let expected = answer_of(server, who, speech);
        let found = call(caller, APPLICATION, server.service(family, port), speech);
        cells.check(&format!("{what}, port {port} of its Service"), &found, &expected);
        let found = call(caller, APPLICATION, server.at(family, target), speech);
        cells.check(&format!("{what}, {target} of its headless Service"), &found, &expected);
    }
    if server.proxy().is_some() {
        // The sidecar's own, which has no TLS.
        let health = http::get(server.at(family, 15021), "health", "/healthz/ready");
        let found = caller.run(APPLICATION, health).map_or_else(|error| error.to_string(), |answer| answer.body);
        cells.check(&format!("{what}, its health"), &found, "LIVE\n");
    }
    // Of no Service. Envoy knows none but those, and passes the rest on as it is.
    let found = call(caller, APPLICATION, server.at(family, OPEN), Speech::Http);
    let who = if caller.proxy() == Some(Proxy::Envoy) { SOMEBODY } else { who };
    cells.check(&format!("{what}, {OPEN} of the Pod"), &found, &answer_of(server, who, Speech::Http));
}

/// Who has no certificate is answered at that one alone.
pub fn from_outside(cells: &mut Cells, backend: &str, family: Family, caller: &Pod, server: &Pod) {
    let what = format!("{backend}, {family:?}, {} to {}", caller.name(), server.name());
    for (_, target, speech) in PORTS {
        let expected = if server.proxy().is_some() { NONE.to_owned() } else { answer_of(server, SOMEBODY, speech) };
        let found = call(caller, APPLICATION, server.at(family, target), speech);
        cells.check(&format!("{what}, {target}"), &found, &expected);
    }
    let found = call(caller, APPLICATION, server.at(family, OPEN), Speech::Http);
    cells.check(&format!("{what}, {OPEN}"), &found, &answer_of(server, SOMEBODY, Speech::Http));
}

/// By its own Service the sidecar chooses the Pod itself, and is to be called as if by another.
pub fn to_itself(cells: &mut Cells, backend: &str, family: Family, pod: &Pod) {
    let what = format!("{backend}, {family:?}, {} to itself", pod.name());
    for (port, target, speech) in PORTS {
        if pod.proxy().is_some() {
            let found = call(pod, APPLICATION, pod.service(family, port), speech);
            let expected = answer_of(pod, pod.name(), speech);
            cells.check(&format!("{what}, port {port} of its Service"), &found, &expected);
        }
        let found = call(pod, APPLICATION, pod.at(family, target), speech);
        cells.check(&format!("{what}, {target}"), &found, &answer_of(pod, SOMEBODY, speech));
    }
}
