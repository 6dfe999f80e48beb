use std::sync::Arc;

use proptest::prelude::*;
use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::aws_lc_rs, server::Acceptor};
use rustls_pki_types::ServerName;

use super::*;

/// The hello of a rustls client, as one record.
fn sent(name: &str, alpn: &[&str]) -> Vec<u8> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let mut client = ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut octets = Vec::new();
    client.write_tls(&mut octets).unwrap();
    octets
}

/// The same message in records of at most `size` octets.
fn in_records(octets: &[u8], size: usize) -> Vec<u8> {
    let record = |piece: &[u8]| [&[22, 3, 1, (piece.len() >> 8) as u8, piece.len() as u8], piece].concat();
    octets[RECORD_HEADER..].chunks(size).flat_map(record).collect()
}

fn as_rustls_reads(octets: &[u8]) -> Option<ClientHello> {
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut &octets[..]).ok()?;
    let accepted = acceptor.accept().ok()??;
    let hello = accepted.client_hello();
    Some(ClientHello {
        alpn: hello.alpn().into_iter().flatten().map(Into::into).collect(),
        server_name: hello.server_name().map(Into::into),
    })
}

#[test]
fn the_offer_of_a_client_is_read_without_taking_it() {
    let octets = sent("P80.Cart.shop", &["byrnie-http", "h2", "http/1.1"]);
    assert!(octets.len() > 1200, "a post-quantum share is in it");
    let Hello::ClientHello(found) = hello(&octets) else { panic!() };
    assert_eq!(found.server_name.as_deref(), Some("p80.cart.shop"));
    assert_eq!(found.alpn, [&b"byrnie-http"[..], b"h2", b"http/1.1"].map(Box::from));
    let Hello::ClientHello(found) = hello(&sent("192.0.2.1", &[])) else { panic!() };
    assert_eq!(found, ClientHello::default());
}

#[test]
fn pieces_of_a_hello_are_partial_in_one_record_and_in_many() {
    let whole = sent("cart.shop", &["h2"]);
    for octets in [whole.clone(), in_records(&whole, 1), in_records(&whole, 700)] {
        (0..octets.len()).for_each(|end| assert_eq!(hello(&octets[..end]), Hello::Partial, "{end}"));
        let followed = [&octets[..], b"more"].concat();
        assert_eq!(hello(&octets), hello(&whole));
        assert_eq!(hello(&followed), hello(&whole));
    }
}

#[test]
fn what_is_not_a_hello_is_told_early() {
    for octets in [&b"G"[..], b"PRI * HTTP/2.0", &[22, 2], &[21, 3, 3], &[22, 3, 1, 0, 0], &[22, 3, 1, 0x40, 1]] {
        assert_eq!(hello(octets), Hello::NotTls, "{octets:?}");
    }
    assert_eq!(hello(&[22, 3, 1, 0, 4, 2]), Hello::NotTls, "another handshake message");
    assert_eq!(hello(&[22, 3, 1, 0x40, 0, 1, 0, 0x40, 0]), Hello::NotTls, "longer than what is looked at");
    assert_eq!(hello(&[]), Hello::Partial);
}

#[test]
fn a_hello_that_never_ends_is_given_up() {
    let endless = in_records(&[&[0; RECORD_HEADER][..], &[1, 0, 0x3f, 0], &[0; 4000]].concat(), 1);
    assert_eq!(hello(&endless[..LIMIT - 1]), Hello::Partial);
    assert_eq!(hello(&endless), Hello::NotTls);
}

proptest! {
    #[test]
    fn whatever_rustls_accepts_is_read_alike(
        names in prop::collection::vec("[a-z0-9/.-]{1,20}", 0..5),
        name in "[a-z]{1,20}(\\.[a-z]{1,20}){0,3}",
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut octets = sent(&name, &names);
        for (at, octet) in flips {
            *at.get_mut(&mut octets) = octet;
        }
        let ours = hello(&octets);
        if let Some(theirs) = as_rustls_reads(&octets) {
            prop_assert_eq!(ours, Hello::ClientHello(theirs));
        }
    }

    #[test]
    fn any_octets_are_read_without_harm(mut octets in prop::collection::vec(any::<u8>(), 0..300), tls in any::<bool>()) {
        if tls && octets.len() > 9 {
            let body = (octets.len() - 9) as u8;
            octets[..9].copy_from_slice(&[22, 3, 1, 0, body.saturating_add(4), 1, 0, 0, body]);
        }
        hello(&octets);
    }
}
