//! Heads and trailers, written field by field into the output: no header map between.

use super::Connection;
use crate::error::Refused;
use crate::head::{NameForm, is_connection_field, is_field_value, name_form, without_space};
use crate::hpack::{Field, StaticIndex};
use crate::stream::{Key, Phase, Stream};

/// Names up to this length are put into lower case without an allocation.
const SHORT_NAME: usize = 64;

/// Writes one head or one set of trailers. Dropped before [`finish`](Self::finish), it leaves no trace.
#[derive(Debug)]
pub struct HeadWriter<'c> {
    connection: &'c mut Connection,
    target: Target,
    mark: usize,
    /// By RFC 9113 section 6.5.2.
    size: usize,
    good: bool,
}

/// What is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    Request {
        bodiless: bool,
        tunnel: bool,
    },
    /// With its status.
    Response(Key, u16),
    Interim(Key),
    Trailers(Key),
    /// Nothing any more.
    Finished,
}

impl<'c> HeadWriter<'c> {
    pub(super) fn begin(connection: &'c mut Connection, target: Target) -> Self {
        let mark = connection.begin_block();
        Self { connection, target, mark, size: 0, good: true }
    }

    #[inline]
    pub(super) fn pseudo(&mut self, name: &[u8], value: &[u8]) {
        self.size += name.len() + value.len() + 32;
        self.connection.encode(name, value);
    }

    /// Adds a field. The name is put into lower case (RFC 9113 section 8.2.1); white space around the value is left
    /// out.
    ///
    /// What belongs to one connection of HTTP/1.1 (section 8.2.2: `connection`, `keep-alive`, `proxy-connection`,
    /// `transfer-encoding`, `upgrade`, and `te` but for `trailers`) is left out. Fields that `connection` nominates
    /// are the caller's to leave out, and so is `host` where `:authority` says it.
    #[inline]
    pub fn field(&mut self, name: &[u8], value: &[u8]) -> &mut Self {
        self.write(name, value, false)
    }

    /// As [`field`](Self::field), for a value that no hop may keep in a table (RFC 7541 section 7.1.3).
    pub fn sensitive_field(&mut self, name: &[u8], value: &[u8]) -> &mut Self {
        self.write(name, value, true)
    }

    /// Adds a field that another HTTP/2 connection received: it is known to be good, and its name need not be looked up.
    #[inline]
    pub fn forward(&mut self, field: Field<'_>) -> &mut Self {
        self.good &= !field.is_pseudo();
        self.size += field.name.len() + field.value.len() + 32;
        self.connection.encoder.forward(self.connection.output.buffer(), field);
        self
    }

    #[inline]
    fn write(&mut self, name: &[u8], value: &[u8], sensitive: bool) -> &mut Self {
        let Some(index) = StaticIndex::of_name(name) else { return self.write_literal(name, value, sensitive) };
        if index == StaticIndex::TRANSFER_ENCODING {
            return self;
        }
        let value = self.checked(name, value);
        // Pseudo-header fields are the caller's to give by name.
        self.good &= !index.is_pseudo();
        let (encoder, out) = (self.connection.encoder, self.connection.output.buffer());
        if sensitive {
            encoder.never_indexed(out, name, value);
        } else {
            encoder.with_index(out, index, value);
        }
        self
    }

    /// A name that is not in the static table, or not in lower case.
    fn write_literal(&mut self, name: &[u8], value: &[u8], sensitive: bool) -> &mut Self {
        match name_form(name) {
            NameForm::UpperCase => return self.write_lower_case(name, value, sensitive),
            NameForm::Bad => {
                self.good = false;
                return self;
            }
            NameForm::Good => {}
        }
        if is_connection_field(name, without_space(value)) {
            return self;
        }
        let value = self.checked(name, value);
        let (encoder, out) = (self.connection.encoder, self.connection.output.buffer());
        if sensitive {
            encoder.never_indexed(out, name, value);
        } else {
            encoder.field(out, name, value);
        }
        self
    }

    /// Counts a field; returns its value without white space around it.
    #[inline]
    fn checked<'v>(&mut self, name: &[u8], mut value: &'v [u8]) -> &'v [u8] {
        if !is_field_value(value) {
            value = without_space(value);
            self.good &= is_field_value(value);
        }
        self.size += name.len() + value.len() + 32;
        value
    }

    fn write_lower_case(&mut self, name: &[u8], value: &[u8], sensitive: bool) -> &mut Self {
        let mut short = [0; SHORT_NAME];
        let Some(lower) = short.get_mut(..name.len()) else {
            return self.write(&name.to_ascii_lowercase(), value, sensitive);
        };
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        self.write(lower, value, sensitive)
    }

    /// Completes the head: it is in the output. `end`: no body follows; trailers always end the message.
    ///
    /// # Errors
    /// [`Refused::Field`] if a field was given that no message may carry, [`Refused::HeadTooLarge`] if the peer does
    /// not take it. Nothing is sent then, and the stream is as it was.
    pub fn finish(mut self, end: bool) -> Result<Key, Refused> {
        let max = self.connection.peer.max_header_list_size;
        if !self.good {
            return Err(Refused::Field);
        }
        if self.size > max as usize {
            let size = u32::try_from(self.size).unwrap_or(u32::MAX);
            return Err(Refused::HeadTooLarge { size, max });
        }
        let target = std::mem::replace(&mut self.target, Target::Finished);
        Ok(self.connection.complete_head(target, self.mark, end))
    }
}

impl Drop for HeadWriter<'_> {
    fn drop(&mut self) {
        if !matches!(self.target, Target::Finished) {
            self.connection.output.take_back(self.mark);
        }
    }
}

impl Connection {
    /// Begins a HEADERS frame. The first block tells the peer that our encoder keeps no dynamic table (RFC 7541 section
    /// 4.2), which also meets whatever SETTINGS_HEADER_TABLE_SIZE it announces.
    pub(super) fn begin_block(&mut self) -> usize {
        let mark = self.output.begin_headers();
        if !self.table_emptied {
            self.encoder.size_update(self.output.buffer(), 0);
        }
        mark
    }

    #[inline]
    pub(super) fn encode(&mut self, name: &[u8], value: &[u8]) {
        self.encoder.field(self.output.buffer(), name, value);
    }

    fn complete_head(&mut self, target: Target, mark: usize, end: bool) -> Key {
        let end = match target {
            Target::Interim(_) => false,
            Target::Trailers(_) => true,
            _ => end,
        };
        let key = match target {
            Target::Request { bodiless, tunnel } => {
                self.last_stream = if self.last_stream == 0 { 1 } else { self.last_stream + 2 };
                let stream = Stream { bodiless, tunnel, ..self.new_stream(self.last_stream) };
                self.streams.insert(stream)
            }
            Target::Response(key, _) | Target::Interim(key) | Target::Trailers(key) => key,
            Target::Finished => unreachable!("a head is completed once"),
        };
        let stream = self.streams.get(key).expect("the writer has the connection to itself");
        let id = stream.id;
        stream.bodiless |= matches!(target, Target::Response(_, 204 | 304));
        stream.sending = match target {
            Target::Interim(_) => Phase::Head,
            _ if end => Phase::Done,
            _ => Phase::Body,
        };
        self.output.end_headers(mark, id, end, self.peer.max_frame_size);
        self.table_emptied = true;
        if end {
            self.ended(key);
        }
        key
    }
}
