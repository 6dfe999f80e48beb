//! The server's role against h2spec, a program that checks a server rule by rule: RFC 7540 (whose rules RFC 9113 keeps,
//! but for priority) and RFC 7541, with its strict cases.
//!
//! h2spec takes a connection that is closed for a good answer to nearly every error, whatever the GOAWAY in front says.
//! Here only the cases of [`CLOSED`] may pass so.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use byrnie_http2::{Config, Connection, Event, Key};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time;

mod sockets;

use sockets::{Turn, drive};

const BODY: &[u8] = b"what h2spec reads in pieces, as its windows allow";

/// A run that passes takes less than a second; each case that fails waits for `--timeout`.
const RUN: Duration = Duration::from_secs(55);

/// The cases that only want the connection to be closed, and two more.
const CLOSED: [&str; 4] = [
    "Sends invalid connection preface",
    "Sends an invalid PING frame for connection close",
    // A stream that was passed over is closed (RFC 9113 section 5.1.1), so the code is STREAM_CLOSED (section 5.1), as
    // it is where h2spec sends a head on a stream that was used. It wants PROTOCOL_ERROR here.
    "Sends stream identifier that is numerically smaller than previous",
    // The frame stands on a stream besides, which is found first; h2spec wants FRAME_SIZE_ERROR.
    "Sends a PING frame with a length field value other than 8",
];

/// Cases of h2spec 2.2.1, which `scripts/tools` fetches; one that is chosen instead has no fewer.
const CASES: u32 = 146;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    AtTheHead,
    AtTheEnd,
}

#[tokio::test]
async fn a_server_that_answers_whole_requests_passes_h2spec() {
    pass(Answers::AtTheEnd).await;
}

#[tokio::test]
async fn a_server_that_answers_as_soon_as_it_knows_the_head_passes_h2spec() {
    pass(Answers::AtTheHead).await;
}

async fn pass(answers: Answers) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback");
    let port = listener.local_addr().expect("a bound listener").port().to_string();
    let mut h2spec = Command::new(h2spec().await);
    h2spec.args(["--strict", "--verbose", "--timeout", "2", "--host", "127.0.0.1", "--port", &port]);
    let mut h2spec = h2spec.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("it starts");
    let (mut stdout, mut said) = (h2spec.stdout.take().expect("a pipe"), Vec::new());
    let ended = tokio::select! {
        ended = time::timeout(RUN, stdout.read_to_end(&mut said)) => ended.is_ok(),
        () = serve(listener, answers) => unreachable!("the server is dropped, it does not end"),
    };
    let said = String::from_utf8_lossy(&said);
    assert!(ended, "h2spec has not ended after {RUN:?}\n{said}");
    let status = h2spec.wait().await.expect("it has ended");
    let [all, passed, skipped, failed] = counts(&said).unwrap_or_else(|| panic!("h2spec tells no counts:\n{said}"));
    assert!(status.success() && failed == 0, "h2spec: {failed} of {all} cases failed\n{said}");
    assert!(skipped == 0 && passed == all && all >= CASES, "h2spec: {passed} of {all} passed, not {CASES}\n{said}");
    let closed = passed_by_a_close(&said);
    assert!(closed.iter().all(|case| CLOSED.contains(case)), "only since the connection closed: {closed:?}\n{said}");
}

/// Accepts connections until it is dropped, and all of them with it.
async fn serve(listener: TcpListener, answers: Answers) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (socket, _) = accepted.expect("a connection of h2spec");
                let mut left = HashMap::new();
                connections.spawn(drive(socket, Connection::server(Config::default()), move |connection, turn| {
                    turn_of(connection, &turn, answers, &mut left);
                }));
            }
            // h2spec takes a connection that just breaks for a good answer to most errors, so a panic is told here.
            // That it resets sockets is no failure of the server.
            Some(ended) = connections.join_next() => drop(ended.expect("the server does not panic")),
        }
    }
}

/// What a server does with one turn; `left` is what is not sent of the body on each stream.
fn turn_of(connection: &mut Connection, turn: &Turn<'_, '_>, answers: Answers, left: &mut HashMap<Key, &'static [u8]>) {
    let answer = |connection: &mut Connection, left: &mut HashMap<_, _>, stream| {
        let mut head = connection.respond(stream, 200).expect("the first answer to an open stream");
        head.field(b"content-type", b"text/plain");
        head.finish(false).expect("a head that every peer takes");
        left.insert(stream, BODY);
        send(connection, left, stream);
    };
    match *turn {
        Turn::Writable(stream) => send(connection, left, stream),
        Turn::Event(Event::Request { stream, end, .. }) if end || answers == Answers::AtTheHead => {
            answer(connection, left, stream);
        }
        Turn::Event(Event::Data { stream, bytes, end }) => {
            connection.release(stream, bytes.len());
            if end && answers == Answers::AtTheEnd {
                answer(connection, left, stream);
            }
        }
        Turn::Event(Event::Trailers { stream, .. }) if answers == Answers::AtTheEnd => {
            answer(connection, left, stream);
        }
        Turn::Event(Event::Reset { stream, .. }) => drop(left.remove(&stream)),
        Turn::Event(_) => {}
    }
}

fn send(connection: &mut Connection, left: &mut HashMap<Key, &'static [u8]>, stream: Key) {
    let Some(bytes) = left.remove(&stream) else { return };
    // A stream that has ended meanwhile takes nothing any more.
    let Ok(sent) = connection.send(stream, bytes, true) else { return };
    if sent < bytes.len() {
        left.insert(stream, &bytes[sent..]);
    }
}

/// The program: `BYRNIE_H2SPEC`, one on `PATH`, or that of the project's cache.
async fn h2spec() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/tools");
    let mut command = Command::new("python3");
    command.arg(tools).args(["path", "h2spec"]).stdin(Stdio::null());
    let output = command.output().await.expect("python3 tells where h2spec is: install it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "h2spec is missing: `python3 scripts/tools ensure h2spec` fetches it\n{said}");
    PathBuf::from(String::from_utf8(output.stdout).expect("a path that Rust can print").trim())
}

/// What its last line tells: `146 tests, 146 passed, 0 skipped, 0 failed`.
fn counts(said: &str) -> Option<[u32; 4]> {
    let line = said.lines().rev().find(|line| line.contains(" passed, "))?;
    let numbers: Option<Vec<u32>> = line.split(", ").map(|part| part.split(' ').next()?.parse().ok()).collect();
    numbers?.try_into().ok()
}

/// The cases that passed as the connection was closed, not by a frame: each stands behind the frames of its connection.
fn passed_by_a_close(said: &str) -> Vec<&str> {
    let mut closed = false;
    let mut cases = Vec::new();
    for line in said.lines() {
        if line.contains("[recv]") || line.contains("[send]") {
            closed = line.ends_with("Connection closed");
        } else if let (true, Some((_, case))) = (line.contains('\u{2714}'), line.split_once(": ")) {
            cases.extend(closed.then_some(case));
            closed = false;
        }
    }
    assert!(cases.contains(&CLOSED[0]), "h2spec tells no frames:\n{said}");
    cases
}
