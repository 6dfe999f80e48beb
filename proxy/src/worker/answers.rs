//! What endpoints send: responses, and the end of connections.

use std::io;

use byrnie_config::{Fields, ResponseHead};
use byrnie_http1 as http1;
use byrnie_http2 as http2;

use super::{
    Loop,
    client::{Client, Codec},
    conn::{Broken, Conn, Role},
    keys::Key,
    message,
    retry::Failure,
};

impl Loop {
    /// Takes responses off the front of `input`.
    pub fn read_responses(
        &mut self,
        key: Key,
        input: &mut &[u8],
        fields: &mut http2::Fields,
        response: &mut ResponseHead,
    ) {
        let Some(Conn { role: Role::Client(client), .. }) = self.conns.get(key) else { return };
        if matches!(client.codec, Codec::Connecting) {
            if self.conns.get(key).is_some_and(|conn| conn.session.is_some() && conn.is_secured()) {
                self.established(key);
            } else if self.conns.get(key).is_some_and(|conn| conn.ended) {
                return self.endpoint_gone(key, &Broken::Socket(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        match self.client(key).map(|client| &client.codec) {
            Some(Codec::Http1(_)) => self.read_responses_http1(key, input, response),
            Some(Codec::Http2(_)) => self.read_responses_http2(key, input, fields, response),
            Some(Codec::Connecting) | None => {}
        }
        if self.conns.get(key).is_some_and(|conn| conn.ended && !conn.paused) {
            self.responses_ended(key);
        }
    }

    pub fn read_responses_http1(&mut self, key: Key, input: &mut &[u8], response: &mut ResponseHead) {
        loop {
            let Some(conn) = self.conns.get_mut(key) else { return };
            let Conn { paused: false, role: Role::Client(client), .. } = conn else { return };
            let Codec::Http1(http1) = &mut client.codec else { return };
            let exchange = http1.exchange;
            let mut space = http1::Space::new();
            let event = match (http1.core.receive(input, &mut space), exchange) {
                (Ok(None), _) => return,
                (Ok(Some(event)), Some(exchange)) => (event, exchange),
                (Ok(Some(_)), None) => continue,
                (Err(error), _) => return self.endpoint_gone(key, &Broken::Protocol(error.to_string())),
            };
            match event {
                (http1::client::Event::Informational(head), exchange) => {
                    message::read_response_http1(&head, response);
                    self.inform(exchange, response);
                }
                (http1::client::Event::Response(head), exchange) => {
                    let length = message::read_response_http1(&head, response);
                    let end = matches!(head.body(), http1::BodyLength::None | http1::BodyLength::Sized(0));
                    self.response_head(exchange, response, length, end);
                }
                (http1::client::Event::Data(octets), exchange) => self.response_octets(exchange, octets),
                (http1::client::Event::Trailers(trailers), exchange) => {
                    let mut fields = Box::<Fields>::default();
                    trailers.iter().for_each(|(name, value)| fields.push(name, value));
                    self.response_ended(exchange, Some(fields));
                }
                (http1::client::Event::End, exchange) => self.response_ended(exchange, None),
            }
        }
    }

    pub fn read_responses_http2(
        &mut self,
        key: Key,
        input: &mut &[u8],
        fields: &mut http2::Fields,
        response: &mut ResponseHead,
    ) {
        loop {
            let Some(Client { codec: Codec::Http2(http2), .. }) = self.client(key) else { return };
            let event = match http2.core.receive(input, fields) {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => return self.endpoint_gone(key, &Broken::Protocol(error.to_string())),
            };
            match event {
                http2::Event::Interim { stream, head } => {
                    if let Some(exchange) = http2.streams.get(stream) {
                        message::read_response_http2(&head, false, response);
                        self.inform(exchange, response);
                    }
                }
                http2::Event::Response { stream, head, end } => {
                    if let Some(exchange) = http2.streams.get(stream) {
                        let length = message::read_response_http2(&head, end, response);
                        self.response_head(exchange, response, length, end);
                        if end {
                            self.response_ended(exchange, None);
                        }
                    }
                }
                http2::Event::Data { stream, bytes, end } => match http2.streams.get(stream) {
                    Some(exchange) => {
                        self.response_octets(exchange, bytes);
                        if end {
                            self.response_ended(exchange, None);
                        }
                    }
                    None => http2.core.release(stream, bytes.len()),
                },
                http2::Event::Trailers { stream, fields } => {
                    if let Some(exchange) = http2.streams.get(stream) {
                        let mut trailers = Box::<Fields>::default();
                        fields.iter().for_each(|field| trailers.push(field.name, field.value));
                        self.response_ended(exchange, Some(trailers));
                    }
                }
                http2::Event::Reset { stream, code, cause } => {
                    let exchange = http2.streams.get(stream);
                    http2.streams.remove(stream);
                    if let Some(exchange) = exchange {
                        self.try_failed(exchange, failure_of(cause, code));
                    }
                }
                http2::Event::GoAway { .. } => {
                    if let Some(Client { host, lane, .. }) = self.client(key) {
                        let (host, lane) = (*host, *lane);
                        self.pools.forget(host, lane, key);
                    }
                }
                http2::Event::Settings => {
                    http2.settled = true;
                    if let Some(Client { host, lane, .. }) = self.client(key) {
                        let (host, lane) = (*host, *lane);
                        self.serve_waiting(host, lane);
                    }
                }
                _ => {}
            }
        }
        self.refill_endpoint(key);
        self.mark(key);
        if self.client(key).is_some_and(|client| client.is_over()) {
            self.close_when_written(key);
        }
    }

    /// The endpoint closed its side.
    pub fn responses_ended(&mut self, key: Key) {
        let Some(client) = self.client(key) else { return };
        if let Codec::Http1(http1) = &mut client.codec
            && let Some(exchange) = http1.exchange
            && let Ok(Some(_)) = http1.core.end_of_input()
        {
            return self.response_ended(exchange, None);
        }
        self.endpoint_gone(key, &Broken::Socket(io::ErrorKind::UnexpectedEof.into()));
    }
}

/// What a stream that ended before its time says of its try.
fn failure_of(cause: http2::Cause, code: http2::ErrorCode) -> Failure {
    match cause {
        _ if cause.is_unprocessed(code) => Failure::Refused,
        http2::Cause::Violation(_) => Failure::Malformed,
        _ => Failure::Reset,
    }
}
