//! What arrives: frames are cut from the input and handed to what knows them.

use super::{Connection, End, Going, PeerGoing, Role};
use crate::error::{ConnectionError, ErrorCode, Flood, Violation};
use crate::event::{Cause, Event};
use crate::frame::{self, HEADER_LEN, Header, Kind, PREFACE};
use crate::head::{Request, RequestLayout, Response, ResponseLayout};
use crate::hpack::Fields;
use crate::stream::Key;

/// Octets of answers that may wait however small the output is.
const LEAST_ANSWERS: usize = 128;

/// What the next octets of the input are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// The client's preface (RFC 9113 section 3.4).
    Preface,
    /// The peer's first frame, which is SETTINGS.
    FirstFrame,
    /// A frame header.
    Frame,
    /// The content of a DATA frame.
    Data(Arriving),
    /// Padding, or content that nobody wants.
    Skip(u32),
}

/// A DATA frame of which a part is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arriving {
    pub(super) stream: Key,
    /// Octets of content, and of padding behind it.
    pub(super) left: u32,
    pub(super) padding: u32,
    pub(super) end: bool,
}

/// What one step of reading came to.
pub(super) enum Step<'b> {
    /// The input is used up, or ends in the middle of something.
    Wait,
    /// Nothing for the caller; more may follow.
    Again,
    Event(Event<'static, 'b>),
    /// An event that borrows the decoded fields.
    Head(Decoded),
}

/// A message head or trailers in the caller's fields.
pub(super) enum Decoded {
    Request { stream: Key, layout: RequestLayout, end: bool },
    Response { stream: Key, layout: ResponseLayout, end: bool },
    Interim { stream: Key, layout: ResponseLayout },
    Trailers { stream: Key },
}

/// What a rule that was broken ends (RFC 9113 section 5.4).
pub(super) enum Fault {
    Connection(Violation),
    Stream(u32, Violation),
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Self {
        Self::Connection(violation)
    }
}

impl Connection {
    /// Takes what it understands off the front of `input`, and returns what that came to. Call it until it returns
    /// `None`; then keep what is left in `input`, and present it again in front of what is read next. At most one
    /// frame header or one frame other than DATA is left, 16,393 octets.
    ///
    /// # Errors
    /// The peer broke a rule that ends the connection. Write the [`output`](Self::output), which has the GOAWAY, and
    /// close the transport; every stream is gone.
    pub fn receive<'f, 'b>(
        &mut self,
        input: &mut &'b [u8],
        fields: &'f mut Fields,
    ) -> Result<Option<Event<'f, 'b>>, ConnectionError> {
        match &self.end {
            Some(End::Failed(error)) => return Err(error.clone()),
            Some(End::Closed) => {
                *input = &[];
                return Ok(None);
            }
            None => {}
        }
        loop {
            if self.output.answers() > (self.config.limits.buffered_output as usize / 4).max(LEAST_ANSWERS) {
                return Err(self.fail(Violation::Flood(Flood::Output)));
            }
            let step = match self.step(input, fields) {
                Ok(step) => step,
                Err(Fault::Connection(violation)) => return Err(self.fail(violation)),
                Err(Fault::Stream(id, violation)) => match self.fail_stream(id, violation) {
                    Ok(step) => step,
                    Err(violation) => return Err(self.fail(violation)),
                },
            };
            match step {
                Step::Wait => return Ok(None),
                Step::Again => {}
                Step::Event(event) => return Ok(Some(event)),
                Step::Head(decoded) => return Ok(Some(decoded.event(fields))),
            }
        }
    }

