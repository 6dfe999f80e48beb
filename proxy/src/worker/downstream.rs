//! The client's side: what it sends becomes exchanges, and what becomes of its connection.

use byrnie_config::{Fields, Version};
use byrnie_http1 as http1;
use byrnie_http2 as http2;

use super::{
    Loop,
    conn::{Conn, Role},
    exchange::Exchange,
    keys::Key,
    message,
    reason::Reason,
    server::{Codec, Server},
};

/// What waits for a client of HTTP/1 before its next request is looked at.
const UNREAD: usize = 64 << 10;

impl Loop {
    pub fn server(&mut self, key: Key) -> Option<&mut Server> {
        match &mut self.conns.get_mut(key)?.role {
            Role::Server(server) => Some(server),
            _ => None,
        }
    }

    /// Takes requests off the front of `input`.
    pub fn read_requests(&mut self, key: Key, input: &mut &[u8], fields: &mut http2::Fields) {
        let Some(conn) = self.conns.get(key) else { return };
        if conn.session.is_some() && conn.deadline.is_some() && conn.is_secured() {
            self.secured(key);
        }
        let version = match self.server(key).map(|server| &server.codec) {
            Some(Codec::Http1(_)) => Some(Version::Http1),
            Some(Codec::Http2(_)) => Some(Version::Http2),
            Some(Codec::Unknown) if !input.is_empty() => self.sniff(key, input),
            Some(Codec::Unknown) | None => None,
        };
        match version {
            Some(Version::Http1) => self.read_http1(key, input),
            Some(Version::Http2) => self.read_http2(key, input, fields),
            None => {}
        }
        if self.conns.get(key).is_some_and(|conn| conn.ended && !conn.paused) {
            // Who waits for an answer keeps its side open (so does Envoy see it): there is nobody to answer any more.
            self.client_gone(key);
        }
    }

    fn read_http1(&mut self, key: Key, input: &mut &[u8]) {
        loop {
            let Some(conn) = self.conns.get_mut(key) else { return };
            let secure = conn.session.is_some();
            let Conn { paused: paused @ false, role: Role::Server(server), .. } = conn else { return };
            let waits = server.output().len();
            let Codec::Http1(http1) = &mut server.codec else { return };
            let exchange = http1.exchange;
            if exchange.is_none() && waits > UNREAD {
                // A client that reads no answers need not be given more of them.
                *paused = true;
                return;
            }
            let mut space = http1::Space::new();
            match (http1.core.receive(input, &mut space), exchange) {
                (Ok(None), _) => return,
                (Ok(Some(http1::server::Event::Request(request))), _) => {
                    let front = server.front.clone();
                    let exchange = self.begin(key, None, front, |exchange| {
                        let scheme: &[u8] = if secure { b"https" } else { b"http" };
                        exchange.old = request.version() == http1::Version::Http10;
                        let host = exchange.front.http.host_for_http10.as_deref().filter(|_| exchange.old);
                        exchange.length = message::read_http1(&request, scheme, host, &mut exchange.head);
                        exchange.request.ended = exchange.length.is_empty() && !exchange.is_upgrade();
                    });
                    if let Some(Server { codec: Codec::Http1(http1), .. }) = self.server(key) {
                        http1.exchange = Some(exchange);
                    }
                    self.route(exchange);
                }
                (Ok(Some(http1::server::Event::Data(octets))), Some(exchange)) => self.request_octets(exchange, octets),
                (Ok(Some(http1::server::Event::Trailers(trailers))), Some(exchange)) => {
                    let mut fields = Box::<Fields>::default();
                    trailers.iter().for_each(|(name, value)| fields.push(name, value));
                    self.request_ended(exchange, Some(fields));
                }
                // A request for an upgrade goes on as what it asks for.
                (Ok(Some(http1::server::Event::End)), Some(exchange)) if self.awaits_upgrade(exchange) => {}
                (Ok(Some(http1::server::Event::End)), Some(exchange)) => self.request_ended(exchange, None),
                (Ok(Some(_)), None) => {}
                (Err(error), _) => return self.refuse_http1(key, &error),
            }
        }
    }

    fn awaits_upgrade(&self, key: Key) -> bool {
        self.exchanges.get(key).is_some_and(|exchange| exchange.is_upgrade() && !exchange.reply.started)
    }

