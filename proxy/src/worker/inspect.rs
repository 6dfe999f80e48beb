//! Which chain takes a connection: by the address that was called and by what the client sends first.

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use byrnie_config::{Chain, Filter, Listener, Seen, Transport, Version};
use byrnie_http1 as http1;

use super::{
    Loop,
    conn::Inspecting,
    conn::{Role, Seeks},
    ends::Tunnel,
    front::{Front, Proof},
    keys::Key,
    server::{Codec, Http1, Http2, Server},
    streams,
};
use crate::{
    shared::Stage,
    tls::{self, Hello},
};

/// How long a client may say nothing where the listener sets no limit (Envoy's `listener_filters_timeout`).
const SILENCE: Duration = Duration::from_secs(15);

/// How long a client may take for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The longest request line that is looked at before a connection counts as something else.
const REQUEST_LINE: usize = 16 << 10;

/// The first octets of HTTP/2 (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first octets are.
#[derive(Debug, PartialEq, Eq)]
pub enum First {
    /// There are too few.
    Partial,
    /// Offered by TLS.
    Tls(tls::ClientHello),
    /// A version of HTTP, by its name in a chain's match.
    Http(&'static str),
    Other,
}

impl Loop {
    pub fn inspecting(&self, key: Key) -> Option<&Inspecting> {
        match &self.conns.get(key)?.role {
            Role::Inspecting(inspecting) => Some(inspecting),
            _ => None,
        }
    }

    /// Waits for the first octets, where they matter.
    pub fn begin_inspection(&mut self, key: Key) {
        let Some(inspecting) = self.inspecting(key) else { return };
        let inspect = inspecting.listener.inspect;
        let mut kept = Vec::new();
        if let Some(conn) = self.conns.get_mut(key) {
            conn.paused = false;
            if !inspect.tls && !inspect.http {
                kept = std::mem::take(&mut conn.kept);
            }
        }
        if !inspect.tls && !inspect.http {
            // What came while the listener was sought.
            return self.choose(key, &First::Other, &kept, false);
        }
        let patience = self.silence(key).or(inspect.timeout).unwrap_or(SILENCE);
        self.set_deadline(key, patience);
        // They may be there already.
        self.enqueue(key);
    }

    /// Looks at the first octets. They stay in the input until the chain is chosen.
    pub fn inspect(&mut self, key: Key, input: &mut &[u8]) {
        let Some(inspecting) = self.inspecting(key) else { return };
        if inspecting.seeks == Seeks::Listener {
            return;
        }
        let inspect = inspecting.listener.inspect;
        let first = first(input, inspect.tls, inspect.http);
        let ended = self.conns.get(key).is_none_or(|conn| conn.ended);
        match first {
            First::Partial if ended && input.is_empty() => self.close(key),
            First::Partial if !ended => {}
            _ => {
                let octets = std::mem::take(input);
                self.choose(key, &first, octets, false);
            }
        }
    }

    /// Silence: taken for plain text, or for nothing that is wanted.
    pub fn inspection_is_due(&mut self, key: Key) {
        let Some(inspecting) = self.inspecting(key) else { return };
        let (seeks, goes_on) = (inspecting.seeks, inspecting.listener.inspect.goes_on);
        match seeks {
            // What `out` itself does with what no service has.
            Seeks::Listener => self.handed(key, None),
            Seeks::Chain if !goes_on => self.close(key),
            Seeks::Chain if self.dial_early(key) => {}
            Seeks::Chain => {
                let octets = self.conns.get_mut(key).map(|conn| std::mem::take(&mut conn.kept)).unwrap_or_default();
                self.choose(key, &First::Other, &octets, false);
            }
        }
    }

    /// Finds the chain. `early`: its endpoint is dialled although the client may still say something else.
    pub fn choose(&mut self, key: Key, first: &First, octets: &[u8], early: bool) {
        let Some(inspecting) = self.inspecting(key) else { return };
        let (listener, called) = (inspecting.listener.clone(), inspecting.called);
        let detected;
        let (transport, server_name, applications): (_, Option<&str>, &[&[u8]]) = match first {
            First::Tls(hello) => {
                detected = hello.alpn.iter().map(|protocol| &**protocol).collect::<Vec<_>>();
                (Transport::Tls, hello.server_name.as_deref(), &detected)
            }
            First::Http(version) => {
                detected = vec![version.as_bytes()];
                (Transport::Plain, None, &detected)
            }
            First::Other | First::Partial => (Transport::Plain, None, &[]),
        };
        let seen = Seen { port: called.port(), server_name, transport, applications };
        match listener.choose(&seen) {
            None => {
                tracing::debug!(listener = %listener.name, %called, ?first, "no chain takes the connection");
                self.refuse(key);
            }
            Some(chain) => {
                self.enter(key, &listener, chain, called, server_name, octets);
                self.dial_entered(key, early);
            }
        }
    }

