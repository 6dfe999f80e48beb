mod appendix_c;
mod reference;
mod sequences;

use super::super::{Encoder, Exceeded, Field};
use super::*;

const LIMITS: FieldLimits = FieldLimits { list_size: 64 << 10, count: 100, name: 1 << 10, value: 32 << 10 };

/// What tests see of the decoder.
impl Decoder {
    fn contents(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.table.contents()
    }

    fn table_size(&self) -> usize {
        self.table.size()
    }
}

fn refusal(decoder: &mut Decoder, block: &[u8]) -> DecodeError {
    let mut fields = Fields::new();
    let refusal = decoder.decode(block, &LIMITS, &mut fields).unwrap_err();
    assert!(fields.is_empty());
    refusal
}

fn accepted(decoder: &mut Decoder, block: &[u8]) -> Vec<(String, String)> {
    let mut fields = Fields::new();
    decoder.decode(block, &LIMITS, &mut fields).unwrap();
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    fields.iter().map(|field| (text(field.name), text(field.value))).collect()
}

/// A literal of section 6.2.1 with a new name.
fn incremental(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut block = vec![0x40];
    for octets in [name, value] {
        integer::encode(&mut block, 0, 7, octets.len());
        block.extend_from_slice(octets);
    }
    block
}

fn size_update(size: u32) -> Vec<u8> {
    let mut block = Vec::new();
    Encoder::PLAIN.size_update(&mut block, size);
    block
}

#[test]
fn an_empty_block_has_no_fields() {
    assert_eq!(accepted(&mut Decoder::new(4096), b""), []);
}

#[test]
fn static_names_are_recognised_however_they_are_sent() {
    let mut decoder = Decoder::new(4096);
    let mut block = vec![0x84];
    block.extend(incremental(b":path", b"/a"));
    block.extend(b"\x00\x05:path\x02/b\x05\x02/c\x7e\x02/d\xbe");
    let mut fields = Fields::new();
    decoder.decode(&block, &LIMITS, &mut fields).unwrap();
    assert_eq!(
        fields.iter().map(|field| field.value).collect::<Vec<_>>(),
        [&b"/"[..], b"/a", b"/b", b"/c", b"/d", b"/d"]
    );
    for field in fields.iter() {
        assert_eq!((field.index, field.name), (Some(StaticIndex::PATH), &b":path"[..]));
    }
}

#[test]
fn only_a_never_indexed_literal_is_marked_as_such() {
    let mut fields = Fields::new();
    let block = b"\x82\x00\x01a\x01b\x10\x01a\x01b\x40\x01a\x01b\xbe\x1f\x2f\x01c";
    Decoder::new(4096).decode(block, &LIMITS, &mut fields).unwrap();
    let marks: Vec<bool> = fields.iter().map(|field| field.never_indexed).collect();
    assert_eq!(marks, [false, false, true, false, false, true]);
    assert_eq!(fields.field(5).map(|field| (field.name, field.value)), Some((&b"a"[..], &b"c"[..])));
}

#[test]
fn a_name_may_come_from_the_entry_that_its_use_evicts() {
    let mut decoder = Decoder::new(64);
    accepted(&mut decoder, &incremental(b"x-name", b"first"));
    assert_eq!(accepted(&mut decoder, b"\x7e\x06second"), [("x-name".into(), "second".into())]);
    assert_eq!(decoder.contents(), [(b"x-name".to_vec(), b"second".to_vec())]);
}

#[test]
fn index_zero_is_refused() {
    assert_eq!(refusal(&mut Decoder::new(4096), &[0x80]), DecodeError::IndexZero);
}

#[test]
fn an_index_past_the_tables_is_refused() {
    let mut decoder = Decoder::new(4096);
    let expected = DecodeError::IndexOutOfTable { index: 62, last: 61 };
    assert_eq!(refusal(&mut decoder, &[0x80 | 62]), expected);
    assert_eq!(refusal(&mut decoder, b"\x7e\x00"), expected);
    assert_eq!(refusal(&mut decoder, b"\x0f\x2f\x00"), expected);
    accepted(&mut decoder, &incremental(b"a", b"b"));
    assert_eq!(accepted(&mut decoder, &[0x80 | 62]).len(), 1);
    assert_eq!(refusal(&mut decoder, &[0x80 | 63]), DecodeError::IndexOutOfTable { index: 63, last: 62 });
}

