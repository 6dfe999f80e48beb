//! RFC 9113 sections 6 and 7, frame by frame (h2spec `generic/3`, `http2/6`, `http2/7`).

use crate::frames::*;
use crate::script::{Step, cases, get, post};

cases! {
    // Section 6.1, DATA.
    a_body_is_received: [get(), ok(1), data_end(1, b"test")] => ["1 response 200", "1 data 4 end"];
    a_body_of_several_frames_is_received:
        [get(), ok(1), data(1, b"test"), data_end(1, b"test")] => ["1 response 200", "1 data 8 end"];
    padding_of_data_is_left_out: [
        get(), ok(1), frame(DATA, END_STREAM | PADDED, 1, &padded(b"test", 5)),
    ] => ["1 response 200", "1 data 4 end"];
    data_of_nothing_but_padding_ends_a_body: [
        get(), ok(1), data(1, b"test"), frame(DATA, END_STREAM | PADDED, 1, &padded(b"", 255)),
    ] => ["1 response 200", "1 data 4 end"];
    data_on_stream_0_ends_the_connection: [data_end(0, b"test")] => ["connection PROTOCOL_ERROR"];
    padding_longer_than_the_data_ends_the_connection: [
        get(), head(1, &[(":status", "200"), ("content-length", "4")]),
        frame(DATA, END_STREAM | PADDED, 1, b"\x06\x54\x65\x73\x74"),
    ] => ["1 response 200", "connection PROTOCOL_ERROR"];
    padding_as_long_as_the_frame_ends_the_connection:
        [get(), ok(1), frame(DATA, PADDED, 1, b"\x05test")] => ["1 response 200", "connection PROTOCOL_ERROR"];
    padded_data_without_a_pad_length_ends_the_connection:
        [get(), ok(1), frame(DATA, PADDED, 1, b"")] => ["1 response 200", "connection FRAME_SIZE_ERROR"];

    // Section 6.2, HEADERS.
    a_head_is_received: [get(), ok_end(1)] => ["1 response 200 end"];
    padding_of_a_head_is_left_out:
        [get(), headers(1, LAST | PADDED, &padded(OK, 8))] => ["1 response 200 end"];
    the_priority_of_a_head_is_ignored: [
        get(), headers(1, LAST | PRIORITY_FLAG, &[&dependency(0, false, 255), OK].concat()),
    ] => ["1 response 200 end"];
    a_head_with_padding_and_priority_is_received: [
        get(), headers(1, LAST | PADDED | PRIORITY_FLAG, &padded(&[&dependency(7, true, 0), OK].concat(), 3)),
    ] => ["1 response 200 end"];
    a_head_without_its_end_before_data_ends_the_connection:
        [get(), headers(1, NONE, OK), data_end(1, b"test")] => ["connection PROTOCOL_ERROR"];
    a_head_without_its_end_before_another_head_ends_the_connection:
        [get(), headers(1, NONE, OK), ok_end(1)] => ["connection PROTOCOL_ERROR"];
    a_head_on_stream_0_ends_the_connection: [ok_end(0)] => ["connection PROTOCOL_ERROR"];
    padding_longer_than_the_head_ends_the_connection:
        [get(), headers(1, LAST | PADDED, b"\x02\x88")] => ["connection PROTOCOL_ERROR"];
    a_head_too_short_for_its_priority_ends_the_connection:
        [get(), headers(1, LAST | PRIORITY_FLAG, b"\0\0\0\0")] => ["connection FRAME_SIZE_ERROR"];

    // Section 6.3, PRIORITY.
    priority_of_any_weight_dependency_and_exclusiveness_is_ignored: [
        priority(1, 0, false, 0), priority(1, 0, false, 255), priority(3, 1, false, 0), priority(1, 0, true, 0), get(),
        priority(1, 3, true, 1), ok_end(1),
    ] => ["1 response 200 end"];
    priority_on_stream_0_ends_the_connection: [priority(0, 0, false, 255)] => ["connection PROTOCOL_ERROR"];
    priority_of_another_size_is_a_stream_error:
        [get(), frame(PRIORITY, NONE, 1, b"\x80\0\0\x01")] => ["1 broken FRAME_SIZE_ERROR"];
    // RST_STREAM cannot be sent there (section 6.4).
    priority_of_another_size_on_an_idle_stream_ends_the_connection:
        [frame(PRIORITY, NONE, 1, &[0; 6])] => ["connection FRAME_SIZE_ERROR"];

    // Section 6.4, RST_STREAM.
    rst_stream_ends_the_stream: [get(), rst_stream(1, CANCEL)] => ["1 reset CANCEL"];
    rst_stream_in_the_middle_of_a_body_ends_the_stream:
        [get(), ok(1), data(1, b"te"), rst_stream(1, 0x2)] => ["1 response 200", "1 data 2", "1 reset INTERNAL_ERROR"];
    rst_stream_on_stream_0_ends_the_connection: [rst_stream(0, CANCEL)] => ["connection PROTOCOL_ERROR"];
    rst_stream_of_another_size_ends_the_connection:
        [get(), frame(RST_STREAM, NONE, 1, b"\0\0\0")] => ["connection FRAME_SIZE_ERROR"];
    rst_stream_of_another_size_on_a_closed_stream_ends_the_connection:
        [get(), ok_end(1), frame(RST_STREAM, NONE, 1, &[0; 5])]
        => ["1 response 200 end", "connection FRAME_SIZE_ERROR"];

    // Section 6.5, SETTINGS.
    settings_with_all_that_is_defined_are_accepted: [settings(&[
        (HEADER_TABLE_SIZE, 4_096), (ENABLE_PUSH, 0), (MAX_CONCURRENT_STREAMS, 100), (INITIAL_WINDOW_SIZE, 65_535),
        (MAX_FRAME_SIZE, 16_384), (MAX_HEADER_LIST_SIZE, 4_000), (ENABLE_CONNECT_PROTOCOL, 1),
    ])] => ["settings"];
    an_acknowledgement_with_a_payload_ends_the_connection:
        [frame(SETTINGS, ACK, 0, b"\0")] => ["connection FRAME_SIZE_ERROR"];
    an_acknowledgement_with_settings_ends_the_connection:
        [frame(SETTINGS, ACK, 0, &[0, 3, 0, 0, 0, 100])] => ["connection FRAME_SIZE_ERROR"];
    settings_on_a_stream_end_the_connection:
        [get(), frame(SETTINGS, NONE, 1, &[0, 3, 0, 0, 0, 100])] => ["connection PROTOCOL_ERROR"];
    settings_of_another_size_than_6_octets_each_end_the_connection:
        [frame(SETTINGS, NONE, 0, b"\0\x03\0")] => ["connection FRAME_SIZE_ERROR"];

    // Section 6.5.2.
    enable_push_other_than_0_and_1_ends_the_connection:
        [settings(&[(ENABLE_PUSH, 2)])] => ["connection PROTOCOL_ERROR"];
    enable_push_of_a_server_ends_the_connection: [settings(&[(ENABLE_PUSH, 1)])] => ["connection PROTOCOL_ERROR"];
    an_initial_window_above_2_31_1_ends_the_connection:
        [settings(&[(INITIAL_WINDOW_SIZE, 1 << 31)])] => ["connection FLOW_CONTROL_ERROR"];
    an_initial_window_of_2_31_1_is_accepted: [settings(&[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)])] => ["settings"];
    a_maximum_frame_size_below_16384_ends_the_connection:
        [settings(&[(MAX_FRAME_SIZE, 16_383)])] => ["connection PROTOCOL_ERROR"];
    a_maximum_frame_size_above_2_24_1_ends_the_connection:
        [settings(&[(MAX_FRAME_SIZE, 1 << 24)])] => ["connection PROTOCOL_ERROR"];
    a_setting_that_is_not_known_is_ignored: [settings(&[(0xff, 1), (0x7, 2), (0x0, 3)])] => ["settings"];
    header_table_sizes_of_0_and_2_32_1_are_accepted:
        [settings(&[(HEADER_TABLE_SIZE, 0)]), settings(&[(HEADER_TABLE_SIZE, u32::MAX)])] => ["settings", "settings"];
    // RFC 8441 section 3.
    enable_connect_protocol_other_than_0_and_1_ends_the_connection:
        [settings(&[(ENABLE_CONNECT_PROTOCOL, 2)])] => ["connection PROTOCOL_ERROR"];
    enable_connect_protocol_is_not_taken_back: [
        settings(&[(ENABLE_CONNECT_PROTOCOL, 1)]), settings(&[(ENABLE_CONNECT_PROTOCOL, 0)]),
    ] => ["settings", "connection PROTOCOL_ERROR"];

    // Section 6.5.3.
    settings_are_applied_in_their_order: [
        settings(&[(INITIAL_WINDOW_SIZE, 100), (INITIAL_WINDOW_SIZE, 1)]), post(), Step::Upload(1, 5),
    ] => ["settings", "1 sends 1"];
    settings_are_acknowledged_at_once: [settings(&[(ENABLE_PUSH, 0)])] => ["settings"];
    // RFC 9113 is silent about it.
    an_acknowledgement_of_nothing_ends_the_connection: [frame(SETTINGS, ACK, 0, b"")] => ["connection PROTOCOL_ERROR"];

    // Section 5.1.2, from the other end.
    no_more_requests_are_sent_than_the_server_allows: [
        settings(&[(MAX_CONCURRENT_STREAMS, 1)]), get(), get(), ok_end(1), get(), ok_end(3),
    ] => ["settings", "3 refused: the peer allows 1 streams at once", "1 response 200 end", "3 response 200 end"];
    a_limit_of_streams_below_those_that_are_open_holds_for_the_next_one: [
        get(), get(), settings(&[(MAX_CONCURRENT_STREAMS, 0)]), get(), ok_end(1), ok_end(3),
    ] => [
        "settings", "5 refused: the peer allows 0 streams at once", "1 response 200 end", "3 response 200 end",
    ];
    no_head_is_sent_that_is_larger_than_the_server_takes: [
        settings(&[(MAX_HEADER_LIST_SIZE, 100)]), get(), settings(&[(MAX_HEADER_LIST_SIZE, 4_000)]), get(), ok_end(1),
    ] => ["settings", "1 refused: a head of 174 octets, the peer takes 100", "settings", "1 response 200 end"];

    // Section 6.7, PING.
    a_ping_is_answered: [ping(NONE, b"h2spec\0\0")] => ["answers ping"];
    an_answer_to_ping_is_not_answered:
        [ping(ACK, b"invalid\0"), ping(NONE, b"h2spec\0\0")] => ["answers ping"];
    ping_on_a_stream_ends_the_connection: [get(), frame(PING, NONE, 1, &[0; 8])] => ["connection PROTOCOL_ERROR"];
    ping_of_another_size_ends_the_connection: [frame(PING, NONE, 0, &[0; 6])] => ["connection FRAME_SIZE_ERROR"];
    an_answer_to_ping_of_another_size_ends_the_connection:
        [frame(PING, ACK, 0, &[0; 9])] => ["connection FRAME_SIZE_ERROR"];

    // Section 6.8, GOAWAY; what it does to streams is in `streams`.
    goaway_is_accepted: [goaway(0, NO_ERROR)] => ["goaway 0 NO_ERROR"];
    goaway_with_debug_data_is_accepted:
        [frame(GOAWAY, NONE, 0, b"\0\0\0\0\0\0\0\0h2spec")] => ["goaway 0 NO_ERROR"];
    goaway_on_a_stream_ends_the_connection: [get(), frame(GOAWAY, NONE, 1, &[0; 8])] => ["connection PROTOCOL_ERROR"];
    goaway_of_less_than_8_octets_ends_the_connection:
        [frame(GOAWAY, NONE, 0, &[0; 7])] => ["connection FRAME_SIZE_ERROR"];

    // Section 6.9, WINDOW_UPDATE.
    window_update_of_the_connection_is_accepted: [window_update(0, 1)] => [];
    window_update_of_a_stream_is_accepted: [get(), window_update(1, 1), ok_end(1)] => ["1 response 200 end"];
    window_update_of_the_connection_by_0_ends_the_connection: [window_update(0, 0)] => ["connection PROTOCOL_ERROR"];
    window_update_of_a_stream_by_0_is_a_stream_error: [get(), window_update(1, 0)] => ["1 broken PROTOCOL_ERROR"];
    window_update_of_another_size_ends_the_connection:
        [frame(WINDOW_UPDATE, NONE, 0, b"\0\0\x01")] => ["connection FRAME_SIZE_ERROR"];
    window_update_of_another_size_on_a_stream_ends_the_connection:
        [get(), frame(WINDOW_UPDATE, NONE, 1, &[0, 0, 0, 1, 0])] => ["connection FRAME_SIZE_ERROR"];

    // Section 6.9.1.
    no_more_is_sent_than_the_window_allows: [
        settings(&[(INITIAL_WINDOW_SIZE, 1)]), post(), Step::Upload(1, 5), window_update(1, 3), window_update(1, 9),
    ] => ["settings", "1 sends 1", "1 sends 3", "1 sends 1 end"];
    no_more_is_sent_than_the_window_of_the_connection_allows: [
        settings(&[(INITIAL_WINDOW_SIZE, 100_000)]), post(), Step::Upload(1, 65_536), window_update(1, 1),
        window_update(0, 1),
    ] => ["settings", "1 sends 16384", "1 sends 16384", "1 sends 16384", "1 sends 16383", "1 sends 1 end"];
    a_window_of_the_connection_above_2_31_1_ends_the_connection: [
        window_update(0, 0x7fff_0000), window_update(0, 1),
    ] => ["connection FLOW_CONTROL_ERROR"];
    a_window_of_a_stream_above_2_31_1_is_a_stream_error: [
        get(), window_update(1, 0x7fff_0000), window_update(1, 1),
    ] => ["1 broken FLOW_CONTROL_ERROR"];
    data_beyond_the_window_of_the_stream_is_a_stream_error: [
        Step::Hold, get(), ok(1), (0..16).flat_map(|_| data(1, &[b'x'; 16_384])).collect::<Vec<u8>>(), data(1, b"x"),
    ] => ["1 response 200", "1 data 262144", "1 broken FLOW_CONTROL_ERROR"];
    data_beyond_the_window_of_the_connection_ends_the_connection: [
        Step::Hold, get(), get(), get(), get(), get(), ok(1), ok(3), ok(5), ok(7), ok(9),
        [1, 3, 5, 7].iter().flat_map(|&id| (0..16).flat_map(move |_| data(id, &[b'x'; 16_384]))).collect::<Vec<u8>>(),
        data(9, b"x"),
    ] => [
        "1 response 200", "3 response 200", "5 response 200", "7 response 200", "9 response 200",
        "1 data 262144", "3 data 262144", "5 data 262144", "7 data 262144", "connection FLOW_CONTROL_ERROR",
    ];

    // Section 6.9.2.
    a_changed_initial_window_changes_open_streams: [
        settings(&[(INITIAL_WINDOW_SIZE, 0)]), post(), Step::Upload(1, 5), settings(&[(INITIAL_WINDOW_SIZE, 1)]),
    ] => ["settings", "settings", "1 sends 1"];
    a_window_may_become_negative: [
        settings(&[(INITIAL_WINDOW_SIZE, 3)]), post(), Step::Upload(1, 9), settings(&[(INITIAL_WINDOW_SIZE, 2)]),
        window_update(1, 1), window_update(1, 1),
    ] => ["settings", "1 sends 3", "settings", "1 sends 1"];
    an_initial_window_that_takes_a_stream_above_2_31_1_ends_the_connection: [
        get(), window_update(1, 1), settings(&[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]),
    ] => ["connection FLOW_CONTROL_ERROR"];

    // Section 6.10, CONTINUATION.
    a_head_in_two_pieces_is_received: [
        get(), headers(1, END_STREAM, &OK[..0]), continuation(1, END_HEADERS, OK),
    ] => ["1 response 200 end"];
    a_head_in_many_pieces_is_received: [
        get(), headers(1, END_STREAM, b"\x08"), continuation(1, NONE, b"\x03"), continuation(1, NONE, b"2"),
        continuation(1, NONE, b""), continuation(1, END_HEADERS, b"00"),
    ] => ["1 response 200 end"];
    data_after_a_continuation_that_is_not_the_last_ends_the_connection: [
        get(), headers(1, NONE, OK), continuation(1, NONE, b""), data_end(1, b"test"),
    ] => ["connection PROTOCOL_ERROR"];
    a_continuation_on_stream_0_ends_the_connection:
        [get(), headers(1, END_STREAM, OK), continuation(0, END_HEADERS, b"")] => ["connection PROTOCOL_ERROR"];
    a_continuation_after_a_whole_head_ends_the_connection:
        [get(), ok(1), continuation(1, END_HEADERS, OK)] => ["1 response 200", "connection PROTOCOL_ERROR"];
    a_continuation_after_the_last_one_ends_the_connection: [
        get(), headers(1, NONE, OK), continuation(1, END_HEADERS, b""), continuation(1, END_HEADERS, b""),
    ] => ["1 response 200", "connection PROTOCOL_ERROR"];
    a_continuation_after_data_ends_the_connection: [
        get(), ok(1), data(1, b"test"), continuation(1, END_HEADERS, OK),
    ] => ["1 response 200", "1 data 4", "connection PROTOCOL_ERROR"];

    // Section 7.
    an_unknown_code_in_goaway_is_nothing_special: [goaway(0, 0xff)] => ["goaway 0 error code 0xff"];
    an_unknown_code_in_rst_stream_is_nothing_special: [post(), rst_stream(1, 0xff)] => ["1 reset error code 0xff"];
}
