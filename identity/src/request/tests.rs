use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair, RsaKeySize, SanType, SignatureAlgorithm};

use super::*;

const ID: &str = "spiffe://cluster.local/ns/shop/sa/cart";

fn request(key: &KeyPair) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.subject_alt_names.push(SanType::URI(ID.try_into().unwrap()));
    params.serialize_request(key).unwrap().der().to_vec()
}

fn key(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).unwrap()
}

#[test]
fn every_accepted_kind_of_key_passes_with_the_uri_it_asks_for() {
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let keys =
        [key(&rcgen::PKCS_ECDSA_P256_SHA256), key(&rcgen::PKCS_ECDSA_P384_SHA384), key(&rcgen::PKCS_ED25519), rsa];
    for key in &keys {
        use rcgen::PublicKeyData;
        let request = SigningRequest::parse(&request(key)).unwrap();
        assert_eq!(request.public_key().spki().as_ref(), key.subject_public_key_info(), "{:?}", key.algorithm());
        assert_eq!(request.uris(), [ID]);
    }
}

#[test]
fn a_key_of_another_curve_is_refused_and_named() {
    let error = SigningRequest::parse(&request(&key(&rcgen::PKCS_ECDSA_P521_SHA512))).unwrap_err();
    assert!(matches!(error, RequestError::Key(_)), "{error}");
    assert!(error.to_string().contains("1.3.132.0.35"), "{error}");
}

#[test]
fn a_request_signed_by_another_key_is_refused() {
    let (mine, other) = (request(&KeyPair::generate().unwrap()), request(&KeyPair::generate().unwrap()));
    let (_, parsed) = X509CertificationRequest::from_der(&other).unwrap();
    let foreign = parsed.certification_request_info.subject_pki.subject_public_key.data.to_vec();
    let (_, parsed) = X509CertificationRequest::from_der(&mine).unwrap();
    let own = parsed.certification_request_info.subject_pki.subject_public_key.data.to_vec();
    let at = mine.windows(own.len()).position(|window| window == own).unwrap();
    let mut forged = mine.clone();
    forged[at..at + own.len()].copy_from_slice(&foreign);
    assert_eq!(SigningRequest::parse(&forged), Err(RequestError::Signature));
}

#[test]
fn what_is_too_long_or_no_request_is_refused() {
    assert_eq!(SigningRequest::parse(&vec![0x30; 16 * 1024 + 1]), Err(RequestError::TooLong(16 * 1024 + 1)));
    assert!(matches!(SigningRequest::parse(b""), Err(RequestError::Unreadable(_))));
    let mut long = request(&KeyPair::generate().unwrap());
    long.push(0);
    assert!(matches!(SigningRequest::parse(&long), Err(RequestError::Unreadable(_))));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = SigningRequest::parse(&bytes);
    }
}

/// Every byte and every change of it: what a sampled test finds one day in ten it does not find on the others. The
/// envelope around what is signed is no part of it (RFC 2986, section 4.2), and its reader does not mind every tag.
#[test]
fn a_request_with_any_byte_changed_is_refused_or_means_the_same() {
    let der = request(&key(&rcgen::PKCS_ED25519));
    let meant = SigningRequest::parse(&der).unwrap();
    let (_, parsed) = X509CertificationRequest::from_der(&der).unwrap();
    let signed = parsed.certification_request_info.raw;
    let start = der.windows(signed.len()).position(|window| window == signed).unwrap();
    let signed = start..start + signed.len();
    for at in 0..der.len() {
        for flip in 1..=u8::MAX {
            let mut changed = der.clone();
            changed[at] ^= flip;
            match SigningRequest::parse(&changed) {
                Ok(read) => assert!(read == meant && !signed.contains(&at), "byte {at}: {flip:#x}"),
                Err(_) => continue,
            }
        }
    }
}
