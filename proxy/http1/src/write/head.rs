//! The head of a message, written field by field, with the fields that are the core's own at its end.

use super::decimal::push_decimal;
use crate::{
    characters::{is_field_value, is_token},
    exchange::{Exchange, Receiving, Sending},
    head::{BodyLength, FieldIter, RequestMethod, Response, known::Known},
    misuse::Misuse,
};

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing. In a response where a body could be, `Content-Length: 0` says so; in a request nothing does. For a
    /// method that means to send content (POST, PUT) `Sized(0)` says it (RFC 9110 section 8.6).
    None,
    /// As many bytes. In a response to HEAD or with status 304 the length that the body would have.
    Sized(u64),
    /// Any number of bytes: chunked, or for an HTTP/1.0 client until the connection closes.
    Unknown,
}

impl From<BodyLength> for Body {
    /// How to pass on a body that was received so.
    fn from(length: BodyLength) -> Self {
        match length {
            BodyLength::None | BodyLength::Tunnel => Self::None,
            BodyLength::Sized(length) => Self::Sized(length),
            BodyLength::Chunked | BodyLength::UntilClose => Self::Unknown,
        }
    }
}

impl From<&Response<'_, '_>> for Body {
    /// How to pass on what follows a response. One without a body, to HEAD or with status 304, keeps the length that it
    /// speaks of (RFC 9110 section 8.6).
    fn from(response: &Response<'_, '_>) -> Self {
        match (response.body(), response.content_length()) {
            (BodyLength::None, Some(length)) => Self::Sized(length),
            (body, _) => body.into(),
        }
    }
}

/// Writes the fields of a head whose first line is written. [`HeadWriter::end`] completes it; dropped without that, or
/// when a part was refused, the buffer is as it was before and the exchange where it was.
///
/// Left out silently, since they are the core's own: Connection, Keep-Alive, Proxy-Connection, TE, Upgrade,
/// HTTP2-Settings, Content-Length and Transfer-Encoding. [`HeadWriter::upgrade`] and [`HeadWriter::accept_trailers`]
/// write what a caller may want of them.
#[must_use = "a head that is not ended is taken back"]
#[derive(Debug)]
pub struct HeadWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Where the head begins in `out`.
    start: usize,
    exchange: &'a mut Exchange,
    head: Head,
    refused: Option<Misuse>,
    hosts: u8,
    upgrades: bool,
    accepts_trailers: bool,
    ended: bool,
}

/// Whose head it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Head {
    Request(RequestMethod),
    /// A 1xx other than 101.
    Interim(u16),
    Response(u16),
}

