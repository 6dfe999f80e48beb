//! HTTP/2 of the client.

use byrnie_config::{Protocol, Version};
use byrnie_http2 as h2;

use super::*;

/// A client of HTTP/2.
pub struct Client {
    pub stream: TcpStream,
    pub core: h2::Connection,
    fields: h2::Fields,
    kept: Vec<u8>,
}

/// What a client saw.
#[derive(Debug, PartialEq)]
enum Seen {
    Head(u16),
    Octets(usize),
    End,
    Reset,
    GoAway,
    Closed,
}

impl Client {
    pub fn new(stream: TcpStream) -> Self {
        let windows = h2::Windows { stream: 65_535, ..h2::Windows::default() };
        let core = h2::Connection::client(h2::Config { windows, ..h2::Config::default() });
        Self { stream, core, fields: h2::Fields::new(), kept: Vec::new() }
    }

    fn write(&mut self) {
        self.try_write().unwrap();
    }

    fn try_write(&mut self) -> std::io::Result<()> {
        let octets = self.core.output().len();
        self.stream.write_all(self.core.output())?;
        self.core.wrote(octets);
        Ok(())
    }

    fn get(&mut self) -> h2::Key {
        self.try_get().unwrap()
    }

    /// None where the connection is gone.
    pub fn try_get(&mut self) -> Option<h2::Key> {
        let head = h2::RequestHead {
            method: b"GET",
            scheme: Some(b"http"),
            authority: Some(b"cart"),
            path: Some(b"/"),
            protocol: None,
        };
        let stream = self.core.open(&head).ok()?.finish(true).ok()?;
        self.try_write().ok()?;
        Some(stream)
    }

    /// What comes next that says something; with `release`, bodies are given back to the window.
    fn read(&mut self, release: bool) -> Vec<Seen> {
        let mut seen = Vec::new();
        while seen.is_empty() {
            let mut input = &self.kept[..];
            while let Some(event) = self.core.receive(&mut input, &mut self.fields).unwrap() {
                match event {
                    h2::Event::Response { head, end, .. } => {
                        seen.push(Seen::Head(head.status()));
                        seen.extend(end.then_some(Seen::End));
                    }
                    h2::Event::Data { stream, bytes, end } => {
                        seen.push(Seen::Octets(bytes.len()));
                        seen.extend(end.then_some(Seen::End));
                        if release {
                            self.core.release(stream, bytes.len());
                        }
                    }
                    h2::Event::Trailers { .. } => seen.push(Seen::End),
                    h2::Event::Reset { .. } => seen.push(Seen::Reset),
                    h2::Event::GoAway { .. } => seen.push(Seen::GoAway),
                    _ => {}
                }
            }
            self.kept = input.to_vec();
            if !self.core.output().is_empty() {
                self.write();
            }
            if seen.is_empty() {
                let mut piece = [0; 16 << 10];
                match self.stream.read(&mut piece).unwrap() {
                    0 => seen.push(Seen::Closed),
                    octets => self.kept.extend_from_slice(&piece[..octets]),
                }
            }
        }
        seen
    }
}

#[test]
fn what_waits_for_a_window_arrives_although_its_server_is_gone() {
    const OCTETS: usize = 100_000;
    let server = server(|mut stream| {
        read_head(&mut stream).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {OCTETS}\r\n\r\n");
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&vec![b'x'; OCTETS])).unwrap();
    });
    let rig = Rig::http(&[server]);
    let mut client = Client::new(rig.connect());
    let stream = client.get();
    let mut got = 0;
    while got < 65_535 {
        for seen in client.read(false) {
            match seen {
                Seen::Head(status) => assert_eq!(status, 200),
                Seen::Octets(octets) => got += octets,
                other => panic!("{other:?}"),
            }
        }
    }
    // The server's connection is gone once its end is seen.
    rig.await_connections(1);
    client.core.release(stream, got);
    client.write();
    let mut ended = false;
    while !ended {
        for seen in client.read(true) {
            match seen {
                Seen::Octets(octets) => got += octets,
                Seen::End => ended = true,
                other => panic!("{other:?} after {got} octets"),
            }
        }
    }
    assert_eq!(got, OCTETS);
    rig.await_held(Resource::Requests, 0);
}

#[test]
fn a_connection_that_drains_is_closed_when_its_last_stream_has_ended() {
    let rig = Rig::http(&[server(hello)]);
    let mut client = Client::new(rig.connect());
    client.get();
    while client.read(true).last() != Some(&Seen::End) {}
    rig.advance(Stage::Draining);
    let mut seen = Vec::new();
    while seen.last() != Some(&Seen::Closed) {
        seen.extend(client.read(true));
    }
    assert_eq!(seen, [Seen::GoAway, Seen::GoAway, Seen::Closed]);
}

#[test]
fn a_client_that_resets_its_streams_leaves_nothing_behind() {
    let server = server(|mut stream| {
        // It answers nothing.
        while read_head(&mut stream).is_some() {}
    });
    let rig = Rig::http(&[server]);
    let mut client = Client::new(rig.connect());
    for _ in 0..20 {
        let stream = client.get();
        client.core.reset(stream, h2::ErrorCode::CANCEL);
    }
    let stream = client.get();
    rig.await_held(Resource::Requests, 1);
    client.core.reset(stream, h2::ErrorCode::CANCEL);
    client.write();
    rig.await_held(Resource::Requests, 0);
    rig.await_held(Resource::Pending, 0);
}

/// A server that reads nothing before it is told to, and answers a request at its end.
fn patient(goes: std::sync::mpsc::Receiver<()>) -> SocketAddr {
    let goes = std::sync::Mutex::new(goes);
    server(move |mut stream| {
        goes.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        let (mut core, mut fields) = (h2::Connection::server(h2::Config::default()), h2::Fields::new());
        let (mut held, mut piece) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            let octets = stream.read(&mut piece).unwrap_or(0);
            if octets == 0 {
                return;
            }
            held.extend_from_slice(&piece[..octets]);
            let mut input = &held[..];
            while let Some(event) = core.receive(&mut input, &mut fields).unwrap() {
                if let h2::Event::Data { stream, bytes, end } = event {
                    core.release(stream, bytes.len());
                    if end {
                        core.respond(stream, 204).unwrap().finish(true).unwrap();
                    }
                }
            }
            held = input.to_vec();
            let written = core.output().len();
            stream.write_all(core.output()).unwrap();
            core.wrote(written);
        }
    })
}

#[test]
fn a_request_whose_last_octet_had_to_wait_ends_without_another() {
    // As much as the window lets through, and one octet more than may wait before the client is not read on.
    const OCTETS: usize = 65_535 + (64 << 10) + 1;
    let (go, goes) = std::sync::mpsc::channel();
    let rig = Rig::http_with(&[patient(goes)], |cluster, _| cluster.protocol = Protocol::Explicit(Version::Http2));
    let mut client = rig.connect();
    client.write_all(format!("POST / HTTP/1.1\r\nHost: cart\r\nContent-Length: {OCTETS}\r\n\r\n").as_bytes()).unwrap();
    client.write_all(&vec![b'x'; OCTETS]).unwrap();
    rig.await_held(Resource::Requests, 1);
    go.send(()).unwrap();
    assert!(read_head(&mut client).unwrap().starts_with("HTTP/1.1 204"));
    rig.await_held(Resource::Requests, 0);
}
