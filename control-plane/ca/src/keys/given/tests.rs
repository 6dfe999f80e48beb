use aws_lc_rs::{
    encoding::{AsDer, EcPrivateKeyRfc5915Der},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm},
};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer, KeyUsagePurpose,
};
use x509_parser::der_parser;

use super::*;
use crate::{Authority, IssueError, LEAF_LIFETIME};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// A certificate with its key, and how it is described to rcgen.
struct Made {
    params: CertificateParams,
    key: KeyPair,
    pem: String,
}

impl Made {
    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

/// A CA as cert-manager makes it: no SPIFFE name, good from a day ago for a year.
fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.not_before = (now() - DAY).into();
    params.not_after = (now() + 365 * DAY).into();
    params
}

fn root(params: CertificateParams) -> Made {
    let key = KeyPair::generate().unwrap();
    Made { pem: params.self_signed(&key).unwrap().pem(), params, key }
}

fn signed_with(by: &Made, params: CertificateParams, key: KeyPair) -> Made {
    Made { pem: params.signed_by(&key, &by.issuer()).unwrap().pem(), params, key }
}

fn signed(by: &Made, params: CertificateParams) -> Made {
    signed_with(by, params, KeyPair::generate().unwrap())
}

fn keys(tls_crt: &str, tls_key: &str, ca_crt: &str) -> Result<Keys, KeysError> {
    Keys::of_issuer(&TrustDomain::default(), tls_crt.as_bytes(), tls_key.as_bytes(), ca_crt.as_bytes(), now())
}

fn refused(tls_crt: &str, tls_key: &str, ca_crt: &str) -> String {
    keys(tls_crt, tls_key, ca_crt).unwrap_err().to_string()
}

/// What an issuer of `params` under a good root is told.
fn refused_issuer(params: CertificateParams) -> String {
    let root = root(ca("root"));
    let issuer = signed(&root, params);
    refused(&issuer.pem, &issuer.key_pem(), &root.pem)
}

fn pem(label: &str, der: &[u8]) -> String {
    pem::encode(&pem::Pem::new(label, der))
}

/// The key as `openssl genrsa -traditional` and Go's `x509.MarshalPKCS1PrivateKey` write it: what PKCS #8 wraps.
fn pkcs1(pkcs8: &[u8]) -> Vec<u8> {
    let (_, key) = der_parser::der::parse_der_sequence(pkcs8).unwrap();
    key.as_sequence().unwrap()[2].as_slice().unwrap().to_vec()
}

/// The key as `openssl ecparam -genkey` and Go's `x509.MarshalECPrivateKey` write it, with its curve.
fn sec1(algorithm: &'static EcdsaSigningAlgorithm) -> String {
    let key = EcdsaKeyPair::generate(algorithm).unwrap();
    let der: EcPrivateKeyRfc5915Der<'_> = key.private_key().as_der().unwrap();
    pem("EC PRIVATE KEY", der.as_ref())
}

#[test]
fn every_form_of_key_that_cert_manager_writes_is_read() {
    let root = root(ca("root"));
    let rsa = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let forms = [
        ("PKCS #8, P-256", KeyPair::generate().unwrap().serialize_pem()),
        ("PKCS #8, P-384", KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem()),
        ("PKCS #8, RSA", rsa.serialize_pem()),
        ("PKCS #1", pem("RSA PRIVATE KEY", &pkcs1(&rsa.serialize_der()))),
        ("SEC 1, P-256", sec1(&ECDSA_P256_SHA256_ASN1_SIGNING)),
        ("SEC 1, P-256, its curve before it", parameters.to_owned() + &sec1(&ECDSA_P256_SHA256_ASN1_SIGNING)),
        ("SEC 1, P-384", sec1(&ECDSA_P384_SHA384_ASN1_SIGNING)),
    ];
    for (form, text) in forms {
        let key = KeyPair::try_from(&PrivateKeyDer::from_pem_slice(text.as_bytes()).unwrap()).unwrap();
        let issuer = signed_with(&root, ca("issuer"), key);
        let keys = keys(&issuer.pem, &text, &root.pem).unwrap_or_else(|error| panic!("{form}: {error}"));
        assert_eq!(keys.issuing().chain.len(), 1, "{form}");
        assert!(keys.texts().is_empty() && keys.tokens().is_none() && keys.renew_at().is_none(), "{form}");
    }
}

