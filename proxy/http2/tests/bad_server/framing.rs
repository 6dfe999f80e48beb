//! RFC 9113 sections 4 and 5.5: the form of frames, and what is not known (h2spec `http2/4`, `http2/5.4.1`,
//! `http2/5.5`).

use crate::frames::*;
use crate::script::{cases, get, post};

cases! {
    // Section 4.1 and 5.5.
    a_frame_of_an_unknown_type_is_ignored: [frame(UNKNOWN, NONE, 0, &[0; 8])] => [];
    a_frame_of_an_unknown_type_on_a_stream_is_ignored: [
        get(), frame(UNKNOWN, 0xff, 1, &[0; 8]), ok_end(1), frame(UNKNOWN, 0xff, 9, &[0; 8]),
    ] => ["1 response 200 end"];
    flags_that_are_not_defined_are_ignored: [frame(PING, 0x16, 0, &[0; 8])] => ["answers ping"];
    the_reserved_bit_of_a_stream_identifier_is_ignored:
        [frame(PING, 0x16, 1 << 31, &[0; 8]), get(), ok_end(1 << 31 | 1)] => ["answers ping", "1 response 200 end"];
    a_frame_of_an_unknown_type_inside_a_header_block_ends_the_connection:
        [get(), headers(1, NONE, OK), frame(UNKNOWN, NONE, 0, &[0; 8])] => ["connection PROTOCOL_ERROR"];

    // Section 4.2.
    a_frame_of_16384_octets_is_accepted:
        [get(), ok(1), data_end(1, &[b'x'; 16_384])] => ["1 response 200", "1 data 16384 end"];
    data_beyond_the_frame_size_ends_the_connection:
        [get(), ok(1), data_end(1, &[b'x'; 16_385])] => ["1 response 200", "connection FRAME_SIZE_ERROR"];
    a_head_beyond_the_frame_size_ends_the_connection: [
        get(), head_end(1, &[("x-dummy", &"x".repeat(16_384))]),
    ] => ["connection FRAME_SIZE_ERROR"];
    an_unknown_frame_beyond_the_frame_size_ends_the_connection:
        [frame(UNKNOWN, NONE, 0, &[0; 16_385])] => ["connection FRAME_SIZE_ERROR"];

    // Section 4.3.
    a_header_block_that_ends_within_a_field_ends_the_connection:
        [get(), headers(1, LAST, b"\x40")] => ["connection COMPRESSION_ERROR"];
    a_header_block_on_a_stream_that_has_ended_is_decoded_and_may_fail:
        [get(), ok_end(1), headers(1, LAST, b"\x40")] => ["1 response 200 end", "connection COMPRESSION_ERROR"];
    priority_inside_a_header_block_ends_the_connection:
        [get(), headers(1, NONE, OK), priority(1, 0, false, 255)]
        => ["connection PROTOCOL_ERROR"];
    a_head_of_another_stream_inside_a_header_block_ends_the_connection:
        [get(), get(), headers(1, NONE, OK), ok_end(3)] => ["connection PROTOCOL_ERROR"];
    a_continuation_of_another_stream_ends_the_connection:
        [get(), get(), headers(1, NONE, OK), continuation(3, END_HEADERS, b"")] => ["connection PROTOCOL_ERROR"];

    // Section 5.4.1: the server is told why by GOAWAY, and nothing follows.
    after_an_error_of_the_connection_nothing_is_received:
        [post(), frame(PING, NONE, 3, &[0; 8])] => ["connection PROTOCOL_ERROR"];
}
