//! The frames that carry no message (RFC 9113 sections 6.3 to 6.9).

use super::receive::{Fault, Reading, Step};
use super::{Connection, DRAIN_PING, Going, PeerGoing, Role};
use crate::error::{ErrorCode, Flood, Scope, Violation};
use crate::event::{Cause, Event};
use crate::frame::{self, Header, Kind};
use crate::stream::{Blocked, Phase};

impl Connection {
    /// Section 6.5.
    pub(super) fn settings<'b>(&mut self, header: Header, payload: &[u8]) -> Result<Step<'b>, Fault> {
        let ack = header.has(frame::ACK);
        if ack && self.reading == Reading::FirstFrame {
            return Err(Violation::FirstFrame(header.kind.octet()).into());
        }
        if !payload.len().is_multiple_of(6) || (ack && !payload.is_empty()) {
            return Err(size(header));
        }
        if ack {
            self.settings_acknowledged()?;
            return Ok(Step::Again);
        }
        if !self.budgets.settings.take() {
            return Err(Violation::Flood(Flood::Settings).into());
        }
        self.apply_settings(payload)?;
        Ok(Step::Event(Event::Settings))
    }

    /// Section 6.7. The answer to our own PING may complete GOAWAY (section 6.8).
    pub(super) fn ping_received<'b>(&mut self, header: Header, payload: &[u8]) -> Result<Step<'b>, Fault> {
        let payload: [u8; 8] = payload.try_into().map_err(|_| size(header))?;
        if !header.has(frame::ACK) {
            if !self.budgets.pings.take() {
                return Err(Violation::Flood(Flood::Pings).into());
            }
            self.output.answer(Kind::Ping, frame::ACK, 0, &payload);
            return Ok(Step::Again);
        }
        match self.going {
            Going::Announced if payload == DRAIN_PING => {
                self.drained_announcement();
                return Ok(Step::Again);
            }
            // It was not waited for any longer.
            Going::Final { .. } if payload == DRAIN_PING => return self.ignored(),
            _ => {}
        }
        match self.pings_unanswered.checked_sub(1) {
            Some(left) => {
                self.pings_unanswered = left;
                Ok(Step::Event(Event::Pong(payload)))
            }
            None => self.ignored(),
        }
    }

    /// Section 6.8.
    pub(super) fn goaway_received<'b>(&mut self, header: Header, payload: &'b [u8]) -> Result<Step<'b>, Fault> {
        if payload.len() < 8 {
            return Err(size(header));
        }
        let (last, code) = (frame::number(payload) & frame::MAX_31_BITS, ErrorCode(frame::number(&payload[4..])));
        if let PeerGoing::Yes { last: before, .. } = self.peer_going
            && last > before
        {
            return Err(Violation::GoAwayRaised { before, now: last }.into());
        }
        if !self.budgets.settings.take() {
            return Err(Violation::Flood(Flood::Settings).into());
        }
        self.peer_going = PeerGoing::Yes { last, told: false };
        Ok(Step::Event(Event::GoAway { last, code, debug: &payload[8..] }))
    }

    /// Section 6.9.
    pub(super) fn window_update<'b>(&mut self, header: Header, payload: &[u8]) -> Result<Step<'b>, Fault> {
        if payload.len() != 4 {
            return Err(size(header));
        }
        let (id, increment) = (header.stream, frame::number(payload) & frame::MAX_31_BITS);
        if !self.budgets.window_updates.take() {
            return Err(Violation::Flood(Flood::WindowUpdates).into());
        }
        if id == 0 {
            return match self.allowed.open(increment) {
                _ if increment == 0 => Err(Violation::WindowIncrement.into()),
                true => Ok(Step::Again),
                false => Err(Violation::WindowOverflow(Scope::Connection).into()),
            };
        }
        let Some(key) = self.streams.find(id) else {
            return if self.is_idle(id) { Err(idle(header)) } else { Ok(Step::Again) };
        };
        if increment == 0 {
            return Err(Fault::Stream(id, Violation::WindowIncrement));
        }
        let Some(stream) = self.streams.get(key) else { return Ok(Step::Again) };
        if !stream.allowed.open(increment) {
            return Err(Fault::Stream(id, Violation::WindowOverflow(Scope::Stream)));
        }
        if stream.blocked == Some(Blocked::Window) && stream.allowed.octets() > 0 {
            stream.blocked = Some(Blocked::Connection);
            self.queue.push_back(key);
        }
        Ok(Step::Again)
    }

    /// Section 6.4. A client that opens streams and resets them before they are answered costs the server more than
    /// itself (CVE-2023-44487).
    pub(super) fn rst_stream<'b>(&mut self, header: Header, payload: &[u8]) -> Result<Step<'b>, Fault> {
        if payload.len() != 4 {
            return Err(size(header));
        }
        let Some(key) = self.streams.find(header.stream) else {
            return if self.is_idle(header.stream) { Err(idle(header)) } else { self.ignored() };
        };
        let Some(stream) = self.streams.get(key) else { return Ok(Step::Again) };
        if stream.is_done() {
            return self.ignored();
        }
        let has_response = self.role == Role::Client && stream.receiving == Phase::Done;
        if self.role == Role::Server && stream.sending == Phase::Head && !self.budgets.resets.take() {
            return Err(Violation::Flood(Flood::Resets).into());
        }
        self.budgets.earn_by_reset(&self.config.limits);
        if has_response {
            // Section 8.1: what was received of the response is not discarded, and still held.
            self.end_sending(key);
        } else {
            self.take_out(key);
        }
        Ok(Step::Event(Event::Reset { stream: key, code: ErrorCode(frame::number(payload)), cause: Cause::Peer }))
    }

    /// Section 6.3: priorities are ignored. What RFC 7540 section 5.3.1 forbids is still an error.
    pub(super) fn priority<'b>(&mut self, header: Header, payload: &[u8]) -> Result<Step<'b>, Fault> {
        if payload.len() != 5 {
            return Err(match self.streams.find(header.stream) {
                Some(_) => Fault::Stream(header.stream, size_violation(header)),
                None => size(header),
            });
        }
        let id = header.stream;
        if frame::number(payload) & frame::MAX_31_BITS == id {
            let violation = Violation::SelfDependency(id);
            if self.streams.find(id).is_some() {
                return Err(Fault::Stream(id, violation));
            }
            // A stream that is idle cannot be reset (section 6.4).
            if self.role == Role::Server && self.is_idle(id) {
                return Err(violation.into());
            }
        }
        self.ignored()
    }

    /// Section 5.5: what is not known is ignored, within a limit.
    pub(super) fn ignored<'b>(&mut self) -> Result<Step<'b>, Fault> {
        if self.budgets.ignored_frames.take() {
            Ok(Step::Again)
        } else {
            Err(Violation::Flood(Flood::IgnoredFrames).into())
        }
    }
}

/// Section 5.1: nothing but HEADERS and PRIORITY may come on a stream that was never opened.
fn idle(header: Header) -> Fault {
    Fault::Connection(Violation::IdleStream { frame: header.kind.name(), stream: header.stream })
}

fn size_violation(header: Header) -> Violation {
    Violation::FrameSize { frame: header.kind.name(), length: header.length }
}

fn size(header: Header) -> Fault {
    Fault::Connection(size_violation(header))
}
