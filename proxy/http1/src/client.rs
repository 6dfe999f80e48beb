//! The client's side: requests out, responses in.

use crate::{
    body::{Incoming, Piece, Trailers},
    characters::{is_target, is_token},
    error::Error,
    exchange::{Exchange, Receiving, Role, Sending},
    head::{BodyLength, RequestMethod},
    head::{Response, Space, section::Search},
    limits::Limits,
    misuse::Misuse,
    write::head::{Head, HeadWriter},
};

/// One connection of which this side is the client. It has one request under way at a time, so that a response belongs
/// to it (RFC 9112 section 9.2).
#[derive(Debug)]
pub struct Client {
    exchange: Exchange,
    search: Search,
    interim_responses: u32,
    limits: Limits,
}

/// What a server sent. It borrows from the input, not from the connection.
#[derive(Clone, Copy, Debug)]
pub enum Event<'h, 'b> {
    /// An interim response: 100 or 102 to 199. The response is still to come.
    Informational(Response<'h, 'b>),
    /// The head of the response; 101 is one. [`Event::End`] follows, with or without a body in front of it.
    Response(Response<'h, 'b>),
    /// A part of the body; after 101, or 2xx to CONNECT, of the tunnel. Never empty.
    Data(&'b [u8]),
    /// The trailer fields, if the body has any. [`Event::End`] follows.
    Trailers(Trailers<'b>),
    /// The end of the response, or of the tunnel.
    End,
}

impl Client {
    /// A connection on which nothing was sent yet.
    pub fn new(limits: Limits) -> Self {
        Self { exchange: Exchange::new(Role::Client), search: Search::default(), interim_responses: 0, limits }
    }

    /// RFC 9112 section 3: begins a request. The request line is written at once; `target` is written as it is, with `/`
    /// in front where it is empty or a query alone. Exactly one Host must be among the fields. Nothing is begun before
    /// [`HeadWriter::end`].
    ///
    /// RFC 9112 section 6.1: chunks are for servers of HTTP/1.1 only. What the server behind this connection speaks is
    /// for the caller to know, from [`Response::version`] or its configuration.
    #[inline]
    pub fn request<'a>(
        &'a mut self,
        out: &'a mut Vec<u8>,
        method: impl AsRef<[u8]>,
        target: impl AsRef<[u8]>,
    ) -> Result<HeadWriter<'a>, Misuse> {
        self.write_request_line(out, method.as_ref(), target.as_ref())
    }

