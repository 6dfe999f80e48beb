//! RFC 7541: header blocks, good and bad (h2spec `generic/5`, `hpack`).

use crate::frames::*;
use crate::script::{Step, cases, get};

/// A whole response: `:status: 200` and then `field`.
fn with(field: &[u8]) -> Vec<u8> {
    headers(1, LAST, &[OK, field].concat())
}

cases! {
    // Section 6.1.
    an_indexed_field_is_received: [get(), with(b"\xba")] => ["1 response 200 end"];
    // Sections 6.2.1 to 6.2.3: (incremental, without, never), each with an indexed name, a new name, and in Huffman
    // code.
    a_literal_with_indexing_and_an_indexed_name_is_received: [get(), with(b"\x7a\x06h2spec")] => ["1 response 200 end"];
    a_literal_with_indexing_and_a_name_in_huffman_code_is_received:
        [get(), with(b"\x40\x87\xb5\x05\xb1\x61\xcc\x5a\x93\x84\x9c\x48\xac\xa4")] => ["1 response 200 end"];
    a_literal_with_indexing_and_a_new_name_is_received:
        [get(), with(b"\x40\x06x-test\x06h2spec")] => ["1 response 200 end"];
    a_literal_with_indexing_in_huffman_code_is_received:
        [get(), with(b"\x40\x85\xf2\xb2\x4a\x84\xff\x84\x9c\x48\xac\xa4")] => ["1 response 200 end"];
    a_literal_without_indexing_and_with_an_indexed_name_is_received:
        [get(), with(b"\x0f\x2b\x06h2spec")] => ["1 response 200 end"];
    a_literal_without_indexing_and_with_a_name_in_huffman_code_is_received:
        [get(), with(b"\x00\x87\xb5\x05\xb1\x61\xcc\x5a\x93\x84\x9c\x48\xac\xa4")] => ["1 response 200 end"];
    a_literal_without_indexing_and_with_a_new_name_is_received:
        [get(), with(b"\x00\x06x-test\x06h2spec")] => ["1 response 200 end"];
    a_literal_without_indexing_in_huffman_code_is_received:
        [get(), with(b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x9c\x48\xac\xa4")] => ["1 response 200 end"];
    a_literal_never_indexed_with_an_indexed_name_is_received:
        [get(), with(b"\x1f\x2b\x06h2spec")] => ["1 response 200 end"];
    a_literal_never_indexed_with_a_name_in_huffman_code_is_received:
        [get(), with(b"\x10\x87\xb5\x05\xb1\x61\xcc\x5a\x93\x84\x9c\x48\xac\xa4")] => ["1 response 200 end"];
    a_literal_never_indexed_with_a_new_name_is_received:
        [get(), with(b"\x10\x06x-test\x06h2spec")] => ["1 response 200 end"];
    a_literal_never_indexed_in_huffman_code_is_received:
        [get(), with(b"\x10\x85\xf2\xb2\x4a\x84\xff\x84\x9c\x48\xac\xa4")] => ["1 response 200 end"];

    // Sections 4.2 and 6.3.
    a_table_size_update_is_followed: [
        get(), headers(1, LAST, &[b"\x3f\x61", OK].concat()),
    ] => ["1 response 200 end"];
    two_table_size_updates_are_followed: [
        get(), headers(1, LAST, &[b"\x3f\x61\x3f\xe1\x1f", OK].concat()),
    ] => ["1 response 200 end"];
    a_table_size_update_after_a_field_ends_the_connection: [get(), with(b"\x21")] => ["connection COMPRESSION_ERROR"];
    a_table_size_update_above_what_was_announced_ends_the_connection: [
        get(), headers(1, LAST, &[b"\x3f\xe2\x1f", OK].concat()),
    ] => ["connection COMPRESSION_ERROR"];

    // Section 2.3.3.
    an_index_beyond_the_tables_ends_the_connection: [get(), with(b"\xc6")] => ["connection COMPRESSION_ERROR"];
    // Section 6.1.
    index_0_ends_the_connection: [get(), with(b"\x80")] => ["connection COMPRESSION_ERROR"];
    // Section 5.1.
    an_integer_without_end_ends_the_connection:
        [get(), with(b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f")] => ["connection COMPRESSION_ERROR"];

    // Section 5.2.
    huffman_padding_longer_than_7_bits_ends_the_connection:
        [get(), with(b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff")] => ["connection COMPRESSION_ERROR"];
    huffman_padding_of_zeros_ends_the_connection:
        [get(), with(b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90")] => ["connection COMPRESSION_ERROR"];
    the_end_of_string_symbol_ends_the_connection:
        [get(), with(b"\x00\x85\xf2\xb2\x4a\x87\xff\xff\xff\xfd\x25\x42\x7f")] => ["connection COMPRESSION_ERROR"];

    // RFC 9113 section 4.3: the table is kept, whatever becomes of the stream. `\xbe` is its newest entry.
    fields_of_a_cancelled_stream_enter_the_table: [
        get(), get(), Step::Cancel(1), headers(1, LAST, b"\x88\x40\x06x-test\x02ok"), headers(3, LAST, b"\x88\xbe"),
    ] => ["3 response 200 end"];
    fields_of_a_malformed_response_enter_the_table: [
        get(), get(), headers(1, LAST, b"\x88\x40\x06X-TEST\x02ok\x48\x03299"), headers(3, LAST, b"\xbe"),
    ] => ["1 broken PROTOCOL_ERROR", "3 response 299 end"];
    fields_of_a_closed_stream_enter_the_table: [
        get(), get(), ok_end(1), headers(1, LAST, b"\x48\x03299"), headers(3, LAST, b"\xbe"),
    ] => ["1 response 200 end", "1 closed STREAM_CLOSED", "3 response 299 end"];
}
