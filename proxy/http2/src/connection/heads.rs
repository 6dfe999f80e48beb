//! HEADERS and CONTINUATION (RFC 9113 sections 6.2, 6.10 and 8.1): from a header block to a head or trailers.

use super::receive::{Decoded, Fault, Step};
use super::{Connection, Role};
use crate::error::{ErrorCode, Flood, Malformed, Violation};
use crate::flow::{Allowed, Granted};
use crate::frame::{self, Header};
use crate::head;
use crate::hpack::Fields;
use crate::stream::{Key, Phase, Stream};

/// A header block that is not whole yet (section 4.3).
#[derive(Debug)]
pub(super) struct Block {
    pub(super) stream: u32,
    end: bool,
    depends_on_itself: bool,
    octets: Vec<u8>,
    continuations: u16,
}

impl Block {
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.octets.capacity()
    }
}

/// What a header block is for.
#[derive(Clone, Copy)]
struct Opening {
    id: u32,
    end: bool,
    depends_on_itself: bool,
}

impl Opening {
    fn fault(self, violation: Violation) -> Fault {
        Fault::Stream(self.id, violation)
    }

    fn malformed(self, what: Malformed) -> Fault {
        self.fault(Violation::Malformed(what))
    }
}

impl Connection {
    /// Section 6.2.
    pub(super) fn headers<'b>(
        &mut self,
        header: Header,
        payload: &[u8],
        fields: &mut Fields,
    ) -> Result<Step<'b>, Fault> {
        let (dependency, fragment) = fragment(header, payload)?;
        let opening = Opening {
            id: header.stream,
            end: header.has(frame::END_STREAM),
            depends_on_itself: dependency == Some(header.stream),
        };
        if fragment.len() > self.config.limits.block_bytes as usize {
            return Err(Violation::Flood(Flood::HeaderBlock).into());
        }
        if header.has(frame::END_HEADERS) {
            return self.decode_block(opening, fragment, fields);
        }
        self.block = Some(Box::new(Block {
            stream: opening.id,
            end: opening.end,
            depends_on_itself: opening.depends_on_itself,
            octets: fragment.to_vec(),
            continuations: 0,
        }));
        Ok(Step::Again)
    }

    /// Section 6.10.
    pub(super) fn continuation<'b>(
        &mut self,
        header: Header,
        payload: &[u8],
        fields: &mut Fields,
    ) -> Result<Step<'b>, Fault> {
        let mut block = self.block.take().ok_or(Violation::StrayContinuation)?;
        block.continuations = block.continuations.saturating_add(1);
        block.octets.extend_from_slice(payload);
        let limits = &self.config.limits;
        if block.continuations > limits.continuations || block.octets.len() > limits.block_bytes as usize {
            return Err(Violation::Flood(Flood::HeaderBlock).into());
        }
        if !header.has(frame::END_HEADERS) {
            self.block = Some(block);
            return Ok(Step::Again);
        }
        let opening = Opening { id: block.stream, end: block.end, depends_on_itself: block.depends_on_itself };
        self.decode_block(opening, &block.octets, fields)
    }

    /// Section 4.3: every block is decoded, wanted or not, so that compression stays in step.
    fn decode_block<'b>(&mut self, opening: Opening, block: &[u8], fields: &mut Fields) -> Result<Step<'b>, Fault> {
        self.decoder.decode(block, &self.config.limits.fields, fields).map_err(Violation::Compression)?;
        match (self.streams.find(opening.id), self.role) {
            (Some(_), _) if opening.depends_on_itself => Err(opening.fault(Violation::SelfDependency(opening.id))),
            (Some(key), Role::Server) => self.trailers_received(key, opening, fields),
            (Some(key), Role::Client) => self.response(key, opening, fields),
            (None, Role::Server) if opening.id > self.last_stream => self.request(opening, fields),
            (None, _) => self.late_block(opening.id),
        }
    }

    /// A head on a stream that is not open (section 5.1, closed).
    fn late_block<'b>(&mut self, id: u32) -> Result<Step<'b>, Fault> {
        if self.is_idle(id) {
            return Err(Violation::IdleStream { frame: "HEADERS", stream: id }.into());
        }
        let violation = Violation::StreamClosed("HEADERS");
        match self.role {
            _ if self.is_ignored(id) => self.ignored(),
            Role::Server => Err(violation.into()),
            // We end streams in any number at once, and the server cannot know yet.
            Role::Client => Err(Fault::Stream(id, violation)),
        }
    }

    /// Sections 5.1.1, 5.1.2 and 8.3.1: a client opens a stream.
    fn request<'b>(&mut self, opening: Opening, fields: &Fields) -> Result<Step<'b>, Fault> {
        let Opening { id, end, .. } = opening;
        if id.is_multiple_of(2) {
            return Err(Violation::StreamIdentifier(id).into());
        }
        self.last_stream = id;
        if self.is_ignored(id) {
            return self.ignored();
        }
        if opening.depends_on_itself {
            return Err(opening.fault(Violation::SelfDependency(id)));
        }
        let limit = self.config.limits.concurrent_streams;
        // Streams that have ended linger while their DATA is held.
        if self.streams.active() >= limit || self.streams.len() >= limit.saturating_mul(2) as usize {
            return Err(opening.fault(Violation::TooManyStreams(limit)));
        }
        if fields.exceeded().is_some() {
            return self.answer_431(id, end);
        }
        let mut layout =
            head::check_request(fields, self.config.extended_connect).map_err(|what| opening.malformed(what))?;
        if layout.kind.tunnel {
            layout.content_length = None;
        }
        let expected = layout.content_length;
        if end && expected.is_some_and(|length| length > 0) {
            return Err(opening.malformed(Malformed::BodyLength));
        }
        let stream = self.streams.insert(Stream {
            receiving: if end { Phase::Done } else { Phase::Body },
            expected,
            bodiless: layout.kind.head,
            tunnel: layout.kind.tunnel,
            ..self.new_stream(id)
        });
        Ok(Step::Head(Decoded::Request { stream, layout, end }))
    }

    /// A stream on which nothing was sent or received.
    pub(super) fn new_stream(&self, id: u32) -> Stream {
        Stream {
            id,
            receiving: Phase::Head,
            sending: Phase::Head,
            granted: Granted::new(self.granted_to_new_streams),
            allowed: Allowed::new(self.peer.initial_window_size),
            held: 0,
            expected: None,
            bodiless: false,
            tunnel: false,
            interim_responses: 0,
            blocked: None,
        }
    }

    /// Section 10.5.1: a head beyond the limits is answered with 431 (RFC 6585 section 5), without the caller.
    fn answer_431<'b>(&mut self, id: u32, end: bool) -> Result<Step<'b>, Fault> {
        if !self.budgets.resets.take() {
            return Err(Violation::Flood(Flood::Resets).into());
        }
        let mark = self.begin_block();
        self.encode(b":status", b"431");
        self.output.end_headers(mark, id, true, self.peer.max_frame_size);
        self.output.count_answer(mark);
        self.table_emptied = true;
        if !end {
            self.output.rst_stream(id, ErrorCode::NO_ERROR);
        }
        self.resets.add(id);
        Ok(Step::Again)
    }

    /// Section 8.3.2: the head of a response, an interim one (RFC 9110 section 15.2) or, after the head, trailers.
    fn response<'b>(&mut self, key: Key, opening: Opening, fields: &Fields) -> Result<Step<'b>, Fault> {
        let end = opening.end;
        let limit = self.config.limits.interim_responses;
        let Some(stream) = self.streams.get(key) else { return Ok(Step::Again) };
        if stream.receiving != Phase::Head {
            return self.trailers_received(key, opening, fields);
        }
        if let Some(exceeded) = fields.exceeded() {
            return Err(opening.fault(Violation::Flood(Flood::Fields(exceeded))));
        }
        let mut layout = head::check_response(fields).map_err(|what| opening.malformed(what))?;
        if layout.status < 200 {
            if end {
                return Err(opening.malformed(Malformed::InterimEnd));
            }
            stream.interim_responses = stream.interim_responses.saturating_add(1);
            if stream.interim_responses > limit {
                return Err(opening.fault(Violation::Flood(Flood::InterimResponses)));
            }
            return Ok(Step::Head(Decoded::Interim { stream: key, layout }));
        }
        // RFC 9110 section 6.4.1: these have no body, whatever length they declare.
        stream.bodiless |= matches!(layout.status, 204 | 304);
        stream.tunnel &= layout.status < 300;
        if stream.tunnel {
            // Section 8.5: what is said of a length there has no meaning.
            layout.content_length = None;
        }
        stream.expected = if stream.bodiless { Some(0) } else { layout.content_length };
        if end && stream.expected.is_some_and(|length| length > 0) {
            return Err(opening.malformed(Malformed::BodyLength));
        }
        stream.receiving = if end { Phase::Done } else { Phase::Body };
        if end {
            self.ended(key);
        }
        Ok(Step::Head(Decoded::Response { stream: key, layout, end }))
    }

    /// Section 8.1: trailers end the message.
    fn trailers_received<'b>(&mut self, key: Key, opening: Opening, fields: &Fields) -> Result<Step<'b>, Fault> {
        let Some(stream) = self.streams.get(key) else { return Ok(Step::Again) };
        let malformed = |what| Err(opening.malformed(what));
        if stream.receiving == Phase::Done {
            return Err(opening.fault(Violation::StreamClosed("HEADERS")));
        }
        if !opening.end {
            return malformed(Malformed::TrailersWithoutEnd);
        }
        if stream.tunnel || stream.expected.is_some_and(|left| left > 0) {
            return malformed(if stream.tunnel { Malformed::Connect } else { Malformed::BodyLength });
        }
        if let Some(exceeded) = fields.exceeded() {
            return Err(opening.fault(Violation::Flood(Flood::Fields(exceeded))));
        }
        if let Err(what) = head::check_trailers(fields) {
            return malformed(what);
        }
        stream.receiving = Phase::Done;
        self.ended(key);
        Ok(Step::Head(Decoded::Trailers { stream: key }))
    }
}

/// Section 6.2: takes padding and priority off. Returns the stream that the priority names, and the fragment.
fn fragment(header: Header, mut payload: &[u8]) -> Result<(Option<u32>, &[u8]), Violation> {
    let short = Violation::FrameSize { frame: "HEADERS", length: header.length };
    let mut padding = 0;
    if header.has(frame::PADDED) {
        let (&octets, rest) = payload.split_first().ok_or(short)?;
        (padding, payload) = (usize::from(octets), rest);
    }
    let mut dependency = None;
    if header.has(frame::PRIORITY_FLAG) {
        let (octets, rest) = payload.split_first_chunk::<5>().ok_or(short)?;
        (dependency, payload) = (Some(frame::number(octets) & frame::MAX_31_BITS), rest);
    }
    let length = payload.len().checked_sub(padding).ok_or(Violation::Padding)?;
    Ok((dependency, &payload[..length]))
}
