//! DATA (RFC 9113 section 6.1): given out as it arrives, and held to both windows and to Content-Length.

use super::Connection;
use super::receive::{Arriving, Fault, Reading, Step};
use crate::error::{Flood, Malformed, Scope, Violation};
use crate::event::Event;
use crate::frame::{self, HEADER_LEN, Header};
use crate::stream::{Key, Phase};

impl Connection {
    /// The header of a DATA frame, and its pad length. Windows are charged for the whole frame here, padding included
    /// (section 6.9.1); the padding is given back at once.
    pub(super) fn begin_data<'b>(
        &mut self,
        header: Header,
        input: &mut &'b [u8],
        rest: &'b [u8],
    ) -> Result<Step<'b>, Fault> {
        let (front, padding) = if header.has(frame::PADDED) {
            if header.length == 0 {
                return Err(Violation::FrameSize { frame: "DATA", length: 0 }.into());
            }
            let Some(&padding) = rest.first() else { return Ok(Step::Wait) };
            (1, u32::from(padding))
        } else {
            (0, 0)
        };
        let content = header.length.checked_sub(front + padding).ok_or(Violation::Padding)?;
        *input = &input[HEADER_LEN + front as usize..];
        if !self.granted.take(header.length) {
            return Err(Violation::Window(Scope::Connection).into());
        }
        self.release_connection(front + padding);
        match self.charge_stream(header, content) {
            Ok(Some(stream)) => {
                let end = header.has(frame::END_STREAM);
                self.reading = Reading::Data(Arriving { stream, left: content, padding, end });
                Ok(Step::Again)
            }
            unwanted => {
                self.release_connection(content);
                self.reading = if content + padding > 0 { Reading::Skip(content + padding) } else { Reading::Frame };
                unwanted.map(|_| Step::Again)
            }
        }
    }

    /// Which stream takes the frame; none if it was reset a short while ago.
    fn charge_stream(&mut self, header: Header, content: u32) -> Result<Option<Key>, Fault> {
        let (id, end) = (header.stream, header.has(frame::END_STREAM));
        let fault = |violation| Err(Fault::Stream(id, violation));
        let key = self.streams.find(id);
        // One that ends a stream is of use, once.
        if content == 0 && !(end && key.is_some()) && !self.budgets.empty_frames.take() {
            return Err(Violation::Flood(Flood::EmptyFrames).into());
        }
        let Some(key) = key else {
            if self.is_idle(id) {
                return Err(Violation::IdleStream { frame: "DATA", stream: id }.into());
            }
            return if self.is_ignored(id) { Ok(None) } else { fault(Violation::StreamClosed("DATA")) };
        };
        let Some(stream) = self.streams.get(key) else { return Ok(None) };
        match stream.receiving {
            Phase::Body => {}
            Phase::Head => return fault(Violation::Malformed(Malformed::DataBeforeHead)),
            Phase::Done => return fault(Violation::StreamClosed("DATA")),
        }
        if !stream.granted.take(header.length) {
            return fault(Violation::Window(Scope::Stream));
        }
        if let Some(expected) = stream.expected {
            match expected.checked_sub(u64::from(content)) {
                Some(left) if left == 0 || !end => stream.expected = Some(left),
                _ => return fault(Violation::Malformed(Malformed::BodyLength)),
            }
        }
        stream.held += content;
        if content > 0 {
            self.budgets.pings.give(1, self.config.limits.pings);
        }
        let overhead = header.length - content;
        if overhead > 0
            && !end
            && let Some(increment) = stream.granted.release(overhead, self.config.windows.stream)
        {
            self.output.window_update(id, increment);
        }
        Ok(Some(key))
    }

    /// What is there of a DATA frame.
    #[inline]
    pub(super) fn data<'b>(&mut self, input: &mut &'b [u8], arriving: Arriving) -> Step<'b> {
        let piece = input.len().min(arriving.left as usize);
        if piece == 0 && arriving.left > 0 {
            return Step::Wait;
        }
        let (bytes, rest) = input.split_at(piece);
        *input = rest;
        let left = arriving.left - piece as u32;
        let complete = left == 0;
        self.reading = match (complete, arriving.padding) {
            (false, _) => Reading::Data(Arriving { left, ..arriving }),
            (true, 0) => Reading::Frame,
            (true, padding) => Reading::Skip(padding),
        };
        let (key, end) = (arriving.stream, arriving.end && complete);
        let Some(stream) = self.streams.get(key) else { return Step::Again };
        if end {
            stream.receiving = Phase::Done;
            self.ended(key);
        }
        if bytes.is_empty() && !end {
            return Step::Again;
        }
        Step::Event(Event::Data { stream: key, bytes, end })
    }
}
