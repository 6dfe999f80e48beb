//! What waits to be written: one buffer, into which frames are written as they are made.

use crate::error::ErrorCode;
use crate::frame::{self, HEADER_LEN, Header, Kind};

/// The buffer. What a turn of the caller's loop produced goes out in one write.
#[derive(Debug, Default)]
pub(crate) struct Output {
    buffer: Vec<u8>,
    /// Octets at the front that were written already.
    written: usize,
    answers: Answers,
}

/// How much of the output answers the peer's own frames, at most: an upper bound that needs two numbers only. What was put
/// before the mark is surely written once all that was there then is.
#[derive(Debug, Default)]
struct Answers {
    before_mark: usize,
    since_mark: usize,
    /// Octets that have to be written until the next mark.
    until_mark: usize,
}

impl Output {
    #[inline]
    pub(crate) fn pending(&self) -> &[u8] {
        &self.buffer[self.written..]
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.buffer.len() - self.written
    }

    #[inline]
    pub(crate) fn wrote(&mut self, octets: usize) {
        self.answers.until_mark = self.answers.until_mark.saturating_sub(octets);
        self.written = self.written.saturating_add(octets).min(self.buffer.len());
        if self.written == self.buffer.len() {
            self.buffer.clear();
            self.written = 0;
        } else if self.written >= self.len() {
            // At least half is written: moving the rest costs less than was written.
            self.buffer.drain(..self.written);
            self.written = 0;
        }
        if self.answers.until_mark == 0 {
            let since_mark = if self.len() == 0 { 0 } else { self.answers.since_mark };
            self.answers = Answers { before_mark: since_mark, since_mark: 0, until_mark: self.len() };
        }
    }

    /// Octets that answer the peer's own frames and are not written yet, or a few more.
    #[inline]
    pub(crate) fn answers(&self) -> usize {
        self.answers.before_mark + self.answers.since_mark
    }

    pub(crate) fn rest(&mut self) {
        self.buffer.drain(..self.written);
        self.written = 0;
        self.buffer.shrink_to_fit();
    }

    pub(crate) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Where the next frame will begin; good until something was written.
    #[inline]
    pub(crate) fn mark(&self) -> usize {
        self.buffer.len()
    }

    /// Takes back all that was put since `mark`.
    pub(crate) fn take_back(&mut self, mark: usize) {
        self.buffer.truncate(mark);
    }

    /// For what is written in place: a header block.
    #[inline]
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    pub(crate) fn put(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
    }

    #[inline]
    pub(crate) fn frame(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a frame is at most 2^24-1 octets");
        self.buffer.reserve(HEADER_LEN + payload.len());
        self.buffer.extend_from_slice(&Header { length, kind, flags, stream }.octets());
        self.buffer.extend_from_slice(payload);
    }

    /// A frame that the peer brought about by what it sent.
    pub(crate) fn answer(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
        self.answers.since_mark += HEADER_LEN + payload.len();
        self.frame(kind, flags, stream, payload);
    }

    /// As [`answer`](Self::answer), for what was written since `mark`.
    pub(crate) fn count_answer(&mut self, mark: usize) {
        self.answers.since_mark += self.buffer.len() - mark;
    }

    pub(crate) fn window_update(&mut self, stream: u32, increment: u32) {
        self.answer(Kind::WindowUpdate, 0, stream, &increment.to_be_bytes());
    }

    pub(crate) fn rst_stream(&mut self, stream: u32, code: ErrorCode) {
        self.answer(Kind::RstStream, 0, stream, &code.0.to_be_bytes());
    }

    pub(crate) fn goaway(&mut self, last: u32, code: ErrorCode, debug: &str) {
        let mut payload = Vec::with_capacity(8 + debug.len());
        payload.extend_from_slice(&last.to_be_bytes());
        payload.extend_from_slice(&code.0.to_be_bytes());
        payload.extend_from_slice(debug.as_bytes());
        self.frame(Kind::GoAway, 0, 0, &payload);
    }

    pub(crate) fn settings(&mut self, settings: impl Iterator<Item = (u16, u32)>) {
        let payload: Vec<u8> =
            settings.flat_map(|(id, value)| id.to_be_bytes().into_iter().chain(value.to_be_bytes())).collect();
        self.frame(Kind::Settings, 0, 0, &payload);
    }

    /// Begins a HEADERS frame; the block is written behind it, and [`end_headers`](Self::end_headers) completes it.
    #[inline]
    pub(crate) fn begin_headers(&mut self) -> usize {
        let mark = self.mark();
        self.buffer.extend_from_slice(&[0; HEADER_LEN]);
        mark
    }

    /// Completes the frame at `mark`; what is beyond `max_frame_size` becomes CONTINUATION frames (section 6.10).
    #[inline]
    pub(crate) fn end_headers(&mut self, mark: usize, stream: u32, end: bool, max_frame_size: u32) {
        let flags = if end { frame::END_STREAM } else { 0 };
        let block = mark + HEADER_LEN;
        let length = self.buffer.len() - block;
        if length > max_frame_size as usize {
            return self.split_headers(mark, stream, flags, max_frame_size as usize);
        }
        let length = u32::try_from(length).expect("within the frame size");
        let header = Header { length, kind: Kind::Headers, flags: flags | frame::END_HEADERS, stream };
        self.buffer[mark..block].copy_from_slice(&header.octets());
    }

    #[cold]
    fn split_headers(&mut self, mark: usize, stream: u32, flags: u8, max_frame_size: usize) {
        let block = self.buffer.split_off(mark + HEADER_LEN);
        self.buffer.truncate(mark);
        let last = block.len().div_ceil(max_frame_size) - 1;
        for (index, fragment) in block.chunks(max_frame_size).enumerate() {
            let (kind, flags) = if index == 0 { (Kind::Headers, flags) } else { (Kind::Continuation, 0) };
            let end = if index == last { frame::END_HEADERS } else { 0 };
            self.frame(kind, flags | end, stream, fragment);
        }
    }
}
