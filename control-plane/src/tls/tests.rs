use byrnie_ca::{Keys, PrivateKey};
use byrnie_identity::{SpiffeId, TrustDomain, certificate_end};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tonic::{
    Extensions,
    transport::server::{Connected, TcpConnectInfo, TlsConnectInfo},
};

use super::*;

/// A certificate that a client shows, with its key.
pub(crate) struct Shown {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivatePkcs8KeyDer<'static>,
}

impl From<Leaf> for Shown {
    fn from(Leaf { issued, key }: Leaf) -> Self {
        Self { chain: issued.chain, key: PrivateKey::der(&key).clone_key() }
    }
}

/// An authority of the trust domain `cluster.local`.
pub(crate) fn authority() -> Arc<Authority> {
    Arc::new(Authority::new(Keys::make(&TrustDomain::default(), SystemTime::now()).unwrap()))
}

/// A leaf of `authority` for `account`.
pub(crate) fn leaf(authority: &Authority, account: &Account) -> Shown {
    authority.leaf(&account.in_domain(authority.trust_domain()), SystemTime::now()).unwrap().into()
}

/// What a call finds in its extensions on a connection to the xDS port of `authority`, if that stands.
pub(crate) async fn connection(authority: &Arc<Authority>, shown: Option<Shown>) -> std::io::Result<Extensions> {
    let (certificate, _) = issue(authority, &["byrnie-control-plane".to_owned()]).unwrap();
    let config = Arc::new(certificate.config().unwrap());
    let stream = handshake(&config, authority, shown).await?;
    let mut extensions = Extensions::default();
    extensions.insert(stream.connect_info());
    Ok(extensions)
}

fn issue(
    authority: &Arc<Authority>,
    names: &[String],
) -> Result<(Arc<ServerCertificate>, SystemTime), CertificateError> {
    let account = Account::new("mesh", "byrnie-control-plane");
    ServerCertificate::issue(Arc::clone(authority), Arc::new(SystemTime::now), account, [192, 0, 2, 1].into(), names)
}

/// The server's end of a connection by a client that trusts `authority`.
async fn handshake(
    server: &Arc<ServerConfig>,
    authority: &Authority,
    shown: Option<Shown>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let connector = TlsConnector::from(Arc::new(client(authority, shown)));
    let name = ServerName::try_from("byrnie-control-plane").unwrap();
    let (outgoing, incoming) = tokio::join!(TcpStream::connect(listener.local_addr()?), listener.accept());
    let acceptor = TlsAcceptor::from(Arc::clone(server));
    let (client, server) = tokio::join!(connector.connect(name, outgoing?), acceptor.accept(incoming?.0));
    let server = server?;
    client?;
    Ok(server)
}

fn client(authority: &Authority, shown: Option<Shown>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authority.roots().roots().iter().cloned());
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    match shown {
        None => config.with_no_client_auth(),
        Some(Shown { chain, key }) => config.with_client_auth_cert(chain, PrivateKeyDer::Pkcs8(key)).unwrap(),
    }
}

fn cart() -> Account {
    Account::new("shop", "cart")
}

/// A certificate with these URIs, by the issuer of `keys`.
fn with_uris(keys: &Keys, uris: &[&str]) -> Shown {
    let texts = keys.texts();
    let key = KeyPair::from_pem(std::str::from_utf8(&texts["issuer.pem"]).unwrap()).unwrap();
    let authority = Authority::new(keys.clone());
    let issuer = leaf(&authority, &cart()).chain.remove(1);
    let mut params = CertificateParams::default();
    params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let own = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&own, &Issuer::from_ca_cert_der(&issuer, key).unwrap()).unwrap();
    Shown { chain: vec![leaf.der().clone(), issuer], key: own.serialize_der().into() }
}

fn peer(extensions: &Extensions) -> &TlsConnectInfo<TcpConnectInfo> {
    extensions.get().unwrap()
}

#[tokio::test]
async fn a_client_shows_a_certificate_of_the_mesh_or_none() {
    let authority = authority();
    let without = connection(&authority, None).await.unwrap();
    assert!(peer(&without).peer_certs().is_none());
    let shown = leaf(&authority, &cart());
    let chain = shown.chain.clone();
    let with = connection(&authority, Some(shown)).await.unwrap();
    assert_eq!(*peer(&with).peer_certs().unwrap(), chain);
    assert!(peer(&with).get_ref().remote_addr().unwrap().ip().is_loopback());
}