    fn step<'b>(&mut self, input: &mut &'b [u8], fields: &mut Fields) -> Result<Step<'b>, Fault> {
        match self.reading {
            Reading::Data(arriving) => Ok(self.data(input, arriving)),
            Reading::Frame | Reading::FirstFrame => match self.refused_by_goaway() {
                Some(event) => Ok(Step::Event(event)),
                None => self.frame(input, fields),
            },
            Reading::Skip(left) => Ok(self.skip(input, left)),
            Reading::Preface => self.preface(input),
        }
    }

    /// RFC 9113 section 3.4. Told by its first octets, so that another protocol is turned away at once.
    fn preface<'b>(&mut self, input: &mut &'b [u8]) -> Result<Step<'b>, Fault> {
        let there = input.len().min(PREFACE.len());
        if input[..there] != PREFACE[..there] {
            return Err(Violation::Preface.into());
        }
        if there < PREFACE.len() {
            return Ok(Step::Wait);
        }
        *input = &input[PREFACE.len()..];
        self.reading = Reading::FirstFrame;
        Ok(Step::Again)
    }

    fn skip<'b>(&mut self, input: &mut &'b [u8], left: u32) -> Step<'b> {
        let piece = input.len().min(left as usize);
        *input = &input[piece..];
        let left = left - piece as u32;
        self.reading = if left == 0 { Reading::Frame } else { Reading::Skip(left) };
        if left == 0 { Step::Again } else { Step::Wait }
    }

    /// RFC 9113 sections 4.1 and 5.1: one frame, and whether it may stand here at all.
    fn frame<'b>(&mut self, input: &mut &'b [u8], fields: &mut Fields) -> Result<Step<'b>, Fault> {
        let Some((octets, rest)) = input.split_first_chunk::<HEADER_LEN>() else { return Ok(Step::Wait) };
        let header = Header::parse(octets);
        self.check_header(header)?;
        if header.kind == Kind::Data {
            return self.begin_data(header, input, rest);
        }
        if rest.len() < header.length as usize {
            return Ok(Step::Wait);
        }
        let (payload, rest) = rest.split_at(header.length as usize);
        *input = rest;
        let step = match header.kind {
            Kind::Headers => self.headers(header, payload, fields)?,
            Kind::Continuation => self.continuation(header, payload, fields)?,
            Kind::Settings => self.settings(header, payload)?,
            Kind::WindowUpdate => self.window_update(header, payload)?,
            Kind::RstStream => self.rst_stream(header, payload)?,
            Kind::Ping => self.ping_received(header, payload)?,
            Kind::GoAway => self.goaway_received(header, payload)?,
            Kind::Priority => self.priority(header, payload)?,
            Kind::PushPromise => return Err(Violation::Push.into()),
            Kind::Unknown(_) => self.ignored()?,
            Kind::Data => unreachable!("DATA is handled above, since it need not be whole"),
        };
        self.reading = Reading::Frame;
        Ok(step)
    }

    /// What is wrong whatever the payload: sections 3.4, 4.2, 4.3, and which frames stand on a stream (section 6).
    #[inline]
    fn check_header(&self, header: Header) -> Result<(), Violation> {
        if self.reading == Reading::FirstFrame && header.kind != Kind::Settings {
            return Err(Violation::FirstFrame(header.kind.octet()));
        }
        if header.length > frame::DEFAULT_MAX_FRAME_SIZE {
            return Err(Violation::FrameTooLarge { length: header.length, max: frame::DEFAULT_MAX_FRAME_SIZE });
        }
        if let Some(block) = &self.block
            && (header.kind != Kind::Continuation || header.stream != block.stream)
        {
            return Err(Violation::BlockInterrupted);
        }
        let on_stream = match header.kind {
            Kind::Settings | Kind::Ping | Kind::GoAway => false,
            Kind::WindowUpdate | Kind::Unknown(_) => return Ok(()),
            _ => true,
        };
        if on_stream == (header.stream == 0) {
            return Err(Violation::WrongStream { frame: header.kind.name(), stream: header.stream });
        }
        Ok(())
    }

    /// RFC 9113 section 5.4.2: ends one stream. Many of them end the connection.
    fn fail_stream<'b>(&mut self, id: u32, violation: Violation) -> Result<Step<'b>, Violation> {
        let key = self.streams.find(id);
        // A server's peer chooses what streams there are; a late frame from a server says nothing of abuse.
        if (self.role == Role::Server || key.is_some()) && !self.budgets.resets.take() {
            return Err(Violation::Flood(Flood::Resets));
        }
        let code = violation.code();
        self.output.rst_stream(id, code);
        self.resets.add(id);
        let Some(stream) = key else { return Ok(Step::Again) };
        if self.streams.get(stream).is_some_and(|stream| stream.is_done()) {
            // The caller knows it as ended.
            return Ok(Step::Again);
        }
        self.take_out(stream);
        Ok(Step::Event(Event::Reset { stream, code, cause: Cause::Violation(violation) }))
    }

    /// RFC 9113 section 6.8: the streams that the server never saw, one at a time.
    fn refused_by_goaway(&mut self) -> Option<Event<'static, 'static>> {
        let PeerGoing::Yes { last, told: false } = self.peer_going else { return None };
        match self.streams.last() {
            Some((id, stream)) if id > last && self.role == Role::Client => {
                self.take_out(stream);
                Some(Event::Reset { stream, code: ErrorCode::REFUSED_STREAM, cause: Cause::GoAway })
            }
            _ => {
                self.peer_going = PeerGoing::Yes { last, told: true };
                None
            }
        }
    }

    /// Whether the peer may send on a stream that is not open, since it does not know yet: we reset it (RFC 9113
    /// section 5.1, closed), or it is above the last one of our GOAWAY (section 6.8).
    pub(super) fn is_ignored(&self, id: u32) -> bool {
        self.resets.may_contain(id)
            || matches!(self.going, Going::Final { last } if id > last && self.role == Role::Server)
    }

    /// Whether the stream was never opened (RFC 9113 section 5.1, idle).
    pub(super) fn is_idle(&self, id: u32) -> bool {
        id > self.last_stream || id.is_multiple_of(2)
    }
}

impl Decoded {
    fn event<'f, 'b>(self, fields: &'f Fields) -> Event<'f, 'b> {
        match self {
            Self::Request { stream, layout, end } => Event::Request { stream, head: Request::new(fields, layout), end },
            Self::Response { stream, layout, end } => {
                Event::Response { stream, head: Response::new(fields, layout), end }
            }
            Self::Interim { stream, layout } => Event::Interim { stream, head: Response::new(fields, layout) },
            Self::Trailers { stream } => Event::Trailers { stream, fields },
        }
    }
}