    fn write_request_line<'a>(
        &'a mut self,
        out: &'a mut Vec<u8>,
        method: &[u8],
        target: &[u8],
    ) -> Result<HeadWriter<'a>, Misuse> {
        match self.exchange.receiving {
            _ if self.must_close() => return Err(Misuse::Closed),
            Receiving::Nothing => {}
            _ => return Err(self.exchange.misused(Misuse::Busy)),
        }
        if !is_token(method) {
            return Err(Misuse::Invalid { what: "method" });
        }
        if !is_target(target) || (method == b"CONNECT" && matches!(target, [] | [b'?', ..])) {
            return Err(Misuse::Invalid { what: "target" });
        }
        let start = out.len();
        out.reserve(method.len() + target.len() + 13);
        out.extend_from_slice(method);
        out.push(b' ');
        if let [] | [b'?', ..] = target {
            out.push(b'/');
        }
        out.extend_from_slice(target);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        Ok(HeadWriter::new(out, start, &mut self.exchange, Head::Request(RequestMethod::of(method))))
    }

    /// Appends bytes of the request's body to `out`, as the head said, or of the tunnel, and gives how many were taken:
    /// fewer than all when `out` reaches [`Limits::buffered_output`]. The last byte of a sized body completes the request.
    #[inline]
    pub fn send(&mut self, out: &mut Vec<u8>, bytes: &[u8]) -> Result<usize, Misuse> {
        self.exchange.send(out, bytes, &self.limits)
    }

    /// Completes the request, or this side of a tunnel (the caller then shuts down writing). Trailers go with a chunked
    /// body only, and those that no trailer may carry are left out (RFC 9110 section 6.5.1). Does nothing where the
    /// request is complete.
    pub fn finish<'t>(
        &mut self,
        out: &mut Vec<u8>,
        trailers: impl IntoIterator<Item = (&'t [u8], &'t [u8])>,
    ) -> Result<(), Misuse> {
        self.exchange.finish(out, trailers)
    }

    /// Takes what it understands off the front of `input`, and gives one event, or none: then it needs more bytes. What
    /// is left in `input` is to be presented again, with more bytes behind it. `space` may be a new one each time. After
    /// an error nothing more is read.
    #[inline]
    pub fn receive<'h, 'b>(
        &mut self,
        input: &mut &'b [u8],
        space: &'h mut Space<'b>,
    ) -> Result<Option<Event<'h, 'b>>, Error> {
        let received = match self.exchange.receiving {
            Receiving::Head => self.receive_head(input, space),
            Receiving::Nothing => self.receive_nothing(input),
            Receiving::Complete if !self.exchange.last => self.receive_nothing(input),
            _ => self.exchange.receive_piece(input, &self.limits).map(|piece| piece.map(Event::from)),
        };
        if received.is_err() {
            self.exchange.fail();
        }
        received
    }

    /// RFC 9112 section 9.2: bytes that answer nothing may be the rest of a response that was split by an attacker.
    fn receive_nothing<'h, 'b>(&mut self, input: &[u8]) -> Result<Option<Event<'h, 'b>>, Error> {
        if input.is_empty() { Ok(None) } else { Err(Error::Unsolicited) }
    }

    fn receive_head<'h, 'b>(
        &mut self,
        input: &mut &'b [u8],
        space: &'h mut Space<'b>,
    ) -> Result<Option<Event<'h, 'b>>, Error> {
        let most = self.limits.head_bytes as usize;
        let window = &input[..input.len().min(most)];
        let is_whole = !self.search.has_begun() || self.search.end(window)?.is_some();
        let parsed = match is_whole && !window.is_empty() {
            true => Response::parse(window, space, &self.limits, self.exchange.method)?,
            false => None,
        };
        let Some((response, end)) = parsed else {
            if !window.is_empty() && is_whole {
                self.search.tried(window.len());
            }
            let limit = self.limits.head_bytes;
            return if window.len() < most { Ok(None) } else { Err(Error::HeadTooLong { limit }) };
        };
        *input = &input[end..];
        self.search = Search::default();
        self.begin(&response)?;
        Ok(Some(match response.status() {
            101 | 200.. => Event::Response(response),
            _ => Event::Informational(response),
        }))
    }

    /// RFC 9110 section 15: what the status makes of the exchange.
    fn begin(&mut self, response: &Response<'_, '_>) -> Result<(), Error> {
        let exchange = &mut self.exchange;
        let is_sent = exchange.sending == Sending::Complete;
        if response.status() < 200 && response.status() != 101 {
            self.interim_responses = self.interim_responses.saturating_add(1);
            let limit = self.limits.interim_responses;
            return if self.interim_responses > limit { Err(Error::TooManyInterimResponses { limit }) } else { Ok(()) };
        }
        self.interim_responses = 0;
        if response.status() == 101 && !(exchange.upgrade && is_sent) {
            return Err(Error::UnaskedUpgrade);
        }
        if response.status() == 101 && response.upgrade().is_none() {
            return Err(Error::UnnamedUpgrade);
        }
        match response.body() {
            BodyLength::Tunnel => exchange.open_tunnel(),
            length => {
                exchange.last |= !response.keep_alive() || length == BodyLength::UntilClose;
                exchange.receiving = Receiving::Body(Incoming::new(length));
            }
        }
        Ok(())
    }

    /// RFC 9112 section 8: the server sends no more. Gives the end of a tunnel or of a body that lasts until then; an
    /// error in the middle of a response or before it. Between exchanges it is a clean end.
    pub fn end_of_input(&mut self) -> Result<Option<Event<'static, 'static>>, Error> {
        let exchange = &mut self.exchange;
        let ended = match &exchange.receiving {
            Receiving::Head => {
                let nothing = !self.search.has_begun() && self.interim_responses == 0;
                Err(if nothing { Error::NoResponse } else { Error::Truncated })
            }
            Receiving::Body(Incoming::UntilClose) | Receiving::Tunnel => Ok(Some(Event::End)),
            Receiving::Body(incoming) if incoming.is_read() => Ok(Some(Event::End)),
            Receiving::Body(_) => Err(Error::Truncated),
            Receiving::Nothing | Receiving::Complete | Receiving::Closed => Ok(None),
        };
        exchange.last = true;
        exchange.receiving = Receiving::Closed;
        if ended.is_err() {
            exchange.fail();
        }
        ended
    }

    /// RFC 9112 section 9.6: no request after this one, or after the next one if none is under way. If the request's
    /// head is still to come, it says so.
    pub fn close_after_response(&mut self) {
        self.exchange.last = true;
    }

    /// Whether no exchange is under way and the connection can take one.
    pub fn can_reuse(&self) -> bool {
        self.is_idle() && !self.exchange.last && !self.exchange.failed
    }

    /// Whether no exchange is under way.
    pub fn is_idle(&self) -> bool {
        matches!(self.exchange.receiving, Receiving::Nothing)
    }

    /// Whether the request is complete up to its last byte, or none is under way.
    pub fn is_request_complete(&self) -> bool {
        matches!(self.exchange.sending, Sending::Complete | Sending::Nothing)
    }

    /// Whether bytes have no meaning any more: after 101, or 2xx to CONNECT.
    pub fn is_tunnel(&self) -> bool {
        matches!(self.exchange.receiving, Receiving::Tunnel) || self.exchange.sending == Sending::Tunnel
    }

    /// RFC 9112 section 9.6: whether the connection is to be closed: after an error, or a response that was its last.
    pub fn must_close(&self) -> bool {
        self.exchange.must_close()
    }
}

impl<'b> From<Piece<'b>> for Event<'_, 'b> {
    fn from(piece: Piece<'b>) -> Self {
        match piece {
            Piece::Data(data) => Self::Data(data),
            Piece::Trailers(trailers) => Self::Trailers(trailers),
            Piece::End => Self::End,
        }
    }
}

#[cfg(test)]
mod tests;
