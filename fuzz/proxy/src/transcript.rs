//! What a connection of HTTP/1 gave out for some bytes, whole or in pieces, without the seams that depend on the pieces.

use byrnie_http1::{Error, Limits, Trailers};

/// Limits that short inputs reach.
pub const TIGHT: Limits = Limits {
    head_bytes: 160,
    fields: 6,
    name: 16,
    value: 40,
    target: 48,
    leading_empty_lines: 1,
    connection_options: 3,
    chunk_extension_bytes: 12,
    trailer_bytes: 40,
    trailers: 2,
    interim_responses: 2,
    buffered_output: 64,
};

/// One side of a connection, and what its owner does with it.
pub trait Reader {
    /// One call of `receive`: its event is written down. False if there was none.
    fn receive(&mut self, input: &mut &[u8], transcript: &mut Transcript) -> Result<bool, Error>;

    /// The peer has closed its side.
    fn end_of_input(&mut self, transcript: &mut Transcript) -> Result<bool, Error>;

    /// Nothing more need be read: what is left in the input stays there.
    fn has_ended(&self) -> bool;
}

/// What a message or a connection came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry {
    /// A head, in words that hold all of it.
    Head(String),
    /// Bytes of a body or a tunnel, however many events they came in.
    Data(Vec<u8>),
    /// As by [`lines`].
    Trailers(String),
    /// The end of a message.
    End,
    /// The peer broke a rule.
    Failed(Error),
}

/// The events in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Transcript(pub Vec<Entry>);

impl Transcript {
    /// Writes down bytes that `input` holds.
    pub fn data(&mut self, input: &[u8], bytes: &[u8]) {
        check_within(input, bytes);
        assert!(!bytes.is_empty(), "an event without bytes");
        match self.0.last_mut() {
            Some(Entry::Data(data)) => data.extend_from_slice(bytes),
            _ => self.0.push(Entry::Data(bytes.to_vec())),
        }
    }

    /// Writes down trailers that `input` holds.
    pub fn trailers(&mut self, input: &[u8], trailers: &Trailers<'_>, limits: &Limits) {
        let mut bytes = 0;
        for (name, value) in trailers.iter() {
            check_within(input, name);
            check_within(input, value);
            assert!(name.len() <= limits.name as usize && value.len() <= limits.value as usize);
            bytes += name.len() + value.len();
        }
        assert!((1..=limits.trailers as usize).contains(&trailers.iter().count()));
        assert!(bytes <= limits.trailer_bytes as usize, "{bytes} bytes of trailers");
        self.0.push(Entry::Trailers(lines(trailers.iter())));
    }
}

/// Fields as text that is another for every other list of fields.
pub fn lines<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> String {
    fields.map(|(name, value)| format!("{}: {}\n", name.escape_ascii(), value.escape_ascii())).collect()
}

/// Two ways of cutting gave the same. Which of several faults of a head is told may depend on how much of it was there,
/// and a section in pieces is first searched for its end: so of a refused head or trailer section only that it is one.
pub fn check_same(whole: &Transcript, in_pieces: &Transcript, cuts: &[usize]) {
    if let ([before @ .., Entry::Failed(one)], [also @ .., Entry::Failed(other)]) = (&whole.0[..], &in_pieces.0[..])
        && before == also
        && (!is_of_chunks(*one) || !is_of_chunks(*other))
    {
        return;
    }
    assert_eq!(whole, in_pieces, "other events when cut at {cuts:?}");
}

/// What is told of a body at the byte that is wrong.
fn is_of_chunks(error: Error) -> bool {
    matches!(
        error,
        Error::ChunkSize { .. }
            | Error::ChunkSizeTooLong
            | Error::ChunkLineEnd
            | Error::ChunkExtensionByte { .. }
            | Error::ChunkExtensionsTooLong { .. }
            | Error::ChunkDataEnd { .. }
    )
}

/// Bytes of an event are the caller's own.
pub fn check_within(input: &[u8], bytes: &[u8]) {
    let (around, inside) = (input.as_ptr_range(), bytes.as_ptr_range());
    assert!(
        bytes.is_empty() || (around.start <= inside.start && inside.end <= around.end),
        "bytes that are not the input's: {:?}",
        String::from_utf8_lossy(bytes)
    );
}

/// Gives `data` to `reader` in pieces that end at `cuts`, then the end of the input.
pub fn read(mut reader: impl Reader, data: &[u8], cuts: &[usize], limits: &Limits) -> Transcript {
    let mut transcript = Transcript::default();
    let mut held = Vec::new();
    let mut from = 0;
    for to in cuts.iter().copied().chain([data.len()]) {
        held.extend_from_slice(&data[from..to]);
        from = to;
        let mut input = &held[..];
        if let Err(error) = read_piece(&mut reader, &mut input, &mut transcript) {
            transcript.0.push(Entry::Failed(error));
            check_failed(reader, &mut input);
            return transcript;
        }
        let left = input.len();
        let most = limits.head_bytes.max(limits.trailer_bytes) as usize;
        assert!(reader.has_ended() || left <= most, "{left} bytes are left to the caller, at most {most} should be");
        held.drain(..held.len() - left);
    }
    for _ in 0..3 {
        match reader.end_of_input(&mut transcript) {
            Ok(true) => {}
            Ok(false) => return transcript,
            Err(error) => {
                transcript.0.push(Entry::Failed(error));
                check_failed(reader, &mut &b"more"[..]);
                return transcript;
            }
        }
    }
    panic!("the end of the input does not come to an end: {transcript:?}");
}

fn read_piece(reader: &mut impl Reader, input: &mut &[u8], transcript: &mut Transcript) -> Result<(), Error> {
    let most = 4 * input.len() + 8;
    for _ in 0..most {
        let before = input.len();
        let whole = *input;
        let is_event = reader.receive(input, transcript)?;
        assert!(whole.ends_with(input) && input.len() <= before, "the input is not what was left of it");
        if !is_event {
            return Ok(());
        }
    }
    panic!("more than {most} events from {} bytes", most / 4 - 2);
}

/// After an error nothing is read.
fn check_failed(mut reader: impl Reader, input: &mut &[u8]) {
    let mut after = Transcript::default();
    let left = input.len();
    for _ in 0..2 {
        assert!(!matches!(reader.receive(input, &mut after), Ok(true)), "an event after an error: {after:?}");
    }
    assert_eq!(input.len(), left, "bytes were taken after an error");
}

/// Where to cut `data`: derived from all of it, so that an input stays the text that it is.
pub fn cuts(data: &[u8]) -> Vec<usize> {
    // FNV-1a, then a linear congruential generator.
    let mut state =
        data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let longest = [1, 2, 8, 64][state as usize % 4];
    let mut cuts = Vec::new();
    let mut at = 0;
    loop {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        at += 1 + (state >> 33) as usize % longest;
        if at >= data.len() {
            return cuts;
        }
        cuts.push(at);
    }
}
