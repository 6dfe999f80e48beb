//! A certificate authority for tests: a root, an issuer, leaves.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::Identity;

pub const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";
pub const FRONT: &str = "spiffe://cluster.local/ns/shop/sa/front";

pub struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let root = CertifiedIssuer::self_signed(authority("root"), KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::signed_by(authority("issuer"), key, &root).unwrap();
        Self { root, issuer }
    }

    pub fn roots(&self) -> Vec<CertificateDer<'static>> {
        vec![self.root.der().clone()]
    }

    /// A chain for the public key `key`, valid from an hour ago until `left` from now.
    pub fn sign(&self, uris: &[&str], key: &impl rcgen::PublicKeyData, left: Duration) -> Vec<CertificateDer<'static>> {
        self.sign_names(uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect(), key, left)
    }

    fn sign_names(
        &self,
        names: Vec<SanType>,
        key: &impl rcgen::PublicKeyData,
        left: Duration,
    ) -> Vec<CertificateDer<'static>> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.not_before = (SystemTime::now() - Duration::from_secs(3600)).into();
        params.not_after = (SystemTime::now() - Duration::from_secs(60) + left).into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params.signed_by(key, &self.issuer).unwrap();
        vec![leaf.der().clone(), self.issuer.der().clone()]
    }

    /// Chain and key of a server at 127.0.0.1, PEM.
    pub fn server(&self) -> (String, String) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        (leaf.pem() + &self.issuer.pem(), key.serialize_pem())
    }

    /// An identity that ends `left` from a minute ago.
    pub fn identity(&self, uri: &str, left: Duration) -> Identity {
        self.identity_of(uri, &[], left)
    }

    /// The same of a server that is called by DNS names.
    pub fn identity_of(&self, uri: &str, dns: &[&str], left: Duration) -> Identity {
        let key = KeyPair::generate().unwrap();
        let dns = dns.iter().map(|name| SanType::DnsName((*name).try_into().unwrap()));
        let names = [SanType::URI(uri.try_into().unwrap())].into_iter().chain(dns).collect();
        let chain = self.sign_names(names, &key, left);
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Identity::new(chain, &key, self.roots(), SystemTime::now() + left / 2).unwrap()
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}
