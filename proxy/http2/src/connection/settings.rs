//! SETTINGS (RFC 9113 section 6.5): what we announce, and what the peer did.

use super::{Connection, Role};
use crate::error::{Scope, Violation};
use crate::frame;
use crate::limits::Config;
use crate::stream::Blocked;

/// What the peer announced, with the protocol's defaults before it did (section 6.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerSettings {
    /// Streams that we may have open at once. Until the peer has spoken: 100, the least that the RFC recommends.
    pub max_concurrent_streams: u32,
    /// Octets that we may send ahead on each stream.
    pub initial_window_size: u32,
    /// Octets of payload that the peer takes in one frame.
    pub max_frame_size: u32,
    /// The size of a head, by section 6.5.2, that the peer takes.
    pub max_header_list_size: u32,
    /// Whether the peer takes extended CONNECT (RFC 8441 section 3).
    pub extended_connect: bool,
}

impl Default for PeerSettings {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 100,
            initial_window_size: frame::DEFAULT_WINDOW,
            max_frame_size: frame::DEFAULT_MAX_FRAME_SIZE,
            max_header_list_size: u32::MAX,
            extended_connect: false,
        }
    }
}

/// What we announce; what equals the protocol's default is left out.
pub(super) fn announced(role: Role, config: &Config) -> impl Iterator<Item = (u16, u32)> {
    let server = role == Role::Server;
    [
        Some((frame::HEADER_TABLE_SIZE, config.header_table_size)).filter(|&(_, size)| size != 4_096),
        (!server).then_some((frame::ENABLE_PUSH, 0)),
        server.then_some((frame::MAX_CONCURRENT_STREAMS, config.limits.concurrent_streams)),
        Some((frame::INITIAL_WINDOW_SIZE, config.windows.stream)).filter(|&(_, size)| size != frame::DEFAULT_WINDOW),
        Some((frame::MAX_HEADER_LIST_SIZE, config.limits.fields.list_size)),
        (server && config.extended_connect).then_some((frame::ENABLE_CONNECT_PROTOCOL, 1)),
    ]
    .into_iter()
    .flatten()
}

impl Connection {
    /// Sections 6.5.2 and 6.5.3: every setting in its order, then the acknowledgement.
    pub(super) fn apply_settings(&mut self, payload: &[u8]) -> Result<(), Violation> {
        // The first SETTINGS replace what was assumed until then.
        let first = self.reading == super::receive::Reading::FirstFrame;
        if first {
            self.peer.max_concurrent_streams = u32::MAX;
        }
        // The windows of all streams follow once, however often the frame names their size.
        let before = self.peer.initial_window_size;
        for setting in payload.chunks_exact(6) {
            let id = u16::from_be_bytes([setting[0], setting[1]]);
            self.apply_setting(id, frame::number(&setting[2..]))?;
        }
        self.adjust_windows(before)?;
        self.output.answer(frame::Kind::Settings, frame::ACK, 0, &[]);
        Ok(())
    }

    fn apply_setting(&mut self, id: u16, value: u32) -> Result<(), Violation> {
        let wrong = Err(Violation::Setting { id, value });
        match id {
            frame::ENABLE_PUSH if value > 1 || (value == 1 && self.role == Role::Client) => return wrong,
            frame::MAX_CONCURRENT_STREAMS => self.peer.max_concurrent_streams = value,
            frame::INITIAL_WINDOW_SIZE if value > frame::MAX_31_BITS => return wrong,
            frame::INITIAL_WINDOW_SIZE => self.peer.initial_window_size = value,
            frame::MAX_FRAME_SIZE if !(frame::DEFAULT_MAX_FRAME_SIZE..1 << 24).contains(&value) => return wrong,
            frame::MAX_FRAME_SIZE => self.peer.max_frame_size = value,
            frame::MAX_HEADER_LIST_SIZE => self.peer.max_header_list_size = value,
            frame::ENABLE_CONNECT_PROTOCOL if value > 1 => return wrong,
            // RFC 8441 section 3: not to be taken back.
            frame::ENABLE_CONNECT_PROTOCOL if value == 0 && self.peer.extended_connect => return wrong,
            frame::ENABLE_CONNECT_PROTOCOL => self.peer.extended_connect = value == 1,
            // Our encoder uses no dynamic table, whatever its size. Others are not known and ignored.
            _ => {}
        }
        Ok(())
    }

    /// Section 6.9.2: a new initial size changes the window of every stream.
    fn adjust_windows(&mut self, before: u32) -> Result<(), Violation> {
        let now = self.peer.initial_window_size;
        if now == before {
            return Ok(());
        }
        let (mut fits, queue) = (true, &mut self.queue);
        self.streams.each(|key, stream| {
            fits &= stream.allowed.adjust(before, now);
            if stream.blocked == Some(Blocked::Window) && stream.allowed.octets() > 0 {
                stream.blocked = Some(Blocked::Connection);
                queue.push_back(key);
            }
        });
        if fits { Ok(()) } else { Err(Violation::WindowOverflow(Scope::Stream)) }
    }

    /// Section 6.5.3: the peer keeps to our SETTINGS from now on.
    pub(super) fn settings_acknowledged(&mut self) -> Result<(), Violation> {
        self.settings_unacknowledged =
            self.settings_unacknowledged.checked_sub(1).ok_or(Violation::StraySettingsAck)?;
        self.decoder.set_max_table_size(self.config.header_table_size);
        let (before, now) = (self.granted_to_new_streams, self.config.windows.stream);
        if before != now {
            self.granted_to_new_streams = now;
            self.streams.each(|_, stream| stream.granted.shrink(before, now));
        }
        Ok(())
    }
}