#[test]
fn leaves_carry_the_issuer_and_what_leads_to_the_root_and_end_with_the_first_of_them() {
    let root = root(ca("root"));
    let mut short = ca("upper");
    short.not_after = (now() + DAY / 2).into();
    let upper = signed(&root, short);
    let issuer = signed(&upper, ca("issuer"));
    for with_root in ["", root.pem.as_str()] {
        let tls_crt = [&issuer.pem, &upper.pem, with_root].concat();
        let authority = Authority::new(keys(&tls_crt, &issuer.key_pem(), &root.pem).unwrap());
        let id = Account::new("shop", "cart").in_domain(authority.trust_domain());
        let leaf = authority.leaf(&id, now()).unwrap().issued;
        let carried: Vec<_> = CertificateDer::pem_slice_iter(tls_crt.as_bytes()).take(2).map(Result::unwrap).collect();
        assert_eq!(leaf.chain[1..], carried);
        assert_eq!(leaf.not_after, now() + DAY / 2);
        let ended = authority.leaf(&id, now() + DAY).unwrap_err();
        assert!(matches!(ended, IssueError::IssuerEnded(_)), "{ended}");
    }
}

#[test]
fn an_issuer_may_be_a_root_itself() {
    let root = root(ca("self-signed"));
    let authority = Authority::new(keys(&root.pem, &root.key_pem(), &root.pem).unwrap());
    let id = Account::new("shop", "cart").in_domain(authority.trust_domain());
    let leaf = authority.leaf(&id, now()).unwrap().issued;
    assert_eq!((leaf.chain.len(), leaf.not_after), (1, now() + LEAF_LIFETIME));
}

#[test]
fn several_roots_are_taken_and_one_of_them_is_enough() {
    let (old, new) = (root(ca("old")), root(ca("new")));
    let issuer = signed(&new, ca("issuer"));
    let keys = keys(&issuer.pem, &issuer.key_pem(), &(old.pem + &new.pem)).unwrap();
    assert_eq!(keys.roots().roots().len(), 2);
}

#[test]
fn a_trust_domain_in_the_issuer_is_ours_or_is_refused() {
    let root = root(ca("root"));
    let named = |uri: &str| {
        let mut params = ca("issuer");
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        let issuer = signed(&root, params);
        keys(&issuer.pem, &issuer.key_pem(), &root.pem)
    };
    named("spiffe://cluster.local").unwrap();
    named("https://ca.example/about").unwrap();
    let error = named("spiffe://prod").unwrap_err().to_string();
    assert_eq!(error, "tls.crt is for spiffe://prod, not for spiffe://cluster.local");
}

#[test]
fn a_key_that_does_not_fit_or_cannot_be_read_is_told_of_tls_key() {
    let root = root(ca("root"));
    let issuer = signed(&root, ca("issuer"));
    let other = KeyPair::generate().unwrap().serialize_pem();
    let ed = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let encrypted = pem("ENCRYPTED PRIVATE KEY", b"...");
    let cases = [
        (other.as_str(), "tls.key is not the key of its certificate"),
        ("", "tls.key holds no key that can be used: ECDSA P-256 or P-384, or RSA"),
        (encrypted.as_str(), "tls.key holds no key that can be used"),
        (&ed.serialize_pem(), "tls.key holds no key that can be used"),
        (&pem("PRIVATE KEY", b"rubbish"), "tls.key holds no key that can be used"),
    ];
    for (key, wanted) in cases {
        let error = refused(&issuer.pem, key, &root.pem);
        assert!(error.starts_with(wanted), "{wanted}: {error}");
        assert!(!key.lines().nth(1).is_some_and(|line| error.contains(line)), "{error}");
    }
}

#[test]
fn roots_that_are_missing_or_of_others_are_told() {
    let (ours, theirs) = (root(ca("root")), root(ca("root")));
    let issuer = signed(&ours, ca("issuer"));
    let leaf = CertificateParams::new(vec!["leaf".to_owned()]).unwrap().self_signed(&issuer.key).unwrap().pem();
    let cases = [
        (String::new(), "ca.crt holds no certificate that can be read"),
        ("-----BEGIN CERTIFICATE-----\n".to_owned(), "ca.crt holds no certificate that can be read"),
        (theirs.pem, "tls.crt is signed by none of the certificates in ca.crt"),
        (leaf.clone(), "ca.crt is no CA certificate"),
        (ours.pem.clone() + &leaf, "ca.crt, certificate 2, is no CA certificate"),
    ];
    for (ca_crt, wanted) in cases {
        let error = refused(&issuer.pem, &issuer.key_pem(), &ca_crt);
        assert!(error.starts_with(wanted), "{wanted}: {error}");
    }
}

