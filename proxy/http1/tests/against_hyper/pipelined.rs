//! Requests of HTTP/1.1 and HTTP/1.0 without a wait between them, as `hyper`'s client sends none, and responses that end
//! with the connection.

use byrnie_http1::{Body, Client, Limits, Server, Space, client, server};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::plan::{self, Exchange, Framing, Side};
use super::seen::Seen;

/// An exchange with a client that may be of HTTP/1.0.
#[derive(Debug, Clone)]
struct Asked {
    exchange: Exchange,
    old: bool,
    /// What the request says of the connection.
    connection: Option<&'static str>,
}

/// What is read of a response on the wire.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    body: Vec<u8>,
    trailers: usize,
    keeps: bool,
}

proptest! {
    #![proptest_config(super::config())]

    #[test]
    fn our_server_answers_pipelined_requests_in_order(
        asked in vec(asked(), 1..6),
        pieces in vec(1..2_000_usize, 1..20),
    ) {
        let mut wire = Vec::new();
        for (number, asked) in asked.iter().enumerate() {
            asked.write(number, &mut wire);
        }
        let served = asked.iter().position(|asked| !asked.keeps()).map_or(asked.len(), |last| last + 1);
        let (seen, out, closing) = serve(&asked, &wire, &pieces).map_err(TestCaseError::fail)?;
        prop_assert_eq!(closing, !asked[served - 1].keeps());
        let mut rest = &out[..];
        for (number, asked) in asked[..served].iter().enumerate() {
            seen[number].check(number, &asked.exchange, Side::Client).map_err(TestCaseError::fail)?;
            let answer = Answer::read(&mut rest, asked);
            prop_assert_eq!(answer, Some(asked.answer(number)), "response {}", number);
        }
        prop_assert!(rest.is_empty());
        prop_assert!(seen[served..].iter().all(|seen| seen.line.is_none()), "read after the end");
    }

    #[test]
    fn our_client_reads_a_body_that_ends_with_the_connection(
        body in vec(any::<u8>(), 0..3_000),
        head in select(&["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 200\r\nConnection: close\r\n\r\n"][..]),
        pieces in vec(1..200_usize, 1..20),
    ) {
        let mut client = Client::new(Limits::default());
        let mut out = Vec::new();
        client.request(&mut out, "GET", "/").unwrap().field("Host", "a").end(Body::None).unwrap();
        let wire = [head.as_bytes(), &body].concat();
        let (mut input, mut got, mut heads) = (Vec::new(), Vec::new(), 0);
        for piece in cut(&wire, &pieces) {
            input.extend_from_slice(piece);
            let mut rest = &input[..];
            let mut space = Space::new();
            while let Some(event) = client.receive(&mut rest, &mut space).unwrap() {
                match event {
                    client::Event::Response(_) => heads += 1,
                    client::Event::Data(bytes) => got.extend_from_slice(bytes),
                    other => panic!("{other:?}"),
                }
                space = Space::new();
            }
            input = rest.to_vec();
        }
        prop_assert!(matches!(client.end_of_input(), Ok(Some(client::Event::End))));
        prop_assert_eq!((heads, got), (1, body));
        prop_assert!(client.must_close());
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    let connection = prop_oneof![6 => Just(None), 1 => Just(Some("close")), 2 => Just(Some("keep-alive"))];
    (plan::exchange(), proptest::bool::weighted(0.3), connection).prop_map(|(exchange, old, connection)| {
        let mut exchange = plan::feasible(exchange);
        exchange.early = false;
        exchange.expects_continue = false;
        for message in [&mut exchange.request, &mut exchange.response] {
            message.chunks.iter_mut().for_each(|length| *length = (*length).min(3_000));
        }
        if old && exchange.request.framing == Framing::Chunked {
            exchange.request.framing = Framing::Sized;
            exchange.request.trailers.clear();
        }
        Asked { exchange, old, connection }
    })
}

impl Asked {
    /// RFC 9112 section 9.3. A client of HTTP/1.0 cannot read chunks: a body of unknown length ends the connection.
    fn keeps(&self) -> bool {
        let endless = self.exchange.response.framing == Framing::Chunked;
        match self.connection {
            Some("close") => false,
            Some(_) => !(self.old && endless),
            None => !self.old,
        }
    }

    fn write(&self, number: usize, wire: &mut Vec<u8>) {
        let Exchange { method, path, request, .. } = &self.exchange;
        let version = if self.old { "1.0" } else { "1.1" };
        wire.extend_from_slice(format!("{method} {path} HTTP/{version}\r\n").as_bytes());
        for (name, value) in self.exchange.lines(Side::Client) {
            wire.extend_from_slice(&[name.as_bytes(), b": ", &value, b"\r\n"].concat());
        }
        if let Some(option) = self.connection {
            wire.extend_from_slice(format!("Connection: {option}\r\n").as_bytes());
        }
        let body = plan::body(number, Side::Client, 0, request.length() as usize);
        match request.framing {
            Framing::None => wire.extend_from_slice(b"\r\n"),
            Framing::Sized => {
                wire.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                wire.extend_from_slice(&body);
            }
            Framing::Chunked => {
                wire.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                let mut rest = &body[..];
                for &length in &request.chunks {
                    let (chunk, after) = rest.split_at(length as usize);
                    wire.extend_from_slice(format!("{length:X};a=\"b\"\r\n").as_bytes());
                    wire.extend_from_slice(chunk);
                    wire.extend_from_slice(b"\r\n");
                    rest = after;
                }
                wire.extend_from_slice(b"0\r\n");
                for (name, value) in &request.trailers {
                    wire.extend_from_slice(&[name.as_bytes(), b":", value, b" \r\n"].concat());
                }
                wire.extend_from_slice(b"\r\n");
            }
        }
    }

    /// What is to be read of the response.
    fn answer(&self, number: usize) -> Answer {
        let response = &self.exchange.response;
        Answer {
            status: self.exchange.status,
            body: plan::body(number, Side::Server, 0, response.length() as usize),
            trailers: if self.old { 0 } else { response.trailers.len() },
            keeps: self.keeps(),
        }
    }
}

impl Answer {
    /// Takes a response off the front of `wire`, as a client would that knows the request.
    fn read(wire: &mut &[u8], asked: &Asked) -> Option<Self> {
        let mut fields = [httparse::EMPTY_HEADER; 128];
        let mut head = httparse::Response::new(&mut fields);
        let length = head.parse(wire).ok()?;
        let httparse::Status::Complete(length) = length else { return None };
        let mut rest = &wire[length..];
        let get = |name: &str| {
            head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
        };
        let status = head.code?;
        let says = |option: &str| get("connection").is_some_and(|value| value.eq_ignore_ascii_case(option.as_bytes()));
        let keeps = if asked.old { says("keep-alive") } else { !says("close") };
        let (mut body, mut trailers) = (Vec::new(), 0);
        if asked.exchange.method == "HEAD" || matches!(status, 204 | 304) {
        } else if get("transfer-encoding").is_some() {
            if asked.old {
                return None;
            }
            trailers = chunks(&mut rest, &mut body)?;
        } else if let Some(length) = get("content-length") {
            let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
            let (content, after) = rest.split_at_checked(length)?;
            body = content.to_vec();
            rest = after;
        } else {
            body = std::mem::take(&mut rest).to_vec();
        }
        *wire = rest;
        Some(Self { status, body, trailers, keeps })
    }
}

/// Reads a chunked body; returns how many trailers it has.
fn chunks(rest: &mut &[u8], body: &mut Vec<u8>) -> Option<usize> {
    loop {
        let size = line(rest)?;
        let length = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if length == 0 {
            break;
        }
        let (chunk, after) = rest.split_at_checked(length)?;
        body.extend_from_slice(chunk);
        *rest = after.strip_prefix(b"\r\n")?;
    }
    let mut trailers = 0;
    while !line(rest)?.is_empty() {
        trailers += 1;
    }
    Some(trailers)
}

fn line<'w>(rest: &mut &'w [u8]) -> Option<&'w [u8]> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, after) = rest.split_at(end);
    *rest = &after[2..];
    Some(line)
}

