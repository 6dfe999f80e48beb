//! Who is accepted.

use super::*;

const GATEWAY: &str = "spiffe://cluster.local/ns/shop/sa/gateway";

/// The errors of client and server after a handshake that failed.
fn failed(mesh: &Mesh) -> (Error, Error) {
    let (mut client, mut server) = (mesh.client(), mesh.server());
    join(&mut client, &mut server, &mut |octets| octets);
    (client.error.expect("the client goes on"), server.error.expect("the server goes on"))
}

#[test]
fn a_server_that_is_somebody_else_is_refused() {
    let mut mesh = Mesh::new();
    mesh.upstream = upstream(PeerName::Exact(GATEWAY.into()));
    let (client, server) = failed(&mesh);
    assert_eq!(client.to_string(), format!("expected the peer {GATEWAY}, found {CART}"));
    assert!(matches!(server, Error::Alert(AlertDescription::CertificateUnknown)), "{server:?}");
}

#[test]
fn a_client_that_is_somebody_else_is_refused() {
    let mut mesh = Mesh::new();
    let peers = vec![PeerName::Exact(GATEWAY.into()), PeerName::Prefix("spiffe://prod/".into())];
    mesh.downstream = Arc::new(DownstreamTls { peers, ..DownstreamTls::clone(&mesh.downstream) });
    let (client, server) = failed(&mesh);
    assert_eq!(server.to_string(), format!("expected the peer {GATEWAY} or spiffe://prod/*, found {FRONT}"));
    // In TLS 1.3 the client is done when the server looks at its certificate: the alert comes as the first record.
    assert!(matches!(client, Error::Alert(AlertDescription::CertificateUnknown)), "{client:?}");
}

#[test]
fn a_certificate_that_ended_is_refused() {
    let authority = Authority::new();
    let (front, cart) = (authority.identity(FRONT, HOUR), authority.identity(CART, Duration::ZERO));
    let (client, server) = failed(&Mesh::with(authority, front, cart));
    assert!(client.to_string().contains("certificate expired"), "{client}");
    assert!(matches!(server, Error::Alert(AlertDescription::CertificateExpired)), "{server:?}");
    let authority = Authority::new();
    let (front, cart) = (authority.identity(FRONT, Duration::ZERO), authority.identity(CART, HOUR));
    let (_, server) = failed(&Mesh::with(authority, front, cart));
    assert!(server.to_string().contains("certificate expired"), "{server}");
}

#[test]
fn a_certificate_of_another_root_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (front, cart) = (authority.identity(FRONT, HOUR), other.identity(CART, HOUR));
    let (client, server) = failed(&Mesh::with(authority, front, cart));
    assert!(matches!(client, Error::Peer(PeerError::Chain(_))) && client.to_string().contains("roots"), "{client}");
    assert!(matches!(server, Error::Alert(_)), "{server:?}");
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let mesh = Mesh::new();
    let mut roots = RootCertStore::empty();
    roots.add(mesh.authority.roots().remove(0)).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(crate::tls::peer::Servers {
            roots: Arc::new(roots),
            names: Arc::new(Names::new(&mesh.upstream.peers)),
            provider: Arc::new(aws_lc_rs::default_provider()),
            proven: Default::default(),
        }))
        .with_no_client_auth();
    let client = ClientConnection::new(Arc::new(config), "cart.shop".try_into().unwrap()).unwrap();
    let (mut client, mut server) = (Buffered::new(client), mesh.server());
    server.receive(&client.sent());
    client.receive(&server.sent());
    server.receive(&client.sent());
    let error = server.error.as_ref().unwrap();
    assert_eq!(error.to_string(), "expected a certificate, found none");
    assert!(!server.out.is_empty(), "no alert");
}

#[test]
fn tls_1_2_is_refused() {
    let mesh = Mesh::new();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let client = ClientConnection::new(Arc::new(config), "cart.shop".try_into().unwrap()).unwrap();
    let (mut client, mut server) = (Buffered::new(client), mesh.server());
    server.receive(&client.sent());
    assert!(matches!(server.error, Some(Error::Protocol(_))), "{:?}", server.error);
    assert_eq!(server.out[..3], [21, 3, 3], "an alert");
}

#[test]
fn a_certificate_with_two_names_or_none_is_refused() {
    let authority = Authority::new();
    let names = Names::new(&[PeerName::Exact(CART.into())]);
    let key = rcgen::KeyPair::generate().unwrap();
    for (uris, found) in [(&[CART, FRONT][..], "2 URI SANs"), (&[], "0 URI SANs"), (&["spiffe://d/x"], "no workload")] {
        let leaf = authority.sign(uris, &key, HOUR).remove(0);
        let error = names.peer(&leaf, SystemTime::now()).unwrap_err().to_string();
        assert!(error.starts_with("expected a workload's certificate, found: ") && error.contains(found), "{error}");
    }
}