#[test]
fn an_issuer_that_may_not_sign_is_told() {
    let mut leaf = ca("leaf");
    leaf.is_ca = IsCa::ExplicitNoCa;
    assert!(refused_issuer(leaf).starts_with("tls.crt is no CA certificate: basicConstraints CA:TRUE"));
    let mut usage = ca("usage");
    usage.key_usages = vec![KeyUsagePurpose::CrlSign];
    assert!(refused_issuer(usage).starts_with("tls.crt is no CA certificate"));
    let mut expired = ca("expired");
    expired.not_after = (now() - DAY / 2).into();
    assert!(refused_issuer(expired).starts_with("tls.crt expired at"));
    let mut early = ca("early");
    early.not_before = (now() + DAY).into();
    assert!(refused_issuer(early).starts_with("tls.crt is not valid before"));
    let mut nameless = ca("nameless");
    nameless.distinguished_name = DistinguishedName::new();
    assert!(refused_issuer(nameless).starts_with("tls.crt has a subject that leaves cannot name"));
    assert!(refused("rubbish", "", "").starts_with("tls.crt holds no certificate"));
}

#[test]
fn what_an_issuer_may_not_sign_for_the_mesh_is_told_by_a_trial() {
    // RFC 5280, section 4.2.1.12: extended usage of e-mail alone.
    let mut mail = ca("mail");
    let usage = [0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x04];
    mail.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 37], usage.to_vec())];
    let error = refused_issuer(mail);
    assert!(error.starts_with("tls.crt cannot issue for the mesh, a leaf of it is refused: "), "{error}");
    // A root below which no further CA may stand.
    let mut narrow = ca("narrow");
    narrow.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let (top, issuer) = (root(ca("top")), ca("issuer"));
    let narrow = signed(&top, narrow);
    let issuer = signed(&narrow, issuer);
    let error = refused(&(issuer.pem.clone() + &narrow.pem), &issuer.key_pem(), &top.pem);
    assert!(error.starts_with("tls.crt cannot issue for the mesh"), "{error}");
}

#[test]
fn a_chain_in_another_order_or_with_a_gap_is_told() {
    let root = root(ca("root"));
    let upper = signed(&root, ca("upper"));
    let lower = signed(&upper, ca("lower"));
    let issuer = signed(&lower, ca("issuer"));
    let told = |chain: &[&Made]| {
        let chain: String = chain.iter().map(|made| made.pem.as_str()).collect();
        refused(&chain, &issuer.key_pem(), &root.pem)
    };
    let order = "tls.crt, certificate 1, is not signed by the certificate after it: the issuer comes first";
    assert!(told(&[&issuer, &upper, &lower]).starts_with(order));
    assert!(told(&[&upper, &lower, &issuer]).starts_with(order));
    assert!(told(&[&issuer, &lower]).starts_with("tls.crt, certificate 2, is signed by none of the certificates"));
    let mut ended = ca("upper");
    ended.not_after = (now() - DAY / 2).into();
    let ended = signed(&root, ended);
    let issuer = signed(&ended, ca("issuer"));
    let error = refused(&(issuer.pem.clone() + &ended.pem), &issuer.key_pem(), &root.pem);
    assert!(error.starts_with("tls.crt, certificate 2, expired at"), "{error}");
}

#[test]
fn a_root_whose_time_is_over_vouches_for_nobody_but_may_stand_beside_its_successor() {
    let mut over = ca("root");
    over.not_after = (now() - DAY / 2).into();
    let key = KeyPair::generate().unwrap();
    let old = Made { pem: over.self_signed(&key).unwrap().pem(), params: over, key };
    let new = ca("root");
    let new = new.self_signed(&old.key).unwrap().pem();
    let issuer = signed(&old, ca("issuer"));
    let error = refused(&issuer.pem, &issuer.key_pem(), &old.pem);
    assert!(error.starts_with("ca.crt expired at"), "{error}");
    keys(&issuer.pem, &issuer.key_pem(), &(old.pem + &new)).unwrap();
}