#[test]
fn every_proper_prefix_of_a_literal_is_refused() {
    let block = incremental(b"name", &b"v".repeat(200));
    for end in 1..block.len() {
        assert_eq!(refusal(&mut Decoder::new(4096), &block[..end]), DecodeError::Truncated, "the first {end}");
    }
}

#[test]
fn an_integer_that_overflows_is_refused() {
    let huge = b"\xff\xff\xff\xff\xff\xff\x01";
    assert_eq!(refusal(&mut Decoder::new(4096), huge), DecodeError::IntegerOverflow);
    assert_eq!(refusal(&mut Decoder::new(4096), b"\x00\x7f\xff\xff\xff\xff\xff\x01"), DecodeError::IntegerOverflow);
}

#[test]
fn a_bad_huffman_string_is_refused_as_a_name_and_as_a_value() {
    for (string, refused) in [
        (&b"\x84\xff\xff\xff\xff"[..], DecodeError::HuffmanEos),
        (b"\x82\x1f\xff", DecodeError::HuffmanPaddingTooLong),
        (b"\x81\x18", DecodeError::HuffmanPaddingNotOnes),
    ] {
        let name = [b"\x00", string, b"\x00"].concat();
        let value = [b"\x04", string].concat();
        assert_eq!(refusal(&mut Decoder::new(4096), &name), refused);
        assert_eq!(refusal(&mut Decoder::new(4096), &value), refused);
    }
}

#[test]
fn a_size_update_evicts_and_may_not_pass_the_limit() {
    let mut decoder = Decoder::new(4096);
    accepted(&mut decoder, &incremental(b"a", b"b"));
    accepted(&mut decoder, &size_update(4096));
    assert_eq!(decoder.contents().len(), 1);
    accepted(&mut decoder, &size_update(33));
    assert_eq!(decoder.contents(), []);
    let refused = DecodeError::SizeUpdateAboveLimit { size: 4097, limit: 4096 };
    assert_eq!(refusal(&mut decoder, &size_update(4097)), refused);
}

#[test]
fn a_raised_limit_allows_a_larger_update() {
    let mut decoder = Decoder::new(4096);
    decoder.set_max_table_size(MAX_TABLE_SIZE);
    accepted(&mut decoder, &[0x82]);
    accepted(&mut decoder, &size_update(MAX_TABLE_SIZE));
    for _ in 0..20 {
        accepted(&mut decoder, &incremental(b"a", &b"v".repeat(3000)));
    }
    assert_eq!(decoder.contents().len(), 20);
}

#[test]
fn a_limit_above_what_is_supported_counts_as_that() {
    let mut decoder = Decoder::new(u32::MAX);
    assert_eq!(decoder.max_table_size(), MAX_TABLE_SIZE);
    decoder.set_max_table_size(u32::MAX);
    assert_eq!(decoder.max_table_size(), MAX_TABLE_SIZE);
}

#[test]
fn a_size_update_stands_only_at_the_start_and_at_most_twice() {
    let mut decoder = Decoder::new(4096);
    let twice = [size_update(0), size_update(4096)].concat();
    accepted(&mut decoder, &twice);
    let thrice = [twice, size_update(4096)].concat();
    assert_eq!(refusal(&mut decoder, &thrice), DecodeError::SizeUpdateRepeated);
    let late = [vec![0x82], size_update(0)].concat();
    assert_eq!(refusal(&mut decoder, &late), DecodeError::SizeUpdateMisplaced);
}

