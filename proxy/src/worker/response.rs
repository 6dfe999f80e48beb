//! A response on its way down: judged, edited, and carried to the client; and the replies of this proxy itself.

use byrnie_balance::Outcome;
use byrnie_config::{Action, Fields, ResponseHead};
use byrnie_http2::ErrorCode;

use super::{
    Loop,
    exchange::Up,
    keys::Key,
    message::{self, Length},
    reason::{Reason, grpc_code},
    server::{Codec, Unwritten},
};

/// What a client's connection may have waiting before the endpoint's of HTTP/1 is not read any more.
const WAITING: usize = 64 << 10;

impl Loop {
    /// An interim response.
    pub fn inform(&mut self, key: Key, head: &ResponseHead) {
        let Some(exchange) = self.exchanges.get(key) else { return };
        let (down, stream) = (exchange.down, exchange.stream);
        if let Some(server) = self.server(down) {
            server.inform(stream, head);
            self.mark(down);
        }
    }

    /// The final head of a response, `end` where nothing follows: it goes down, or the request is tried again.
    pub fn response_head(&mut self, key: Key, head: &mut ResponseHead, length: Length, end: bool) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if exchange.is_overdue(self.now) {
            return self.timed_out(key, Reason::Deadline);
        }
        exchange.touch(self.now);
        exchange.record.answered = Some(self.now);
        exchange.deadlines.attempt = None;
        let Up::Sent { endpoint, stream, .. } = exchange.up else { return };
        let grpc_status = grpc_status(&head.fields);
        let outcome = match grpc_status {
            Some(status) if end && exchange.is_grpc() => Outcome::GrpcStatus(status),
            _ => Outcome::Status(head.status),
        };
        self.report(endpoint, outcome);
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if exchange.retry().is_some_and(|retry| retry.on_response(head)) {
            // The outcome of this try is known, so that its successor may take its place in the budget.
            if let Some(upstream) = exchange.holds_retry.take() {
                upstream.breakers.release(byrnie_balance::Resource::Retries);
            }
            let before = exchange.up;
            if self.again(key) {
                return self.leave(key, before);
            }
            let Some(exchange) = self.exchanges.get_mut(key) else { return };
            if exchange.tries > 1 {
                exchange.record.reason = Some(Reason::RetriesExhausted);
            }
        }
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if let Some(upstream) = exchange.holds_retry.take() {
            upstream.breakers.release(byrnie_balance::Resource::Retries);
        }
        exchange.request.forget();
        let switches = exchange.is_upgrade() && head.status == if stream.is_some() { 200 } else { 101 };
        if switches {
            head.status = if exchange.stream.is_some() { 200 } else { 101 };
            exchange.deadlines.response = None;
        }
        if let Some(route) = &exchange.route {
            route.edit_response(exchange.target(), head);
        }
        exchange.record.grpc_status = grpc_status;
        if exchange.is_upgrade() && !switches {
            // The other protocol was refused: what was sent is a request like any other, and complete.
            (exchange.request.ended, exchange.request.finished) = (true, true);
        }
        exchange.switches = switches;
        let length = if switches { Length::None } else { length };
        self.respond(key, head, length, end && !switches, switches);
        if switches {
            self.pump_request(key);
        }
    }

    /// Writes the final head down.
    fn respond(&mut self, key: Key, head: &ResponseHead, length: Length, end: bool, switches: bool) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.record.status = head.status;
        exchange.reply.started = true;
        let (down, stream) = (exchange.down, exchange.stream);
        let upgrade = exchange.head.upgrade().filter(|_| switches && stream.is_none());
        let Some(super::conn::Role::Server(server)) = self.conns.get_mut(down).map(|conn| &mut conn.role) else {
            return;
        };
        match server.respond(stream, head, length, end, upgrade) {
            Ok(()) => self.mark(down),
            Err(Unwritten::Full) => {
                exchange.reply.head = Some(Box::new((head.clone(), length, end)));
                return;
            }
            // The client's stream is gone, which is told of by itself, or it takes no such head.
            Err(Unwritten::Gone) => return self.abandon(key, Reason::Reset),
        }
        if end && let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.reply.finished = stream.is_some();
        }
    }

    /// A piece of the response's body.
    pub fn response_octets(&mut self, key: Key, octets: &[u8]) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.touch(self.now);
        exchange.record.sent += octets.len() as u64;
        exchange.reply.owed += octets.len();
        let (down, stream) = (exchange.down, exchange.stream);
        let mut taken = 0;
        if exchange.reply.octets.is_empty() && exchange.reply.head.is_none() {
            let Some(super::conn::Role::Server(server)) = self.conns.get_mut(down).map(|conn| &mut conn.role) else {
                return;
            };
            match server.send(stream, octets, false) {
                Ok(octets) => taken = octets,
                Err(_) => return self.abandon(key, Reason::ClientGone),
            }
        }
        exchange.reply.octets.extend_from_slice(&octets[taken..]);
        let waiting = exchange.reply.octets.len();
        self.mark(down);
        self.give_back_up(key, taken);
        if waiting > WAITING
            && let Some(Up::Sent { conn, stream: None, .. }) = self.exchanges.get(key).map(|exchange| exchange.up)
            && let Some(conn) = self.conns.get_mut(conn)
        {
            conn.paused = true;
        }
    }

    /// The response is complete.
    pub fn response_ended(&mut self, key: Key, trailers: Option<Box<Fields>>) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if !exchange.reply.started || exchange.reply.ended {
            return;
        }
        if let Some(status) = trailers.as_deref().and_then(grpc_status) {
            exchange.record.grpc_status = Some(status);
        }
        exchange.reply.ended = true;
        exchange.reply.trailers = trailers;
        (exchange.deadlines.response, exchange.deadlines.stream) = (None, None);
        if exchange.reply.octets.is_empty() && exchange.reply.head.is_none() {
            // What came before is with the client's connection: the endpoint's is free for the next request.
            self.end_try(key);
        }
        self.pump_reply(key);
    }

    /// Gives the client's connection what it has room for.
    pub fn pump_reply(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let (down, stream, up) = (exchange.down, exchange.stream, exchange.up);
        let Some(super::conn::Role::Server(server)) = self.conns.get_mut(down).map(|conn| &mut conn.role) else {
            return;
        };
        let reply = &mut exchange.reply;
        if !reply.started {
            return;
        }
        if let Some(waiting) = reply.head.take() {
            let (head, length, end) = &*waiting;
            self.respond(key, head, *length, *end, false);
            // With room it is written now, and what follows it.
            return match self.exchanges.get(key) {
                Some(exchange) if exchange.reply.head.is_none() => self.pump_reply(key),
                _ => {}
            };
        }
        let mut taken = 0;
        if !reply.octets.is_empty() {
            let last = reply.ended && reply.trailers.is_none();
            match server.send(stream, &reply.octets, last) {
                Ok(octets) => taken = octets,
                Err(_) => return self.abandon(key, Reason::ClientGone),
            }
            reply.finished |= last && taken == reply.octets.len();
            reply.octets.drain(..taken);
        }
        if reply.octets.is_empty() && reply.ended && !reply.finished {
            let ended = match &reply.trailers {
                None => server.send(stream, &[], true).map(drop).map_err(|_| Unwritten::Gone),
                Some(fields) => server.trailers(stream, fields),
            };
            reply.finished = match ended {
                Ok(()) => true,
                Err(Unwritten::Full) => false,
                Err(Unwritten::Gone) => return self.abandon(key, Reason::Reset),
            };
        }
        let (relieved, finished) = (reply.octets.len() <= WAITING, reply.finished);
        if taken > 0 || finished {
            self.mark(down);
        }
        self.give_back_up(key, taken);
        if relieved && let Up::Sent { conn, .. } = up {
            self.resume(conn);
        }
        if finished {
            self.complete(key);
        }
    }

    /// Gives octets that were passed on back to the endpoint's window.
    fn give_back_up(&mut self, key: Key, octets: usize) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let octets = octets.min(exchange.reply.owed);
        exchange.reply.owed -= octets;
        if let Up::Sent { conn, stream: stream @ Some(_), .. } = exchange.up
            && octets > 0
            && let Some(client) = self.client(conn)
        {
            client.release(stream, octets);
            self.mark(conn);
        }
    }

    /// The client has the whole response, or will have it once its connection is written.
    fn complete(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get(key) else { return };
        let (down, stream, tunnel) = (exchange.down, exchange.stream, exchange.switched());
        self.end_try(key);
        match self.server(down).map(|server| &mut server.codec) {
            Some(Codec::Http1(http1)) => {
                http1.exchange = None;
                if tunnel || http1.core.must_close() {
                    self.close_when_written(down);
                } else if let Some(conn) = self.conns.get_mut(down) {
                    // The next request may be there already.
                    conn.paused = false;
                    if !conn.kept.is_empty() || conn.readable {
                        self.enqueue(down);
                    }
                }
            }
            Some(Codec::Http2(http2)) => {
                if let Some(stream) = stream {
                    http2.streams.remove(stream);
                    // Of a request that is not wanted to its end (RFC 9113, section 8.1); else the stream has ended.
                    http2.core.reset(stream, ErrorCode::NO_ERROR);
                }
                let is_over = http2.core.is_finished();
                if is_over { self.close_when_written(down) } else { self.mark(down) }
            }
            Some(Codec::Unknown) | None => {}
        }
        self.finish(key);
    }

    /// A try whose response is not wanted: its connection goes on without it.
    fn leave(&mut self, key: Key, up: Up) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        // `again` has set the state of the next try already.
        let pausing = std::mem::replace(&mut exchange.up, up);
        let retry = exchange.holds_retry.take();
        self.end_try(key);
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.up = pausing;
            exchange.holds_retry = retry;
        }
    }

    /// Answers in place of an endpoint.
    pub fn reply(&mut self, key: Key, reason: Reason) {
        self.end_try(key);
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.record.reason = Some(reason);
        let mut head = ResponseHead::default();
        head.begin(match reason {
            // The client has said all, so that it is the endpoint that was silent.
            Reason::Deadline | Reason::Idle if exchange.request.ended => Reason::Timeout.status(),
            reason => reason.status(),
        });
        if let Some(route) = &exchange.route {
            route.edit_response(None, &mut head);
        }
        for local in exchange
            .front
            .http
            .local_replies
            .iter()
            .filter(|local| local.flags.iter().any(|flag| **flag == *reason.flag()))
        {
            for (name, value) in &local.fields {
                head.fields.set(name.as_bytes(), value.as_bytes());
            }
        }
        self.answer(key, head, reason.text().as_bytes());
    }

    /// Answers with the Location that the route says.
    pub fn redirect(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let Some(route) = exchange.route.clone() else { return };
        let Action::Redirect(redirect) = &route.action else { return };
        let mut head = ResponseHead::default();
        head.begin(redirect.status);
        head.fields.push(b"location", &redirect.location(&exchange.head));
        route.edit_response(None, &mut head);
        self.answer(key, head, b"");
    }

    /// Answers as the route says.
    pub fn respond_directly(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let Some(route) = exchange.route.clone() else { return };
        let Action::Respond(respond) = &route.action else { return };
        let mut head = ResponseHead::default();
        head.begin(respond.status);
        route.edit_response(None, &mut head);
        self.answer(key, head, &respond.body);
    }

    /// Writes a whole response, to a gRPC call in gRPC's form.
    fn answer(&mut self, key: Key, mut head: ResponseHead, body: &[u8]) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.up = Up::Over;
        (exchange.deadlines.response, exchange.deadlines.stream, exchange.deadlines.attempt) = (None, None, None);
        exchange.request.forget();
        let mut body = body;
        if exchange.is_grpc() && !(200..400).contains(&head.status) {
            let code = grpc_code(exchange.record.reason, head.status);
            exchange.record.grpc_status = Some(code);
            head.status = 200;
            head.fields.set(b"content-type", b"application/grpc");
            head.fields.set(b"grpc-status", code.to_string().as_bytes());
            if !body.is_empty() {
                head.fields.set(b"grpc-message", &message::percent_encoded(body));
            }
            body = b"";
        } else if !body.is_empty() && head.fields.get(b"content-type").is_none() {
            head.fields.push(b"content-type", b"text/plain");
        }
        let is_head = exchange.head.method() == b"HEAD";
        let length = match body {
            // HTTP/1 says so by itself.
            [] => Length::None,
            body => Length::Sized(body.len() as u64),
        };
        let end = body.is_empty() || is_head;
        let (down, owed) = (exchange.down, exchange.request.owed);
        exchange.request.owed = 0;
        let stream = exchange.stream;
        if let Some(server) = self.server(down) {
            server.release(stream, owed);
        }
        self.respond(key, &head, length, end, false);
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.reply.ended = true;
        if !end {
            exchange.record.sent += body.len() as u64;
            exchange.reply.octets.extend_from_slice(body);
        }
        self.pump_reply(key);
    }
}

/// `grpc-status` of a head or of trailers.
fn grpc_status(fields: &Fields) -> Option<u32> {
    std::str::from_utf8(fields.get(b"grpc-status")?).ok()?.trim().parse().ok()
}
