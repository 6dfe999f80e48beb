use std::{
    io::{Read, Write},
    time::UNIX_EPOCH,
};

use byrnie_identity::{Account, SigningRequest, peer_identity};
use rcgen::CertificateParams;
use rustls::{
    ClientConfig, ClientConnection, Error, RootCertStore, ServerConfig, ServerConnection,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ParsedCertificate, WebPkiClientVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn fixture() -> Authority {
    fixture_at(now())
}

fn fixture_at(now: SystemTime) -> Authority {
    Authority::new(Keys::make(&TrustDomain::default(), now).unwrap())
}

fn cart() -> SpiffeId {
    Account::new("shop", "cart").in_domain(&TrustDomain::default())
}

fn parsed<'a>(der: &'a CertificateDer<'static>) -> X509Certificate<'a> {
    X509Certificate::from_der(der).unwrap().1
}

fn at(now: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn store(authority: &Authority) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for root in authority.roots().roots() {
        roots.add(root.clone()).unwrap();
    }
    Arc::new(roots)
}

/// What a server that trusts `authority` says to a client with `chain`.
fn as_client(authority: &Authority, chain: &[CertificateDer<'static>], now: SystemTime) -> Result<(), Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(store(authority), provider()).build().unwrap();
    verifier.verify_client_cert(&chain[0], &chain[1..], at(now)).map(drop)
}

/// What a client that trusts `authority` says to a server with `chain`, of which it knows no host name.
fn as_server(authority: &Authority, chain: &[CertificateDer<'static>], now: SystemTime) -> Result<(), Error> {
    let leaf = ParsedCertificate::try_from(&chain[0]).unwrap();
    let algorithms = provider().signature_verification_algorithms.all;
    rustls::client::verify_server_cert_signed_by_trust_anchor(
        &leaf,
        &store(authority),
        &chain[1..],
        at(now),
        algorithms,
    )
}

#[test]
fn a_leaf_says_who_it_is_in_one_critical_uri_and_nothing_else() {
    let authority = fixture();
    let leaf = authority.leaf(&cart(), now()).unwrap();
    assert_eq!(peer_identity(&leaf.issued.chain[0]), Ok(cart()));
    let certificate = parsed(&leaf.issued.chain[0]);
    assert_eq!(certificate.subject().iter().count(), 0);
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert!(names.critical);
    assert_eq!(names.value.general_names.len(), 1);
    assert!(!certificate.is_ca());
    let usage = certificate.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && !usage.key_cert_sign() && !usage.key_encipherment());
    let extended = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.server_auth && extended.client_auth && !extended.any);
    let seconds = |time: SystemTime| i64::try_from(time.duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    assert_eq!(certificate.validity().not_before.timestamp(), seconds(now()) - 60);
    assert_eq!(certificate.validity().not_after.timestamp(), seconds(now() + LEAF_LIFETIME));
    assert_eq!(leaf.issued.not_after, now() + LEAF_LIFETIME);
}

#[test]
fn no_two_leaves_share_a_serial_or_a_key() {
    let authority = fixture();
    let [one, two] = [(); 2].map(|()| authority.leaf(&cart(), now()).unwrap());
    assert_ne!(parsed(&one.issued.chain[0]).raw_serial(), parsed(&two.issued.chain[0]).raw_serial());
    assert_ne!(one.key.pem(), two.key.pem());
}

#[test]
fn a_leaf_passes_as_client_and_as_server_while_it_lasts() {
    let authority = fixture();
    let chain = authority.leaf(&cart(), now()).unwrap().issued.chain;
    assert_eq!(chain.len(), 2, "the root stays with the peer");
    for time in [now() - Duration::from_secs(59), now(), now() + DAY - Duration::from_secs(1)] {
        as_client(&authority, &chain, time).unwrap();
        as_server(&authority, &chain, time).unwrap();
    }
    for time in [now() - Duration::from_secs(61), now() + DAY + Duration::from_secs(1)] {
        as_client(&authority, &chain, time).unwrap_err();
        as_server(&authority, &chain, time).unwrap_err();
    }
}

#[test]
fn a_leaf_of_another_root_is_refused() {
    let (ours, theirs) = (fixture(), fixture());
    let chain = theirs.leaf(&cart(), now()).unwrap().issued.chain;
    as_client(&ours, &chain, now()).unwrap_err();
    as_server(&ours, &chain, now()).unwrap_err();
    // Nor does our issuer beside their leaf help.
    let mixed = [chain[0].clone(), ours.leaf(&cart(), now()).unwrap().issued.chain[1].clone()];
    as_client(&ours, &mixed, now()).unwrap_err();
}

#[test]
fn a_leaf_cannot_sign_another() {
    let authority = fixture();
    let parent = authority.leaf(&cart(), now()).unwrap();
    let key = KeyPair::try_from(parent.key.der()).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_der(&parent.issued.chain[0], key).unwrap();
    let params = leaf_params(&cart(), &[], Validity::starting(now(), DAY)).unwrap();
    let forged = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
    let chain = [vec![forged.der().clone()], parent.issued.chain].concat();
    as_client(&authority, &chain, now()).unwrap_err();
}

#[test]
fn a_server_leaf_answers_to_its_names_only() {
    let authority = fixture();
    let names = ["byrnie.mesh.svc", "127.0.0.1", "::1"].map(|name| ServerName::try_from(name).unwrap());
    let leaf = authority.server_leaf(&cart(), &names, now()).unwrap();
    assert_eq!(peer_identity(&leaf.issued.chain[0]), Ok(cart()));
    let verifier = WebPkiServerVerifier::builder_with_provider(store(&authority), provider()).build().unwrap();
    let [end, issuer] = &leaf.issued.chain[..] else { panic!("leaf and issuer") };
    let verify = |name: &ServerName<'_>| {
        verifier.verify_server_cert(end, std::slice::from_ref(issuer), name, &[], at(now())).map(drop)
    };
    for name in &names {
        verify(name).unwrap();
    }
    verify(&ServerName::try_from("other.mesh.svc").unwrap()).unwrap_err();
}

#[test]
fn two_workloads_shake_hands_with_their_leaves() {
    // The handshake reads the real clock.
    let time = SystemTime::now();
    let authority = fixture_at(time);
    let name = ServerName::try_from("cart.shop").unwrap();
    let [client, server] = [(); 2].map(|()| authority.server_leaf(&cart(), std::slice::from_ref(&name), time).unwrap());
    let (client_key, server_key) = (client.key.der().clone_key(), server.key.der().clone_key());
    let verifier = WebPkiClientVerifier::builder_with_provider(store(&authority), provider()).build().unwrap();
    let server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(server.issued.chain, PrivateKeyDer::Pkcs8(server_key))
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(store(&authority))
        .with_client_auth_cert(client.issued.chain, PrivateKeyDer::Pkcs8(client_key))
        .unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets().unwrap();
    }
    client.writer().write_all(b"hello").unwrap();
    let mut wire = Vec::new();
    client.write_tls(&mut wire).unwrap();
    server.read_tls(&mut wire.as_slice()).unwrap();
    server.process_new_packets().unwrap();
    let mut heard = [0; 5];
    server.reader().read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    assert_eq!(peer_identity(&server.peer_certificates().unwrap()[0]), Ok(cart()));
}