    fn enter(
        &mut self,
        key: Key,
        listener: &Arc<Listener>,
        chain: &Chain,
        called: SocketAddr,
        server_name: Option<&str>,
        octets: &[u8],
    ) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.deadline = None;
        if let Some(tls) = &chain.tls {
            let accepted = self.shared.tls.server(tls).map_err(|error| error.to_string());
            let accepted = accepted
                .and_then(|context| context.accept(server_name.map(Into::into)).map_err(|error| error.to_string()));
            match accepted {
                Ok(session) => conn.secure(session, octets.to_vec()),
                Err(error) => {
                    tracing::warn!(%error, listener = %listener.name, "TLS cannot be accepted");
                    return self.close(key);
                }
            }
            self.set_deadline(key, HANDSHAKE);
        } else {
            conn.kept = octets.to_vec();
        }
        let Some(conn) = self.conns.get_mut(key) else { return };
        match &chain.filter {
            Filter::Close => return self.close(key),
            Filter::Http(http) => {
                let front = Front {
                    listener: listener.clone(),
                    http: http.clone(),
                    offers: chain.offers.clone(),
                    tls: chain.tls.clone(),
                    peer: conn.peer,
                    called,
                    proof: None,
                };
                let draining = self.stage > Stage::Running;
                conn.role = Role::Server(Box::new(Server { front: Rc::new(front), codec: Codec::Unknown, draining }));
            }
            Filter::Tcp(tcp) => {
                let tunnel = Tunnel::of_client(listener.clone(), tcp.clone(), chain.offers.clone(), called);
                conn.role = Role::Tunnel(Box::new(tunnel));
            }
        }
        self.enqueue(key);
    }

    /// The client of an HTTP chain is known: it proved who it is, or it need not.
    pub fn secured(&mut self, key: Key) {
        let own = self.shared.tls.own_uri();
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.deadline = None;
        let Some(session) = &conn.session else { return };
        let (alpn, peer) = (session.alpn().map(<[u8]>::to_vec), session.peer().cloned());
        let Role::Server(server) = &mut conn.role else { return };
        if let (Some(peer), Some(front)) = (peer, Rc::get_mut(&mut server.front)) {
            let hash: String = peer.certificate_sha256.iter().map(|octet| format!("{octet:02x}")).collect();
            let own = own.as_deref().unwrap_or_default();
            let forwarded = format!("By={own};Hash={hash};URI={}", peer.uri).into();
            front.proof = Some(Proof { uri: peer.uri, forwarded });
        }
        match alpn.as_deref() {
            Some(b"h2") => self.speak(key, Version::Http2),
            Some(b"http/1.1") => self.speak(key, Version::Http1),
            _ => {}
        }
    }

    /// The version of HTTP that a connection speaks is known.
    pub fn speak(&mut self, key: Key, version: Version) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let Role::Server(server) = &mut conn.role else { return };
        server.codec = match version {
            Version::Http1 => Codec::Http1(Http1::new(limits())),
            Version::Http2 => Codec::Http2(Http2::new(streams::settings())),
        };
        if server.draining {
            server.drain();
        }
        self.mark(key);
    }

    /// The version of HTTP by the first octets of a connection that said nothing else. None: there are too few.
    pub fn sniff(&mut self, key: Key, input: &[u8]) -> Option<Version> {
        let Some(Role::Server(server)) = self.conns.get(key).map(|conn| &conn.role) else { return None };
        let version = match server.front.http.only {
            Some(version) => version,
            None if input.starts_with(PREFACE) => Version::Http2,
            None if PREFACE.starts_with(input) => return None,
            None => Version::Http1,
        };
        self.speak(key, version);
        Some(version)
    }
}

/// Heads of requests are held to 60 KiB, as in Envoy (`max_request_headers_kb`).
fn limits() -> http1::Limits {
    http1::Limits { head_bytes: 60 << 10, ..http1::Limits::default() }
}

fn first(octets: &[u8], tls: bool, http: bool) -> First {
    if octets.is_empty() {
        return First::Partial;
    }
    if tls {
        match tls::hello(octets) {
            Hello::Partial => return First::Partial,
            Hello::ClientHello(hello) => return First::Tls(hello),
            Hello::NotTls => {}
        }
    }
    if http { first_http(octets) } else { First::Other }
}

/// The first request line, or the preface of HTTP/2.
pub fn first_http(octets: &[u8]) -> First {
    if octets.starts_with(PREFACE) {
        return First::Http("h2c");
    }
    if PREFACE.starts_with(octets) {
        return First::Partial;
    }
    let line = octets.iter().position(|octet| *octet == b'\n').map(|end| &octets[..end]);
    let method = octets.iter().position(|octet| *octet == b' ').map_or(octets, |end| &octets[..end]);
    let is_method = !method.is_empty()
        && method.len() <= 32
        && method.iter().all(|octet| octet.is_ascii_alphabetic() || *octet == b'-');
    match line {
        _ if !is_method => First::Other,
        None if octets.len() < REQUEST_LINE => First::Partial,
        None => First::Other,
        Some(line) => {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.ends_with(b" HTTP/1.1") {
                First::Http("http/1.1")
            } else if line.ends_with(b" HTTP/1.0") {
                First::Http("http/1.0")
            } else {
                First::Other
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_octets_tell_what_they_are_and_never_too_early() {
        let of = |octets: &[u8]| first(octets, true, true);
        assert_eq!(of(b""), First::Partial);
        assert_eq!(of(b"GET / HT"), First::Partial);
        assert_eq!(of(b"GET / HTTP/1.1\r\n"), First::Http("http/1.1"));
        assert_eq!(of(b"GET / HTTP/1.0\n"), First::Http("http/1.0"));
        assert_eq!(of(b"PRI * HTTP/2.0\r\n"), First::Partial);
        assert_eq!(of(PREFACE), First::Http("h2c"));
        assert_eq!(of(b"\x16\x03\x01"), First::Partial);
        assert_eq!(of(b"\x00\x00"), First::Other);
        assert_eq!(of(b"HELO there\r\n"), First::Other);
        assert_eq!(first(b"GET / HTTP/1.1\r\n", true, false), First::Other);
    }
}
