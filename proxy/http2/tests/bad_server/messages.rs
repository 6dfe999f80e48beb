//! RFC 9113 section 8: which responses are malformed (h2spec `generic/4`, `http2/8`).

use crate::frames::*;
use crate::script::{Step, cases, connect, get, head_request, post};

cases! {
    // Section 8.1.
    a_response_to_each_method_is_received: [
        get(), ok_end(1), head_request(), ok_end(3), post(), ok(5), data_end(5, b"test"),
    ] => ["1 response 200 end", "3 response 200 end", "5 response 200", "5 data 4 end"];
    a_response_with_trailers_is_received: [
        get(), head(1, &[(":status", "200"), ("trailer", "x-test")]), data(1, b"test"),
        head_end(1, &[("x-test", "ok")]),
    ] => ["1 response 200", "1 data 4", "1 trailers end"];
    trailers_may_follow_the_head:
        [get(), ok(1), head_end(1, &[("grpc-status", "0")])] => ["1 response 200", "1 trailers end"];
    trailers_of_no_field_are_received: [get(), ok(1), headers(1, LAST, b"")] => ["1 response 200", "1 trailers end"];
    interim_responses_are_received: [
        get(), head(1, &[(":status", "100")]), head(1, &[(":status", "103"), ("link", "</a>")]), ok_end(1),
    ] => ["1 interim 100", "1 interim 103", "1 response 200 end"];
    a_response_that_comes_before_the_end_of_the_request_may_be_followed_by_no_error:
        [post(), ok(1), data_end(1, b"no"), rst_stream(1, NO_ERROR)]
        => ["1 response 200", "1 data 2 end", "1 reset NO_ERROR"];

    trailers_that_do_not_end_the_stream_are_a_stream_error: [
        get(), ok(1), data(1, b"test"), head(1, &[("x-test", "ok")]),
    ] => ["1 response 200", "1 data 4", "1 broken PROTOCOL_ERROR"];
    a_second_final_head_is_a_stream_error: [get(), ok(1), ok(1)] => ["1 response 200", "1 broken PROTOCOL_ERROR"];
    a_second_final_head_that_ends_the_stream_is_a_stream_error:
        [get(), ok(1), ok_end(1)] => ["1 response 200", "1 broken PROTOCOL_ERROR"];
    an_interim_response_after_the_final_one_is_a_stream_error:
        [get(), ok(1), head(1, &[(":status", "100")])] => ["1 response 200", "1 broken PROTOCOL_ERROR"];
    an_interim_response_that_ends_the_stream_is_a_stream_error:
        [get(), head_end(1, &[(":status", "103")])] => ["1 broken PROTOCOL_ERROR"];
    an_interim_response_and_no_other_is_a_stream_error:
        [get(), head(1, &[(":status", "100")]), data_end(1, b"")] => ["1 interim 100", "1 broken PROTOCOL_ERROR"];
    data_before_the_head_is_a_stream_error: [get(), data(1, b"test"), ok_end(1)] => ["1 broken PROTOCOL_ERROR"];
    data_after_trailers_is_a_stream_error: [
        post(), ok(1), head_end(1, &[("x-test", "ok")]), data_end(1, b"test"),
    ] => ["1 response 200", "1 trailers end", "1 broken STREAM_CLOSED"];

    // Section 8.6: HTTP/2 has no 101.
    status_101_is_a_stream_error: [get(), head(1, &[(":status", "101")])] => ["1 broken PROTOCOL_ERROR"];

    // Section 8.2.1.
    a_field_name_in_upper_case_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), ("X-TEST", "ok")])] => ["1 broken PROTOCOL_ERROR"];
    an_empty_field_name_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), ("", "ok")])] => ["1 broken PROTOCOL_ERROR"];
    a_field_name_with_a_space_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), ("x test", "ok")])] => ["1 broken PROTOCOL_ERROR"];
    a_field_name_with_a_colon_in_it_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), ("x:test", "ok")])] => ["1 broken PROTOCOL_ERROR"];
    a_field_name_with_a_control_character_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), ("x-test\r\nset-cookie", "ok")])] => ["1 broken PROTOCOL_ERROR"];
    a_field_name_beyond_ascii_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), ("x-tést", "ok")])] => ["1 broken PROTOCOL_ERROR"];
    a_field_value_with_nul_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), ("x-test", "o\0k")])] => ["1 broken PROTOCOL_ERROR"];
    a_field_value_with_cr_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), ("x-test", "o\rk")])] => ["1 broken PROTOCOL_ERROR"];
    a_field_value_with_lf_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), ("x-test", "o\nk")])] => ["1 broken PROTOCOL_ERROR"];
    a_field_value_that_begins_with_a_space_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), ("x-test", " ok")])] => ["1 broken PROTOCOL_ERROR"];
    a_field_value_that_ends_with_a_tab_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), ("x-test", "ok\t")])] => ["1 broken PROTOCOL_ERROR"];
    a_field_value_that_is_empty_or_beyond_ascii_is_received:
        [get(), head_end(1, &[(":status", "200"), ("x-test", ""), ("x-test", "o\tké")])] => ["1 response 200 end"];
    a_bad_field_in_trailers_is_a_stream_error:
        [get(), ok(1), head_end(1, &[("x-test", "o\nk")])] => ["1 response 200", "1 broken PROTOCOL_ERROR"];

    // Section 8.2.2.
    connection_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), ("connection", "keep-alive")])] => ["1 broken PROTOCOL_ERROR"];
    keep_alive_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), ("keep-alive", "timeout=5")])] => ["1 broken PROTOCOL_ERROR"];
    proxy_connection_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), ("proxy-connection", "close")])] => ["1 broken PROTOCOL_ERROR"];
    transfer_encoding_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), ("transfer-encoding", "chunked")])] => ["1 broken PROTOCOL_ERROR"];
    upgrade_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), ("upgrade", "h2c")])] => ["1 broken PROTOCOL_ERROR"];
    te_with_another_value_than_trailers_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), ("te", "trailers, deflate")])] => ["1 broken PROTOCOL_ERROR"];
    transfer_encoding_in_an_interim_response_is_a_stream_error:
        [get(), head(1, &[(":status", "103"), ("transfer-encoding", "chunked")])] => ["1 broken PROTOCOL_ERROR"];
    transfer_encoding_in_trailers_is_a_stream_error:
        [get(), ok(1), head_end(1, &[("transfer-encoding", "chunked")])]
        => ["1 response 200", "1 broken PROTOCOL_ERROR"];

    // Section 8.3.
    a_pseudo_header_field_that_is_not_defined_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), (":test", "ok")])] => ["1 broken PROTOCOL_ERROR"];
    a_pseudo_header_field_of_a_request_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), (":path", "/")])] => ["1 broken PROTOCOL_ERROR"];
    a_pseudo_header_field_of_a_request_in_front_is_a_stream_error:
        [get(), head_end(1, &[(":method", "GET"), (":status", "200")])] => ["1 broken PROTOCOL_ERROR"];
    a_request_in_place_of_a_response_is_a_stream_error:
        [get(), head_end(1, &[(":method", "GET"), (":scheme", "http"), (":path", "/")])] => ["1 broken PROTOCOL_ERROR"];
    a_pseudo_header_field_in_trailers_is_a_stream_error: [
        get(), ok(1), data(1, b"test"), head_end(1, &[(":status", "200")]),
    ] => ["1 response 200", "1 data 4", "1 broken PROTOCOL_ERROR"];
    a_pseudo_header_field_after_a_regular_one_is_a_stream_error:
        [get(), head_end(1, &[("x-test", "ok"), (":status", "200")])] => ["1 broken PROTOCOL_ERROR"];

    // Section 8.3.2, in place of those of a request (section 8.3.1).
    a_response_without_status_is_a_stream_error:
        [get(), head_end(1, &[("x-test", "ok")])] => ["1 broken PROTOCOL_ERROR"];
    a_response_of_no_field_is_a_stream_error: [get(), headers(1, LAST, b"")] => ["1 broken PROTOCOL_ERROR"];
    an_interim_response_without_status_is_a_stream_error:
        [get(), head(1, &[("link", "</a>")]), ok_end(1)] => ["1 broken PROTOCOL_ERROR"];
    an_empty_status_is_a_stream_error: [get(), head_end(1, &[(":status", "")])] => ["1 broken PROTOCOL_ERROR"];
    a_status_twice_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), (":status", "200")])] => ["1 broken PROTOCOL_ERROR"];
    a_status_of_two_digits_is_a_stream_error: [get(), head_end(1, &[(":status", "20")])] => ["1 broken PROTOCOL_ERROR"];
    a_status_of_four_digits_is_a_stream_error:
        [get(), head_end(1, &[(":status", "2000")])] => ["1 broken PROTOCOL_ERROR"];
    a_status_with_a_reason_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200 OK")])] => ["1 broken PROTOCOL_ERROR"];
    a_status_with_a_letter_is_a_stream_error:
        [get(), head_end(1, &[(":status", "2oo")])] => ["1 broken PROTOCOL_ERROR"];
    a_status_below_100_is_a_stream_error: [get(), head_end(1, &[(":status", "099")])] => ["1 broken PROTOCOL_ERROR"];
    a_status_that_is_not_registered_is_received: [get(), head_end(1, &[(":status", "299")])] => ["1 response 299 end"];

    // Section 8.1.1.
    a_body_longer_than_its_content_length_is_a_stream_error: [
        get(), head(1, &[(":status", "200"), ("content-length", "1")]), data_end(1, b"test"),
    ] => ["1 response 200", "1 broken PROTOCOL_ERROR"];
    a_body_of_several_frames_longer_than_its_content_length_is_a_stream_error: [
        get(), head(1, &[(":status", "200"), ("content-length", "4")]), data(1, b"test"), data_end(1, b"test"),
    ] => ["1 response 200", "1 data 4", "1 broken PROTOCOL_ERROR"];
    a_body_shorter_than_its_content_length_is_a_stream_error: [
        get(), head(1, &[(":status", "200"), ("content-length", "5")]), data(1, b"te"), data_end(1, b"st"),
    ] => ["1 response 200", "1 data 2", "1 broken PROTOCOL_ERROR"];
    a_body_that_an_empty_frame_ends_too_soon_is_a_stream_error: [
        get(), head(1, &[(":status", "200"), ("content-length", "5")]), data(1, b"test"), data_end(1, b""),
    ] => ["1 response 200", "1 data 4", "1 broken PROTOCOL_ERROR"];
    a_body_that_trailers_end_too_soon_is_a_stream_error: [
        get(), head(1, &[(":status", "200"), ("content-length", "5")]), data(1, b"test"),
        head_end(1, &[("x-test", "ok")]),
    ] => ["1 response 200", "1 data 4", "1 broken PROTOCOL_ERROR"];
    a_content_length_without_any_body_is_a_stream_error:
        [get(), head_end(1, &[(":status", "200"), ("content-length", "5")])] => ["1 broken PROTOCOL_ERROR"];
    padding_does_not_count_for_the_content_length: [
        get(), head(1, &[(":status", "200"), ("content-length", "4")]),
        frame(DATA, END_STREAM | PADDED, 1, &padded(b"test", 9)),
    ] => ["1 response 200", "1 data 4 end"];
    a_body_as_long_as_its_content_length_may_be_followed_by_trailers: [
        get(), head(1, &[(":status", "200"), ("content-length", "4")]), data(1, b"test"),
        head_end(1, &[("x-test", "ok")]),
    ] => ["1 response 200", "1 data 4", "1 trailers end"];
    a_content_length_of_0_is_received_with_an_empty_body: [
        get(), head(1, &[(":status", "200"), ("content-length", "0")]), data_end(1, b""),
    ] => ["1 response 200", "1 data 0 end"];
    two_content_lengths_that_differ_are_a_stream_error: [
        get(), head(1, &[(":status", "200"), ("content-length", "4"), ("content-length", "5")]),
    ] => ["1 broken PROTOCOL_ERROR"];
    a_content_length_that_is_no_number_is_a_stream_error:
        [get(), head(1, &[(":status", "200"), ("content-length", "+4")])] => ["1 broken PROTOCOL_ERROR"];
    a_content_length_beyond_all_bodies_is_a_stream_error:
        [get(), head(1, &[(":status", "200"), ("content-length", "18446744073709551616")])]
        => ["1 broken PROTOCOL_ERROR"];

    // Section 8.1.1 and RFC 9110 section 6.4.1: no body, whatever Content-Length says.
    a_response_to_head_has_a_content_length_and_no_body:
        [head_request(), head_end(1, &[(":status", "200"), ("content-length", "1000")])] => ["1 response 200 end"];
    a_response_to_head_may_end_with_empty_data: [
        head_request(), head(1, &[(":status", "200"), ("content-length", "4")]), data_end(1, b""),
    ] => ["1 response 200", "1 data 0 end"];
    a_body_in_response_to_head_is_a_stream_error: [
        head_request(), head(1, &[(":status", "200"), ("content-length", "4")]), data_end(1, b"test"),
    ] => ["1 response 200", "1 broken PROTOCOL_ERROR"];
    a_response_to_head_may_have_trailers:
        [head_request(), ok(1), head_end(1, &[("x-test", "ok")])] => ["1 response 200", "1 trailers end"];
    status_304_has_a_content_length_and_no_body:
        [get(), head_end(1, &[(":status", "304"), ("content-length", "1000")])] => ["1 response 304 end"];
    a_body_with_status_304_is_a_stream_error:
        [get(), head(1, &[(":status", "304")]), data_end(1, b"test")] => ["1 response 304", "1 broken PROTOCOL_ERROR"];
    a_body_with_status_204_is_a_stream_error:
        [get(), head(1, &[(":status", "204")]), data_end(1, b"test")] => ["1 response 204", "1 broken PROTOCOL_ERROR"];

    // Section 8.5.
    a_tunnel_carries_data_both_ways: [
        connect(), ok(1), data(1, b"test"), Step::Upload(1, 5), data_end(1, b""),
    ] => ["1 response 200", "1 data 4", "1 sends 5 end", "1 data 0 end"];
    a_content_length_does_not_bind_a_tunnel: [
        connect(), head(1, &[(":status", "200"), ("content-length", "2")]), data_end(1, b"test"),
    ] => ["1 response 200", "1 data 4 end"];
    trailers_in_a_tunnel_are_a_stream_error: [
        connect(), ok(1), head_end(1, &[("x-test", "ok")]),
    ] => ["1 response 200", "1 broken PROTOCOL_ERROR"];
    a_connect_that_is_refused_has_an_ordinary_response: [
        connect(), head(1, &[(":status", "407"), ("content-length", "2")]), data(1, b"no"),
        head_end(1, &[("x-test", "ok")]),
    ] => ["1 response 407", "1 data 2", "1 trailers end"];
}
