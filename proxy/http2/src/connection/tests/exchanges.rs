use super::*;

#[test]
fn a_request_is_answered_with_body_and_trailers() {
    let (mut client, mut server) = pair(Config::default());
    let mut head = client.open(&get(b"/items?id=1")).unwrap();
    head.field(b"Accept", b" */* ").field(b"connection", b"close").field(b"te", b"trailers");
    let ours = head.finish(false).unwrap();
    assert_eq!(client.send(ours, b"hello", true), Ok(5));
    assert_eq!(pass(&mut client, &mut server), ["request GET /items?id=1 accept=*/* te=trailers", "data 5 end"]);

    let theirs = newest(&server);
    server.release(theirs, 5);
    server.inform(theirs, 103).unwrap().finish(false).unwrap();
    server.respond(theirs, 200).unwrap().finish(false).unwrap();
    assert_eq!(server.send(theirs, b"good day", false), Ok(8));
    let mut trailers = server.trailers(theirs).unwrap();
    trailers.field(b"grpc-status", b"0");
    trailers.finish(true).unwrap();
    let words = pass(&mut server, &mut client);
    assert_eq!(words, ["interim 103", "response 200", "data 8", "trailers grpc-status=0"]);
    client.release(ours, 8);

    assert_eq!((client.active_streams(), server.active_streams()), (0, 0));
    assert!(client.streams.is_empty() && server.streams.is_empty());
    assert_eq!(server.send(theirs, b"more", true), Err(Refused::Gone));
}

#[test]
fn a_body_of_a_megabyte_passes_through_small_windows() {
    let windows = crate::limits::Windows { stream: 1_000, connection: 65_535 };
    let (mut client, mut server) = pair(Config { windows, ..Config::default() });
    let ours = client.open(&get(b"/")).unwrap().finish(false).unwrap();
    let body = vec![b'x'; 1 << 20];
    let (mut sent, mut received) = (client.send(ours, &body, true).unwrap(), 0);
    let mut fields = Fields::new();
    let mut theirs = None;
    for _ in 0..4_000 {
        let octets = client.output().to_vec();
        client.wrote(octets.len());
        let mut input = &octets[..];
        let mut pieces = Vec::new();
        while let Some(event) = server.receive(&mut input, &mut fields).unwrap() {
            match event {
                Event::Request { stream, .. } => theirs = Some(stream),
                Event::Data { bytes, .. } => pieces.push(bytes.len()),
                other => panic!("{other:?}"),
            }
        }
        for piece in pieces {
            received += piece;
            server.release(theirs.unwrap(), piece);
        }
        pass(&mut server, &mut client);
        while let Some(key) = client.next_writable() {
            sent += client.send(key, &body[sent..], true).unwrap();
        }
        if received == body.len() {
            break;
        }
    }
    assert_eq!((sent, received), (body.len(), body.len()));
}

#[test]
fn until_settings_are_acknowledged_the_default_window_holds() {
    let windows = crate::limits::Windows { stream: 1_000, connection: 1 << 20 };
    let mut server = Connection::server(Config { windows, ..Config::default() });
    // This client has not read the server's SETTINGS.
    let mut client = Connection::client(Config::default());
    let ours = client.open(&get(b"/")).unwrap().finish(false).unwrap();
    assert_eq!(client.send(ours, &[b'x'; 40_000], false), Ok(40_000));
    assert_eq!(pass(&mut client, &mut server)[..2], ["settings", "request GET /"]);

    // From now on it has, and the window is 39,000 below zero.
    let theirs = newest(&server);
    pass(&mut server, &mut client);
    pass(&mut client, &mut server);
    server.release(theirs, 39_900);
    pass(&mut server, &mut client);
    assert_eq!(client.send(ours, &[b'x'; 2_000], false), Ok(900));
    assert_eq!(pass(&mut client, &mut server), ["data 900"]);
}

#[test]
fn a_stream_that_finished_unasked_does_not_hide_those_that_wait_behind_it() {
    let (mut client, mut server) = pair(Config::default());
    let [first, second, third] = [(); 3].map(|()| client.open(&get(b"/")).unwrap().finish(false).unwrap());
    pass(&mut client, &mut server);
    let theirs = server.streams.find(3).expect("the second stream");
    server.respond(theirs, 200).unwrap().finish(true).unwrap();

    client.send(first, &vec![b'x'; 256 << 10], false).unwrap();
    assert_eq!(client.send(second, b"waits", true), Ok(0));
    assert_eq!(client.send(third, b"waits too", true), Ok(0));
    assert_eq!(client.next_writable(), None);
    pass(&mut client, &mut server);
    pass(&mut server, &mut client);

    assert_eq!(client.send(second, b"goes unasked", true), Ok(12));
    assert_eq!(client.send(second, b"", true), Err(Refused::Gone));
    assert_eq!((client.next_writable(), client.next_writable()), (Some(third), None));
}

