use byrnie_identity::{TrustDomain, peer_identity};
use byrnie_proto::ca::certificate_authority_client::CertificateAuthorityClient;
use rcgen::{CertificateParams, KeyPair, PublicKeyData, SanType};
use rustls_pki_types::ServerName;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code,
    transport::{Channel, Server},
};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

use super::*;
use crate::{Keys, TOKEN_LIFETIME, TokenError};

const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// A served authority that knows one workload, `shop/cart-1` of the account `shop/cart`.
struct Served {
    authority: Arc<Authority>,
    client: CertificateAuthorityClient<Channel>,
    token: String,
    server: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn served() -> Served {
    serving(Servers::none()).await
}

async fn serving(servers: Servers) -> Served {
    let keys = Keys::make(&TrustDomain::default(), now()).unwrap();
    let authority = Arc::new(Authority::new(keys).with_jitter(|| 0.0));
    let tokens = authority.tokens().unwrap();
    let token = tokens.mint(&"shop/cart-1".parse().unwrap(), TOKEN_LIFETIME, now()).unwrap();
    let authenticate = move |metadata: &MetadataMap| {
        let refused = |error: TokenError| Status::unauthenticated(error.to_string());
        let workload = tokens.verify(bearer(metadata)?, now()).map_err(refused)?;
        assert_eq!(workload.to_string(), "shop/cart-1");
        Ok(Account::new("shop", "cart"))
    };
    let service =
        SigningService::new(authority.clone(), authenticate, Arc::new(now)).with_servers(servers).into_server();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
    });
    let client = CertificateAuthorityClient::connect(address).await.unwrap();
    Served { authority, client, token: token.as_str().to_owned(), server }
}

impl Served {
    async fn sign(&self, token: &str, csr_der: Vec<u8>, ttl_seconds: u32) -> Result<SignResponse, Status> {
        let mut request = Request::new(SignRequest { csr_der, ttl_seconds });
        if !token.is_empty() {
            request.metadata_mut().insert("authorization", token.parse().unwrap());
        }
        self.client.clone().sign(request).await.map(Response::into_inner)
    }

    async fn signed(&self, csr_der: Vec<u8>, ttl_seconds: u32) -> Result<SignResponse, Status> {
        self.sign(&format!("Bearer {}", self.token), csr_der, ttl_seconds).await
    }
}

fn request(key: &KeyPair, uris: &[&str]) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.subject_alt_names.extend(uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())));
    params.serialize_request(key).unwrap().der().to_vec()
}

#[tokio::test]
async fn a_workload_with_a_token_gets_a_leaf_for_its_own_key() {
    let served = served().await;
    let key = KeyPair::generate().unwrap();
    for uris in [&[][..], &[CART]] {
        let response = served.signed(request(&key, uris), 0).await.unwrap();
        assert_eq!(peer_identity(&response.chain_der[0]).unwrap().to_string(), CART);
        let (_, leaf) = X509Certificate::from_der(&response.chain_der[0]).unwrap();
        assert_eq!(leaf.public_key().raw, key.subject_public_key_info());
        assert_eq!(response.chain_der.len(), 2);
        assert_eq!(response.roots_der, [served.authority.roots().roots()[0].to_vec()]);
        assert_eq!(response.not_after, 1_800_000_000 + 86_400);
        assert_eq!(response.renew_at, 1_800_000_000 + 57_600);
    }
    let short = served.signed(request(&key, &[]), 90).await.unwrap();
    assert_eq!(short.not_after, 1_800_000_090);
}

#[tokio::test]
async fn who_does_not_prove_who_it_is_gets_nothing() {
    let served = served().await;
    let csr = request(&KeyPair::generate().unwrap(), &[]);
    let forged = format!("Bearer {}x", served.token);
    for token in ["", "Bearer", "Bearer ", "Basic abc", "Bearer abc", forged.as_str()] {
        let status = served.sign(token, csr.clone(), 0).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{token}: {status}");
        assert!(!status.message().contains(&served.token[..20]), "{status}");
    }
    // Without proof, not even the request is judged.
    assert_eq!(served.sign("", b"rubbish".to_vec(), 0).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_request_for_another_identity_is_denied() {
    let served = served().await;
    let key = KeyPair::generate().unwrap();
    let other = "spiffe://cluster.local/ns/shop/sa/admin";
    for uris in [&[other][..], &[CART, other], &["spiffe://prod/ns/shop/sa/cart"]] {
        let status = served.signed(request(&key, uris), 0).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
        assert!(status.message().contains(CART), "{status}");
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_honoured_is_an_invalid_argument() {
    let served = served().await;
    let mut broken = request(&KeyPair::generate().unwrap(), &[]);
    *broken.last_mut().unwrap() ^= 1;
    let curve = request(&KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap(), &[]);
    for csr in [Vec::new(), b"rubbish".to_vec(), broken, curve, vec![0x30; SigningRequest::MAX_BYTES + 1]] {
        let status = served.signed(csr, 0).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(!status.message().is_empty());
    }
    let huge = served.signed(vec![0x30; 1 << 20], 0).await.unwrap_err();
    assert_eq!(huge.code(), Code::OutOfRange, "not even read: {huge}");
}

#[tokio::test]
async fn what_a_request_asks_beside_the_identity_is_not_granted() {
    let served = served().await;
    let mut params = CertificateParams::new(vec!["kubernetes.default".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let csr = params.serialize_request(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
    let response = served.signed(csr, 0).await.unwrap();
    let (_, leaf) = X509Certificate::from_der(&response.chain_der[0]).unwrap();
    assert!(!leaf.is_ca() && !leaf.key_usage().unwrap().unwrap().value.key_cert_sign());
    assert_eq!(leaf.subject().iter().count(), 0);
    assert_eq!(leaf.subject_alternative_name().unwrap().unwrap().value.general_names.len(), 1);
}

fn dns_names(response: &SignResponse) -> Vec<String> {
    let (_, leaf) = X509Certificate::from_der(&response.chain_der[0]).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap().value.general_names.iter();
    let dns = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    dns.collect()
}

#[tokio::test]
async fn a_server_is_called_by_its_names_and_nobody_else_is_whatever_is_asked_for() {
    let name = ServerName::try_from("cart.shop.svc").unwrap();
    let csr = |names: &[&str]| {
        let params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.serialize_request(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    };
    for (account, named) in [
        (Account::new("shop", "cart"), true),
        (Account::new("shop", "other"), false),
        (Account::new("other", "cart"), false),
    ] {
        let served = serving(Servers::none().with(account.clone(), vec![name.clone()])).await;
        for asked in [&[][..], &["cart.shop.svc"], &["kubernetes.default.svc"]] {
            let response = served.signed(csr(asked), 0).await.unwrap();
            let wanted = if named { vec!["cart.shop.svc".to_owned()] } else { Vec::new() };
            assert_eq!(dns_names(&response), wanted, "{account} asks for {asked:?}");
            assert_eq!(peer_identity(&response.chain_der[0]).unwrap().to_string(), CART);
        }
    }
}