/// Gives `wire` to a server in pieces, and answers by plan.
fn serve(asked: &[Asked], wire: &[u8], pieces: &[usize]) -> Result<(Vec<Seen>, Vec<u8>, bool), String> {
    let mut server = Server::new(Limits::default());
    let mut seen: Vec<Seen> = asked.iter().map(|_| Seen::default()).collect();
    let (mut input, mut out, mut number) = (Vec::new(), Vec::new(), 0);
    for piece in cut(wire, pieces) {
        input.extend_from_slice(piece);
        let mut rest = &input[..];
        let mut space = Space::new();
        while let Some(event) = server.receive(&mut rest, &mut space).map_err(|error| error.to_string())? {
            match event {
                server::Event::Request(head) => {
                    seen[number].head(format!("{} {}", head.method(), head.target()), head.fields());
                }
                server::Event::Data(bytes) => seen[number].receive(number, Side::Client, bytes),
                server::Event::Trailers(trailers) => seen[number].trailers = super::seen::lines(trailers.iter()),
                server::Event::End => {
                    seen[number].whole = true;
                    respond(&mut server, &asked[number].exchange, number, &mut out)
                        .map_err(|misuse| misuse.to_string())?;
                    number += 1;
                }
            }
            space = Space::new();
        }
        input = rest.to_vec();
    }
    Ok((seen, out, server.must_close()))
}

fn respond(
    server: &mut Server,
    exchange: &Exchange,
    number: usize,
    out: &mut Vec<u8>,
) -> Result<(), byrnie_http1::Misuse> {
    let response = &exchange.response;
    let body = match response.framing {
        Framing::None => Body::None,
        Framing::Sized => Body::Sized(response.length()),
        Framing::Chunked => Body::Unknown,
    };
    server.respond(out, exchange.status, "")?.fields(exchange.lines(Side::Server)).end(body)?;
    let mut sent = 0;
    for &length in &response.chunks {
        // What waits in `out` would be written meanwhile.
        let mut piece = Vec::new();
        assert_eq!(server.send(&mut piece, &plan::body(number, Side::Server, sent, length as usize))?, length as usize);
        out.append(&mut piece);
        sent += u64::from(length);
    }
    server.finish(out, response.trailers.iter().map(|(name, value)| (name.as_bytes(), &value[..])))
}

/// The pieces in which `wire` arrives; their lengths over and over.
fn cut<'w>(mut wire: &'w [u8], lengths: &[usize]) -> Vec<&'w [u8]> {
    let mut pieces = Vec::new();
    for &length in lengths.iter().cycle() {
        if wire.is_empty() {
            break;
        }
        let (piece, rest) = wire.split_at(length.min(wire.len()));
        pieces.push(piece);
        wire = rest;
    }
    pieces
}
