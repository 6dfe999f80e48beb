//! HTTP/1.1, as much of it as a client and an application need that know each other.

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::{
    end::{End, Flow, Output},
    pace::Pace,
    pattern,
};

/// A head that is not whole within so many bytes is none.
const LONGEST_HEAD: usize = 16 << 10;

/// Fields such as clients and applications send.
const REQUEST_FIELDS: &str = "host: target.bench\r\nuser-agent: proxy-bench/1\r\naccept: */*\r\n\
                              accept-encoding: gzip, br\r\nx-request-id: 7f9b2c1e-5a43-4b6f-9d0e-3c8a1f2b4d5e\r\n";
const REPLY_FIELDS: &str = "server: application\r\ndate: Mon, 23 Nov 2026 12:00:00 GMT\r\n\
                            content-type: application/octet-stream\r\ncache-control: no-store\r\n";

/// A body that is being read.
#[derive(Clone, Copy, Debug)]
struct Body {
    offset: u64,
    length: u64,
}

impl Body {
    /// Takes as much of it as there is; whether it is complete.
    fn take(&mut self, input: &mut &[u8], pace: &mut Pace) -> Result<bool> {
        let here = input.len().min(usize::try_from(self.length - self.offset).unwrap_or(usize::MAX));
        let (bytes, rest) = input.split_at(here);
        pattern::check(self.offset, bytes)?;
        pace.carried(here);
        self.offset += here as u64;
        *input = rest;
        Ok(self.offset == self.length)
    }
}

/// A head.
struct Head<'a> {
    first_line: &'a [u8],
    body: Body,
}

/// Takes a head off the front, if it is whole.
fn head<'a>(input: &mut &'a [u8]) -> Result<Option<Head<'a>>> {
    let whole = *input;
    let (mut first_line, mut length, mut start) = (None, 0, 0);
    while let Some(end) = whole[start..].iter().position(|&byte| byte == b'\n').map(|at| start + at) {
        let line = whole[start..end].strip_suffix(b"\r").context("a line without CR")?;
        start = end + 1;
        match first_line {
            None => first_line = Some(line),
            Some(first_line) if line.is_empty() => {
                *input = &whole[start..];
                return Ok(Some(Head { first_line, body: Body { offset: 0, length } }));
            }
            Some(_) => length = content_length(line)?.unwrap_or(length),
        }
    }
    ensure!(whole.len() < LONGEST_HEAD, "no head within {LONGEST_HEAD} bytes");
    Ok(None)
}

fn content_length(line: &[u8]) -> Result<Option<u64>> {
    let is = |name: &str| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()));
    ensure!(!is("transfer-encoding:"), "a body of unknown length");
    let name = "content-length:";
    if !is(name) {
        return Ok(None);
    }
    let value = str::from_utf8(&line[name.len()..])?.trim();
    value.parse().map(Some).with_context(|| format!("content-length {value:?}"))
}

/// A client that asks for the same again and again, one after the other.
#[derive(Debug)]
pub struct Http1Client {
    token: usize,
    request: String,
    /// Bytes of the request's and of the reply's body.
    upload: u64,
    reply: u64,
    since: Option<Instant>,
    body: Option<Body>,
    output: Output,
}

impl Http1Client {
    pub fn get(token: usize, path: &str, reply: u64) -> Self {
        let request = format!("GET {path} HTTP/1.1\r\n{REQUEST_FIELDS}\r\n");
        Self { token, request, upload: 0, reply, since: None, body: None, output: Output::default() }
    }

    pub fn post(token: usize, path: &str, upload: u64) -> Self {
        let request = format!("POST {path} HTTP/1.1\r\n{REQUEST_FIELDS}content-length: {upload}\r\n\r\n");
        Self { token, request, upload, reply: 2, since: None, body: None, output: Output::default() }
    }
}