#[test]
fn renewal_is_at_two_thirds_within_five_percent() {
    for (chance, hours) in [(-1.0, 15.2), (0.0, 16.0), (1.0, 16.8), (99.0, 16.8)] {
        let authority = fixture();
        let leaf = authority.with_jitter(move || chance).leaf(&cart(), now()).unwrap();
        let after = leaf.issued.renew_at.duration_since(now()).unwrap().as_secs_f64() / 3600.0;
        assert!((after - hours).abs() < 0.001, "{chance}: {after} h");
    }
}

#[test]
fn the_systems_chance_stays_within_its_bounds_and_varies() {
    let drawn: Vec<_> = (0..100).map(|_| system_jitter()).collect();
    assert!(drawn.iter().all(|chance| (-1.0..=1.0).contains(chance)));
    assert!(drawn.iter().any(|chance| *chance < 0.0) && drawn.iter().any(|chance| *chance > 0.0));
}

#[test]
fn a_leaf_never_outlives_its_issuer() {
    let authority = fixture();
    let end = now() + 365 * DAY;
    let late = authority.leaf(&cart(), end - Duration::from_secs(3600)).unwrap();
    assert_eq!(late.issued.not_after, end);
    assert!(late.issued.renew_at < end);
    for time in [end, end + DAY] {
        assert!(matches!(authority.leaf(&cart(), time), Err(IssueError::IssuerEnded(_))));
    }
}

