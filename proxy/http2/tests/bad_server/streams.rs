//! RFC 9113 section 5: the states of streams (h2spec `generic/2`, `http2/5.1`, `http2/5.3.1`), and GOAWAY's effect on
//! them (sections 6.8 and 8.7).

use crate::frames::*;
use crate::script::{Step, cases, get, post};

cases! {
    // Section 5.1, idle.
    priority_on_an_idle_stream_is_ignored: [priority(1, 0, false, 255)] => [];
    data_on_an_idle_stream_ends_the_connection: [data_end(1, b"test")] => ["connection PROTOCOL_ERROR"];
    rst_stream_on_an_idle_stream_ends_the_connection: [rst_stream(1, CANCEL)] => ["connection PROTOCOL_ERROR"];
    window_update_on_an_idle_stream_ends_the_connection: [window_update(1, 100)] => ["connection PROTOCOL_ERROR"];
    a_continuation_on_an_idle_stream_ends_the_connection:
        [continuation(1, END_HEADERS, OK)] => ["connection PROTOCOL_ERROR"];
    a_head_on_an_idle_stream_ends_the_connection: [ok_end(1)] => ["connection PROTOCOL_ERROR"];
    a_head_on_a_stream_above_the_last_ends_the_connection: [get(), ok_end(3)] => ["connection PROTOCOL_ERROR"];
    data_on_a_stream_above_the_last_ends_the_connection: [get(), data(3, b"test")] => ["connection PROTOCOL_ERROR"];

    // Section 5.1.1: even streams are the server's to promise, and it may not.
    a_head_on_an_even_stream_ends_the_connection: [get(), ok_end(2)] => ["connection PROTOCOL_ERROR"];
    a_head_on_an_even_stream_below_the_last_ends_the_connection:
        [get(), get(), ok_end(2)] => ["connection PROTOCOL_ERROR"];
    data_on_an_even_stream_ends_the_connection: [get(), get(), data_end(2, b"test")] => ["connection PROTOCOL_ERROR"];

    // Section 5.1, half-closed: the response has ended, the request has not.
    window_update_after_the_response_is_of_effect: [
        settings(&[(INITIAL_WINDOW_SIZE, 0)]), post(), Step::Upload(1, 5), ok_end(1), window_update(1, 5),
    ] => ["settings", "1 response 200 end", "1 sends 5 end"];
    priority_after_the_response_is_ignored: [
        post(), ok_end(1), priority(1, 0, false, 255), Step::Upload(1, 5),
    ] => ["1 response 200 end", "1 sends 5 end"];
    rst_stream_after_the_response_ends_the_request:
        [post(), ok_end(1), rst_stream(1, NO_ERROR)] => ["1 response 200 end", "1 reset NO_ERROR"];
    data_after_the_response_is_a_stream_error:
        [post(), ok_end(1), data_end(1, b"test")] => ["1 response 200 end", "1 broken STREAM_CLOSED"];
    a_head_after_the_response_is_a_stream_error:
        [post(), ok_end(1), ok_end(1)] => ["1 response 200 end", "1 broken STREAM_CLOSED"];
    a_continuation_after_the_response_ends_the_connection:
        [post(), ok_end(1), continuation(1, END_HEADERS, OK)] => ["1 response 200 end", "connection PROTOCOL_ERROR"];

    // Section 5.1, closed by RST_STREAM of the server.
    data_after_rst_stream_is_a_stream_error:
        [get(), rst_stream(1, CANCEL), data_end(1, b"test")] => ["1 reset CANCEL", "1 closed STREAM_CLOSED"];
    a_head_after_rst_stream_is_a_stream_error:
        [get(), rst_stream(1, CANCEL), ok_end(1)] => ["1 reset CANCEL", "1 closed STREAM_CLOSED"];
    a_continuation_after_rst_stream_ends_the_connection:
        [get(), rst_stream(1, CANCEL), continuation(1, END_HEADERS, OK)]
        => ["1 reset CANCEL", "connection PROTOCOL_ERROR"];
    a_second_rst_stream_is_ignored:
        [get(), rst_stream(1, CANCEL), rst_stream(1, CANCEL), priority(1, 0, false, 1)] => ["1 reset CANCEL"];

    // Section 5.1, closed by END_STREAM of both. h2spec asks for an error of the connection here, as RFC 7540 did; RFC
    // 9113 leaves it at a stream error for DATA (section 6.1), and allows either otherwise.
    data_on_a_closed_stream_is_a_stream_error:
        [get(), ok_end(1), data_end(1, b"test")] => ["1 response 200 end", "1 closed STREAM_CLOSED"];
    a_head_on_a_closed_stream_is_a_stream_error:
        [get(), ok_end(1), ok_end(1)] => ["1 response 200 end", "1 closed STREAM_CLOSED"];
    a_continuation_on_a_closed_stream_ends_the_connection:
        [get(), ok_end(1), continuation(1, END_HEADERS, OK)] => ["1 response 200 end", "connection PROTOCOL_ERROR"];
    priority_window_update_and_rst_stream_on_a_closed_stream_are_ignored:
        [get(), ok_end(1), priority(1, 0, false, 255), window_update(1, 1), rst_stream(1, NO_ERROR)]
        => ["1 response 200 end"];

    // Section 5.1, closed by RST_STREAM of ours: the server may not know yet.
    what_was_on_its_way_on_a_cancelled_stream_is_ignored: [
        get(), Step::Cancel(1), ok(1), data(1, b"test"), window_update(1, 1), head_end(1, &[("x-test", "ok")]),
        rst_stream(1, NO_ERROR),
    ] => [];
    what_a_cancelled_stream_had_and_gets_is_given_back_to_the_window_of_the_connection: [
        Step::Hold, get(), ok(1), (0..16).flat_map(|_| data(1, &[b'x'; 16_384])).collect::<Vec<u8>>(),
        get(), ok(3), (0..15).flat_map(|_| data(3, &[b'x'; 16_384])).collect::<Vec<u8>>(),
        Step::Cancel(1), Step::Cancel(3), data_end(3, &[b'x'; 16_384]),
    ] => ["1 response 200", "1 data 262144", "3 response 200", "3 data 245760", "window 0 + 524288"];

    // RFC 7540 section 5.3.1, which RFC 9113 does not keep. h2spec asks for a stream error.
    a_head_that_depends_on_itself_is_a_stream_error: [
        get(), headers(1, LAST | PRIORITY_FLAG, &[&dependency(1, false, 255), OK].concat()),
    ] => ["1 broken PROTOCOL_ERROR"];
    priority_of_a_stream_that_depends_on_itself_is_a_stream_error:
        [get(), priority(1, 1, false, 255)] => ["1 broken PROTOCOL_ERROR"];
    // Section 6.4: RST_STREAM is not sent on an idle stream.
    priority_of_an_idle_stream_that_depends_on_itself_is_ignored: [priority(1, 1, false, 255)] => [];
    priority_of_an_even_stream_that_depends_on_itself_is_ignored: [priority(2, 2, false, 255)] => [];

    // Sections 6.8 and 8.7: what a server refused can be tried again.
    rst_stream_with_refused_stream_tells_that_the_request_was_not_processed:
        [post(), rst_stream(1, REFUSED_STREAM)] => ["1 unprocessed REFUSED_STREAM"];
    streams_above_the_last_of_goaway_were_not_processed: [
        get(), post(), get(), goaway(1, NO_ERROR), ok_end(1),
    ] => ["goaway 1 NO_ERROR", "5 unprocessed REFUSED_STREAM", "3 unprocessed REFUSED_STREAM", "1 response 200 end"];
    goaway_with_0_tells_that_no_request_was_processed:
        [get(), goaway(0, 0xb)] => ["goaway 0 ENHANCE_YOUR_CALM", "1 unprocessed REFUSED_STREAM"];
    goaway_may_name_a_stream_that_is_not_there:
        [get(), get(), goaway(2, NO_ERROR), ok_end(1)]
        => ["goaway 2 NO_ERROR", "3 unprocessed REFUSED_STREAM", "1 response 200 end"];
    after_goaway_no_request_can_be_sent: [
        get(), goaway(1, NO_ERROR), get(), ok_end(1),
    ] => [
        "goaway 1 NO_ERROR", "3 refused: no stream can be opened on this connection any more", "1 response 200 end",
    ];
    goaway_in_two_steps_keeps_the_streams_that_it_names: [
        get(), get(), goaway(0x7fff_ffff, NO_ERROR), ok_end(1), goaway(1, NO_ERROR),
    ] => [
        "goaway 2147483647 NO_ERROR", "1 response 200 end", "goaway 1 NO_ERROR", "3 unprocessed REFUSED_STREAM",
    ];
    goaway_that_raises_the_last_stream_ends_the_connection:
        [get(), get(), goaway(1, NO_ERROR), goaway(3, NO_ERROR)] =>
        ["goaway 1 NO_ERROR", "3 unprocessed REFUSED_STREAM", "connection PROTOCOL_ERROR"];
    a_response_above_the_last_of_goaway_is_a_stream_error: [
        get(), get(), goaway(1, NO_ERROR), ok_end(3), ok_end(1),
    ] => ["goaway 1 NO_ERROR", "3 unprocessed REFUSED_STREAM", "3 closed STREAM_CLOSED", "1 response 200 end"];

    after_goaway_of_the_client_its_requests_are_still_answered: [
        get(), Step::Drain, get(), ok(1), data_end(1, b"test"),
    ] => ["3 refused: no stream can be opened on this connection any more", "1 response 200", "1 data 4 end"];

    // Section 8.4: push is disabled.
    push_promise_ends_the_connection: [
        get(), frame(PUSH_PROMISE, END_HEADERS, 1, &[&2_u32.to_be_bytes(), OK].concat()),
    ] => ["connection PROTOCOL_ERROR"];
    push_promise_on_an_idle_stream_ends_the_connection: [
        frame(PUSH_PROMISE, END_HEADERS, 1, &[&2_u32.to_be_bytes(), OK].concat()),
    ] => ["connection PROTOCOL_ERROR"];
    push_promise_on_stream_0_ends_the_connection: [
        frame(PUSH_PROMISE, END_HEADERS, 0, &[&2_u32.to_be_bytes(), OK].concat()),
    ] => ["connection PROTOCOL_ERROR"];
}