#[test]
fn after_a_burst_of_streams_rest_leaves_an_idle_connection_small_and_old_keys_stale() {
    let (mut client, mut server) = pair(Config::default());
    let keys: Vec<Key> = (0..100).map(|_| client.open(&get(b"/")).unwrap().finish(false).unwrap()).collect();
    for &key in &keys {
        client.reset(key, ErrorCode::CANCEL);
    }
    pass(&mut client, &mut server);
    client.rest();
    server.rest();
    assert_eq!((client.memory(), server.memory()), (0, 0));

    let newer: Vec<Key> = (0..100).map(|_| client.open(&get(b"/")).unwrap().finish(false).unwrap()).collect();
    for &key in &keys {
        assert_eq!(client.send(key, b"late", true), Err(Refused::Gone));
    }
    assert!(newer.iter().all(|&key| client.send(key, b"good", true) == Ok(4)));
}

#[test]
fn line_breaks_around_a_value_are_refused_and_not_trimmed() {
    for value in [&b"x\r\n"[..], b"\nx", b" x\r\n ", b"\r"] {
        let (mut client, _) = pair(Config::default());
        let mut head = client.open(&get(b"/")).unwrap();
        head.field(b"accept", value).field(b"x-any", value);
        assert_eq!(head.finish(true), Err(Refused::Field), "{value:?}");
    }
}

#[test]
fn answers_to_our_own_pings_are_no_flood_and_others_are_ignored() {
    let (mut client, mut server) = pair(Config::default());
    for _ in 0..10_000 {
        client.ping(*b"how-long");
        pass(&mut client, &mut server);
        server.tick();
        assert_eq!(pass(&mut server, &mut client), ["pong"]);
    }
    client.output.frame(Kind::Ping, frame::ACK, 0, b"not-sent");
    assert_eq!(pass(&mut client, &mut server), [""; 0]);
}

#[test]
fn drained_again_a_server_does_not_wait_for_the_answer_to_its_ping() {
    let (_, mut server) = pair(Config::default());
    server.drain();
    let first = server.output().len();
    server.drain();
    assert!(server.output().len() > first && server.is_finished());
    let mut client = Connection::client(Config::default());
    client.open(&get(b"/")).unwrap().finish(true).unwrap();
    let (mut client, mut server) = (client, Connection::server(Config::default()));
    pass(&mut client, &mut server);
    server.ping(*b"how-long");
    server.drain();
    server.drain();
    let words = pass(&mut server, &mut client);
    assert_eq!(words, ["settings", "goaway 2147483647 NO_ERROR", "goaway 1 NO_ERROR"]);
    assert_eq!(pass(&mut client, &mut server), ["pong"], "the PING of the drain is nobody else's");
}

#[test]
fn slow_readers_do_not_keep_the_shared_window_from_the_others() {
    let (mut client, mut server) = pair(Config::default());
    let [slow, slower, fast] = [(); 3].map(|()| client.open(&get(b"/")).unwrap().finish(false).unwrap());
    let body = vec![b'x'; 200 << 10];
    for held in [slow, slower] {
        assert_eq!(client.send(held, &body, false), Ok(body.len()));
        pass(&mut client, &mut server);
    }
    let theirs = server.streams.find(5).expect("the third stream");
    for _ in 0..100 {
        assert_eq!(client.send(fast, &body[..100 << 10], false), Ok(100 << 10));
        pass(&mut client, &mut server);
        server.release(theirs, 100 << 10);
        pass(&mut server, &mut client);
    }
}

#[test]
fn a_response_that_has_no_body_takes_none() {
    for (method, status) in [(&b"HEAD"[..], 200), (b"GET", 204), (b"GET", 304)] {
        let (mut client, mut server) = pair(Config::default());
        client.open(&RequestHead { method, ..get(b"/") }).unwrap().finish(true).unwrap();
        pass(&mut client, &mut server);
        let theirs = newest(&server);
        server.respond(theirs, status).unwrap().finish(false).unwrap();
        assert_eq!(server.send(theirs, b"body", true), Err(Refused::OutOfOrder), "{status}");
        assert_eq!(server.send(theirs, b"", true), Ok(0));
    }
}

