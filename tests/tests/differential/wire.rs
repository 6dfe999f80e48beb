//! HTTP/1 as the tests read it: strictly, byte by byte as it was on the wire, by code that no data plane shares.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::message::{End, Headers, value};

/// No line of a test is longer.
const LONGEST: usize = 1 << 20;

/// Bytes of a peer, and what was read of them too early.
pub struct Reader<R> {
    pub from: R,
    buffer: Vec<u8>,
}

/// What is left of a body.
pub struct Body {
    left: Left,
    pub trailers: Headers,
}

#[derive(Clone, Copy)]
enum Left {
    Nothing,
    Bytes(u64),
    Chunks,
    UntilClose,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub fn new(from: R) -> Self {
        Self { from, buffer: Vec::new() }
    }

    /// The lines of a head, or `None` where the peer closes before it.
    pub async fn head(&mut self) -> Result<Option<Vec<String>>, End> {
        let mut lines = Vec::new();
        loop {
            match self.line().await {
                Ok(line) if line.is_empty() && !lines.is_empty() => return Ok(Some(lines)),
                Ok(line) => lines.push(line),
                Err(End::Closed) if lines.is_empty() && self.buffer.is_empty() => return Ok(None),
                Err(end) => return Err(end),
            }
        }
    }

    /// Reads more; `false` at the end.
    pub async fn fill(&mut self) -> Result<bool, End> {
        let mut piece = [0; 16 * 1024];
        let read = self.from.read(&mut piece).await?;
        self.buffer.extend(&piece[..read]);
        Ok(read > 0)
    }

    /// What was read and is no part of a message yet.
    pub fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    async fn line(&mut self) -> Result<String, End> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..].windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..searched + at + 2).collect();
                let text = String::from_utf8_lossy(&line[..line.len() - 2]).into_owned();
                return Ok(text);
            }
            searched = self.buffer.len().saturating_sub(1);
            if searched > LONGEST {
                return Err(End::Malformed("an endless line".to_owned()));
            }
            if !self.fill().await? {
                return Err(End::Closed);
            }
        }
    }
}

impl Body {
    /// Of a request with these headers.
    pub fn of_request(headers: &Headers) -> Result<Self, End> {
        Self::framed(headers, Left::Nothing)
    }

    /// Of an answer with these headers to such a request.
    pub fn of_answer(method: &str, status: u16, headers: &Headers) -> Result<Self, End> {
        if method == "HEAD" || status == 204 || status == 304 {
            return Ok(Self { left: Left::Nothing, trailers: Vec::new() });
        }
        Self::framed(headers, Left::UntilClose)
    }

    /// Whatever comes after the two have switched protocols.
    pub fn tunnel() -> Self {
        Self { left: Left::UntilClose, trailers: Vec::new() }
    }

    fn framed(headers: &Headers, default: Left) -> Result<Self, End> {
        let left = match (value(headers, "transfer-encoding"), value(headers, "content-length")) {
            (Some("chunked"), None) => Left::Chunks,
            (None, Some(length)) => {
                Left::Bytes(length.parse().map_err(|_| End::Malformed(format!("content-length: {length}")))?)
            }
            (None, None) => default,
            both => return Err(End::Malformed(format!("framing: {both:?}"))),
        };
        Ok(Self { left, trailers: Vec::new() })
    }

    /// The next piece of it, or `None` at its end.
    pub async fn next<R: AsyncRead + Unpin>(&mut self, reader: &mut Reader<R>) -> Result<Option<Bytes>, End> {
        match self.left {
            Left::Nothing | Left::Bytes(0) => Ok(None),
            Left::Bytes(left) => {
                if reader.buffer.is_empty() && !reader.fill().await? {
                    return Err(End::Closed);
                }
                let length = reader.buffer.len().min(left as usize);
                self.left = Left::Bytes(left - length as u64);
                Ok(Some(reader.buffer.drain(..length).collect()))
            }
            Left::UntilClose => {
                if reader.buffer.is_empty() && !reader.fill().await? {
                    self.left = Left::Nothing;
                    return Ok(None);
                }
                Ok(Some(reader.take_rest().into()))
            }
            Left::Chunks => self.chunk(reader).await,
        }
    }

    async fn chunk<R: AsyncRead + Unpin>(&mut self, reader: &mut Reader<R>) -> Result<Option<Bytes>, End> {
        let line = reader.line().await?;
        let size = line.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).map_err(|_| End::Malformed(format!("size of a chunk: {line}")))?;
        if size == 0 {
            self.left = Left::Nothing;
            loop {
                match reader.line().await? {
                    line if line.is_empty() => return Ok(None),
                    line => self.trailers.push(header(&line)?),
                }
            }
        }
        while reader.buffer.len() < size + 2 {
            if !reader.fill().await? {
                return Err(End::Closed);
            }
        }
        let chunk: Bytes = reader.buffer.drain(..size).collect();
        match reader.line().await? {
            line if line.is_empty() => Ok(Some(chunk)),
            line => Err(End::Malformed(format!("after a chunk: {line}"))),
        }
    }
}

/// `Name: value`, with the name in lower case.
pub fn header(line: &str) -> Result<(String, String), End> {
    let (name, value) = line.split_once(':').ok_or_else(|| End::Malformed(format!("header {line:?}")))?;
    Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
}

/// The first line in its three words, and the headers.
pub fn parse(lines: &[String]) -> Result<([&str; 3], Headers), End> {
    let first = &lines[0];
    let mut words = first.splitn(3, ' ');
    let words = [words.next(), words.next(), words.next()].map(Option::unwrap_or_default);
    if words[1].is_empty() {
        return Err(End::Malformed(format!("first line {first:?}")));
    }
    Ok((words, lines[1..].iter().map(|line| header(line)).collect::<Result<_, _>>()?))
}
