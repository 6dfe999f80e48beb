//! Sessions that go on from earlier ones, and when they must not.

use super::*;

/// Whether the next connection of both goes on from an earlier one, which both sides have to say alike.
fn resumes(mesh: &Mesh) -> bool {
    let (client, server) = joined(mesh.client(), mesh.server());
    assert_eq!(client.session.is_resumed(), server.session.is_resumed());
    assert_eq!((&*client.peer().uri, &*server.peer().uri), (CART, FRONT), "the peer is known in either case");
    client.session.is_resumed()
}

#[test]
fn the_second_connection_to_an_endpoint_goes_on_from_the_first() {
    let mesh = Mesh::new();
    assert!(!resumes(&mesh));
    assert!(resumes(&mesh));
    assert!(resumes(&mesh), "each connection brings the next ticket");
}

#[test]
fn tickets_are_of_one_endpoint() {
    let mesh = Mesh::new();
    assert!(!resumes(&mesh));
    let context = mesh.front.client(&mesh.upstream).unwrap();
    let other = context.connect(([192, 0, 2, 2], 8080).into(), None).unwrap();
    let (client, _) = joined(End::new(other), mesh.server());
    assert!(!client.session.is_resumed());
    assert!(resumes(&mesh));
}

#[test]
fn a_ticket_is_used_once() {
    let mesh = Mesh::new();
    assert!(!resumes(&mesh));
    let (mut first, mut second) = (mesh.client(), mesh.client());
    first.receive(&[]);
    second.receive(&[]);
    assert!(first.out.len() > second.out.len() + 500, "only the first offers it");
}

#[test]
fn a_rotation_of_either_side_ends_resumption_and_no_connection() {
    for rotates_client in [true, false] {
        let mesh = Mesh::new();
        let (mut client, mut server) = joined(mesh.client(), mesh.server());
        let (current, uri) = if rotates_client { (&mesh.front_identity, FRONT) } else { (&mesh.cart_identity, CART) };
        current.publish(mesh.authority.identity(uri, HOUR));
        assert!(!resumes(&mesh), "rotated: {uri}");
        assert!(resumes(&mesh));
        client.session.seal(b"still", &mut client.out).unwrap();
        server.receive(&client.sent());
        assert_eq!(server.got, b"still");
    }
}

#[test]
fn a_change_of_the_roots_ends_resumption() {
    let mesh = Mesh::new();
    assert!(!resumes(&mesh));
    assert!(resumes(&mesh));
    // The server trusts another authority now, which the client's certificate is not of.
    let other = Authority::new();
    mesh.cart_identity.publish(other.identity(CART, HOUR));
    let (mut client, mut server) = (mesh.client(), mesh.server());
    join(&mut client, &mut server, &mut |octets| octets);
    assert!(matches!(client.error, Some(Error::Peer(PeerError::Chain(_)))), "{:?}", client.error);
}

#[test]
fn a_ticket_is_of_no_use_where_others_are_accepted() {
    let mut mesh = Mesh::new();
    assert!(!resumes(&mesh));
    assert!(resumes(&mesh));
    mesh.downstream = downstream(PeerName::Exact(CART.into()));
    let (mut client, mut server) = (mesh.client(), mesh.server());
    join(&mut client, &mut server, &mut |octets| octets);
    assert!(matches!(server.error, Some(Error::Peer(PeerError::Name { .. }))), "{:?}", server.error);
}

#[test]
fn a_certificate_that_ended_since_is_refused_on_resumption() {
    let authority = Authority::new();
    let names = Names::new(&[PeerName::Exact(CART.into())]);
    let leaf = authority.sign(&[CART], &rcgen::KeyPair::generate().unwrap(), HOUR).remove(0);
    let now = SystemTime::now();
    assert_eq!(&*names.peer(&leaf, now).unwrap().uri, CART);
    for at in [now + HOUR, now - 2 * HOUR] {
        let error = names.peer(&leaf, at).unwrap_err().to_string();
        assert!(error.starts_with("expected a certificate that is valid at "), "{error}");
    }
}
