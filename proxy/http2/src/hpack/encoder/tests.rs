use super::super::{Decoder, FieldLimits, Fields};
use super::*;

const HUFFMAN_ON: Encoder = Encoder { huffman: true };

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

#[test]
fn a_static_entry_is_written_as_its_index() {
    for index in (1..=61).filter_map(StaticIndex::new) {
        let expected = [0x80 | index.get()];
        assert_eq!(written(|out| Encoder::PLAIN.field(out, index.name(), index.value())), expected);
        assert_eq!(written(|out| Encoder::PLAIN.with_index(out, index, index.value())), expected);
        assert_eq!(written(|out| Encoder::PLAIN.indexed(out, index)), expected);
    }
}

/// Appendix C.2.2.
#[test]
fn a_static_name_is_written_as_its_index_and_the_value_as_a_literal() {
    let expected = b"\x04\x0c/sample/path";
    assert_eq!(written(|out| Encoder::PLAIN.field(out, b":path", b"/sample/path")), expected);
    assert_eq!(written(|out| Encoder::PLAIN.with_index(out, StaticIndex::PATH_INDEX, b"/sample/path")), expected);
}

/// Appendix C.2.3.
#[test]
fn a_never_indexed_field_is_a_literal_with_its_own_flag() {
    assert_eq!(written(|out| Encoder::PLAIN.never_indexed(out, b"password", b"secret")), b"\x10\x08password\x06secret");
    assert_eq!(
        written(|out| Encoder::PLAIN.never_indexed(out, b"authorization", b"Bearer x")),
        b"\x1f\x08\x08Bearer x"
    );
    assert_eq!(written(|out| Encoder::PLAIN.never_indexed(out, b":method", b"GET")), b"\x12\x03GET");
}

#[test]
fn other_names_are_literals_that_change_no_table() {
    assert_eq!(written(|out| Encoder::PLAIN.field(out, b"x-a", b"b")), b"\x00\x03x-a\x01b");
}

/// The strings of appendix C.4.
#[test]
fn the_huffman_code_is_used_where_it_is_shorter() {
    assert_eq!(
        written(|out| HUFFMAN_ON.field(out, b":authority", b"www.example.com")),
        b"\x01\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"
    );
    assert_eq!(
        written(|out| HUFFMAN_ON.field(out, b"custom-key", b"custom-value")),
        b"\x00\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf"
    );
    assert_eq!(written(|out| HUFFMAN_ON.field(out, b"etag", b"\"{}\"")), b"\x0f\x13\x04\"{}\"");
}

#[test]
fn a_status_is_an_index_or_three_digits() {
    assert_eq!(written(|out| Encoder::PLAIN.status(out, 200)), [0x88]);
    assert_eq!(written(|out| Encoder::PLAIN.status(out, 500)), [0x8e]);
    assert_eq!(written(|out| Encoder::PLAIN.status(out, 503)), b"\x08\x03503");
}

#[test]
fn a_size_update_carries_its_size() {
    assert_eq!(written(|out| Encoder::PLAIN.size_update(out, 0)), [0x20]);
    assert_eq!(written(|out| Encoder::PLAIN.size_update(out, 30)), [0x3e]);
    assert_eq!(written(|out| Encoder::PLAIN.size_update(out, 4096)), [0x3f, 0xe1, 0x1f]);
}

#[test]
fn the_decoder_reads_what_the_encoder_wrote() {
    let long = "v".repeat(20_000);
    let given =
        [(":method", "GET"), (":path", "/a"), ("accept", ""), ("x-long", &long), ("x-a", "\u{7f}"), ("te", "t")];
    for encoder in [Encoder::PLAIN, HUFFMAN_ON] {
        let mut block = Vec::new();
        for (name, value) in given {
            encoder.field(&mut block, name.as_bytes(), value.as_bytes());
            encoder.never_indexed(&mut block, name.as_bytes(), value.as_bytes());
        }
        let mut fields = Fields::new();
        let mut decoder = Decoder::new(0);
        decoder.decode(&block, &FieldLimits::default(), &mut fields).unwrap();
        assert_eq!(fields.len(), given.len() * 2);
        for (position, field) in fields.iter().enumerate() {
            let (name, value) = given[position / 2];
            assert_eq!((field.name, field.value), (name.as_bytes(), value.as_bytes()));
            assert_eq!(field.never_indexed, position % 2 == 1);
        }
        assert_eq!(decoder.memory(), 0);
    }
}

#[test]
fn a_forwarded_field_is_written_as_if_its_name_had_been_looked_up() {
    let block =
        [&b"\x82\x04\x02/a"[..], b"\x00\x03x-a\x01b", b"\x00\x06accept\x00", b"\x10\x03x-a\x01b", b"\x10\x04host\x01h"]
            .concat();
    let mut fields = Fields::new();
    Decoder::new(4096).decode(&block, &FieldLimits::default(), &mut fields).unwrap();
    let written = written(|out| fields.iter().for_each(|field| Encoder::PLAIN.forward(out, field)));
    assert_eq!(written, b"\x82\x04\x02/a\x00\x03x-a\x01b\x93\x10\x03x-a\x01b\x1f\x17\x01h");
}