#[test]
fn a_lowered_limit_obliges_the_peer_to_an_update() {
    let lowered = || {
        let mut decoder = Decoder::new(4096);
        decoder.set_max_table_size(100);
        decoder
    };
    assert_eq!(refusal(&mut lowered(), &[0x82]), DecodeError::SizeUpdateMissing { limit: 100 });
    let refused = DecodeError::SizeUpdateAboveLimit { size: 101, limit: 100 };
    assert_eq!(refusal(&mut lowered(), &size_update(101)), refused);
    let mut decoder = lowered();
    accepted(&mut decoder, b"");
    accepted(&mut decoder, &[size_update(100), vec![0x82]].concat());
    accepted(&mut decoder, &[0x82]);
}

#[test]
fn a_limit_that_fell_and_rose_between_blocks_must_be_signalled_at_its_lowest() {
    let mut decoder = Decoder::new(4096);
    accepted(&mut decoder, &incremental(b"a", b"b"));
    for limit in [2000, 0, 1000, 4096] {
        decoder.set_max_table_size(limit);
    }
    assert_eq!(accepted(&mut decoder, &[size_update(0), size_update(4096), vec![0x82]].concat()).len(), 1);
    assert_eq!(decoder.contents(), []);
    decoder.set_max_table_size(0);
    decoder.set_max_table_size(1000);
    decoder.set_max_table_size(4096);
    assert_eq!(refusal(&mut decoder, &size_update(4096)), DecodeError::SizeUpdateAboveLimit { size: 4096, limit: 0 });
}

#[test]
fn a_lowered_limit_asks_nothing_of_a_peer_that_uses_less() {
    let mut decoder = Decoder::new(4096);
    accepted(&mut decoder, &size_update(50));
    decoder.set_max_table_size(100);
    accepted(&mut decoder, &[0x82]);
}

#[test]
fn each_limit_holds_exactly() {
    let limits = FieldLimits { list_size: 3 * 32 + 3 * 4, count: 4, name: 3, value: 8 };
    let block = |sizes: &[(usize, usize)]| {
        let mut out = Vec::new();
        for &(name, value) in sizes {
            Encoder::PLAIN.field(&mut out, &b"n".repeat(name), &b"v".repeat(value));
        }
        out
    };
    let tiny = FieldLimits { list_size: 1000, ..limits };
    for (limits, sizes, stored, exceeded) in [
        (limits, &[(1, 3), (2, 2), (3, 1)][..], 3, None),
        (limits, &[(1, 3), (2, 2), (3, 2), (1, 1)], 2, Some(Exceeded::ListSize)),
        (tiny, &[(1, 1); 4], 4, None),
        (tiny, &[(1, 1); 5], 4, Some(Exceeded::Count)),
        (tiny, &[(3, 8)], 1, None),
        (tiny, &[(4, 0), (1, 1)], 0, Some(Exceeded::NameLength)),
        (tiny, &[(1, 1), (1, 9), (1, 1)], 1, Some(Exceeded::ValueLength)),
    ] {
        let mut fields = Fields::new();
        Decoder::new(4096).decode(&block(sizes), &limits, &mut fields).unwrap();
        assert_eq!((fields.len(), fields.exceeded()), (stored, exceeded), "{sizes:?}");
        assert_eq!(fields.size(), sizes[..stored].iter().map(|(name, value)| name + value + 32).sum());
    }
}

#[test]
fn limits_hold_for_indexed_fields_and_huffman_strings() {
    let limits = FieldLimits { count: 2, value: 14, ..LIMITS };
    for (block, exceeded) in [
        (&b"\x82\x82\x82"[..], Exceeded::Count),
        (b"\x01\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff", Exceeded::ValueLength),
        (b"\x40\x01a\x0fwww.example.com", Exceeded::ValueLength),
    ] {
        let mut fields = Fields::new();
        Decoder::new(4096).decode(block, &limits, &mut fields).unwrap();
        assert_eq!(fields.exceeded(), Some(exceeded));
    }
}

