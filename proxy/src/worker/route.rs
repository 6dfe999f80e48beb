//! What becomes of a request: its route, and what the proxy takes off and adds to every one.

use byrnie_config::{Action, ClientCertificate, RequestHead, Routes};

use super::{Loop, draw, front::Front, keys::Key, reason::Reason};

impl Loop {
    /// Finds the route of a request and does what it says.
    pub fn route(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let front = exchange.front.clone();
        if exchange.old && front.http.host_for_http10.is_none() {
            return self.reply(key, Reason::OldVersion);
        }
        introduce(&front, &mut exchange.head);
        if let Some(upgrade) = exchange.head.upgrade()
            && !front.http.upgrades.iter().any(|known| upgrade.eq_ignore_ascii_case(known.as_bytes()))
        {
            return self.reply(key, Reason::Upgrade);
        }
        let table = match &front.http.routes {
            Routes::Named(name) => self.config.routes.get(name),
            Routes::Inline(table) => Some(table),
        };
        if let Some(table) = table {
            table.clean(&mut exchange.head);
        }
        let found = match table {
            // A CONNECT asks for a tunnel to anywhere.
            Some(_) if exchange.head.method() == b"CONNECT" => None,
            Some(table) => table.find(&exchange.head, || draw(&mut self.random)),
            None => None,
        };
        let Some(route) = found else { return self.reply(key, Reason::NoRoute) };
        exchange.route = Some(route.clone());
        match &route.action {
            Action::Forward(forward) => {
                let chosen: *const _ = forward.choose(draw(&mut self.random));
                exchange.target = forward.targets.iter().position(|target| std::ptr::eq(target, chosen)).unwrap_or(0);
                exchange.request.keeps = forward.retry.as_ref().is_some_and(|retry| retry.applies_to(&exchange.head));
                if let Some(duration) = forward.duration.and_then(|duration| duration.apply(&mut exchange.head)) {
                    exchange.deadlines.stream = exchange.record.started.checked_add(duration);
                }
                let idle = forward.idle_timeout.unwrap_or(front.http.stream_idle_timeout);
                exchange.deadlines.idle = idle.map(|idle| (self.now + idle, idle));
                if exchange.request.ended {
                    exchange.deadlines.response = forward.timeout.map(|timeout| self.now + timeout);
                }
                self.watch(key);
                self.attempt(key);
            }
            Action::Redirect(_) => self.redirect(key),
            Action::Respond(_) => self.respond_directly(key),
        }
    }
}

/// Takes away what a client must not say of itself, and says who it proved to be and how it came (Envoy adds
/// `x-forwarded-proto` to what has none).
fn introduce(front: &Front, head: &mut RequestHead) {
    const CERTIFICATE: &[u8] = b"x-forwarded-client-cert";
    const SCHEME: &[u8] = b"x-forwarded-proto";
    let fields = head.fields_mut();
    fields.remove(CERTIFICATE);
    fields.remove(b"x-envoy-internal");
    if front.http.client_certificate == ClientCertificate::Replace
        && let Some(proof) = &front.proof
    {
        fields.push(CERTIFICATE, proof.forwarded.as_bytes());
    }
    if fields.get(SCHEME).is_none() {
        fields.push(SCHEME, if front.tls.is_some() { b"https" } else { b"http" });
    }
}
