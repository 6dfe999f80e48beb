//! RFC 9113 section 3.4: how a connection begins (h2spec `generic/1`, `http2/3.5`).

use byrnie_http2::{Config, Connection};

use crate::frames::*;
use crate::script::{Step, cases, get};

#[test]
fn a_client_begins_with_the_preface_and_settings_that_disable_push() {
    let client = Connection::client(Config::default());
    let settings = client.output().strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    let (&[0, 0, length, SETTINGS, NONE, 0, 0, 0, 0], payload) = settings.split_first_chunk::<9>().unwrap() else {
        panic!("not SETTINGS: {settings:?}")
    };
    let mut announced = payload[..usize::from(length)].chunks_exact(6);
    assert!(announced.any(|setting| setting == [0, 2, 0, 0, 0, 0]), "ENABLE_PUSH is 1 unless it is announced as 0");
}

cases! {
    settings_of_the_server_are_acknowledged: [Step::Fresh, settings(&[(INITIAL_WINDOW_SIZE, 65_535)])] => ["settings"];

    a_request_may_be_sent_before_the_settings_of_the_server:
        [Step::Fresh, get(), settings(&[]), ok_end(1)] => ["settings", "1 response 200 end"];

    an_answer_of_http_1_is_no_preface:
        [Step::Fresh, b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n".to_vec()]
        => ["connection PROTOCOL_ERROR"];

    a_first_frame_other_than_settings_ends_the_connection:
        [Step::Fresh, ping(NONE, b"too soon")] => ["connection PROTOCOL_ERROR"];

    a_response_before_settings_ends_the_connection:
        [Step::Fresh, get(), ok_end(1)] => ["connection PROTOCOL_ERROR"];

    goaway_before_settings_ends_the_connection: [Step::Fresh, goaway(0, NO_ERROR)] => ["connection PROTOCOL_ERROR"];

    an_acknowledgement_is_no_preface: [Step::Fresh, frame(SETTINGS, ACK, 0, b"")] => ["connection PROTOCOL_ERROR"];
}