impl End for Http1Client {
    fn receive(&mut self, input: &mut &[u8], pace: &mut Pace) -> Result<Flow> {
        loop {
            let Some(body) = &mut self.body else {
                let Some(head) = head(input)? else { return Ok(Flow::Open) };
                let status = String::from_utf8_lossy(head.first_line);
                ensure!(status.starts_with("HTTP/1.1 200"), "answered {status}");
                ensure!(head.body.length == self.reply, "a reply of {} bytes", head.body.length);
                self.body = Some(head.body);
                continue;
            };
            if !body.take(input, pace)? {
                return Ok(Flow::Open);
            }
            self.body = None;
            let now = Instant::now();
            pace.answered(self.since.take().context("a reply to no request")?, now);
            if let Some(due) = pace.next(self.token, now) {
                self.begin(due)?;
            }
        }
    }

    fn output(&mut self) -> &[u8] {
        self.output.pending()
    }

    fn wrote(&mut self, octets: usize) {
        self.output.wrote(octets);
    }

    fn begin(&mut self, since: Instant) -> Result<()> {
        self.since = Some(since);
        self.output.push(self.request.as_bytes());
        self.output.body(self.upload);
        Ok(())
    }

    fn outstanding(&self) -> usize {
        usize::from(self.since.is_some())
    }
}

/// The application.
#[derive(Debug, Default)]
pub struct Http1Server {
    /// What is asked, and what is still to come of it.
    asked: Option<(Asked, Body)>,
    output: Output,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Small,
    Big,
    Sink,
}

impl Http1Server {
    fn answer(&mut self, asked: Asked) {
        let length = match asked {
            Asked::Small => pattern::SMALL,
            Asked::Big => pattern::BIG,
            Asked::Sink => 2,
        };
        self.output.push(format!("HTTP/1.1 200 OK\r\n{REPLY_FIELDS}content-length: {length}\r\n\r\n").as_bytes());
        self.output.body(length);
    }
}

impl End for Http1Server {
    fn receive(&mut self, input: &mut &[u8], pace: &mut Pace) -> Result<Flow> {
        loop {
            let Some((asked, body)) = &mut self.asked else {
                let Some(head) = head(input)? else { return Ok(Flow::Open) };
                let asked = match head.first_line {
                    b"GET /small HTTP/1.1" => Asked::Small,
                    b"GET /big HTTP/1.1" => Asked::Big,
                    b"POST /sink HTTP/1.1" => Asked::Sink,
                    other => bail!("the application was asked {}", String::from_utf8_lossy(other)),
                };
                let wanted = if matches!(asked, Asked::Sink) { pattern::BIG } else { 0 };
                ensure!(head.body.length == wanted, "a request of {} bytes", head.body.length);
                self.asked = Some((asked, head.body));
                continue;
            };
            if !body.take(input, pace)? {
                return Ok(Flow::Open);
            }
            let asked = *asked;
            self.asked = None;
            self.answer(asked);
        }
    }

    fn output(&mut self) -> &[u8] {
        self.output.pending()
    }

    fn wrote(&mut self, octets: usize) {
        self.output.wrote(octets);
    }

    fn begin(&mut self, _: Instant) -> Result<()> {
        bail!("an application begins nothing")
    }

    fn outstanding(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(reply: &str) -> Result<u64> {
        let mut pace = Pace::new(None);
        let mut client = Http1Client::get(0, "/small", 3);
        client.begin(pace.next(0, Instant::now()).context("a closed loop begins at once")?)?;
        // In two pieces wherever they part.
        for cut in 0..reply.len() {
            let mut rest = reply.as_bytes()[..cut].to_vec();
            let mut input = &rest[..];
            client.receive(&mut input, &mut pace)?;
            rest = input.to_vec();
            rest.extend_from_slice(&reply.as_bytes()[cut..]);
            client.receive(&mut &rest[..], &mut pace)?;
        }
        Ok(pace.tally.all)
    }

    #[test]
    fn a_reply_is_read_in_any_pieces_and_a_wrong_one_refused() {
        let good = "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 3\r\n\r\n\0\u{1}\u{2}";
        assert_eq!(exchange(good).unwrap(), good.len() as u64);
        for (from, to) in [("200", "503"), (": 3", ": 4"), ("\u{2}", "\u{3}"), ("Server:", "Transfer-Encoding:")] {
            exchange(&good.replace(from, to)).unwrap_err();
        }
    }
}
