//! The server's side: requests in, responses out.

use crate::{
    body::{Incoming, Piece, Trailers},
    characters::is_field_value,
    error::Error,
    exchange::{Exchange, Receiving, Role, Sending},
    head::RequestMethod,
    head::{Request, Space, Version, section::Search},
    limits::Limits,
    misuse::Misuse,
    write::head::{Head, HeadWriter},
};

/// One connection of which this side is the server.
///
/// Exchanges go one after the other: bytes of the next request stay in the input until the response to the one before
/// is complete, so that responses are in order by construction (RFC 9112 section 9.3.2).
#[derive(Debug)]
pub struct Server {
    exchange: Exchange,
    search: Search,
    empty_lines: u32,
    limits: Limits,
}

/// What a client sent. It borrows from the input, not from the connection.
#[derive(Clone, Copy, Debug)]
pub enum Event<'h, 'b> {
    /// The head of a request. [`Event::End`] follows, with or without a body in front of it.
    Request(Request<'h, 'b>),
    /// A part of the body; after 101, or 2xx to CONNECT, of the tunnel. Never empty.
    Data(&'b [u8]),
    /// The trailer fields, if the body has any. [`Event::End`] follows.
    Trailers(Trailers<'b>),
    /// The end of the request, or of the tunnel. Not given any more where the response was complete by then and nothing
    /// of the request was left.
    End,
}

impl Server {
    /// A connection on which nothing was received yet.
    pub fn new(limits: Limits) -> Self {
        Self { exchange: Exchange::new(Role::Server), search: Search::default(), empty_lines: 0, limits }
    }

    /// Takes what it understands off the front of `input`, and gives one event, or none: then it needs more bytes, or
    /// the response to what it gave before must be complete first. What is left in `input` is to be presented again,
    /// with more bytes behind it. `space` may be a new one each time.
    ///
    /// After an error nothing more is read. If [`Server::may_respond`], the error's [`status`](Error::status) can be
    /// answered before the connection is closed.
    #[inline]
    pub fn receive<'h, 'b>(
        &mut self,
        input: &mut &'b [u8],
        space: &'h mut Space<'b>,
    ) -> Result<Option<Event<'h, 'b>>, Error> {
        let received = match self.exchange.receiving {
            Receiving::Head => self.receive_head(input, space),
            _ => self.exchange.receive_piece(input, &self.limits).map(|piece| piece.map(Event::from)),
        };
        if received.is_err() {
            self.exchange.fail();
        }
        received
    }

    fn receive_head<'h, 'b>(
        &mut self,
        input: &mut &'b [u8],
        space: &'h mut Space<'b>,
    ) -> Result<Option<Event<'h, 'b>>, Error> {
        self.skip_empty_lines(input)?;
        let most = self.limits.head_bytes as usize;
        let window = &input[..input.len().min(most)];
        if matches!(window, [] | [b'\r']) || (self.search.has_begun() && !self.is_whole(window)?) {
            return Ok(None);
        }
        let Some((request, end)) = Request::parse(window, space, &self.limits)? else {
            self.search.tried(window.len());
            return if window.len() < most { Ok(None) } else { Err(self.too_long(window)) };
        };
        *input = &input[end..];
        self.search = Search::default();
        self.empty_lines = 0;
        self.begin(&request);
        Ok(Some(Event::Request(request)))
    }

    /// RFC 9112 section 2.2: empty lines in front of a request line are passed over.
    #[inline]
    fn skip_empty_lines(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        loop {
            match **input {
                [b'\r', b'\n', ..] => {
                    *input = &input[2..];
                    self.empty_lines = self.empty_lines.saturating_add(1);
                    if self.empty_lines > self.limits.leading_empty_lines {
                        return Err(Error::LeadingEmptyLines { limit: self.limits.leading_empty_lines });
                    }
                }
                [b'\r', _, ..] => return Err(Error::BareCr),
                [b'\n', ..] => return Err(Error::BareLf),
                _ => return Ok(()),
            }
        }
    }

    /// Whether a head that came in pieces is there as a whole, so that it is parsed once.
    fn is_whole(&mut self, window: &[u8]) -> Result<bool, Error> {
        match self.search.end(window)? {
            Some(_) => Ok(true),
            None if window.len() < self.limits.head_bytes as usize => Ok(false),
            None => Err(self.too_long(window)),
        }
    }

    /// RFC 9112 section 3: a request line that fills all the room of a head is too long a target (414); else it is the
    /// fields (431).
    #[cold]
    fn too_long(&self, window: &[u8]) -> Error {
        let limit = self.limits.head_bytes;
        if window.contains(&b'\n') { Error::HeadTooLong { limit } } else { Error::TargetTooLong { limit } }
    }

    #[inline]
    fn begin(&mut self, request: &Request<'_, '_>) {
        let exchange = &mut self.exchange;
        exchange.method = RequestMethod::of(request.method().as_bytes());
        exchange.old_peer = request.version() == Version::Http10;
        exchange.upgrade = request.upgrade().is_some();
        exchange.awaits_continue = request.expects_continue();
        exchange.last |= !request.keep_alive();
        exchange.receiving = Receiving::Body(Incoming::new(request.body()));
        exchange.sending = Sending::Head;
    }

    /// RFC 9112 section 8: the client sends no more. Gives the end of a tunnel; an error in the middle of a request.
    /// Between requests, and while a response is due, it is a clean end: nothing follows that response. Requests that
    /// are still in the input are not answered then: to answer them, call it once they were taken.
    pub fn end_of_input(&mut self) -> Result<Option<Event<'static, 'static>>, Error> {
        let exchange = &mut self.exchange;
        match &exchange.receiving {
            Receiving::Head if self.search.has_begun() => {
                exchange.fail();
                Err(Error::Truncated)
            }
            Receiving::Body(incoming) if !incoming.is_read() => {
                exchange.fail();
                Err(Error::Truncated)
            }
            Receiving::Tunnel => {
                exchange.receiving = Receiving::Closed;
                Ok(Some(Event::End))
            }
            Receiving::Body(_) => {
                exchange.last = true;
                exchange.receiving = Receiving::Closed;
                Ok(Some(Event::End))
            }
            Receiving::Head | Receiving::Nothing | Receiving::Complete | Receiving::Closed => {
                exchange.last = true;
                exchange.receiving = Receiving::Closed;
                Ok(None)
            }
        }
    }

    /// RFC 9110 section 15.2: begins an interim response, 100 or 102 to 199, with the reason phrase of its status. For a
    /// client of HTTP/1.0 nothing is written. [`HeadWriter::end`] completes it, with [`Body::None`](crate::Body::None).
    pub fn inform<'a>(&'a mut self, out: &'a mut Vec<u8>, status: u16) -> Result<HeadWriter<'a>, Misuse> {
        let reason: &[u8] = match status {
            100 => b"Continue",
            102 => b"Processing",
            103 => b"Early Hints",
            104..200 => b"",
            _ => return Err(Misuse::Status { status }),
        };
        self.write_status_line(out, status, reason, Head::Interim(status))
    }

    /// RFC 9112 section 4: begins the response, 200 to 999, or 101 with [`HeadWriter::upgrade`]. The status line is
    /// written at once; `reason` may be empty. Nothing is taken from the exchange before [`HeadWriter::end`].
    ///
    /// A response that is complete before its request was read ends the connection. Its head says so where that is known
    /// by then: it has no body, or the client waits for a `100 Continue` that it was not sent (RFC 9110 section 10.1.1).
    /// Otherwise [`Server::close_after_response`] makes it say so. One that refuses CONNECT ends the connection too
    /// (RFC 9931): the bytes behind CONNECT may be those of a tunnel that the client took for open.
    #[inline]
    pub fn respond<'a>(
        &'a mut self,
        out: &'a mut Vec<u8>,
        status: u16,
        reason: impl AsRef<[u8]>,
    ) -> Result<HeadWriter<'a>, Misuse> {
        match status {
            101 | 200..1000 => self.write_status_line(out, status, reason.as_ref(), Head::Response(status)),
            _ => Err(Misuse::Status { status }),
        }
    }