#[test]
fn the_table_stays_in_step_over_the_limits() {
    let mut decoder = Decoder::new(4096);
    let mut fields = Fields::new();
    let block = [incremental(b"a", b"1"), incremental(b"b", b"2"), b"\x7f\x00\x01x".to_vec()].concat();
    decoder.decode(&block, &FieldLimits { count: 0, ..LIMITS }, &mut fields).unwrap();
    assert_eq!((fields.len(), fields.exceeded()), (0, Some(Exceeded::Count)));
    let expected = [("a".into(), "x".into()), ("b".into(), "2".into()), ("a".into(), "1".into())];
    assert_eq!(accepted(&mut decoder, &[0xbe, 0xbf, 0xc0]), expected);
    decoder.decode(&[0xbe], &LIMITS, &mut fields).unwrap();
    assert_eq!((fields.len(), fields.exceeded()), (1, None));
}

#[test]
fn rules_hold_over_the_limits() {
    let limits = FieldLimits { count: 0, ..LIMITS };
    for (block, refused) in [
        (&b"\x82\xbe"[..], DecodeError::IndexOutOfTable { index: 62, last: 61 }),
        (b"\x82\x04\x84\xff\xff\xff\xff", DecodeError::HuffmanEos),
        (b"\x82\x0f\x2f\x00", DecodeError::IndexOutOfTable { index: 62, last: 61 }),
    ] {
        assert_eq!(Decoder::new(4096).decode(block, &limits, &mut Fields::new()), Err(refused));
    }
}

/// An entry of 4,000 octets and 100,000 references to it: 400 MB if they were stored.
#[test]
fn references_to_a_large_entry_cost_no_memory_over_the_limit() {
    let mut decoder = Decoder::new(4096);
    let mut block = incremental(b"a", &b"v".repeat(4000));
    block.extend([0xbe].repeat(100_000));
    let mut fields = Fields::new();
    decoder.decode(&block, &LIMITS, &mut fields).unwrap();
    assert_eq!((fields.len(), fields.exceeded()), (16, Some(Exceeded::ListSize)));
    assert!(fields.memory() < 2 * (block.len() + LIMITS.list_size as usize), "{} bytes", fields.memory());
    fields.rest();
    assert!(fields.memory() < 8192, "{} bytes", fields.memory());
}

#[test]
fn new_values_for_a_large_name_cost_no_memory_over_the_limit() {
    let mut block = incremental(&b"n".repeat(4000), b"");
    block.extend(b"\x7e\x00".repeat(1000));
    let mut fields = Fields::new();
    Decoder::new(4096).decode(&block, &LIMITS, &mut fields).unwrap();
    assert_eq!((fields.len(), fields.exceeded()), (0, Some(Exceeded::NameLength)));
    assert!(fields.memory() < 20_000, "{} bytes", fields.memory());
}

#[test]
fn a_second_block_of_the_same_kind_allocates_nothing() {
    let mut decoder = Decoder::new(4096);
    let mut fields = Fields::new();
    let block = [incremental(b"x-name", b"value"), b"\x82\xbe\x04\x82\x60\xff".to_vec()].concat();
    for _ in 0..200 {
        decoder.decode(&block, &LIMITS, &mut fields).unwrap();
    }
    let held = (decoder.memory(), fields.memory());
    for _ in 0..200 {
        decoder.decode(&block, &LIMITS, &mut fields).unwrap();
    }
    assert_eq!((decoder.memory(), fields.memory()), held);
}

#[test]
fn fields_can_be_walked_from_both_ends_and_added_to() {
    let mut fields = Fields::new();
    Decoder::new(4096).decode(b"\x82\x87", &LIMITS, &mut fields).unwrap();
    fields.push(b"x-more", b"1");
    fields.push(b"host", b"a");
    let names: Vec<&[u8]> = fields.iter().rev().map(|field| field.name).collect();
    assert_eq!(names, [&b"host"[..], b"x-more", b":scheme", b":method"]);
    assert_eq!(fields.iter().len(), 4);
    assert_eq!(fields.field(3).and_then(|field| field.index), Some(StaticIndex::HOST));
    assert_eq!(fields.field(4), None);
    assert_eq!(fields.size(), 4 * 32 + 7 + 3 + 7 + 5 + 6 + 1 + 4 + 1);
    assert_eq!(fields.iter().filter(Field::is_pseudo).count(), 2);
}
