//! Opaque bytes. The first byte of a client says what is to come: `e` an echo of it, `d` that the application sends
//! without end, `u` that the client does.

use std::time::Instant;

use anyhow::{Result, bail, ensure};

use super::{
    end::{End, Flow, Output},
    pace::Pace,
    pattern,
};

/// More than a run can carry.
const ENDLESS: u64 = u64::MAX / 2;

/// The client of a connection that lives for one byte each way.
#[derive(Debug)]
pub struct Connecting {
    since: Instant,
    output: Output,
    done: bool,
}

impl Connecting {
    pub fn new(since: Instant) -> Self {
        Self { since, output: Output::default(), done: false }
    }
}

impl End for Connecting {
    fn receive(&mut self, input: &mut &[u8], pace: &mut Pace) -> Result<Flow> {
        ensure!(*input == b"e", "{} wrong bytes instead of the echo of one", input.len());
        *input = &[];
        self.done = true;
        pace.answered(self.since, Instant::now());
        Ok(Flow::Close)
    }

    fn output(&mut self) -> &[u8] {
        self.output.pending()
    }

    fn wrote(&mut self, octets: usize) {
        self.output.wrote(octets);
    }

    fn begin(&mut self, _: Instant) -> Result<()> {
        self.output.push(b"e");
        Ok(())
    }

    fn outstanding(&self) -> usize {
        usize::from(!self.done)
    }
}

/// The reading end of a stream without end, and the client's request for it.
#[derive(Debug)]
pub struct Download {
    output: Output,
    offset: u64,
    is_client: bool,
}

impl Download {
    pub fn client() -> Self {
        let mut output = Output::default();
        output.push(b"d");
        Self { output, offset: 0, is_client: true }
    }

    fn sink() -> Self {
        Self { output: Output::default(), offset: 0, is_client: false }
    }
}

impl End for Download {
    fn receive(&mut self, input: &mut &[u8], pace: &mut Pace) -> Result<Flow> {
        pattern::check(self.offset, input)?;
        self.offset += input.len() as u64;
        pace.carried(input.len());
        *input = &[];
        Ok(Flow::Open)
    }

    fn output(&mut self) -> &[u8] {
        self.output.pending()
    }

    fn wrote(&mut self, octets: usize) {
        self.output.wrote(octets);
    }

    fn begin(&mut self, _: Instant) -> Result<()> {
        bail!("a stream of bytes has no requests")
    }

    // To a client it must not end.
    fn outstanding(&self) -> usize {
        usize::from(self.is_client)
    }
}

/// The sending end of a stream without end.
#[derive(Debug)]
pub struct Upload {
    output: Output,
    is_client: bool,
}

impl Upload {
    pub fn client() -> Self {
        let mut upload = Self { is_client: true, ..Self::source() };
        upload.output.push(b"u");
        upload
    }

    fn source() -> Self {
        let mut output = Output::default();
        output.body(ENDLESS);
        Self { output, is_client: false }
    }
}

impl End for Upload {
    fn receive(&mut self, input: &mut &[u8], _: &mut Pace) -> Result<Flow> {
        bail!("{} bytes where none are expected", input.len())
    }

    fn output(&mut self) -> &[u8] {
        self.output.pending()
    }

    fn wrote(&mut self, octets: usize) {
        self.output.wrote(octets);
    }

    fn begin(&mut self, _: Instant) -> Result<()> {
        bail!("a stream of bytes has no requests")
    }

    // To a client it must not end.
    fn outstanding(&self) -> usize {
        usize::from(self.is_client)
    }
}

/// The application's end.
#[derive(Debug)]
pub enum BytesServer {
    Waiting,
    Echo(Output),
    Sending(Upload),
    Reading(Download),
}

impl End for BytesServer {
    fn receive(&mut self, input: &mut &[u8], pace: &mut Pace) -> Result<Flow> {
        if matches!(self, Self::Waiting) {
            let Some((&first, rest)) = input.split_first() else { return Ok(Flow::Open) };
            *input = rest;
            *self = match first {
                b'e' => {
                    let mut output = Output::default();
                    output.push(b"e");
                    Self::Echo(output)
                }
                b'd' => Self::Sending(Upload::source()),
                b'u' => Self::Reading(Download::sink()),
                other => bail!("no client begins with {other}"),
            };
        }
        match self {
            Self::Reading(reading) if !input.is_empty() => reading.receive(input, pace),
            _ => {
                ensure!(input.is_empty(), "{} bytes where none are expected", input.len());
                Ok(Flow::Open)
            }
        }
    }

    fn output(&mut self) -> &[u8] {
        match self {
            Self::Echo(output) => output.pending(),
            Self::Sending(sending) => sending.output(),
            Self::Waiting | Self::Reading(_) => &[],
        }
    }

    fn wrote(&mut self, octets: usize) {
        match self {
            Self::Echo(output) => output.wrote(octets),
            Self::Sending(sending) => sending.wrote(octets),
            Self::Waiting | Self::Reading(_) => {}
        }
    }

    fn begin(&mut self, _: Instant) -> Result<()> {
        bail!("an application begins nothing")
    }

    fn outstanding(&self) -> usize {
        0
    }
}