#[test]
fn a_wish_for_a_longer_life_is_cut_and_for_a_shorter_one_granted() {
    let authority = fixture();
    let request = CertificateParams::default().serialize_request(&KeyPair::generate().unwrap()).unwrap();
    let request = SigningRequest::parse(request.der()).unwrap();
    let lasts = |authority: &Authority, wish: Option<u64>| {
        let issued = authority.issue(&cart(), &[], request.public_key(), wish.map(Duration::from_secs), now()).unwrap();
        assert_eq!(parsed(&issued.chain[0]).public_key().raw, request.public_key().spki().as_ref());
        issued.not_after.duration_since(now()).unwrap().as_secs()
    };
    assert_eq!(lasts(&authority, None), 86_400);
    assert_eq!(lasts(&authority, Some(u64::MAX)), 86_400);
    assert_eq!(lasts(&authority, Some(90)), 90);
    let authority = authority.with_lifetime(Duration::from_secs(60));
    assert_eq!((lasts(&authority, None), lasts(&authority, Some(90))), (60, 60));
}

#[test]
fn an_identity_of_another_domain_is_refused() {
    let authority = fixture();
    let other = Account::new("shop", "cart").in_domain(&"prod".parse().unwrap());
    let error = authority.leaf(&other, now()).unwrap_err().to_string();
    assert_eq!(error, "spiffe://prod/ns/shop/sa/cart is not of the trust domain cluster.local");
}

#[test]
fn pem_and_der_hold_the_same() {
    let authority = fixture();
    let leaf = authority.leaf(&cart(), now()).unwrap();
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(leaf.issued.chain_pem().as_bytes()).map(Result::unwrap).collect();
    assert_eq!(chain, leaf.issued.chain);
    let key = KeyPair::from_pem(&leaf.key.pem()).unwrap();
    assert_eq!(key.subject_public_key_info(), parsed(&chain[0]).public_key().raw);
}

#[test]
fn no_debug_text_holds_a_key() {
    let authority = fixture();
    let leaf = authority.leaf(&cart(), now()).unwrap();
    assert_eq!(format!("{:?}", leaf.key), "[redacted]");
    for text in [format!("{leaf:?}"), format!("{authority:?}")] {
        let bytes = format!("{:?}", leaf.key.der().secret_pkcs8_der());
        assert!(!text.contains("PRIVATE KEY") && !text.contains(bytes.trim_matches(['[', ']'])), "{text}");
    }
}

fn chain(authority: &Authority, now: SystemTime) -> Vec<CertificateDer<'static>> {
    authority.leaf(&cart(), now).unwrap().issued.chain
}

#[test]
fn a_renewed_issuer_signs_from_then_on_and_old_leaves_still_pass() {
    let authority = fixture();
    let due = now() + 244 * DAY;
    let old = chain(&authority, due);
    let renewed = authority.keys().renewed(due).unwrap().unwrap();
    assert!(!authority.replace(renewed, due).unwrap(), "the root is the same");
    let new = chain(&authority, due);
    assert_ne!(old[1], new[1]);
    for chain in [old, new] {
        as_client(&authority, &chain, due).unwrap();
    }
}

