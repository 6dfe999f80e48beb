//! Waits for the sidecar: asks it again and again whether it is ready, by HTTP on loopback, which the rules leave alone.
//! There is no limit: while the control plane is away a sidecar is not ready, and its Pod starts once it is.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::values::Port;

/// For one answer. The agent beside an Envoy takes up to a second to find that this does not answer.
const LIMIT: Duration = Duration::from_secs(2);
/// More than a sidecar says.
const SIZE: usize = 4096;
/// What of it is shown.
const SHOWN: usize = 200;
/// Between the first two tries, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

/// Asks the sidecar at this port of 127.0.0.1 until it is ready, and gives for how long it was waited for. Why it is not is
/// told each time that this long has passed.
pub fn await_ready(port: Port, every: Duration, mut tell: impl FnMut(&str)) -> Duration {
    let sidecar = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
    let mut wait = Wait::new(Instant::now(), every);
    loop {
        let Err(unready) = ask(sidecar) else { return wait.since.elapsed() };
        if let Some(waited) = wait.due(Instant::now()) {
            tell(&format!("waits for the sidecar at {sidecar} for {} s now: {unready}", waited.as_secs()));
        }
        thread::sleep(wait.pause());
    }
}

/// When to try again, and when to tell of it.
struct Wait {
    since: Instant,
    every: Duration,
    told: u32,
    pause: Duration,
}

impl Wait {
    fn new(since: Instant, every: Duration) -> Self {
        Self { since, every, told: 0, pause: PAUSES.0 }
    }

    /// The time since the begin, if it is to be told now.
    fn due(&mut self, now: Instant) -> Option<Duration> {
        let waited = now.saturating_duration_since(self.since);
        (waited >= self.every * (self.told + 1)).then(|| {
            self.told += 1;
            waited
        })
    }

    /// Twice as long each time.
    fn pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSES.1);
        pause
    }
}

/// Why a sidecar is not known to be ready.
#[derive(Debug, thiserror::Error)]
enum Unready {
    #[error("{0}")]
    Call(#[from] io::Error),
    #[error("no answer within {} s", LIMIT.as_secs())]
    Silent,
    #[error("it ended the connection without an answer")]
    Ended,
    #[error("{0:?} is no answer of HTTP/1.1")]
    Foreign(String),
    #[error("{status}{}{said}", if said.is_empty() { "" } else { ", " })]
    Says { status: u16, said: String },
}

/// One try.
fn ask(sidecar: SocketAddr) -> Result<(), Unready> {
    let end = Instant::now() + LIMIT;
    let mut stream = TcpStream::connect_timeout(&sidecar, LIMIT)?;
    stream.set_write_timeout(Some(LIMIT))?;
    let request = format!("GET /healthz/ready HTTP/1.1\r\nHost: {sidecar}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    while answer.len() < SIZE && status(&answer) != Some(200) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part) {
            Ok(0) if answer.is_empty() => return Err(Unready::Ended),
            Ok(0) => break,
            Ok(read) => answer.extend(&part[..read]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => break,
            Err(error) => return Err(error.into()),
        }
    }
    match status(&answer) {
        Some(200) => Ok(()),
        Some(status) => Err(Unready::Says { status, said: said(&answer) }),
        None if answer.is_empty() => Err(Unready::Silent),
        None => Err(Unready::Foreign(shown(&answer))),
    }
}

/// Of the first line, once all of it is there (RFC 9112, section 4).
fn status(answer: &[u8]) -> Option<u16> {
    let line = &answer[..answer.iter().position(|octet| *octet == b'\n')?];
    let code = line.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    code.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(code).ok()?.parse().ok())?
}

/// The first line of the body.
fn said(answer: &[u8]) -> String {
    let begin = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    let body = &answer[begin..];
    shown(body.split(|octet| *octet == b'\n').next().unwrap_or_default())
}

/// As much as a line of a log may hold, and nothing that would break it.
fn shown(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect()
}

#[cfg(test)]
mod tests;
