//! The end of the connection that is `h2`, driven by a plan.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};

use super::pipe::End;
use super::plan::{self, Exchange, Line, Plan, Side, Step};
use super::seen::{Head, Seen, Stop};

/// Longer than any test: `h2` forgets by the clock which streams it reset.
const HOUR: Duration = Duration::from_secs(3_600);

pub struct Theirs<'p> {
    plan: &'p Plan,
    side: Side,
    role: Role,
    live: Vec<Live>,
    held: Vec<Held>,
    next: usize,
    /// No exchange can be opened any more.
    closing: bool,
    /// Nothing is done any more.
    pub finished: bool,
    pub seen: Vec<Seen>,
}

enum Role {
    Shaking(Pin<Box<dyn Future<Output = Result<Role, h2::Error>>>>),
    Client { sender: Option<SendRequest<Bytes>>, connection: Box<client::Connection<End, Bytes>> },
    Server(Box<server::Connection<End, Bytes>>),
}

/// An exchange; its handles stay to the end, since `h2` resets what is dropped.
struct Live {
    number: usize,
    since: u32,
    steps: Vec<Step>,
    at: usize,
    sent: u64,
    asked: Option<ResponseFuture>,
    answer: Option<SendResponse<Bytes>>,
    outgoing: Option<SendStream<Bytes>>,
    incoming: Option<RecvStream>,
    body_ended: bool,
}

/// Octets of a body that wait for their release.
struct Held {
    until: u32,
    live: usize,
    octets: usize,
}

impl<'p> Theirs<'p> {
    pub fn new(plan: &'p Plan, side: Side, end: End) -> Self {
        let role = match side {
            Side::Client => shake_as_client(plan, end),
            Side::Server => shake_as_server(plan, end),
        };
        Self {
            plan,
            side,
            role,
            live: Vec::new(),
            held: Vec::new(),
            next: 0,
            closing: false,
            finished: false,
            seen: plan.exchanges.iter().map(|_| Seen::default()).collect(),
        }
    }

    /// Whether anything was done.
    pub fn turn(&mut self, turn: u32) -> Result<bool, String> {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut busy = self.drive(cx, turn)?;
        if let Some(going) = self.plan.going
            && going.turn == turn
            && going.by == self.side
        {
            self.go(going.abrupt);
        }
        if self.side == Side::Client {
            busy |= self.open(cx, turn)?;
        }
        for index in 0..self.live.len() {
            busy |= self.exchange(cx, turn, index)?;
        }
        let before = self.held.len();
        let live = &mut self.live;
        self.held.retain(|held| {
            if held.until <= turn
                && let Some(incoming) = &mut live[held.live].incoming
            {
                // After a reset nothing is left to be released.
                let _ = incoming.flow_control().release_capacity(held.octets);
            }
            held.until > turn
        });
        busy |= self.held.len() < before;
        Ok(self.drive(cx, turn)? || busy)
    }

    pub fn is_settled(&self) -> bool {
        let opened = self.side == Side::Server || self.next == self.plan.exchanges.len() || self.closing;
        opened && self.held.is_empty() && self.seen.iter().all(|seen| !seen.opened || seen.is_over())
    }

    /// A client's last handle goes, and with it the connection.
    pub fn finish(&mut self) {
        self.live.clear();
        if let Role::Client { sender, .. } = &mut self.role {
            *sender = None;
        }
    }

    /// Reads and writes.
    fn drive(&mut self, cx: &mut Context<'_>, turn: u32) -> Result<bool, String> {
        if self.finished {
            return Ok(false);
        }
        let mut busy = false;
        if let Role::Shaking(handshake) = &mut self.role {
            let Poll::Ready(role) = handshake.as_mut().poll(cx) else { return Ok(false) };
            self.role = role.map_err(|error| format!("h2: {error}"))?;
            busy = true;
        }
        match &mut self.role {
            Role::Shaking(_) => {}
            Role::Client { connection, .. } => {
                if let Poll::Ready(end) = Pin::new(connection).poll(cx) {
                    self.ended(end.err())?;
                }
            }
            Role::Server(connection) => loop {
                match connection.poll_accept(cx) {
                    Poll::Pending => break,
                    Poll::Ready(None) => {
                        self.ended(None)?;
                        break;
                    }
                    Poll::Ready(Some(Err(error))) => {
                        self.ended(Some(error))?;
                        break;
                    }
                    Poll::Ready(Some(Ok((request, answer)))) => {
                        busy = true;
                        let live = accept(self.plan, &mut self.seen, request, answer, turn)?;
                        self.live.push(live);
                    }
                }
            },
        }
        Ok(busy)
    }

