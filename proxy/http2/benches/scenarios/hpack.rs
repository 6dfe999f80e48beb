//! Header compression alone: the request's head into a HEADERS frame, and out of it again.

use byrnie_http2::hpack::{Decoder, Encoder};
use byrnie_http2::{FieldLimits, Fields};

use super::message::{AUTHORITY, METHOD, PATH, REQUEST_FIELDS, SCHEME};

/// Octets of a frame's header (RFC 9113 section 4.1).
const HEADER: usize = 9;
/// Type and flags of a HEADERS frame that is a whole request (section 6.2).
const HEADERS: u8 = 0x1;
const END_STREAM_AND_HEADERS: u8 = 0x5;

/// Both ends, and the frame between them.
pub struct Codec {
    encoder: Encoder,
    decoder: Decoder,
    limits: FieldLimits,
    fields: Fields,
    frame: Vec<u8>,
}

impl Codec {
    pub fn new(encoder: Encoder) -> Self {
        let (decoder, fields) = (Decoder::new(4_096), Fields::new());
        Self { encoder, decoder, limits: FieldLimits::default(), fields, frame: Vec::new() }
    }

    /// There and back.
    pub fn pass(&mut self) {
        self.encode();
        self.decoder.decode(&self.frame[HEADER..], &self.limits, &mut self.fields).expect("the block is well formed");
        let octets: usize = self.fields.iter().map(|field| field.name.len() + field.value.len()).sum();
        assert_eq!(octets + 32 * self.fields.len(), self.fields.size());
        assert_eq!(self.fields.len(), REQUEST_FIELDS.len() + 4);
    }

    fn encode(&mut self) {
        let (encoder, frame) = (self.encoder, &mut self.frame);
        frame.clear();
        frame.extend_from_slice(&[0; HEADER]);
        for (name, value) in [(":method", METHOD), (":scheme", SCHEME), (":authority", AUTHORITY), (":path", PATH)] {
            encoder.field(frame, name.as_bytes(), value.as_bytes());
        }
        for (name, value) in REQUEST_FIELDS {
            encoder.field(frame, name.as_bytes(), value.as_bytes());
        }
        let [_, a, b, c] = u32::try_from(frame.len() - HEADER).expect("a head is small").to_be_bytes();
        frame[..HEADER].copy_from_slice(&[a, b, c, HEADERS, END_STREAM_AND_HEADERS, 0, 0, 0, 1]);
    }
}
