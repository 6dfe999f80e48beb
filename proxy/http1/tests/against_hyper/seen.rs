//! What one side of an exchange received.

use super::plan::{self, Exchange, Line, Side};

#[derive(Default)]
pub struct Seen {
    /// Method and target, or the status.
    pub line: Option<String>,
    pub fields: Vec<Line>,
    /// Octets of the body.
    pub body: u64,
    /// Where the body was not what was sent.
    pub wrong: Option<u64>,
    pub trailers: Vec<Line>,
    pub whole: bool,
}

impl Seen {
    /// Takes a head, less what belongs to the connection and the framing.
    pub fn head<'f>(&mut self, line: String, fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) {
        let framing = ["connection", "content-length", "transfer-encoding", "te", "date"];
        self.line = Some(line);
        self.fields =
            plan::grouped(&lines(fields).into_iter().filter(|line| !framing.contains(&&*line.0)).collect::<Vec<_>>());
    }

    /// Takes a piece of the body that `from` sent.
    pub fn receive(&mut self, exchange: usize, from: Side, bytes: &[u8]) {
        if self.wrong.is_none() && plan::body(exchange, from, self.body, bytes.len()) != bytes {
            self.wrong = Some(self.body);
        }
        self.body += bytes.len() as u64;
    }

    /// Fails with what is not as `from` sent it.
    pub fn check(&self, number: usize, exchange: &Exchange, from: Side) -> Result<(), String> {
        let message = exchange.message(from);
        let line = match from {
            Side::Client => format!("{} {}", exchange.method, exchange.path),
            Side::Server => exchange.status.to_string(),
        };
        let claim = |holds: bool, what: &str| {
            if holds { Ok(()) } else { Err(format!("exchange {number}, the message of the {from:?}: {what}")) }
        };
        claim(self.line.as_ref() == Some(&line), &format!("{:?} instead of {line}", self.line))?;
        let sent = exchange.lines(from);
        let other = self.fields.iter().zip(&sent).find(|(got, sent)| got != sent);
        claim(other.is_none(), &format!("{other:?}"))?;
        claim(self.fields.len() == sent.len(), &format!("{} fields of {}", self.fields.len(), sent.len()))?;
        claim(self.wrong.is_none(), &format!("the body differs at {:?}", self.wrong))?;
        claim(self.body == message.length(), &format!("{} octets of {}", self.body, message.length()))?;
        claim(self.trailers == message.trailers, &format!("trailers {:?}", self.trailers))?;
        claim(self.whole, "no end")
    }
}

pub fn lines<'f>(fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) -> Vec<Line> {
    fields.map(|(name, value)| (String::from_utf8_lossy(name).to_ascii_lowercase(), value.to_vec())).collect()
}