#[test]
fn after_a_change_of_the_root_old_leaves_pass_until_the_last_has_ended() {
    let authority = fixture();
    let (follow, old_root) = (authority.follow_roots(), authority.roots());
    let mut old = Vec::new();
    for hours in [0, 23] {
        old.push(chain(&authority, now() + hours * DAY / 24));
    }
    let then = now() + 23 * DAY / 24;
    let keys = Keys::make(&TrustDomain::default(), now()).unwrap();
    assert!(authority.replace(keys.clone(), then).unwrap());
    assert!(!authority.replace(keys.clone(), then).unwrap(), "the same once more");
    assert!(follow.has_changed().unwrap());
    assert_eq!(authority.roots().roots(), [keys.roots().roots(), old_root.roots()].concat());
    old.push(chain(&authority, then));
    for chain in &old {
        as_client(&authority, chain, then).unwrap();
    }
    let last = then + DAY;
    assert!(!authority.forget_former_roots(last));
    as_client(&authority, &old[1], last).unwrap();
    let mut follow = authority.follow_roots();
    assert!(authority.forget_former_roots(last + 2 * CLOCK_SKEW));
    assert!(!authority.forget_former_roots(last + 2 * CLOCK_SKEW));
    assert_eq!(*follow.borrow_and_update(), *keys.roots());
}

#[test]
fn a_root_that_comes_back_is_there_once_and_stays() {
    let authority = fixture();
    let (first, second) = (authority.keys(), Keys::make(&TrustDomain::default(), now()).unwrap());
    authority.replace(second.clone(), now()).unwrap();
    assert!(authority.replace((*first).clone(), now() + DAY / 2).unwrap(), "the order is another");
    assert_eq!(authority.roots().roots(), [first.roots().roots(), second.roots().roots()].concat());
    authority.forget_former_roots(now() + 2 * DAY);
    assert_eq!(authority.roots(), *first.roots());
}

#[test]
fn keys_of_another_trust_domain_never_replace_ours() {
    let authority = fixture();
    let error = authority.replace(Keys::make(&"prod".parse().unwrap(), now()).unwrap(), now()).unwrap_err();
    assert_eq!(error.to_string(), "the keys are of the trust domain prod, not of cluster.local");
    chain(&authority, now());
}

#[test]
fn leaves_that_are_issued_while_keys_are_replaced_pass_with_the_roots_that_are_read_after() {
    let authority = fixture();
    let keys: Vec<_> = (0..20).map(|_| Keys::make(&TrustDomain::default(), now()).unwrap()).collect();
    std::thread::scope(|scope| {
        let issuing: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let chain = chain(&authority, now());
                        as_client(&authority, &chain, now()).unwrap();
                    }
                })
            })
            .collect();
        for keys in keys {
            authority.replace(keys, now()).unwrap();
        }
        issuing.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(authority.roots().roots().len(), 21);
}

#[tokio::test(start_paused = true)]
async fn a_running_authority_forgets_former_roots_by_the_clock() {
    let authority = Arc::new(fixture());
    let began = tokio::time::Instant::now();
    authority.replace(Keys::make(&TrustDomain::default(), now()).unwrap(), now()).unwrap();
    let mut follow = authority.follow_roots();
    let clock: Clock = Arc::new(move || now() + began.elapsed());
    tokio::select! {
        () = authority.clone().keep_roots(clock) => unreachable!("it runs until it is dropped"),
        changed = follow.changed() => changed.unwrap(),
    }
    assert!(began.elapsed() > DAY && began.elapsed() < DAY + Duration::from_secs(180));
    assert_eq!(authority.roots().roots().len(), 1);
}