#[tokio::test]
async fn a_certificate_that_is_not_of_the_mesh_ends_the_handshake() {
    let keys = Keys::make(&TrustDomain::default(), SystemTime::now()).unwrap();
    let (ours, id) = (Arc::new(Authority::new(keys.clone())), "spiffe://cluster.local/ns/shop/sa/cart");
    connection(&ours, Some(with_uris(&keys, &[id]))).await.unwrap();
    let expired = ours.leaf(&id.parse::<SpiffeId>().unwrap(), SystemTime::now() - Duration::from_secs(48 * 3600));
    let cases = [
        (leaf(&authority(), &cart()), "invalid peer certificate: UnknownIssuer"),
        (expired.unwrap().into(), "invalid peer certificate: Expired"),
        (with_uris(&keys, &[id, id]), "the certificate has 2 URI SANs"),
        (with_uris(&keys, &["https://shop.example"]), "is no workload identity"),
        (with_uris(&keys, &[]), "the certificate has 0 URI SANs"),
    ];
    for (shown, wanted) in cases {
        let error = connection(&ours, Some(shown)).await.map(drop).unwrap_err().to_string();
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
}

#[tokio::test]
async fn clients_are_verified_by_the_roots_of_the_moment() {
    let authority = authority();
    let (certificate, _) = issue(&authority, &["byrnie-control-plane".to_owned()]).unwrap();
    let config = Arc::new(certificate.config().unwrap());
    let (old, next) = (leaf(&authority, &cart()), Keys::make(&TrustDomain::default(), SystemTime::now()).unwrap());
    let early = leaf(&Authority::new(next.clone()), &cart());
    assert!(handshake(&config, &authority, Some(early)).await.is_err());
    authority.replace(next, SystemTime::now()).unwrap();
    for shown in [old, leaf(&authority, &cart())] {
        handshake(&config, &authority, Some(shown)).await.unwrap();
    }
}

#[tokio::test]
async fn a_session_is_never_resumed_for_its_certificate_would_not_be_verified_again() {
    let authority = authority();
    let (certificate, _) = issue(&authority, &["byrnie-control-plane".to_owned()]).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(certificate.config().unwrap()));
    let connector = TlsConnector::from(Arc::new(client(&authority, Some(leaf(&authority, &cart())))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for _ in 0..2 {
        let outgoing = TcpStream::connect(listener.local_addr().unwrap());
        let (outgoing, incoming) = tokio::join!(outgoing, listener.accept());
        let name = ServerName::try_from("byrnie-control-plane").unwrap();
        let (client, server) =
            tokio::join!(connector.connect(name, outgoing.unwrap()), acceptor.accept(incoming.unwrap().0));
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        assert_eq!(server.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full));
        // A ticket would come with the first bytes.
        server.write_all(b"!").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'!');
    }
}

#[test]
fn the_certificate_is_of_the_given_account_and_answers_to_the_given_names() {
    let authority = authority();
    let names = ["byrnie-control-plane.mesh.svc", "192.0.2.7"].map(str::to_owned);
    let (certificate, renew_at) = issue(&authority, &names).unwrap();
    let served = certificate.current.load();
    let id = byrnie_identity::peer_identity(&served.cert[0]).unwrap();
    assert_eq!(id.to_string(), "spiffe://cluster.local/ns/mesh/sa/byrnie-control-plane");
    assert!(renew_at < certificate_end(&served.cert[0]).unwrap());
    let leaf = rustls::server::ParsedCertificate::try_from(&served.cert[0]).unwrap();
    for name in ["byrnie-control-plane.mesh.svc", "192.0.2.7", "192.0.2.1", "localhost"] {
        rustls::client::verify_server_name(&leaf, &ServerName::try_from(name).unwrap()).unwrap();
    }
    let error = issue(&authority, &["no name".to_owned()]).unwrap_err().to_string();
    assert_eq!(error, "\"no name\" is no name of a server: a DNS name or an IP address is accepted");
}

#[tokio::test(start_paused = true)]
async fn the_certificate_is_renewed_while_the_process_runs() {
    let start = SystemTime::now();
    let (began, authority) = (tokio::time::Instant::now(), authority());
    let clock: Clock = Arc::new(move || start + began.elapsed());
    let account = Account::new("mesh", "byrnie-control-plane");
    let (certificate, renew_at) =
        ServerCertificate::issue(authority, clock, account, [192, 0, 2, 1].into(), &[]).unwrap();
    let first = certificate.current.load_full();
    let keeper = tokio::spawn(Arc::clone(&certificate).keep(renew_at));
    tokio::time::sleep(Duration::from_secs(12 * 3600)).await;
    assert!(Arc::ptr_eq(&first, &certificate.current.load()), "renewed before two thirds of a day");
    tokio::time::sleep(Duration::from_secs(6 * 3600)).await;
    assert!(!Arc::ptr_eq(&first, &certificate.current.load()), "not renewed after 18 h");
    keeper.abort();
}
