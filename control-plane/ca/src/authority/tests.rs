use std::{
    io::{Read, Write},
    sync::atomic::{AtomicBool, Ordering},
    time::UNIX_EPOCH,
};

use byrnie_identity::{Account, SigningRequest, peer_identity};
use rustls::{
    ClientConfig, ClientConnection, Error, RootCertStore, ServerConfig, ServerConnection,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ParsedCertificate, WebPkiClientVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject};
use tempfile::TempDir;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

struct Fixture {
    authority: Authority,
    _dir: TempDir,
}

fn fixture() -> Fixture {
    fixture_at(now())
}

fn fixture_at(now: SystemTime) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path(), &TrustDomain::default(), now).unwrap();
    Fixture { authority: Authority::new(state), _dir: dir }
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
    let Fixture { authority, _dir } = fixture();
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
    let Fixture { authority, _dir } = fixture();
    let [one, two] = [(); 2].map(|()| authority.leaf(&cart(), now()).unwrap());
    assert_ne!(parsed(&one.issued.chain[0]).raw_serial(), parsed(&two.issued.chain[0]).raw_serial());
    assert_ne!(one.key.pem(), two.key.pem());
}

#[test]
fn a_leaf_passes_as_client_and_as_server_while_it_lasts() {
    let Fixture { authority, _dir } = fixture();
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
    let chain = theirs.authority.leaf(&cart(), now()).unwrap().issued.chain;
    as_client(&ours.authority, &chain, now()).unwrap_err();
    as_server(&ours.authority, &chain, now()).unwrap_err();
    // Nor does our issuer beside their leaf help.
    let mixed = [chain[0].clone(), ours.authority.leaf(&cart(), now()).unwrap().issued.chain[1].clone()];
    as_client(&ours.authority, &mixed, now()).unwrap_err();
}

#[test]
fn a_leaf_cannot_sign_another() {
    let Fixture { authority, _dir } = fixture();
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
    let Fixture { authority, _dir } = fixture();
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
    let Fixture { authority, _dir } = fixture_at(time);
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
        let Fixture { authority, _dir } = fixture();
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
    let Fixture { authority, _dir } = fixture();
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
    let Fixture { authority, _dir } = fixture();
    let request = CertificateParams::default().serialize_request(&KeyPair::generate().unwrap()).unwrap();
    let request = SigningRequest::parse(request.der()).unwrap();
    let lasts = |authority: &Authority, wish: Option<u64>| {
        let issued = authority.issue(&cart(), request.public_key(), wish.map(Duration::from_secs), now()).unwrap();
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
    let Fixture { authority, _dir } = fixture();
    let other = Account::new("shop", "cart").in_domain(&"prod".parse().unwrap());
    let error = authority.leaf(&other, now()).unwrap_err().to_string();
    assert_eq!(error, "spiffe://prod/ns/shop/sa/cart is not of the trust domain cluster.local");
}

#[test]
fn pem_and_der_hold_the_same() {
    let Fixture { authority, _dir } = fixture();
    let leaf = authority.leaf(&cart(), now()).unwrap();
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(leaf.issued.chain_pem().as_bytes()).map(Result::unwrap).collect();
    assert_eq!(chain, leaf.issued.chain);
    let key = KeyPair::from_pem(&leaf.key.pem()).unwrap();
    assert_eq!(key.subject_public_key_info(), parsed(&chain[0]).public_key().raw);
}

#[test]
fn no_debug_text_holds_a_key() {
    let Fixture { authority, _dir } = fixture();
    let leaf = authority.leaf(&cart(), now()).unwrap();
    assert_eq!(format!("{:?}", leaf.key), "[redacted]");
    for text in [format!("{leaf:?}"), format!("{authority:?}")] {
        let bytes = format!("{:?}", leaf.key.der().secret_pkcs8_der());
        assert!(!text.contains("PRIVATE KEY") && !text.contains(bytes.trim_matches(['[', ']'])), "{text}");
    }
}

#[test]
fn a_renewed_issuer_signs_from_then_on_and_old_leaves_still_pass() {
    let Fixture { authority, _dir } = fixture();
    let day = |days| now() + days * DAY;
    assert!(!authority.renew_issuer(day(243)).unwrap());
    let old = authority.leaf(&cart(), day(244)).unwrap().issued.chain;
    assert!(authority.renew_issuer(day(244)).unwrap());
    assert!(!authority.renew_issuer(day(244)).unwrap());
    let new = authority.leaf(&cart(), day(244)).unwrap().issued.chain;
    assert_ne!(old[1], new[1]);
    for chain in [old, new] {
        as_client(&authority, &chain, day(244)).unwrap();
    }
}

#[tokio::test]
async fn a_running_authority_renews_its_issuer_by_the_clock() {
    let Fixture { authority, _dir } = fixture();
    let authority = Arc::new(authority);
    let before = authority.issuer.load().certificate().clone();
    let asked = Arc::new(AtomicBool::new(false));
    let seen = asked.clone();
    let clock: Clock = Arc::new(move || {
        seen.store(true, Ordering::SeqCst);
        now() + 300 * DAY
    });
    let renewed = async {
        while *authority.issuer.load().certificate() == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = authority.clone().keep_issuer(clock) => unreachable!("it runs until it is dropped"),
        done = tokio::time::timeout(Duration::from_secs(30), renewed) => done.unwrap(),
    }
    assert!(asked.load(Ordering::SeqCst));
}
