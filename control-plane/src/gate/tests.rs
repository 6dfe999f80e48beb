use std::time::{Duration, SystemTime};

use byrnie_ca::{Keys, SigningService};
use byrnie_identity::peer_identity;
use byrnie_model::{Capture, ObjectKind, Origin, Update, Workload, World};
use byrnie_proto::ca::{SignRequest, certificate_authority_client::CertificateAuthorityClient};
use byrnie_runtime::shutdown::Drain;
use byrnie_snapshot::{Client, Dialect};
use rcgen::{CertificateParams, KeyPair};
use tokio::net::TcpListener;
use tonic::{
    Code,
    transport::{Certificate, Channel, ClientTlsConfig, Identity, Server as Grpc},
};

use super::*;
use crate::{
    current::State,
    reviews::Review,
    tls::{
        ServerCertificate,
        tests::{self as tls, connection, leaf},
    },
};

/// An API server that knows tokens of the form `POD UID ACCOUNT`.
struct Server;

#[async_trait]
impl Review for Server {
    async fn review(&self, token: &str) -> Result<Reviewed, ReviewError> {
        match token.split(' ').collect::<Vec<_>>()[..] {
            ["away"] => Err(ReviewError::Unavailable("connection refused".to_owned())),
            [pod, uid, account] => Ok(Reviewed {
                namespace: "shop".into(),
                account: account.into(),
                pod: pod.into(),
                pod_uid: uid.into(),
                node: None,
                expires: None,
            }),
            _ => Err(ReviewError::Refused("invalid bearer token".to_owned())),
        }
    }
}

/// What a control plane accepts that follows an API server.
fn bound(join: bool) -> Accepted {
    Accepted::Bound { reviews: Arc::new(Reviews::new(Server, Arc::new(SystemTime::now))), join }
}

fn gate(open: bool) -> TokenGate {
    accepting(Accepted::Join, open)
}

fn accepting(accepted: Accepted, open: bool) -> TokenGate {
    gated(tls::authority(), accepted, open)
}

/// A gate of `authority` over one Pod, `shop/cart-1`.
fn gated(authority: Arc<Authority>, accepted: Accepted, open: bool) -> TokenGate {
    let name = WorkloadName::new("shop", "cart-1");
    let workload = Workload {
        name: name.clone(),
        origin: Origin::of(ObjectKind::Pod, "shop", "cart-1"),
        uid: Some("u-1".into()),
        account: Account::new("shop", "cart"),
        labels: Default::default(),
        ips: Vec::new(),
        zone: None,
        capture: Capture::Redirected { excluded: Vec::new() },
        served: Vec::new(),
    };
    let (world, _) = World::default().apply([Update::Workload(name, Some(Arc::new(workload)))]);
    let current = Current::default();
    current.store(State { world, ..State::default() });
    TokenGate::new(current, authority, Arc::new(SystemTime::now), own(), accepted, open)
}

/// As which the control plane runs.
fn own() -> Account {
    Account::new("mesh", "byrnie-control-plane")
}

fn cart() -> Account {
    Account::new("shop", "cart")
}

async fn ask(gate: &TokenGate, pod: &str, token: Option<&str>) -> Result<Admission, Status> {
    ask_by(gate, &Extensions::default(), pod, token).await
}

async fn ask_by(
    gate: &TokenGate,
    extensions: &Extensions,
    pod: &str,
    token: Option<&str>,
) -> Result<Admission, Status> {
    let metadata = showing(token);
    let client = Client { workload: WorkloadName::new("shop", pod), dialect: Dialect::Envoy };
    gate.admit(&Caller { metadata: &metadata, extensions, peer: None, client: &client }).await
}

fn showing(token: Option<&str>) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    if let Some(token) = token {
        metadata.insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    metadata
}

fn token(gate: &TokenGate, pod: &str) -> String {
    let subject = format!("shop/{pod}").parse().unwrap();
    let minted = gate.authority.tokens().unwrap().mint(&subject, Duration::from_secs(60), SystemTime::now()).unwrap();
    minted.as_str().to_owned()
}

