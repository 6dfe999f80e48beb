//! What one side of an exchange knows of it.

use super::plan::{self, Line, Plan, Side};

#[derive(Default)]
pub struct Seen {
    /// The client has sent the request, the server has received it.
    pub opened: bool,
    pub interim: Vec<Head>,
    pub head: Option<Head>,
    /// Octets of the body.
    pub body: u64,
    /// Where the body was not what was sent.
    pub wrong: Option<u64>,
    pub trailers: Option<Vec<Line>>,
    /// The message was received to its end.
    pub whole: bool,
    /// This side has sent its message to its end, as far as the one that drives it knows.
    pub sent: bool,
    pub stopped: Option<Stop>,
}

pub struct Head {
    /// The pseudo-header fields.
    pub line: String,
    pub fields: Vec<Line>,
}

impl Head {
    fn check(&self, sent: &Self) -> Result<(), String> {
        claim(self.line == sent.line, &format!("{} instead of {}", self.line, sent.line))?;
        plan::difference(&self.fields, &sent.fields).map_or(Ok(()), Err)
    }
}

/// The end of a stream before its time, with the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    ByPeer(u32),
    ByMe(u32),
    /// The connection went away.
    Away,
}

impl Seen {
    /// Nothing more is to be done or expected.
    pub fn is_over(&self) -> bool {
        self.stopped.is_some() || (self.whole && self.sent)
    }

    /// Takes a piece of the body that `from` sent.
    pub fn receive(&mut self, exchange: usize, from: Side, bytes: &[u8]) {
        if self.wrong.is_none() && plan::body(exchange, from, self.body, bytes.len()) != bytes {
            self.wrong = Some(self.body);
        }
        self.body += bytes.len() as u64;
    }
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { opened, interim, head, body, wrong, trailers, whole, sent, stopped } = self;
        let (head, trailers) = (head.as_ref().map(|head| &head.line), trailers.as_ref().map(Vec::len));
        write!(f, "opened {opened}, {} interim, {head:?}, {body} octets, wrong at {wrong:?}, ", interim.len())?;
        write!(f, "{trailers:?} trailers, whole {whole}, sent {sent}, {stopped:?}")
    }
}

/// Fails with what is wrong between the two ends of the connection.
pub fn compare(plan: &Plan, client: &[Seen], server: &[Seen]) -> Result<(), String> {
    for (number, (client, server)) in client.iter().zip(server).enumerate() {
        let check = || {
            if !client.opened {
                claim(plan.going.is_some(), "the client did not send it")?;
                return claim(!server.opened, "the server has what was not sent");
            }
            if server.opened {
                half(plan, number, Side::Client, client, server)?;
            } else {
                let lost = matches!(client.stopped, Some(Stop::ByMe(_) | Stop::Away));
                claim(lost, "the server never saw it")?;
            }
            half(plan, number, Side::Server, server, client)
        };
        check().map_err(|what: String| format!("exchange {number}: {what}\nclient: {client:?}\nserver: {server:?}"))?;
    }
    Ok(())
}

/// One message: what `sender` sent, and what `receiver` has of it.
fn half(plan: &Plan, number: usize, from: Side, sender: &Seen, receiver: &Seen) -> Result<(), String> {
    let exchange = &plan.exchanges[number];
    let message = exchange.message(from);
    let (interim, head) = match from {
        Side::Client => (Vec::new(), Head { line: exchange.request_line(), fields: exchange.request_fields(number) }),
        Side::Server => (
            exchange
                .interim
                .iter()
                .map(|(status, fields)| Head { line: status.to_string(), fields: plan::lines(fields) })
                .collect(),
            Head { line: exchange.status.to_string(), fields: message.lines() },
        ),
    };
    claim(receiver.interim.len() <= interim.len(), "an interim response that was not sent")?;
    receiver.interim.iter().zip(&interim).try_for_each(|(got, sent)| got.check(sent))?;
    receiver.head.iter().try_for_each(|got| got.check(&head))?;
    claim(receiver.wrong.is_none(), "a body is not as sent")?;
    claim(receiver.body <= message.length(), "a body is longer than it was sent")?;
    let trailers = message.trailers.as_deref().map(plan::lines);
    if let Some(got) = &receiver.trailers {
        plan::difference(got, trailers.as_deref().unwrap_or_default()).map_or(Ok(()), Err)?;
    }
    if receiver.whole {
        claim(sender.sent, "a message ended that was not sent to its end")?;
        claim(receiver.interim.len() == interim.len(), "an interim response is missing")?;
        claim(receiver.head.is_some(), "the head is missing")?;
        claim(receiver.body == message.length(), "the body is shorter than it was sent")?;
        claim(receiver.trailers.is_some() == trailers.is_some(), "trailers are missing")?;
    }
    let other = if from == Side::Client { Side::Server } else { Side::Client };
    match receiver.stopped {
        None => claim(receiver.whole, "the message did not end")?,
        Some(Stop::ByMe(code)) => claim(exchange.reset_by(other) == Some(code), "a reset that is not in the plan")?,
        Some(Stop::ByPeer(code)) => claim(sender.stopped == Some(Stop::ByMe(code)), "a reset that nobody sent")?,
        Some(Stop::Away) => {
            claim(plan.going.is_some_and(|going| going.abrupt.is_some()) || !sender.opened, "lost by GOAWAY")?
        }
    }
    if let Some(Stop::ByMe(code)) = sender.stopped
        && !sender.sent
    {
        let knows = match receiver.stopped {
            Some(Stop::ByPeer(told)) => told == code,
            Some(Stop::ByMe(_) | Stop::Away) => true,
            None => false,
        };
        claim(knows, "a reset was not told")?;
    }
    Ok(())
}

fn claim(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}
