use std::{net::SocketAddr, time::Duration};

use byrnie_config::{DownstreamTls, PeerName, UpstreamTls};
use proptest::prelude::*;
use rustls::{ClientConnection, CommonState, RootCertStore, ServerConnection, crypto::aws_lc_rs};

use super::*;
use crate::{
    identity::{
        Current, Identity,
        testing::{Authority, CART, FRONT},
    },
    tls::Contexts,
};

mod ends;
mod peers;
mod resumption;

use ends::*;

#[test]
fn a_handshake_proves_both_sides_and_selects_what_both_speak() {
    let mesh = Mesh::new();
    let (client, server) = joined(mesh.client(), mesh.server());
    assert_eq!((&*client.peer().uri, &*server.peer().uri), (CART, FRONT));
    assert_eq!(client.peer().certificate_sha256.len(), 32);
    assert_eq!(client.session.alpn(), Some(&b"h2"[..]), "the marker is offered, never selected");
    assert_eq!(server.session.alpn(), Some(&b"h2"[..]));
    assert_eq!(client.session.server_name(), Some("p80.cart.shop"));
    assert!(!client.session.is_resumed() && !server.session.is_resumed());
    assert_eq!((client.session.memory(), server.session.memory()), (0, 0), "nothing is kept of the handshake");
}