#[tokio::test]
async fn a_token_opens_the_secrets_of_its_own_pod_and_of_no_other() {
    let gate = gate(true);
    let admission = ask(&gate, "cart-1", Some(&token(&gate, "cart-1"))).await.unwrap();
    assert_eq!(admission.secrets.unwrap(), Account::new("shop", "cart"));
    let refused = ask(&gate, "cart-1", Some(&token(&gate, "other"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("shop/other") && refused.message().contains("shop/cart-1"));
}

#[tokio::test]
async fn without_a_token_an_open_gate_lets_discover_but_shows_no_secret() {
    let open = gate(true);
    assert!(
        ask(&open, "cart-1", None).await.unwrap().secrets.unwrap_err().contains("byrnie token --workload shop/cart-1")
    );
    let closed = gate(false);
    assert_eq!(ask(&closed, "cart-1", None).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_bad_token_is_never_taken_for_none() {
    let gate = gate(true);
    assert_eq!(ask(&gate, "cart-1", Some("nonsense")).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_pod_that_is_not_there_is_not_found() {
    let gate = gate(true);
    assert_eq!(ask(&gate, "ghost", None).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(ask(&gate, "ghost", Some(&token(&gate, "ghost"))).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_bound_token_opens_the_secrets_of_just_the_pod_it_was_made_for() {
    let gate = accepting(bound(false), false);
    let admission = ask(&gate, "cart-1", Some("cart-1 u-1 cart")).await.unwrap();
    assert_eq!(admission.secrets.unwrap(), Account::new("shop", "cart"));
    for (token, code, words) in [
        ("other-1 u-2 cart", Code::PermissionDenied, "speaks for shop/other-1, node.id for shop/cart-1"),
        ("cart-1 u-1 admin", Code::PermissionDenied, "of the ServiceAccount shop/admin, the Pod shop/cart-1 runs as"),
        ("cart-1 u-0 cart", Code::PermissionDenied, "with the uid u-0, the one that is there has u-1"),
        ("nonsense", Code::Unauthenticated, "refuses it: invalid bearer token; a ServiceAccount token of the audience"),
        ("away", Code::Unavailable, "cannot be reviewed now"),
    ] {
        let refused = ask(&gate, "cart-1", Some(token)).await.unwrap_err();
        assert_eq!(refused.code(), code, "{token}: {refused}");
        assert!(refused.message().contains(words), "{token}: {refused}");
    }
    assert_eq!(ask(&gate, "cart-1", None).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_bound_token_buys_a_certificate_for_its_pods_account_alone() {
    let gate = accepting(bound(false), true);
    let sign = async |token: &str| gate.authenticate(&showing(Some(token)), &Extensions::default()).await;
    assert_eq!(sign("cart-1 u-1 cart").await.unwrap(), Account::new("shop", "cart"));
    assert_eq!(sign("cart-1 u-1 admin").await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(sign("ghost u-1 cart").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn join_tokens_are_accepted_beside_bound_ones_only_where_that_is_wished() {
    let gate = accepting(bound(true), false);
    assert!(ask(&gate, "cart-1", Some(&token(&gate, "cart-1"))).await.is_ok());
    assert!(ask(&gate, "cart-1", Some("cart-1 u-1 cart")).await.is_ok());
    let gate = accepting(bound(false), false);
    let refused = ask(&gate, "cart-1", Some(&token(&gate, "cart-1"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_join_token_that_has_expired_is_told_as_that_and_not_reviewed() {
    let gate = accepting(bound(true), false);
    let subject = "shop/cart-1".parse().unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    let expired = gate.authority.tokens().unwrap().mint(&subject, Duration::from_secs(60), long_ago).unwrap();
    let refused = ask(&gate, "cart-1", Some(expired.as_str())).await.unwrap_err();
    assert!(refused.message().contains("the token expired 59 min ago"), "{refused}");
}

/// A gate that accepts bound tokens, and the extensions of a call whose connection shows a certificate of `account`.
async fn certified(account: &Account) -> (TokenGate, Extensions) {
    let authority = tls::authority();
    let shown = connection(&authority, Some(leaf(&authority, account))).await.unwrap();
    (gated(authority, bound(false), false), shown)
}

#[tokio::test]
async fn a_certificate_opens_the_pods_of_its_account_and_no_other() {
    let (gate, shown) = certified(&cart()).await;
    assert_eq!(ask_by(&gate, &shown, "cart-1", None).await.unwrap().secrets.unwrap(), cart());
    assert_eq!(ask_by(&gate, &shown, "ghost", None).await.unwrap_err().code(), Code::NotFound);
    let (gate, shown) = certified(&Account::new("shop", "admin")).await;
    let refused = ask_by(&gate, &shown, "cart-1", None).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("of shop/admin, the Pod shop/cart-1 that node.id names runs as shop/cart"));
}

#[tokio::test]
async fn a_connection_without_a_certificate_needs_a_token() {
    let authority = tls::authority();
    let plain = connection(&authority, None).await.unwrap();
    let gate = gated(authority, bound(false), false);
    assert_eq!(ask_by(&gate, &plain, "cart-1", None).await.unwrap_err().code(), Code::Unauthenticated);
    assert!(ask_by(&gate, &plain, "cart-1", Some("cart-1 u-1 cart")).await.is_ok());
}

#[tokio::test]
async fn a_bad_token_is_refused_whatever_the_certificate() {
    let (gate, shown) = certified(&cart()).await;
    let refused = ask_by(&gate, &shown, "cart-1", Some("nonsense")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused = gate.authenticate(&showing(Some("nonsense")), &shown).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_certificate_is_renewed_by_itself_while_a_pod_runs_as_its_account() {
    let (gate, shown) = certified(&cart()).await;
    assert_eq!(gate.authenticate(&MetadataMap::new(), &shown).await.unwrap(), cart());
    let (gate, shown) = certified(&Account::new("shop", "gone")).await;
    let refused = gate.authenticate(&MetadataMap::new(), &shown).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("shop/gone, as which no Pod of the mesh runs"), "{refused}");
}

#[tokio::test]
async fn a_connection_that_outlives_its_certificate_proves_nothing_more() {
    let (gate, shown) = certified(&cart()).await;
    let late = TokenGate { clock: Arc::new(|| SystemTime::now() + Duration::from_secs(25 * 3600)), ..gate };
    let refused = ask_by(&late, &shown, "cart-1", None).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("the certificate of this connection ended 3600 s ago"), "{refused}");
    let refused = late.authenticate(&MetadataMap::new(), &shown).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_certificate_of_another_trust_domain_under_the_same_roots_is_denied() {
    let (_, shown) = certified(&cart()).await;
    let prod = Keys::make(&"prod".parse().unwrap(), SystemTime::now()).unwrap();
    let gate = gated(Arc::new(Authority::new(prod)), bound(false), false);
    let refused = ask_by(&gate, &shown, "cart-1", None).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("the trust domain prod is accepted"), "{refused}");
    assert!(!gate.is_control_plane(&shown));
}

#[tokio::test]
async fn only_the_certificate_of_its_own_account_tells_the_control_plane() {
    let (gate, shown) = certified(&own()).await;
    assert!(gate.is_control_plane(&shown));
    assert!(!gate.is_control_plane(&Extensions::default()));
    for other in [cart(), Account::new("shop", own().name()), Account::new(own().namespace(), "default")] {
        let (gate, shown) = certified(&other).await;
        assert!(!gate.is_control_plane(&shown), "{other}");
    }
}

#[tokio::test]
async fn a_workload_renews_its_certificate_over_the_wire_by_the_one_it_has() {
    let authority = tls::authority();
    let gate = gated(Arc::clone(&authority), bound(false), false);
    let clock: Clock = Arc::new(SystemTime::now);
    let names = ["byrnie-control-plane".to_owned()];
    let loopback = [127, 0, 0, 1].into();
    let (certificate, _) =
        ServerCertificate::issue(Arc::clone(&authority), Arc::clone(&clock), own(), loopback, &names).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let drain = Drain::new();
    let incoming = certificate.accept(listener, &drain.watch()).unwrap();
    let signing = SigningService::new(Arc::clone(&authority), gate, clock).into_server();
    let server = tokio::spawn(Grpc::builder().add_service(signing).serve_with_incoming(incoming));

    let leaf = authority.leaf(&cart().in_domain(authority.trust_domain()), SystemTime::now()).unwrap();
    let trusting = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(authority.roots().pem()))
        .domain_name("byrnie-control-plane");
    let showing = trusting.clone().identity(Identity::from_pem(leaf.issued.chain_pem(), leaf.key.pem()));
    let key = KeyPair::generate().unwrap();
    let csr_der = CertificateParams::default().serialize_request(&key).unwrap().der().to_vec();
    for (tls, expected) in
        [(showing, Ok("spiffe://cluster.local/ns/shop/sa/cart")), (trusting, Err(Code::Unauthenticated))]
    {
        let channel = Channel::from_shared(address.clone()).unwrap().tls_config(tls).unwrap().connect().await.unwrap();
        let request = SignRequest { csr_der: csr_der.clone(), ttl_seconds: 0 };
        let signed = CertificateAuthorityClient::new(channel).sign(request).await.map_err(|status| status.code());
        let id = signed.map(|signed| peer_identity(&signed.into_inner().chain_der[0]).unwrap().to_string());
        assert_eq!(id, expected.map(str::to_owned));
    }
    server.abort();
}