#[test]
fn the_tunnel_of_an_extended_connect_has_no_length() {
    let (mut client, mut server) = pair(Config::default());
    let head = RequestHead { method: b"CONNECT", protocol: Some(b"websocket"), ..get(b"/") };
    let mut writer = client.open(&head).unwrap();
    writer.field(b"content-length", b"0");
    let ours = writer.finish(false).unwrap();
    client.send(ours, b"there", false).unwrap();
    assert_eq!(pass(&mut client, &mut server)[1..], ["data 5"]);
    let mut writer = server.respond(newest(&server), 200).unwrap();
    writer.field(b"content-length", b"0");
    let theirs = writer.finish(false).unwrap();
    server.send(theirs, b"and back", false).unwrap();
    assert_eq!(pass(&mut server, &mut client), ["response 200", "data 8"]);
}

#[test]
fn a_late_frame_on_a_stream_that_ended_is_nothing_to_its_caller() {
    let (mut client, mut server) = pair(Config::default());
    let ours = client.open(&get(b"/")).unwrap().finish(false).unwrap();
    client.send(ours, b"held", true).unwrap();
    pass(&mut client, &mut server);
    server.respond(newest(&server), 200).unwrap().finish(true).unwrap();
    client.output.window_update(1, 0);
    assert_eq!(pass(&mut client, &mut server), [""; 0]);
}

#[test]
fn honest_peers_that_measure_and_cancel_are_no_flood() {
    let (mut client, mut server) = pair(Config::default());
    for _ in 0..3_000 {
        // A PING with each piece of a body, and with each stream that a deadline ends.
        let ours = client.open(&get(b"/")).unwrap().finish(false).unwrap();
        client.send(ours, b"a message", false).unwrap();
        client.ping([1; 8]);
        let words = pass(&mut client, &mut server);
        assert_eq!(words.len(), 2, "{words:?}");
        let theirs = newest(&server);
        server.respond(theirs, 200).unwrap().finish(false).unwrap();
        pass(&mut server, &mut client);
        client.reset(ours, ErrorCode::CANCEL);
        client.ping([2; 8]);
        assert_eq!(pass(&mut client, &mut server), ["reset CANCEL by Peer"]);
        pass(&mut server, &mut client);
    }
}

#[test]
fn a_stream_that_waits_is_not_overtaken() {
    let (mut client, mut server) = pair(Config::default());
    let [first, second, third] = [(); 3].map(|()| client.open(&get(b"/")).unwrap().finish(false).unwrap());
    assert!(client.send(first, &vec![b'x'; 256 << 10], false).unwrap() > 200_000);
    // Known before anything was read from the source.
    assert_eq!(client.sendable(second), Ok(0));
    pass(&mut client, &mut server);

    assert_eq!(client.send(third, b"later", false), Ok(0), "the second waits already");
    while let Some(key) = client.next_writable() {
        if key == second {
            assert_eq!(client.sendable(second), Ok(256 << 10));
            assert_eq!(client.send(second, b"first", false), Ok(5));
        } else if key == third {
            assert_eq!(client.send(third, b"later", false), Ok(5));
        }
    }
    assert_eq!(pass(&mut client, &mut server), ["data 5", "data 5"]);
}

#[test]
fn a_response_that_came_whole_is_kept_though_the_rest_of_the_request_is_not_wanted() {
    let (mut client, mut server) = pair(Config::default());
    let ours = client.open(&get(b"/")).unwrap().finish(false).unwrap();
    pass(&mut client, &mut server);
    let theirs = newest(&server);
    server.respond(theirs, 200).unwrap().finish(false).unwrap();
    server.send(theirs, b"enough", true).unwrap();
    server.reset(theirs, ErrorCode::NO_ERROR);
    assert_eq!(pass(&mut server, &mut client), ["response 200", "data 6 end", "reset NO_ERROR by Peer"]);
    assert_eq!((client.active_streams(), client.streams.len()), (0, 1));
    client.release(ours, 6);
    assert_eq!(client.streams.len(), 0);
}

#[test]
fn data_that_comes_octet_by_octet_pays_for_no_window_updates() {
    let (mut client, mut server) = pair(Config::default());
    let ours = client.open(&get(b"/")).unwrap().finish(false).unwrap();
    let flood = (0..600).find_map(|_| {
        client.send(ours, b"x", false).unwrap();
        client.output.window_update(0, 1);
        client.output.window_update(0, 1);
        pass(&mut client, &mut server).into_iter().find(|word| word.starts_with("failed"))
    });
    assert!(flood.is_some_and(|word| word.contains("too many WINDOW_UPDATE")));
}