#[test]
fn the_key_exchange_is_post_quantum_and_the_cipher_the_fast_one() {
    let mesh = Mesh::new();
    let (mut client, mut server) = (mesh.buffered_client(None), mesh.server());
    join(&mut client, &mut server, &mut |octets| octets);
    assert_eq!(client.0.negotiated_key_exchange_group().unwrap().name(), rustls::NamedGroup::X25519MLKEM768);
    assert_eq!(client.0.negotiated_cipher_suite().unwrap().suite(), rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    assert_eq!(client.0.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
}

#[test]
fn what_another_sidecar_offers_for_the_connection_goes_before_the_context() {
    let mesh = Mesh::new();
    let offers = [Box::from(&b"byrnie-http"[..]), Box::from(&b"http/1.1"[..])];
    let session = mesh.front.client(&mesh.upstream).unwrap().connect(ENDPOINT, Some(&offers)).unwrap();
    let (client, _) = joined(End::new(session), mesh.server());
    assert_eq!(client.session.alpn(), Some(&b"http/1.1"[..]));
}

#[test]
fn nothing_in_common_is_said_by_an_alert() {
    let mesh = Mesh::new();
    let offers = [Box::from(&b"spdy"[..])];
    let session = mesh.front.client(&mesh.upstream).unwrap().connect(ENDPOINT, Some(&offers)).unwrap();
    let (mut client, mut server) = (End::new(session), mesh.server());
    join(&mut client, &mut server, &mut |octets| octets);
    assert!(matches!(client.error, Some(Error::Alert(AlertDescription::NoApplicationProtocol))), "{:?}", client.error);
    assert!(matches!(server.error, Some(Error::Protocol(_))), "{:?}", server.error);
}

#[test]
fn data_beside_the_last_message_of_the_handshake_is_given_out_after_the_peer_is_known() {
    let mesh = Mesh::new();
    let (mut client, mut server) = (mesh.client(), mesh.server());
    client.receive(&[]);
    server.receive(&client.sent());
    client.receive(&server.sent());
    client.session.seal(b"early", &mut client.out).unwrap();
    assert!(!server.session.is_established() && server.session.peer().is_none());
    server.receive(&client.sent());
    assert!(server.session.is_established());
    assert_eq!(server.got, b"early");
}

#[test]
fn nothing_is_sealed_before_the_handshake_ended_and_after_the_close() {
    let mesh = Mesh::new();
    let mut early = mesh.client();
    assert!(matches!(early.session.seal(b"early", &mut early.out), Err(Error::NotOpen)));
    early.session.close(&mut early.out);
    assert!(early.out.is_empty());
    let (mut client, mut server) = joined(mesh.client(), mesh.server());
    client.session.close(&mut client.out);
    let once = client.out.len();
    client.session.close(&mut client.out);
    assert_eq!(client.out.len(), once, "a close_notify is sent once");
    assert!(matches!(client.session.seal(b"late", &mut client.out), Err(Error::NotOpen)));
    server.receive(&client.sent());
    assert!(server.ended && !client.ended);
    // The other direction goes on (RFC 8446, section 6.1).
    server.session.seal(b"still", &mut server.out).unwrap();
    server.session.close(&mut server.out);
    client.receive(&server.sent());
    assert_eq!(client.got, b"still");
    assert!(client.ended);
}

#[test]
fn what_follows_a_close_is_ignored() {
    let mesh = Mesh::new();
    let (mut client, mut server) = joined(mesh.client(), mesh.server());
    client.session.close(&mut client.out);
    let octets = [client.sent(), b"anything".to_vec()].concat();
    server.receive(&octets);
    assert!(server.ended && server.error.is_none() && server.unread.is_empty());
}

#[test]
fn a_record_that_was_changed_ends_the_session_with_an_alert() {
    let mesh = Mesh::new();
    let (mut client, mut server) = joined(mesh.client(), mesh.server());
    client.session.seal(b"hello", &mut client.out).unwrap();
    let mut octets = client.sent();
    *octets.last_mut().unwrap() ^= 1;
    server.receive(&octets);
    assert!(matches!(server.error, Some(Error::Protocol(rustls::Error::DecryptError))), "{:?}", server.error);
    assert!(server.got.is_empty());
    client.receive(&server.sent());
    assert!(matches!(client.error, Some(Error::Alert(AlertDescription::BadRecordMac))), "{:?}", client.error);
    assert!(matches!(server.session.seal(b"x", &mut server.out), Err(Error::NotOpen)));
    let again = server.session.receive(&mut [], |_| (), &mut server.out);
    assert!(matches!(again, Err(Error::NotOpen)));
}

#[test]
fn data_is_sealed_in_records_of_16_kib() {
    let mesh = Mesh::new();
    let (mut client, mut server) = joined(mesh.client(), mesh.server());
    client.session.seal(b"", &mut client.out).unwrap();
    assert!(client.out.is_empty());
    let data = vec![7; 40_000];
    client.session.seal(&data, &mut client.out).unwrap();
    assert_eq!(client.out.len(), 40_000 + 3 * 22);
    let octets = client.sent();
    server.receive(&octets[..16_000]);
    assert!(server.got.is_empty());
    assert_eq!(server.unread.len(), 16_000, "a record in pieces stays with the caller");
    server.receive(&octets[16_000..]);
    assert_eq!(server.got, data);
}

#[test]
fn a_ticket_in_pieces_does_not_stop_the_other_direction() {
    let mesh = Mesh::new();
    let (mut client, mut server) = (mesh.client(), mesh.buffered_server(Some(64)));
    client.receive(&[]);
    server.receive(&client.sent());
    client.receive(&server.sent());
    assert!(client.session.is_established());
    server.receive(&client.sent());
    let ticket = server.sent();
    assert!(ticket.len() > 200);
    for octet in &ticket[..ticket.len() - 1] {
        client.receive(&[*octet]);
        client.session.seal(b"x", &mut client.out).unwrap();
    }
    assert!(client.session.memory() > 0, "the message is in pieces");
    server.receive(&client.sent());
    assert_eq!(server.got().len(), ticket.len() - 1);
    client.receive(&ticket[ticket.len() - 1..]);
    assert_eq!((client.session.memory(), client.unread.len()), (0, 0));
    server.send(b"data");
    client.receive(&server.sent());
    assert_eq!(client.got, b"data");
}

#[test]
fn a_handshake_message_without_end_is_given_up() {
    let mesh = Mesh::new();
    let mut server = mesh.server();
    // A message of 65,535 octets, in records of 16 KiB and then of one octet.
    let record = |body: &[u8]| [&[22, 3, 1, (body.len() >> 8) as u8, body.len() as u8], body].concat();
    server.receive(&record(&[&[1, 0, 0xff, 0xff][..], &[0; 16_000]].concat()));
    for _ in 0..20_000 {
        server.receive(&record(&[0]));
        assert!(server.session.memory() <= 4 * HELD);
        if server.error.is_some() {
            break;
        }
    }
    assert!(matches!(server.error, Some(Error::TooLong)), "{:?}", server.error);
}

#[test]
fn keys_are_updated_on_request() {
    let mesh = Mesh::new();
    let (mut client, mut server) = (mesh.buffered_client(None), mesh.server());
    join(&mut client, &mut server, &mut |octets| octets);
    client.0.refresh_traffic_keys().unwrap();
    client.send(b"after");
    server.receive(&client.sent());
    server.session.seal(b"answer", &mut server.out).unwrap();
    client.receive(&server.sent());
    assert_eq!((&server.got[..], client.got()), (&b"after"[..], &b"answer"[..]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn data_arrives_whatever_the_pieces(
        pieces in prop::collection::vec(1usize..3000, 1..20),
        tiny in any::<bool>(),
        data in prop::collection::vec(0usize..50_000, 1..5),
        fragment in prop::option::of(32usize..300),
        sides in 0..3,
    ) {
        let mesh = Mesh::new();
        let mut turn = 0;
        let mut cut = |octets: usize| {
            turn += 1;
            let piece = pieces[turn % pieces.len()];
            (if tiny { 1 + piece % 7 } else { piece }).min(octets)
        };
        match sides {
            0 => carry(&mut mesh.client(), &mut mesh.server(), &mut cut, &data)?,
            1 => carry(&mut mesh.buffered_client(fragment), &mut mesh.server(), &mut cut, &data)?,
            _ => carry(&mut mesh.client(), &mut mesh.buffered_server(fragment), &mut cut, &data)?,
        }
    }

    #[test]
    fn a_stream_that_was_changed_never_gives_other_data(
        at in any::<prop::sample::Index>(),
        flip in 1..=u8::MAX,
        pieces in 1usize..2000,
        to_client in any::<bool>(),
    ) {
        let mesh = Mesh::new();
        let (mut client, mut server) = (mesh.client(), mesh.server());
        client.receive(&[]);
        let mut octets = client.sent();
        if !to_client {
            *at.get_mut(&mut octets) ^= flip;
        }
        octets.chunks(pieces).for_each(|piece| server.receive(piece));
        let mut octets = server.sent();
        if to_client && !octets.is_empty() {
            *at.get_mut(&mut octets) ^= flip;
        }
        octets.chunks(pieces).for_each(|piece| client.receive(piece));
        if client.session.is_established() {
            // Only what is outside of the transcript may change: the version of a record's header.
            client.session.seal(b"data", &mut client.out).unwrap();
        }
        server.receive(&client.sent());
        prop_assert!(server.got.is_empty() || server.got == b"data");
    }

    #[test]
    fn any_octets_are_received_without_harm(
        octets in prop::collection::vec(any::<u8>(), 0..600),
        pieces in 1usize..300,
        established in any::<bool>(),
        header in any::<bool>(),
    ) {
        let mesh = Mesh::new();
        let (_, mut server) = if established { joined(mesh.client(), mesh.server()) } else { (mesh.client(), mesh.server()) };
        let mut octets = octets;
        if header && octets.len() > 5 {
            let length = octets.len() - 5;
            octets[..5].copy_from_slice(&[if established { 23 } else { 22 }, 3, 3, (length >> 8) as u8, length as u8]);
        }
        octets.chunks(pieces).for_each(|piece| server.receive(piece));
        prop_assert!(server.got.is_empty());
    }
}