    /// What a client sent is no request: it is told so where that is still possible.
    fn refuse_http1(&mut self, key: Key, error: &http1::Error) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        tracing::debug!(peer = %conn.peer, %error, "request refused");
        let Role::Server(server) = &mut conn.role else { return };
        let Codec::Http1(http1) = &mut server.codec else { return };
        match http1.exchange {
            Some(exchange) if http1.core.may_respond() => {
                self.reply(exchange, Reason::BadRequest);
                self.close_when_written(key);
            }
            Some(exchange) => self.abandon(exchange, Reason::BadRequest),
            None => {
                if let Some(status) = error.status()
                    && http1.core.may_respond()
                {
                    let body = message::reason(status).as_bytes();
                    let head = http1.core.respond(&mut http1.out, status, body);
                    let head = head.map(|head| head.field("content-type", "text/plain"));
                    let written = head.and_then(|head| head.end(http1::Body::Sized(body.len() as u64)));
                    // The connection ends in any case.
                    let _ = written.and_then(|()| http1.core.send(&mut http1.out, body).map(drop));
                    let front = server.front.clone();
                    self.record_unread(key, front, status, body.len());
                }
                self.close_when_written(key);
            }
        }
    }

    fn read_http2(&mut self, key: Key, input: &mut &[u8], fields: &mut http2::Fields) {
        loop {
            let Some(Server { codec: Codec::Http2(http2), front, .. }) = self.server(key) else { return };
            let event = match http2.core.receive(input, fields) {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, "connection of HTTP/2 refused");
                    self.client_gone(key);
                    return;
                }
            };
            match event {
                http2::Event::Request { stream, head, end } => {
                    let front = front.clone();
                    let exchange = self.begin(key, Some(stream), front, |exchange| {
                        exchange.version = Version::Http2;
                        exchange.length = message::read_http2(&head, end, b"http", &mut exchange.head);
                        exchange.request.ended = end;
                    });
                    if let Some(Server { codec: Codec::Http2(http2), .. }) = self.server(key) {
                        http2.streams.insert(stream, exchange);
                    }
                    self.route(exchange);
                }
                http2::Event::Data { stream, bytes, end } => match http2.streams.get(stream) {
                    Some(exchange) => {
                        self.request_octets(exchange, bytes);
                        if end {
                            self.request_ended(exchange, None);
                        }
                    }
                    None => http2.core.release(stream, bytes.len()),
                },
                http2::Event::Trailers { stream, fields } => {
                    if let Some(exchange) = http2.streams.get(stream) {
                        let mut trailers = Box::<Fields>::default();
                        fields.iter().for_each(|field| trailers.push(field.name, field.value));
                        self.request_ended(exchange, Some(trailers));
                    }
                }
                http2::Event::Reset { stream, .. } => {
                    let exchange = http2.streams.get(stream);
                    http2.streams.remove(stream);
                    if let Some(exchange) = exchange {
                        self.abandon(exchange, Reason::ClientGone);
                    }
                }
                _ => {}
            }
        }
        self.refill_client(key);
        match self.server(key).map(|server| &server.codec) {
            // The last GOAWAY is out, and no stream is left.
            Some(Codec::Http2(http2)) if http2.core.is_finished() => self.close_when_written(key),
            _ => self.mark(key),
        }
    }

    /// A new exchange, of which `fill` reads the head.
    fn begin(
        &mut self,
        down: Key,
        stream: Option<http2::Key>,
        front: std::rc::Rc<super::front::Front>,
        fill: impl FnOnce(&mut Exchange),
    ) -> Key {
        let (now, spare) = (self.now, self.spare.pop());
        let key = self.exchanges.insert_with(|_| match spare {
            Some(mut exchange) => {
                exchange.renew(down, stream, front, now);
                exchange
            }
            None => Box::new(Exchange::new(down, stream, front, now)),
        });
        if let Some(exchange) = self.exchanges.get_mut(key) {
            fill(exchange);
        }
        key
    }

    /// The client is gone, or what it sends cannot be understood any more: its exchanges end, and its connection when
    /// what was written for it is out.
    pub fn client_gone(&mut self, key: Key) {
        let exchanges = self.server(key).map(|server| server.exchanges()).unwrap_or_default();
        for exchange in exchanges {
            self.abandon(exchange, Reason::ClientGone);
        }
        self.close_when_written(key);
    }

    /// There is room in the client's connection: responses that waited for it go on.
    pub fn refill_client(&mut self, key: Key) {
        loop {
            let exchange = match self.server(key).map(|server| &mut server.codec) {
                Some(Codec::Http1(http1)) => {
                    match http1.exchange {
                        Some(exchange) => self.pump_reply(exchange),
                        None => self.resume(key),
                    }
                    return;
                }
                Some(Codec::Http2(http2)) => match http2.core.next_writable() {
                    Some(stream) => http2.streams.get(stream),
                    None => return,
                },
                Some(Codec::Unknown) | None => return,
            };
            if let Some(exchange) = exchange {
                self.pump_reply(exchange);
            }
        }
    }
}