    /// The connection has ended.
    fn ended(&mut self, error: Option<h2::Error>) -> Result<(), String> {
        self.finished = true;
        self.closing = true;
        let abrupt = self.plan.going.is_some_and(|going| going.abrupt.is_some());
        match error {
            Some(error) if !abrupt => Err(format!("h2: {error}")),
            _ if abrupt => {
                for seen in self.seen.iter_mut().filter(|seen| seen.opened && !seen.is_over()) {
                    seen.stopped = Some(Stop::Away);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn go(&mut self, abrupt: Option<u32>) {
        match (&mut self.role, abrupt) {
            (Role::Client { sender, .. }, _) => {
                *sender = None;
                self.closing = true;
            }
            (Role::Server(connection), None) => connection.graceful_shutdown(),
            (Role::Server(connection), Some(code)) => connection.abrupt_shutdown(Reason::from(code)),
            (Role::Shaking(_), _) => {}
        }
    }

    fn open(&mut self, cx: &mut Context<'_>, turn: u32) -> Result<bool, String> {
        let from = self.next;
        while let Some(exchange) = self.plan.exchanges.get(self.next)
            && self.plan.start(self.next) <= turn
        {
            let Role::Client { sender: Some(sender), .. } = &mut self.role else { break };
            match sender.poll_ready(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) if self.plan.going.is_some() && error.is_go_away() => {
                    self.closing = true;
                    break;
                }
                Poll::Ready(Err(error)) => return Err(format!("h2 does not open: {error}")),
            }
            let mut live = Live::new(exchange, self.next, self.side, turn);
            let Some(&Step::Head { end }) = live.steps.first() else {
                return Err("a request begins by its head".to_owned());
            };
            let (asked, outgoing) = match sender.send_request(request(exchange, self.next), end) {
                Ok(stream) => stream,
                Err(error) if self.plan.going.is_some() && error.is_go_away() => {
                    self.closing = true;
                    break;
                }
                Err(error) => return Err(format!("h2 does not send a request: {error}")),
            };
            (live.asked, live.outgoing, live.at) = (Some(asked), Some(outgoing), 1);
            let seen = &mut self.seen[self.next];
            (seen.opened, seen.sent) = (true, end);
            self.live.push(live);
            self.next += 1;
        }
        Ok(self.next > from)
    }

    /// What there is to do for an exchange.
    fn exchange(&mut self, cx: &mut Context<'_>, turn: u32, index: usize) -> Result<bool, String> {
        let live = &mut self.live[index];
        let exchange = &self.plan.exchanges[live.number];
        let seen = &mut self.seen[live.number];
        if seen.is_over() {
            return Ok(false);
        }
        let hold = self.side.settings(self.plan).hold;
        let from = if self.side == Side::Client { Side::Server } else { Side::Client };
        let received = live.receive(cx, seen, from);
        let mut busy = match received {
            Ok(octets) => {
                self.held.extend(octets.iter().map(|&octets| Held { until: turn + hold, live: index, octets }));
                !octets.is_empty()
            }
            Err(error) => {
                seen.stopped = Some(stop(&error, self.plan)?);
                return Ok(true);
            }
        };
        if let Some(reset) = exchange.reset.filter(|reset| reset.by == self.side && !seen.is_over())
            && live.since + reset.after <= turn
        {
            live.reset(Reason::from(reset.code));
            seen.stopped = Some(Stop::ByMe(reset.code));
            return Ok(true);
        }
        while !seen.is_over()
            && live.step(exchange, seen, self.side).map_err(|error| format!("h2 does not send: {error}"))?
        {
            busy = true;
            if exchange.slow {
                break;
            }
        }
        Ok(busy)
    }
}

impl Live {
    fn new(exchange: &Exchange, number: usize, side: Side, since: u32) -> Self {
        Self {
            number,
            since,
            steps: exchange.steps(side),
            at: 0,
            sent: 0,
            asked: None,
            answer: None,
            outgoing: None,
            incoming: None,
            body_ended: false,
        }
    }

    /// Takes what has arrived; returns the lengths of the pieces of the body.
    fn receive(&mut self, cx: &mut Context<'_>, seen: &mut Seen, from: Side) -> Result<Vec<usize>, h2::Error> {
        let mut octets = Vec::new();
        if let Some(asked) = &mut self.asked {
            while let Poll::Ready(Some(interim)) = asked.poll_informational(cx) {
                let (head, ()) = interim?.into_parts();
                seen.interim.push(Head { line: head.status.as_str().to_owned(), fields: lines_of(&head.headers) });
            }
            let Poll::Ready(response) = Pin::new(asked).poll(cx) else { return Ok(octets) };
            let (head, incoming) = response?.into_parts();
            seen.head = Some(Head { line: head.status.as_str().to_owned(), fields: lines_of(&head.headers) });
            self.asked = None;
            self.incoming = Some(incoming);
        }
        let Some(incoming) = &mut self.incoming else { return Ok(octets) };
        while !self.body_ended
            && let Poll::Ready(piece) = incoming.poll_data(cx)
        {
            match piece {
                Some(piece) => {
                    let piece = piece?;
                    seen.receive(self.number, from, &piece);
                    octets.push(piece.len());
                }
                None => self.body_ended = true,
            }
        }
        if self.body_ended
            && !seen.whole
            && let Poll::Ready(trailers) = incoming.poll_trailers(cx)
        {
            seen.trailers = trailers?.map(|trailers| lines_of(&trailers));
            seen.whole = true;
        }
        if seen.whole && !seen.sent {
            let reason = match (&mut self.outgoing, &mut self.answer) {
                (Some(outgoing), _) => outgoing.poll_reset(cx),
                (None, Some(answer)) => answer.poll_reset(cx),
                (None, None) => Poll::Pending,
            };
            if let Poll::Ready(reason) = reason {
                return Err(reason?.into());
            }
        }
        Ok(octets)
    }

    fn reset(&mut self, reason: Reason) {
        match (&mut self.outgoing, &mut self.answer) {
            (Some(outgoing), _) => outgoing.send_reset(reason),
            (None, Some(answer)) => answer.send_reset(reason),
            (None, None) => unreachable!("an exchange can be answered or is"),
        }
    }

    /// Sends what comes next. Whether anything was.
    fn step(&mut self, exchange: &Exchange, seen: &mut Seen, side: Side) -> Result<bool, h2::Error> {
        let Some(&step) = self.steps.get(self.at) else { return Ok(false) };
        if side == Side::Server && !seen.whole && seen.body < exchange.respond_at {
            return Ok(false);
        }
        let message = exchange.message(side);
        let sent = match (step, &mut self.answer, &mut self.outgoing) {
            (Step::Interim(index), Some(answer), _) => {
                let (status, fields) = &exchange.interim[index];
                answer.send_informational(response(*status, &plan::lines(fields)))
            }
            (Step::Head { end }, Some(answer), _) => {
                answer.send_response(response(exchange.status, &message.lines()), end).map(|outgoing| {
                    self.outgoing = Some(outgoing);
                })
            }
            (Step::Body { length, end }, _, Some(outgoing)) => {
                let bytes = plan::body(self.number, side, self.sent, length as usize);
                self.sent += u64::from(length);
                outgoing.send_data(Bytes::from(bytes), end)
            }
            (Step::Trailers, _, Some(outgoing)) => {
                outgoing.send_trailers(map(&plan::lines(message.trailers.as_deref().unwrap_or_default())))
            }
            _ => unreachable!("a head comes before its body"),
        };
        match sent {
            Ok(()) => {
                self.at += 1;
                seen.sent = self.at == self.steps.len();
                Ok(true)
            }
            // The peer has ended the stream; receiving tells how, unless all was received.
            Err(error) if error.get_io().is_none() && error.reason().is_none() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn shake_as_client(plan: &Plan, end: End) -> Role {
    let settings = plan.client;
    let mut builder = client::Builder::new();
    builder
        .initial_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .max_frame_size(settings.max_frame_size)
        .header_table_size(settings.table)
        .initial_max_send_streams(plan.server.streams as usize)
        .max_concurrent_reset_streams(1_000)
        .reset_stream_duration(HOUR)
        .enable_push(false);
    Role::Shaking(Box::pin(async move {
        let (sender, connection) = builder.handshake(end).await?;
        Ok(Role::Client { sender: Some(sender), connection: Box::new(connection) })
    }))
}

fn shake_as_server(plan: &Plan, end: End) -> Role {
    let settings = plan.server;
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .max_frame_size(settings.max_frame_size)
        .max_concurrent_streams(settings.streams)
        .header_table_size(settings.table)
        .max_concurrent_reset_streams(1_000)
        .max_pending_accept_reset_streams(1_000)
        .reset_stream_duration(HOUR);
    Role::Shaking(Box::pin(async move { Ok(Role::Server(Box::new(builder.handshake(end).await?))) }))
}

fn accept(
    plan: &Plan,
    seen: &mut [Seen],
    request: Request<RecvStream>,
    answer: SendResponse<Bytes>,
    turn: u32,
) -> Result<Live, String> {
    let (head, incoming) = request.into_parts();
    let number = head.headers.get("exchange").and_then(|number| number.to_str().ok()?.parse().ok());
    let number: usize = number.ok_or("a request without its number")?;
    let line = plan::request_line(
        head.method.as_str(),
        head.uri.scheme_str(),
        head.uri.authority().map(|authority| authority.as_str()),
        // An authority alone has a path that is empty.
        head.uri.path_and_query().map(|path| path.as_str()).filter(|_| head.method != Method::CONNECT),
    );
    seen[number].opened = true;
    seen[number].head = Some(Head { line, fields: lines_of(&head.headers) });
    let mut live = Live::new(&plan.exchanges[number], number, Side::Server, turn);
    (live.answer, live.incoming) = (Some(answer), Some(incoming));
    Ok(live)
}

fn request(exchange: &Exchange, number: usize) -> Request<()> {
    let uri = if exchange.is_connect() {
        Uri::builder().authority(exchange.authority)
    } else {
        Uri::builder().scheme(exchange.scheme).authority(exchange.authority).path_and_query(exchange.path.as_str())
    };
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(exchange.method.as_bytes()).expect("a method");
    *request.uri_mut() = uri.build().expect("a target");
    *request.headers_mut() = map(&exchange.request_fields(number));
    request
}

fn response(status: u16, lines: &[Line]) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status.try_into().expect("a status");
    *response.headers_mut() = map(lines);
    response
}

fn map(lines: &[Line]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value, sensitive) in lines {
        let mut value = HeaderValue::from_bytes(value).expect("a value");
        value.set_sensitive(*sensitive == Some(true));
        map.append(HeaderName::from_bytes(name.as_bytes()).expect("a name"), value);
    }
    map
}

fn lines_of(map: &HeaderMap) -> Vec<Line> {
    map.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec(), None)).collect()
}

/// What an error on a stream says.
fn stop(error: &h2::Error, plan: &Plan) -> Result<Stop, String> {
    match error.reason() {
        Some(reason) if error.is_reset() && error.is_remote() => Ok(Stop::ByPeer(reason.into())),
        _ if plan.going.is_some_and(|going| going.abrupt.is_some()) => Ok(Stop::Away),
        // `poll_reset` gives the bare reason.
        Some(reason) if !error.is_go_away() && !error.is_reset() => Ok(Stop::ByPeer(reason.into())),
        Some(_) if error.is_go_away() && error.is_remote() => Ok(Stop::Away),
        _ => Err(format!("h2: {error}")),
    }
}
