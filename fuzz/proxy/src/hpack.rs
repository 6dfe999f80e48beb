//! A peer that sends any header blocks, to a decoder with field limits and to one without.
//!
//! What must hold: both agree on what is an error; the first stores the fields of the second up to the one that went
//! over a limit; memory stays within the limits; and what was decoded comes out again when it is encoded.

use byrnie_http2::hpack::{
    DecodeError, Decoder, Encoder, Exceeded, Field, FieldLimits, Fields, MAX_TABLE_SIZE, StaticIndex,
};

use super::tape::Tape;

/// SETTINGS_HEADER_TABLE_SIZE at the start.
const TABLE_SIZES: [u32; 4] = [4096, 0, 256, 2 * MAX_TABLE_SIZE];
/// What a field counts for beyond its name and value (RFC 7541 section 4.1).
const OVERHEAD: usize = 32;
const UNLIMITED: FieldLimits = FieldLimits { list_size: u32::MAX, count: u16::MAX, name: u32::MAX, value: u32::MAX };

/// Plays `data` as a script: the table's size, the limits, then header blocks and settings.
pub fn run(data: &[u8]) {
    let mut tape = Tape(data);
    let size = TABLE_SIZES[tape.below(TABLE_SIZES.len())];
    let mut play = Play {
        limits: limits(&mut tape),
        limited: Decoder::new(size),
        open: Decoder::new(size),
        limited_fields: Fields::new(),
        open_fields: Fields::new(),
    };
    while !tape.is_at_end() && play.step(&mut tape).is_ok() {}
}

fn limits(tape: &mut Tape<'_>) -> FieldLimits {
    match tape.below(4) {
        0 => FieldLimits::default(),
        1 => FieldLimits { list_size: 200, count: 4, name: 10, value: 20 },
        2 => FieldLimits { list_size: tape.number() as u32, ..UNLIMITED },
        _ => FieldLimits { count: tape.byte().into(), name: tape.byte().into(), ..UNLIMITED },
    }
}

struct Play {
    limits: FieldLimits,
    limited: Decoder,
    open: Decoder,
    limited_fields: Fields,
    open_fields: Fields,
}

impl Play {
    fn step(&mut self, tape: &mut Tape<'_>) -> Result<(), DecodeError> {
        match tape.below(8) {
            0 => {
                let size = tape.number() as u32 * 2;
                self.limited.set_max_table_size(size);
                self.open.set_max_table_size(size);
                assert_eq!(self.limited.max_table_size(), size.min(MAX_TABLE_SIZE));
            }
            // Returning memory may not change what is decoded: only one of the two does.
            1 => {
                self.limited.rest();
                self.limited_fields.rest();
            }
            2 => return self.block(tape.number(), tape),
            _ => return self.block(tape.byte().into(), tape),
        }
        Ok(())
    }

    fn block(&mut self, length: usize, tape: &mut Tape<'_>) -> Result<(), DecodeError> {
        let block = tape.bytes(length);
        let limited = self.limited.decode(block, &self.limits, &mut self.limited_fields);
        let open = self.open.decode(block, &UNLIMITED, &mut self.open_fields);
        assert_eq!(limited, open, "limits changed what is an error");
        if let Err(error) = limited {
            assert!(!error.section().is_empty() && !error.to_string().is_empty());
            assert!(self.limited_fields.is_empty() && self.open_fields.is_empty(), "fields of a block with an error");
            return Err(error);
        }
        self.check_limits();
        self.check_memory(block);
        check_fields(&self.open_fields);
        check_encoding(&self.open_fields);
        Ok(())
    }

    /// The limited fields are the first of all, up to the one that does not fit.
    fn check_limits(&self) {
        let (limited, open) = (&self.limited_fields, &self.open_fields);
        assert_eq!(open.exceeded(), None);
        assert!(limited.iter().eq(open.iter().take(limited.len())), "a limit changed the fields in front of it");
        assert!(limited.len() <= self.limits.count.into() && limited.size() <= self.limits.list_size as usize);
        let Some(exceeded) = limited.exceeded() else {
            assert_eq!(limited.len(), open.len(), "fields left out though no limit was passed");
            return;
        };
        let next = open.field(limited.len()).expect("a field that went over the limit");
        let is_over = match exceeded {
            Exceeded::NameLength => next.name.len() > self.limits.name as usize,
            Exceeded::ValueLength => next.value.len() > self.limits.value as usize,
            Exceeded::Count => limited.len() == usize::from(self.limits.count),
            Exceeded::ListSize => limited.size() + size_of_field(next) > self.limits.list_size as usize,
        };
        assert!(is_over, "{exceeded:?} after {} of {} fields", limited.len(), open.len());
    }

    /// The table holds what its size allows; the fields hold the block, what is within the limits, and one field that is
    /// read before it is known to be over them. Vectors grow to double.
    fn check_memory(&self, block: &[u8]) {
        let table = self.limited.memory();
        assert!(table <= 4 * MAX_TABLE_SIZE as usize, "the dynamic table holds {table} bytes");
        let list = self.limits.list_size.min(self.open_fields.size() as u32) as usize;
        let one = 2 * block.len() + MAX_TABLE_SIZE as usize;
        let entries = 2 * self.open_fields.len().min(usize::from(self.limits.count)).max(64) * 48;
        let bound = 2 * (block.len() + list + one) + entries + 8192;
        let memory = self.limited_fields.memory();
        assert!(memory <= bound, "{memory} bytes for a block of {} with a list of {list}", block.len());
    }
}

fn check_fields(fields: &Fields) {
    assert_eq!(fields.size(), fields.iter().map(size_of_field).sum::<usize>());
    let mut pushed = Fields::new();
    for (at, field) in fields.iter().enumerate() {
        assert_eq!(field.index, StaticIndex::of_name(field.name), "the static index of a name");
        assert_eq!(fields.field(at), Some(field));
        pushed.push(field.name, field.value);
    }
    assert!(pushed.iter().map(text).eq(fields.iter().map(text)), "pushed fields differ");
    assert_eq!(pushed.size(), fields.size());
}

/// Fields that are encoded and decoded again are the same.
fn check_encoding(fields: &Fields) {
    for encoder in [Encoder { huffman: true }, Encoder::PLAIN] {
        let mut block = Vec::new();
        for field in fields.iter() {
            if field.never_indexed {
                encoder.never_indexed(&mut block, field.name, field.value);
            } else {
                encoder.field(&mut block, field.name, field.value);
            }
        }
        let mut again = Fields::new();
        let decoded = Decoder::new(0).decode(&block, &UNLIMITED, &mut again);
        assert_eq!(decoded, Ok(()), "encoded what cannot be decoded");
        assert!(again.iter().eq(fields.iter()), "fields that were encoded came out otherwise");
        block.clear();
        for field in fields.iter() {
            encoder.never_indexed(&mut block, field.name, field.value);
        }
        assert_eq!(Decoder::new(0).decode(&block, &UNLIMITED, &mut again), Ok(()));
        assert!(again.iter().all(|field| field.never_indexed) && again.iter().map(text).eq(fields.iter().map(text)));
    }
}

fn text<'a>(field: Field<'a>) -> (&'a [u8], &'a [u8]) {
    (field.name, field.value)
}

fn size_of_field(field: Field<'_>) -> usize {
    field.name.len() + field.value.len() + OVERHEAD
}