impl<'a> HeadWriter<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, start: usize, exchange: &'a mut Exchange, head: Head) -> Self {
        Self {
            out,
            start,
            exchange,
            head,
            refused: None,
            hosts: 0,
            upgrades: false,
            accepts_trailers: false,
            ended: false,
        }
    }

    /// RFC 9112 section 5: one field line. A name that is no token, and a value with a control character other than
    /// tab, make [`HeadWriter::end`] fail.
    #[inline]
    pub fn field(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.push_checked(name.as_ref(), value.as_ref());
        self
    }

    /// Each of `fields` as by [`HeadWriter::field`].
    pub fn fields<N: AsRef<[u8]>, V: AsRef<[u8]>>(mut self, fields: impl IntoIterator<Item = (N, V)>) -> Self {
        for (name, value) in fields {
            self.push_checked(name.as_ref(), value.as_ref());
        }
        self
    }

    /// The lines of a received head that are for the next hop, of those the ones that `keep` wants, as they were
    /// received. It is the fast way: what was checked when it came in is copied in long runs.
    pub fn forward(mut self, fields: FieldIter<'_, '_>, keep: impl FnMut(&[u8], &[u8]) -> bool) -> Self {
        self.hosts = self.hosts.saturating_add(fields.copy_lines(self.out, keep));
        self
    }

    /// RFC 9110 section 7.8: writes `Upgrade: protocol` and the connection option for it. A request offers with it, a
    /// 101 switches with it (after which both directions are a tunnel), a 426 asks with it.
    pub fn upgrade(mut self, protocol: impl AsRef<[u8]>) -> Self {
        let protocol = protocol.as_ref();
        if protocol.is_empty() || !is_field_value(protocol) {
            self.refuse(Misuse::Invalid { what: "protocol" });
            return self;
        }
        self.push("Upgrade".as_bytes(), protocol);
        self.upgrades = true;
        self
    }

    /// RFC 9110 sections 6.5.1 and 10.1.4: writes `TE: trailers` and the connection option for it into a request. Some
    /// servers send no trailers without it, those of gRPC among them. A proxy passes it on if the sender of the request
    /// takes trailers ([`Request::accepts_trailers`](crate::Request::accepts_trailers)). Nothing in a response.
    pub fn accept_trailers(mut self) -> Self {
        self.accepts_trailers = matches!(self.head, Head::Request(_));
        self
    }

    /// Ends the head with the fields that frame `body` and those that say what becomes of the connection. A message
    /// without a body is complete with that.
    pub fn end(mut self, body: Body) -> Result<(), Misuse> {
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        match self.head {
            Head::Request(method) => self.end_request(method, body)?,
            Head::Interim(status) => self.end_interim(status)?,
            Head::Response(status) => self.end_response(status, body)?,
        }
        self.ended = true;
        Ok(())
    }

    fn end_request(&mut self, method: RequestMethod, body: Body) -> Result<(), Misuse> {
        if self.hosts != 1 {
            return Err(Misuse::Host { found: self.hosts });
        }
        if method == RequestMethod::Connect && body != Body::None {
            return Err(Misuse::ConnectBody);
        }
        let sending = match body {
            Body::None => Sending::Complete,
            Body::Sized(length) => self.content_length(length),
            Body::Unknown => self.transfer_encoding(),
        };
        self.connection();
        self.exchange.method = method;
        self.exchange.upgrade = self.upgrades;
        self.exchange.receiving = Receiving::Head;
        self.begin(sending);
        Ok(())
    }

    /// RFC 9110 section 15.2: no client of HTTP/1.0 is sent an interim response.
    fn end_interim(&mut self, status: u16) -> Result<(), Misuse> {
        if self.upgrades {
            return Err(Misuse::Upgrade);
        }
        if self.exchange.old_peer {
            self.out.truncate(self.start);
        } else {
            self.out.extend_from_slice(b"\r\n");
            self.exchange.awaits_continue &= status != 100;
        }
        Ok(())
    }

    /// RFC 9112 section 6.3, of a response that is sent.
    fn end_response(&mut self, status: u16, body: Body) -> Result<(), Misuse> {
        match (self.exchange.method, status) {
            (_, 101) => return self.end_upgrade(),
            (RequestMethod::Connect, 200..300) => return self.end_connect(body),
            _ => {}
        }
        let sending = match (self.exchange.method, status, body) {
            (_, 204, _) => Sending::Complete,
            (RequestMethod::Head, _, Body::Sized(length)) | (_, 304, Body::Sized(length)) => {
                self.content_length(length);
                Sending::Complete
            }
            (RequestMethod::Head, ..) | (_, 304, _) => Sending::Complete,
            (_, _, Body::None) => self.content_length(0),
            (_, _, Body::Sized(length)) => self.content_length(length),
            (_, _, Body::Unknown) if self.exchange.old_peer => {
                self.exchange.last = true;
                Sending::UntilClose
            }
            (_, _, Body::Unknown) => self.transfer_encoding(),
        };
        self.exchange.last |= self.exchange.method == RequestMethod::Connect || self.leaves_unread(&sending);
        self.connection();
        self.begin(sending);
        Ok(())
    }

    /// RFC 9112 section 9.3 and RFC 9110 section 10.1.1: whether it is certain by now that the response will be complete
    /// and the request not read.
    fn leaves_unread(&self, sending: &Sending) -> bool {
        (*sending == Sending::Complete || self.exchange.awaits_continue) && !self.exchange.is_received()
    }

    /// RFC 9110 section 7.8: a switch to what the client offered, once its request is read.
    fn end_upgrade(&mut self) -> Result<(), Misuse> {
        if !self.upgrades || !self.exchange.upgrade || !self.exchange.is_received() {
            return Err(Misuse::Upgrade);
        }
        self.out.extend_from_slice(b"Connection: upgrade\r\n\r\n");
        self.exchange.open_tunnel();
        Ok(())
    }

    /// RFC 9110 section 9.3.6: 2xx to CONNECT has no framing fields; a tunnel follows.
    fn end_connect(&mut self, body: Body) -> Result<(), Misuse> {
        if body != Body::None {
            return Err(Misuse::ConnectBody);
        }
        self.out.extend_from_slice(b"\r\n");
        self.exchange.open_tunnel();
        Ok(())
    }

    /// RFC 9112 section 6.2.
    fn content_length(&mut self, length: u64) -> Sending {
        self.out.extend_from_slice(b"Content-Length: ");
        push_decimal(self.out, length);
        self.out.extend_from_slice(b"\r\n");
        if length == 0 { Sending::Complete } else { Sending::Sized(length) }
    }

    /// RFC 9112 section 6.1.
    fn transfer_encoding(&mut self) -> Sending {
        self.out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        Sending::Chunked
    }

    /// RFC 9112 section 9.3 and RFC 9110 section 7.6.1: what becomes of the connection, and the end of the head.
    fn connection(&mut self) {
        if self.accepts_trailers {
            self.out.extend_from_slice(b"TE: trailers\r\n");
        }
        if !(self.exchange.last || self.exchange.old_peer || self.upgrades || self.accepts_trailers) {
            return self.out.extend_from_slice(b"\r\n");
        }
        let options = [
            (self.exchange.last, "close"),
            (self.exchange.old_peer && !self.exchange.last, "keep-alive"),
            (self.upgrades, "upgrade"),
            (self.accepts_trailers, "TE"),
        ];
        let mut between = "Connection: ";
        for (_, option) in options.iter().filter(|(is_due, _)| *is_due) {
            self.out.extend_from_slice(between.as_bytes());
            self.out.extend_from_slice(option.as_bytes());
            between = ", ";
        }
        self.out.extend_from_slice(b"\r\n\r\n");
    }

    fn begin(&mut self, sending: Sending) {
        let is_complete = sending == Sending::Complete;
        self.exchange.sending = sending;
        if is_complete {
            self.exchange.sent();
        }
    }

    fn push_checked(&mut self, name: &[u8], value: &[u8]) {
        match Known::of(name) {
            Some(Known::Host) => self.hosts = self.hosts.saturating_add(1),
            Some(known) if known.is_own() => return,
            _ => {}
        }
        if !is_token(name) {
            self.refuse(Misuse::Invalid { what: "field name" });
        } else if !is_field_value(value) {
            self.refuse(Misuse::Invalid { what: "field value" });
        } else {
            self.push(name, value);
        }
    }

    #[inline]
    fn push(&mut self, name: &[u8], value: &[u8]) {
        self.out.reserve(name.len() + value.len() + 4);
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(b": ");
        self.out.extend_from_slice(value);
        self.out.extend_from_slice(b"\r\n");
    }

    #[cold]
    fn refuse(&mut self, misuse: Misuse) {
        self.refused.get_or_insert(misuse);
    }
}

impl Drop for HeadWriter<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.out.truncate(self.start);
        }
    }
}