    fn write_status_line<'a>(
        &'a mut self,
        out: &'a mut Vec<u8>,
        status: u16,
        reason: &[u8],
        head: Head,
    ) -> Result<HeadWriter<'a>, Misuse> {
        match self.exchange.sending {
            Sending::Head if self.exchange.failed && matches!(head, Head::Interim(_)) => return Err(Misuse::Closed),
            Sending::Head => {}
            Sending::Closed => return Err(Misuse::Closed),
            Sending::Nothing => return Err(self.exchange.misused(Misuse::NoRequest)),
            _ => return Err(self.exchange.misused(Misuse::AlreadyResponded)),
        }
        if !is_field_value(reason) {
            return Err(Misuse::Invalid { what: "reason phrase" });
        }
        let start = out.len();
        let digit = |place: u16| b'0' + (status / place % 10) as u8;
        out.extend_from_slice(&[
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            b'1',
            b' ',
            digit(100),
            digit(10),
            digit(1),
            b' ',
        ]);
        out.extend_from_slice(reason);
        out.extend_from_slice(b"\r\n");
        Ok(HeadWriter::new(out, start, &mut self.exchange, head))
    }

    /// Appends bytes of the response's body to `out`, as the head said, and gives how many were taken: fewer than all
    /// when `out` reaches [`Limits::buffered_output`]. The last byte of a sized body completes the response.
    #[inline]
    pub fn send(&mut self, out: &mut Vec<u8>, bytes: &[u8]) -> Result<usize, Misuse> {
        self.exchange.send(out, bytes, &self.limits)
    }

    /// Completes the response, or this side of a tunnel (the caller then shuts down writing). Trailers go with a chunked body only,
    /// and those that no trailer may carry are left out (RFC 9110 section 6.5.1). Does nothing where the response is
    /// complete.
    pub fn finish<'t>(
        &mut self,
        out: &mut Vec<u8>,
        trailers: impl IntoIterator<Item = (&'t [u8], &'t [u8])>,
    ) -> Result<(), Misuse> {
        self.exchange.finish(out, trailers)
    }

    /// RFC 9112 section 9.6: no request after this one, or after the next one if there is none. If the response's head
    /// is still to come, it says so.
    pub fn close_after_response(&mut self) {
        self.exchange.last = true;
    }

    /// Whether the connection is between exchanges, with no byte of a next one seen.
    pub fn is_idle(&self) -> bool {
        matches!(self.exchange.receiving, Receiving::Head) && !self.search.has_begun()
    }

    /// Whether the head of a response can be written now: a request, or one that was refused, waits for it.
    pub fn may_respond(&self) -> bool {
        self.exchange.sending == Sending::Head
    }

    /// Whether the response is complete up to its last byte, or none was asked for.
    pub fn is_response_complete(&self) -> bool {
        matches!(self.exchange.sending, Sending::Complete | Sending::Nothing)
    }

    /// Whether bytes have no meaning any more: after 101, or 2xx to CONNECT.
    pub fn is_tunnel(&self) -> bool {
        matches!(self.exchange.receiving, Receiving::Tunnel) || self.exchange.sending == Sending::Tunnel
    }

    /// RFC 9112 section 9.6: whether the connection is to be closed once what was written is sent. After an error there
    /// may be an answer to write first.
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
