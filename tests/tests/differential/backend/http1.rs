//! The script over HTTP/1, written byte by byte.

use std::{
    fmt::Write as _,
    sync::{Arc, atomic::AtomicUsize},
};

use tokio::{
    io::AsyncWriteExt,
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::sleep,
};

use super::{Act, Answers, Entry, Log, Script, next};
use crate::{
    message::{End, Head, Headers, value},
    wire::{Body, Reader, parse},
};

struct Exchange<'a> {
    reader: &'a mut Reader<OwnedReadHalf>,
    writer: &'a mut OwnedWriteHalf,
    entry: &'a mut Entry,
    body: Body,
    is_head: bool,
    is_chunked: bool,
}

/// Serves until either side ends the connection.
pub async fn serve(stream: TcpStream, answers: Answers, log: Log, counter: Arc<AtomicUsize>) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = Reader::new(reader);
    while let Ok(Some(lines)) = reader.head().await {
        let Ok(([method, path, version], headers)) = parse(&lines) else { return };
        let host = value(&headers, "host").unwrap_or_default().to_owned();
        let [method, path, version] = [method, path, version].map(str::to_owned);
        let head = Head { method, path, host, version, headers, ..Head::default() };
        let script = answers(&head, next(&counter));
        let mut entry = log.begin(head.clone());
        let is_switched = matches!(script.acts.first(), Some(Act::Head(101, _)));
        let body = if is_switched { Ok(Body::tunnel()) } else { Body::of_request(&head.headers) };
        let body = match body {
            Ok(body) => body,
            Err(end) => return entry.end(end),
        };
        let is_head = head.method == "HEAD";
        let mut exchange =
            Exchange { reader: &mut reader, writer: &mut writer, entry: &mut entry, body, is_head, is_chunked: false };
        match exchange.play(&head, script).await {
            Ok(()) => entry.end(End::Complete),
            Err(end) => return entry.end(end),
        }
        if is_switched || value(&head.headers, "connection").is_some_and(|word| word.eq_ignore_ascii_case("close")) {
            return;
        }
    }
}

impl Exchange<'_> {
    async fn play(&mut self, head: &Head, script: Script) -> Result<(), End> {
        let Script { early, until_close, acts } = script;
        if !early {
            if value(&head.headers, "expect").is_some() {
                self.writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            }
            while self.piece().await?.is_some() {}
        }
        for (index, act) in acts.iter().enumerate() {
            let rest = &acts[index + 1..];
            self.act(act, rest, until_close).await?;
        }
        if self.is_chunked && !matches!(acts.last(), Some(Act::Trailers(_))) {
            self.writer.write_all(b"0\r\n\r\n").await?;
        }
        // What was not read would be taken for the next request.
        while self.piece().await?.is_some() {}
        Ok(())
    }

    async fn act(&mut self, act: &Act, rest: &[Act], until_close: bool) -> Result<(), End> {
        match act {
            Act::Interim(status, headers) => self.head(*status, headers, "").await?,
            Act::Head(status, headers) => {
                let framing = self.framing(*status, headers, rest, until_close);
                self.head(*status, headers, &framing).await?;
            }
            Act::Data(bytes) => self.data(bytes).await?,
            Act::Pause(pause) => tokio::select! {
                () = sleep(*pause) => {}
                end = self.hang_up() => return Err(end),
            },
            Act::Echo => {
                while let Some(piece) = self.piece().await? {
                    self.data(&piece).await?;
                }
            }
            Act::Back => {
                let body = self.entry.body();
                self.data(&body).await?;
            }
            Act::Trailers(trailers) => {
                let mut text = "0\r\n".to_owned();
                write_headers(&mut text, trailers);
                self.writer.write_all(text.as_bytes()).await?;
            }
            Act::Reset(_) => {
                self.writer.as_ref().set_zero_linger()?;
                return Err(End::Scripted);
            }
            Act::Close => return Err(End::Scripted),
            Act::Hang => return Err(self.hang_up().await),
        }
        Ok(())
    }

    fn framing(&mut self, status: u16, headers: &Headers, rest: &[Act], until_close: bool) -> String {
        let is_framed = ["content-length", "transfer-encoding"].iter().any(|name| value(headers, name).is_some());
        if is_framed || matches!(status, 101 | 204 | 304) {
            return String::new();
        }
        if until_close {
            return "connection: close\r\n".to_owned();
        }
        let length = |act: &Act| match act {
            Act::Data(bytes) => Some(bytes.len()),
            Act::Back => Some(self.entry.body().len()),
            _ => None,
        };
        if let Some(length) = rest.iter().map(length).sum::<Option<usize>>() {
            return format!("content-length: {length}\r\n");
        }
        self.is_chunked = !self.is_head;
        "transfer-encoding: chunked\r\n".to_owned()
    }

    async fn head(&mut self, status: u16, headers: &Headers, framing: &str) -> Result<(), End> {
        let reason = hyper::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let mut text = format!("HTTP/1.1 {status} {}\r\n{framing}", reason.unwrap_or("Whatever"));
        write_headers(&mut text, headers);
        Ok(self.writer.write_all(text.as_bytes()).await?)
    }

    async fn data(&mut self, bytes: &[u8]) -> Result<(), End> {
        if self.is_head {
            return Ok(());
        }
        if self.is_chunked {
            self.writer.write_all(format!("{:x}\r\n", bytes.len()).as_bytes()).await?;
            self.writer.write_all(bytes).await?;
            self.writer.write_all(b"\r\n").await?;
        } else {
            self.writer.write_all(bytes).await?;
        }
        Ok(())
    }

    async fn piece(&mut self) -> Result<Option<bytes::Bytes>, End> {
        let piece = self.body.next(self.reader).await?;
        let trailers = &self.body.trailers;
        self.entry.update(|received| match &piece {
            Some(piece) => received.body.extend(piece),
            None => received.trailers.clone_from(trailers),
        });
        Ok(piece)
    }

    async fn hang_up(&mut self) -> End {
        loop {
            match self.reader.fill().await {
                Ok(true) => {}
                Ok(false) => return End::Closed,
                Err(end) => return end,
            }
        }
    }
}

fn write_headers(text: &mut String, headers: &Headers) {
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").expect("a string takes all");
    }
    text.push_str("\r\n");
}
