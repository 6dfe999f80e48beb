//! The access log: one line a request and a connection, written when it is over.
//!
//! Lines are put into a worker's buffer and written by one call at the end of a turn. Nobody waits for who reads them:
//! what finds no room is dropped and counted.

mod clock;
mod escape;
mod json;
mod sink;
mod text;

use std::{sync::Arc, time::Instant};

pub use sink::Sink;

use self::clock::Clock;
use super::facts::{Closed, Connection, Request};

/// What waits of one worker.
const WAITING: usize = 256 << 10;
/// Room that is kept while nothing waits.
const KEPT: usize = 32 << 10;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Envoy's default line.
    Text,
    /// One object a line.
    Json,
}

/// The log of one worker.
#[derive(Debug)]
pub struct Log {
    form: Form,
    sink: Arc<Sink>,
    lines: Vec<u8>,
    clock: Clock,
}

impl Log {
    pub fn new(form: Form, sink: Arc<Sink>) -> Self {
        Self { form, sink, lines: Vec::new(), clock: Clock::new() }
    }

    pub fn request(&mut self, request: &Request<'_>) {
        if let Some(mut line) = self.line(request.started, request.ended) {
            match line.form {
                Form::Text => text::request(&mut line, request),
                Form::Json => json::request(&mut line, request),
            }
        }
    }

    pub fn connection(&mut self, connection: &Connection<'_>, closed: &Closed) {
        if let Some(mut line) = self.line(closed.started, closed.ended) {
            match line.form {
                Form::Text => text::connection(&mut line, connection, closed),
                Form::Json => json::connection(&mut line, connection, closed),
            }
        }
    }

    /// Writes what waits. False where something is left.
    pub fn flush(&mut self) -> bool {
        let done = self.sink.write(&mut self.lines);
        if done && self.lines.capacity() > KEPT {
            self.lines = Vec::new();
        }
        done
    }

    fn line(&mut self, started: Instant, ended: Instant) -> Option<Line<'_>> {
        if self.lines.len() >= WAITING {
            self.sink.drop_lines(1);
            return None;
        }
        Some(Line { form: self.form, out: &mut self.lines, clock: &mut self.clock, started, ended })
    }
}

/// A line that is being written.
struct Line<'a> {
    form: Form,
    out: &'a mut Vec<u8>,
    clock: &'a mut Clock,
    started: Instant,
    ended: Instant,
}

impl Line<'_> {
    fn put(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn start_time(&mut self) {
        self.clock.write(self.out, self.started, self.ended);
    }

    /// Milliseconds, whole.
    fn milliseconds(&mut self, until: Instant) {
        let millis = until.saturating_duration_since(self.started).as_millis();
        self.number(u64::try_from(millis).unwrap_or(u64::MAX));
    }

    fn number(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.out.extend_from_slice(&digits[at..]);
    }

    /// An address and the like, whose text is harmless.
    fn plain(&mut self, value: impl std::fmt::Display) {
        use std::io::Write;
        // A vector takes everything.
        let _ = write!(self.out, "{value}");
    }
}

/// What stands in a head, unless nothing does.
fn known(value: &[u8]) -> Option<&[u8]> {
    Some(value).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests;
